//! The authority's HTTP API for programs: a backend that opens sessions, a job that revokes, the CLI.
//!
//! Every call has one deadline over all its attempts. What could not be delivered (no connection, a
//! connection that broke, 502, 503, 504, 429) is tried again until the deadline; a write carries an
//! `Idempotency-Key`, the same on each attempt, so that it happens once. A write for which the authority
//! takes no key (adding a client, a login) is tried again only after attempts that did nothing for
//! certain: no connection, or 429.

mod calls;
mod failure;
mod revocation;
mod types;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use reqwest::Url;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

pub use failure::{ClientError, Problem};
pub use revocation::*;
pub use types::*;

use crate::error::ConfigError;
use crate::transport::{self, Credential};

/// Bytes an answer may have. The longest are lists, which the authority pages far below this.
const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// How long a call may take with all its attempts, unless the builder says otherwise.
const WITHIN: Duration = Duration::from_secs(30);
/// The first pause before another attempt; it doubles, and the actual pause is drawn below it so
/// that clients that failed together do not return together.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between two attempts, also when `Retry-After` asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A client of one authority. Cheap to clone; clones share the connections.
#[derive(Clone, Debug)]
pub struct AuthorityClient {
    http: reqwest::Client,
    base: Url,
    credential: Option<Credential>,
    within: Duration,
    on_failure: OnFailure,
}

/// What follows a call that was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnFailure {
    Repeat,
    GiveUp,
}

/// What an [`AuthorityClient`] needs to know.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct AuthorityClientBuilder {
    url: String,
    credential: Option<Result<Credential, ConfigError>>,
    roots: Vec<Vec<u8>>,
    within: Duration,
}

impl AuthorityClientBuilder {
    /// The client id and secret to authenticate with. Without, only calls that need none work.
    pub fn credentials(mut self, id: &str, secret: &str) -> Self {
        self.credential = Some(Credential::basic(id, secret));
        self
    }

    /// Trusts this certificate (PEM) instead of the platform's. May be given several times.
    pub fn tls_root(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// How long a call may take with all its attempts. 30 s when not set.
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// The client. Nothing is sent yet.
    pub fn build(self) -> Result<AuthorityClient, ConfigError> {
        let base = transport::address(&self.url)?;
        let http = transport::connect(&base, &self.roots)?;
        Ok(AuthorityClient {
            http,
            base,
            credential: self.credential.transpose()?,
            within: self.within,
            on_failure: OnFailure::Repeat,
        })
    }
}

impl AuthorityClient {
    /// A client of the authority at `url`.
    pub fn builder(url: &str) -> AuthorityClientBuilder {
        AuthorityClientBuilder { url: url.to_owned(), credential: None, roots: Vec::new(), within: WITHIN }
    }

    /// The authority's address, ending in a slash.
    #[must_use]
    pub fn url(&self) -> &str {
        self.base.as_str()
    }

    /// This client with another deadline.
    #[must_use]
    pub fn within(&self, within: Duration) -> Self {
        Self { within, ..self.clone() }
    }

    /// This client with one attempt for each call: for calls that are counted.
    pub(crate) fn giving_up(&self) -> Self {
        Self { on_failure: OnFailure::GiveUp, ..self.clone() }
    }

    /// Any GET of the API that has no method of its own, such as `statusz` or `v1/feed/head`.
    /// `path` is relative to the address and already encoded.
    pub async fn get_json(&self, path: &str) -> Result<serde_json::Value, ClientError> {
        self.call(Call::new(Method::GET, path)).await
    }

    pub(crate) async fn call<T: DeserializeOwned>(&self, call: Call) -> Result<T, ClientError> {
        let body = self.deliver(call).await?;
        serde_json::from_slice(&body).map_err(|error| ClientError::Malformed(error.to_string()))
    }

    pub(crate) async fn call_without_answer(&self, call: Call) -> Result<(), ClientError> {
        self.deliver(call).await.map(drop)
    }

