//! The client's side of a session: an access token that is current whenever it is asked for.
//!
//! ```text
//! access_token() ──▶ good? given at once
//!        │           due?  given at once, and one refresh departs ahead of need
//!        ▼ needed
//! one refresh in the air, whoever asks waits for it
//!        │ no answer: the same refresh token again, inside the authority's grace
//!        │ invalid_grant: the user has to log in
//!        ▼ rotated
//! kept by the application, then given to all who wait
//! ```
//!
//! The order in which things happen is the promise. The rotated refresh token is
//! [kept](KeepRefreshToken) before it, or the access token that came with it, is used; so a process
//! that ends at any moment finds on its next start a refresh token that still works, or one whose
//! successor the authority gives again while the grace lasts. And nothing but the authority's word on
//! the refresh token ([`HolderError::MustLogIn`]) means that the session is over: an authority that is
//! down, slow or busy leaves everything as it was.
//!
//! Life is counted from the moment a request was sent, by `expires_in` and a clock that no one sets.
//! What the token itself says of its time is not looked at: the wall clock of a client is often wrong.
//!
//! ```no_run
//! # async fn run(http: reqwest::Client) -> Result<(), Box<dyn std::error::Error>> {
//! use annul::holder::{RefreshTokenFile, TokenHolder};
//!
//! let kept = RefreshTokenFile::at("/home/alice/.config/shop/session");
//! let Some(refresh_token) = kept.read()? else { return Err("alice has to log in first".into()) };
//! let holder = TokenHolder::builder("https://auth.example").public_client("shop").keep(kept).resume(refresh_token)?;
//!
//! let (method, url) = (http::Method::GET, "https://shop.example/orders");
//! let mut access = holder.authorize(&method, url).await?;
//! let orders = loop {
//!     let answer = http.request(method.clone(), url).headers(access.headers()).send().await?;
//!     match holder.answered(&access, answer.status(), answer.headers()).await? {
//!         Some(again) => access = again,
//!         None => break answer,
//!     }
//! };
//! # Ok(())
//! # }
//! ```

mod access;
mod builder;
mod challenge;
mod error;
mod exchange;
mod keep;
mod proof;
mod standing;
mod token;

use std::sync::{MutexGuard, PoisonError};

use http::{HeaderMap, Method, StatusCode};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

pub use access::Access;
pub use builder::TokenHolderBuilder;
pub use error::HolderError;
pub use keep::{KeepError, KeepRefreshToken, Keeping, RefreshTokenFile};
pub use proof::ProofKey;
pub use token::{AccessToken, RefreshToken};

use crate::client::ClientError;
use crate::clock;
use crate::error::ConfigError;
use crate::flights::{Asker, Flights};
pub use crate::http::Scheme;
use crate::sync::{Arc, Mutex};

use access::Remedy;
use exchange::{Exchange, Grant};
use standing::{Need, Standing, Step};

/// Holds a session's tokens for an application. Cheap to clone; all clones share one session, and one
/// refresh at a time.
///
/// It refreshes when it is asked for a token, never by itself: a session that nobody uses ages towards
/// its idle limit. Dropping it forgets the tokens and ends nothing at the authority.
#[derive(Clone)]
pub struct TokenHolder {
    inner: Arc<Inner>,
}

struct Inner {
    exchange: Exchange,
    keep: Box<dyn KeepRefreshToken>,
    standing: Mutex<Standing>,
    flights: Arc<Flights<(), Rider>>,
    runtime: Handle,
}

type Outcome = Result<AccessToken, HolderError>;

/// Who is on board of a refresh.
enum Rider {
    /// A caller, for as long as it waits.
    Caller(oneshot::Sender<Outcome>),
    /// Nobody yet: the refresh goes ahead of need.
    Ahead,
}

impl Asker<Outcome> for Rider {
    fn has_left(&self) -> bool {
        match self {
            Self::Caller(waiting) => waiting.is_closed(),
            Self::Ahead => false,
        }
    }

    fn answer(self, answer: Outcome) {
        if let Self::Caller(waiting) = self {
            // A caller that went away in the meantime lost nothing: the token is held here.
            let _ = waiting.send(answer);
        }
    }
}

impl TokenHolder {
    /// Begins to configure a holder of tokens of the authority at `url`.
    pub fn builder(url: &str) -> TokenHolderBuilder {
        TokenHolderBuilder::new(url)
    }

    fn new(exchange: Exchange, keep: Box<dyn KeepRefreshToken>, standing: Standing, runtime: Handle) -> Self {
        let flights = Arc::new(Flights::new());
        Self { inner: Arc::new(Inner { exchange, keep, standing: Mutex::new(standing), flights, runtime }) }
    }

    /// An access token with life left. At once, unless there is none: then after one refresh, which all
    /// who ask meanwhile share.
    ///
    /// Dropping the future loses nothing: a refresh that departed arrives, and its tokens are kept.
    ///
    /// # Errors
    /// See [`HolderError`]. Only [`HolderError::MustLogIn`] says that the session is over.
    pub async fn access_token(&self) -> Result<AccessToken, HolderError> {
        let need = self.inner.standing().need(clock::now().mono);
        match need {
            Need::Nothing(outcome) => outcome,
            Need::Soon(token) => {
                self.board(Rider::Ahead);
                Ok(token)
            }
            Need::Now => {
                let (sender, receiver) = oneshot::channel();
                self.board(Rider::Caller(sender));
                // The sender goes away unanswered when the runtime of the refresh has shut down.
                receiver.await.unwrap_or_else(|_| Err(HolderError::not_now(ConfigError::NoRuntime.into())))
            }
        }
    }

