//! The tower layer: one access token per request, decided by a route, refused in the words of RFC 6750 and
//! RFC 9449.
//!
//! What it lets in carries an [`Authorized`] and the [`Route`] in its extensions. A re-stamped token
//! that came with the authority's answer goes into the response as [`ANNUL_TOKEN`](crate::http::ANNUL_TOKEN).
//! Nothing is boxed where the answer is local.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use annul_core::policy::{Authorized, Decision};
use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::http::{
    CredentialError, Explain, PeerCertificate, Presented, Scheme, answer_by, answer_without_credential, deliver,
    offer_proofs,
};
use crate::route::{AskFuture, Outcome, Route};

/// Lets in what its route allows. Works for every `http` service whose bodies can be made of bytes:
/// axum, hyper, tonic's HTTP side.
#[derive(Clone, Debug)]
pub struct AnnulLayer {
    route: Route,
    explain: Explain,
}

impl AnnulLayer {
    /// A layer that decides by `route`.
    #[must_use]
    pub const fn new(route: Route) -> Self {
        Self { route, explain: Explain::Discreetly }
    }

    /// How much its answers say about why a token was refused.
    #[must_use]
    pub const fn explain(mut self, explain: Explain) -> Self {
        self.explain = explain;
        self
    }
}

impl<S> Layer<S> for AnnulLayer {
    type Service = AnnulService<S>;

    fn layer(&self, inner: S) -> AnnulService<S> {
        AnnulService { inner, route: self.route.clone(), explain: self.explain }
    }
}

/// What [`AnnulLayer`] makes of a service.
#[derive(Clone, Debug)]
pub struct AnnulService<S> {
    inner: S,
    route: Route,
    explain: Explain,
}

impl<S, B, R> Service<Request<B>> for AnnulService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    R: From<Bytes>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = AnnulFuture<S, B, R>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let presented = match presented(&request) {
            Ok(presented) => presented,
            Err(error) => return AnnulFuture::refused(self.without_credential(error)),
        };
        let (scheme, outcome) = (presented.scheme(), self.route.check_presented(&presented));
        match outcome {
            Outcome::Decided(Decision::Allow(authorized)) => {
                admit(&mut request, authorized, &self.route);
                AnnulFuture { step: Step::Inner { future: self.inner.call(request), asked: None } }
            }
            Outcome::Decided(Decision::Deny(denial)) => AnnulFuture::refused(answer_by(scheme, &denial, self.explain)),
            Outcome::Decided(Decision::Ask(_)) => unreachable!("a route turns what is to be asked into a future"),
            Outcome::Ask(ask) => {
                // The service that was ready goes with the request; its clone is polled anew.
                let clone = self.inner.clone();
                let inner = std::mem::replace(&mut self.inner, clone);
                let pending = Pending { inner, request, route: self.route.clone(), scheme, explain: self.explain };
                AnnulFuture { step: Step::Asking { ask, pending: Some(pending) } }
            }
        }
    }
}

impl<S> AnnulService<S> {
    fn without_credential(&self, error: CredentialError) -> Response<Bytes> {
        let mut answer = answer_without_credential(error);
        if self.route.verifier().senders().take_proofs() {
            offer_proofs(&mut answer);
        }
        answer
    }
}

/// The token of a request, with what shows whose it is.
fn presented<B>(request: &Request<B>) -> Result<Presented<'_>, CredentialError> {
    let presented = Presented::in_request(request.method(), path(request), request.headers())?;
    Ok(presented.with_certificate(request.extensions().get::<PeerCertificate>()))
}

/// The path that the client named; a router that hands requests on to another takes a part of it off.
fn path<B>(request: &Request<B>) -> &str {
    #[cfg(feature = "axum")]
    if let Some(axum::extract::OriginalUri(uri)) = request.extensions().get() {
        return uri.path();
    }
    request.uri().path()
}

fn admit<B>(request: &mut Request<B>, authorized: Authorized, route: &Route) {
    request.extensions_mut().insert(authorized);
    request.extensions_mut().insert(route.clone());
}

struct Pending<S, B> {
    inner: S,
    request: Request<B>,
    route: Route,
    scheme: Scheme,
    explain: Explain,
}

pin_project! {
    /// The answer on its way: the inner service's, or the refusal.
    pub struct AnnulFuture<S, B, R>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        step: Step<S, B, S::Future, R>,
    }
}

impl<S: Service<Request<B>>, B, R: From<Bytes>> AnnulFuture<S, B, R> {
    fn refused(answer: Response<Bytes>) -> Self {
        Self { step: Step::Refused { answer: Some(answer.map(R::from)) } }
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<S, B, F, R> {
        Refused { answer: Option<Response<R>> },
        Asking {
            #[pin]
            ask: AskFuture,
            pending: Option<Pending<S, B>>,
        },
        Inner {
            #[pin]
            future: F,
            asked: Option<Authorized>,
        },
    }
}

impl<S, B, R> Future for AnnulFuture<S, B, R>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: From<Bytes>,
{
    type Output = Result<Response<R>, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        const ONCE: &str = "a future is not polled after it was ready";
        let mut step = self.project().step;
        loop {
            let (future, asked) = match step.as_mut().project() {
                StepProjection::Refused { answer } => return Poll::Ready(Ok(answer.take().expect(ONCE))),
                StepProjection::Inner { future, asked } => {
                    let mut response = ready!(future.poll(context))?;
                    if let Some(authorized) = asked {
                        deliver(authorized, response.headers_mut());
                    }
                    return Poll::Ready(Ok(response));
                }
                StepProjection::Asking { ask, pending } => {
                    let decision = ready!(ask.poll(context));
                    let Pending { mut inner, mut request, route, scheme, explain } = pending.take().expect(ONCE);
                    match decision {
                        Decision::Allow(authorized) => {
                            admit(&mut request, authorized.clone(), &route);
                            (inner.call(request), Some(authorized))
                        }
                        Decision::Deny(denial) => {
                            return Poll::Ready(Ok(answer_by(scheme, &denial, explain).map(R::from)));
                        }
                        Decision::Ask(_) => unreachable!("an answered question is settled"),
                    }
                }
            };
            step.set(Step::Inner { future, asked });
        }
    }
}