    /// Sends `call` until it is answered or the deadline passes; the body of a 2xx answer.
    async fn deliver(&self, call: Call) -> Result<Bytes, ClientError> {
        let deadline = Instant::now() + self.within;
        let mut pause = FIRST_PAUSE;
        let mut failed = None;
        loop {
            let attempt = tokio::time::timeout_at(deadline, self.attempt(&call)).await;
            let Undelivered { error, may_be_done } = match attempt {
                Ok(Ok(body)) => return Ok(body),
                Ok(Err(undelivered)) => undelivered,
                // Why an attempt failed says more than that the last one had no time left; but an earlier answer
                // does not tell what became of the last one.
                Err(_) => {
                    let open = failed.filter(|error: &ClientError| error.status().is_none());
                    return Err(open.unwrap_or_else(|| self.timed_out()));
                }
            };
            let repeats = self.on_failure == OnFailure::Repeat && (call.twice == Twice::AsOnce || !may_be_done);
            let Some(asked) = error.may_repeat().filter(|_| repeats) else {
                return Err(error);
            };
            let wait = asked.unwrap_or_else(|| draw_below(pause)).min(LONGEST_PAUSE);
            if Instant::now() + wait >= deadline {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            failed = Some(error);
        }
    }

    fn timed_out(&self) -> ClientError {
        ClientError::TimedOut { url: self.base.to_string(), within: self.within }
    }

    async fn attempt(&self, call: &Call) -> Result<Bytes, Undelivered> {
        let answer = self.send(call).await?;
        if answer.status.is_success() {
            return Ok(answer.body);
        }
        // Rates are counted before anything is done.
        let may_be_done = answer.status != StatusCode::TOO_MANY_REQUESTS;
        Err(Undelivered { error: ClientError::Answered(Box::new(answer.problem())), may_be_done })
    }

    /// The address of `path` at this authority, and at no other.
    pub(crate) fn endpoint(&self, path: &str) -> Result<Url, ConfigError> {
        let url = self.base.join(path).ok().filter(|url| url.origin() == self.base.origin());
        url.ok_or_else(|| ConfigError::Address(path.to_owned()))
    }

    /// Sends `call` once; the answer, whatever its status, read to its end.
    pub(crate) async fn exchange(&self, call: &Call) -> Result<Answered, ClientError> {
        self.send(call).await.map_err(|undelivered| undelivered.error)
    }

    async fn send(&self, call: &Call) -> Result<Answered, Undelivered> {
        let unsent = |error: ClientError| Undelivered { error, may_be_done: false };
        let url = self.endpoint(&call.path).map_err(|error| unsent(error.into()))?;
        let mut request = self.http.request(call.method.clone(), url).headers(call.headers.clone());
        if let (Some(credential), false) = (&self.credential, call.headers.contains_key(AUTHORIZATION)) {
            request = request.header(AUTHORIZATION, credential.header());
        }
        if let Some(body) = &call.body {
            request = request.body(body.clone());
        }
        let response = request
            .send()
            .await
            .map_err(|error| Undelivered { error: self.unreachable(&error), may_be_done: !error.is_connect() })?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = self.body(response).await.map_err(|error| Undelivered { error, may_be_done: true })?;
        Ok(Answered { status, headers, body })
    }

    async fn body(&self, response: reqwest::Response) -> Result<Bytes, ClientError> {
        let mut body = BytesMut::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| self.unreachable(&error))?;
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(ClientError::Malformed(format!("the answer is longer than {MAX_ANSWER} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        ClientError::Unreachable { url: self.base.to_string(), cause: innermost(error) }
    }
}

/// An answer of any status, with its body.
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answered {
    /// What the authority said, read as a refusal.
    pub(crate) fn problem(&self) -> Problem {
        Problem::read(self.status.as_u16(), &self.body, seconds(&self.headers))
    }
}

/// An attempt that was not answered by a success.
struct Undelivered {
    error: ClientError,
    /// Whether the authority may have done what was asked.
    may_be_done: bool,
}

/// What comes of a call that is done twice because the answer to the first was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Twice {
    /// The same as of one.
    AsOnce,
    /// Something else, such as a refusal, or a session that nobody knows of.
    Otherwise,
}

/// One request, ready to be sent more than once where that does no harm.
pub(crate) struct Call {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Option<Bytes>,
    twice: Twice,
}

impl Call {
    /// A call without a body. Unless it is a GET, doing it twice is taken to differ from doing it once until
    /// [`once`](Self::once) or [`harmless`](Self::harmless) says otherwise.
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        let twice = if method == Method::GET { Twice::AsOnce } else { Twice::Otherwise };
        Self { method, path: path.into(), headers: HeaderMap::new(), body: None, twice }
    }

    /// Marks what may be done twice without a key: it only reads, or all that a lost answer leaves behind is
    /// an access token that nobody holds.
    pub(crate) fn harmless(self) -> Self {
        Self { twice: Twice::AsOnce, ..self }
    }

    pub(crate) fn json(mut self, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("requests hold only strings, numbers and JSON values");
        self.body = Some(body.into());
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self
    }

    pub(crate) fn form(mut self, fields: &[(&str, &str)]) -> Self {
        let mut form = Url::parse("form:").expect("a scheme alone is a URL");
        form.query_pairs_mut().extend_pairs(fields);
        self.body = Some(form.query().unwrap_or_default().to_owned().into());
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        self
    }

    /// Marks a write that must happen once however often it is sent.
    pub(crate) fn once(mut self) -> Self {
        let key = uuid::Uuid::now_v7().to_string();
        self.headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_str(&key).expect("a UUID is plain ASCII"));
        Self { twice: Twice::AsOnce, ..self }
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Authenticates with an access token instead of the client's credential.
    pub(crate) fn bearer(mut self, token: &str) -> Result<Self, ClientError> {
        let text = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut header = text.map_err(|_| ClientError::Config(ConfigError::Credential))?;
        header.set_sensitive(true);
        self.headers.insert(AUTHORIZATION, header);
        Ok(self)
    }
}

/// `Retry-After` in seconds; dates are not used by annul.
pub(crate) fn seconds(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// Statuses after which the same request may succeed a moment later.
fn is_passing(status: u16) -> bool {
    StatusCode::from_u16(status).is_ok_and(|status| {
        matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        )
    })
}

/// A pause drawn evenly from zero to `most`; the randomness of a fresh UUID is more than enough.
pub(crate) fn draw_below(most: Duration) -> Duration {
    let random = uuid::Uuid::now_v7().as_u128() & u128::from(u32::MAX);
    let share = f64::from(u32::try_from(random).unwrap_or(u32::MAX)) / f64::from(u32::MAX);
    most.mul_f64(share)
}

/// The innermost cause says what happened ("Connection refused"); the outer ones repeat the URL.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