    /// Says that a service answered 401 to `token`, and gives the token to try instead: the one that
    /// has replaced it since, or one from a refresh for this reason. Of all who were refused with the
    /// same token, one refresh comes.
    ///
    /// # Errors
    /// [`HolderError::StillRefused`] when `token` itself came from such a refresh a few seconds ago:
    /// then the refusal has another reason, and nothing is sent. Else as
    /// [`access_token`](Self::access_token).
    pub async fn refused(&self, token: &AccessToken) -> Result<AccessToken, HolderError> {
        self.inner.standing().refuse(token, clock::now().mono)?;
        self.access_token().await
    }

    /// What a request of `method` to `url` carries: an access token and, where it is bound to a key, a
    /// proof for exactly this request.
    ///
    /// # Errors
    /// [`HolderError::Config`] when `url` is not absolute; else as
    /// [`access_token`](Self::access_token).
    pub async fn authorize(&self, method: &Method, url: &str) -> Result<Access, HolderError> {
        let token = self.access_token().await?;
        Access::new(token, self.inner.exchange.proofs(), method, url)
    }

    /// Reads the answer to a request that carried `access`: `Some` is what to send the same request
    /// again with, `None` that the answer stands.
    ///
    /// A request is repeated at most once for each of three reasons: the service wants a nonce in the
    /// proof, the proof's time was off by more than a service accepts, or the token was refused. So a
    /// loop over this ends.
    ///
    /// # Errors
    /// As [`access_token`](Self::access_token), when the token was refused and there is no other.
    pub async fn answered(
        &self,
        access: &Access,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<Option<Access>, HolderError> {
        let proofs = self.inner.exchange.proofs();
        if let Some(proofs) = proofs {
            proofs.heard(access.url(), headers);
        }
        let remedy = challenge::remedy(status, headers).filter(|remedy| !access.has_tried(*remedy));
        let token = match remedy {
            None => return Ok(None),
            Some(Remedy::Token) => match self.refused(access.token()).await {
                // The service has its reason, and the application the answer.
                Err(HolderError::StillRefused) => return Ok(None),
                other => other?,
            },
            Some(Remedy::Clock) if !proofs.is_some_and(|proofs| proofs.corrects_clock(headers)) => return Ok(None),
            Some(Remedy::Clock | Remedy::Nonce) => access.token().clone(),
        };
        Ok(remedy.map(|remedy| access.again(token, remedy, proofs)))
    }

    /// The thumbprint (RFC 7638) of the key that the session's tokens are bound to, where there is one.
    #[must_use]
    pub fn proof_key(&self) -> Option<&str> {
        self.inner.exchange.proofs().map(|proofs| proofs.key().thumbprint())
    }

    /// Boards the refresh in the air, or starts one.
    fn board(&self, rider: Rider) {
        if let Some(flight) = Flights::board(&self.inner.flights, (), rider) {
            let inner = Arc::clone(&self.inner);
            self.inner.runtime.spawn(async move { flight.fly(|()| inner.settle()).await });
        }
    }
}

impl std::fmt::Debug for TokenHolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenHolder").field("standing", &*self.inner.standing()).finish_non_exhaustive()
    }
}

impl Inner {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the steps that are still needed, one flight at a time: what came with an earlier one is
    /// answered from memory.
    async fn settle(&self) -> Outcome {
        loop {
            let step = self.standing().step(clock::now().mono);
            let done = match step {
                Step::Done(outcome) => return outcome,
                Step::Keep(grant) => self.keep(*grant).await,
                Step::Redeem(refresh) => self.redeem(&refresh).await,
            };
            if let Err(error) = done {
                tracing::debug!(code = error.code(), %error, "no new access token");
                return self.standing().failed(error, clock::now().mono);
            }
        }
    }

    /// Trades a refresh token for the next tokens, and keeps them.
    async fn redeem(&self, own: &RefreshToken) -> Result<(), HolderError> {
        // Another process with the same session may have been first.
        let refresh = self.keep.kept().await.unwrap_or_else(|| own.clone());
        let grant = self.exchange.redeem(&refresh).await?;
        let grant = grant.or_keeping(refresh);
        self.keep(grant).await
    }

    /// Has the application keep the refresh token of `grant`; only then are its tokens used.
    async fn keep(&self, grant: Grant) -> Result<(), HolderError> {
        self.standing().granted(grant.clone());
        let kept = self.keep.keep(&grant.refresh).await;
        kept.map_err(|error| HolderError::NotKept { cause: crate::client::innermost(&*error) })?;
        self.standing().kept(grant, clock::now().mono);
        Ok(())
    }
}

impl From<ClientError> for HolderError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Config(error) => Self::Config(error),
            ClientError::Answered(problem) => Self::of(*problem),
            other => Self::not_now(other),
        }
    }
}
