//! How an error becomes an answer.
//!
//! A handler returns a [`Problem`]; the outermost layer gives it the request's id and the form of
//! the place: a problem document (RFC 9457) everywhere, the members of RFC 6749 under `/oauth2`.
//! Answers that no handler made (unknown path, wrong method, a panic) take the same way, so no
//! error reaches a client in another form.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::codes::Code;
use super::dpop::DPOP_NONCE;
use super::unread::Unread;
use crate::error::{ErrorKind, VerbError};
use crate::store::StoreError;

/// An error on its way to a client.
#[derive(Clone, Debug)]
pub struct Problem {
    code: Code,
    status: u16,
    hint: &'static str,
    detail: String,
    retry_after: Option<u64>,
    dpop_nonce: Option<String>,
    extra: serde_json::Map<String, serde_json::Value>,
    /// What it is about under `/oauth2`, where its code alone does not say.
    fault: Option<Fault>,
}

/// What a refused token is to the request that it came in: the same token may be one or the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A member of the request.
    Request,
    /// The grant itself.
    Grant,
}

impl Fault {
    /// The `error` member (RFC 6749 §5.2).
    #[must_use]
    pub const fn oauth_error(self) -> &'static str {
        match self {
            Self::Request => "invalid_request",
            Self::Grant => "invalid_grant",
        }
    }
}

impl Problem {
    /// The problem of that code; `detail` says what is particular to this request. It never holds a
    /// secret or a token.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let retry_after = matches!(code.status(), 429 | 503).then_some(1);
        Self {
            code,
            status: code.status(),
            hint: code.hint(),
            detail: detail.into(),
            retry_after,
            dpop_nonce: None,
            extra: serde_json::Map::new(),
            fault: None,
        }
    }

    /// The same problem with another status.
    #[must_use]
    pub const fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The same problem, answered under `/oauth2` as being about this.
    #[must_use]
    pub const fn about(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// The HTTP status it is answered with.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The same problem with the seconds after which to try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds.max(1));
        self
    }

    /// The same problem with a nonce for the caller's next DPoP proof (RFC 9449 §8).
    #[must_use]
    pub fn with_dpop_nonce(mut self, nonce: String) -> Self {
        self.dpop_nonce = Some(nonce);
        self
    }

    /// The same problem with another member in its document.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.extra.insert(name.to_owned(), value.into());
        self
    }

    /// The problem's code.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    fn render(mut self, is_oauth: bool, request_id: &str) -> Response {
        if is_oauth && self.code.oauth_error() == "invalid_grant" {
            // RFC 6749 §5.2, whatever the same refusal is elsewhere.
            self.status = 400;
        }
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let challenge = (self.status == 401).then(|| challenge(self.code));
        let body = if is_oauth {
            // RFC 6749 §5.2 allows neither quotes, backslashes nor anything beyond ASCII here.
            let description = self.detail.chars().map(|c| if is_error_text(c) { c } else { '\'' }).collect();
            to_json(&OauthError {
                error: self.fault.map_or(self.code.oauth_error(), Fault::oauth_error),
                error_description: description,
                code: self.code.name(),
            })
        } else {
            to_json(&ProblemDocument {
                r#type: format!("https://annul.dev/errors/{}", self.code.name()),
                title: self.code.title(),
                status: self.status,
                detail: self.detail,
                code: self.code.name(),
                hint: self.hint,
                request_id: request_id.to_owned(),
                extra: self.extra,
            })
        };
        let media_type = if is_oauth { "application/json" } else { "application/problem+json" };
        let mut response = (status, Body::from(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(nonce) = self.dpop_nonce.and_then(|nonce| HeaderValue::from_str(&nonce).ok()) {
            headers.insert(DPOP_NONCE, nonce);
        }
        if let Some(challenge) = challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

impl IntoResponse for Problem {
    /// A bare status with the problem beside it; the layer around the request writes the document.
    fn into_response(self) -> Response {
        let mut response = StatusCode::from_u16(self.status).unwrap_or_default().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<VerbError> for Problem {
    fn from(error: VerbError) -> Self {
        let code = Code::from_name(error.code()).unwrap_or(Code::Internal);
        let status = match error.kind() {
            ErrorKind::Invalid => 400,
            ErrorKind::Unauthorised => 401,
            ErrorKind::Forbidden => 403,
            ErrorKind::NotFound => 404,
            ErrorKind::Conflict => 409,
            ErrorKind::Unavailable | ErrorKind::Busy => 503,
        };
        if status == 503 {
            tracing::warn!(code = code.name(), error = %error, "a verb failed");
        }
        let mut problem = Self::new(code, error.to_string());
        problem.status = status;
        problem.hint = error.hint();
        problem.retry_after = error.retry_after().map(|after| after.as_secs().max(1));
        if let Some(refusal) = error.refusal() {
            problem.extra.insert("position".to_owned(), refusal.at.to_string().into());
        }
        problem
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        VerbError::from(error).into()
    }
}

/// A 401 names a challenge (RFC 9110 §11.6.1).
const fn challenge(code: Code) -> &'static str {
    match code {
        Code::InvalidClient => "Basic realm=\"annul\", charset=\"UTF-8\"",
        // Answered by a login form, not by a browser's own dialogue.
        Code::InvalidCredentials => "Password realm=\"annul\"",
        // RFC 6750 §3.1: no error without a token.
        Code::TokenRequired => "Bearer realm=\"annul\"",
        // RFC 9449 §7.1 and §9.
        Code::ProofNeeded | Code::TokenNotBound => "DPoP realm=\"annul\", error=\"invalid_token\"",
        Code::DpopProofInvalid => "DPoP realm=\"annul\", error=\"invalid_dpop_proof\"",
        Code::DpopNonceNeeded => "DPoP realm=\"annul\", error=\"use_dpop_nonce\"",
        _ => "Bearer realm=\"annul\", error=\"invalid_token\"",
    }
}

/// The document of RFC 9457 with annul's members.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemDocument {
    /// A name for the kind of problem, as a URI.
    r#type: String,
    /// The same for every problem of the code.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is particular to this request.
    detail: String,
    /// What programs branch on.
    code: &'static str,
    /// What to do.
    hint: &'static str,
    /// Names this request in the authority's log.
    request_id: String,
    #[serde(flatten)]
    #[schema(ignore)]
    extra: serde_json::Map<String, serde_json::Value>,
}

/// The error members of RFC 6749 with annul's code.
#[derive(Debug, Serialize, ToSchema)]
pub struct OauthError {
    /// The standard's name for the error.
    error: &'static str,
    /// What is particular to this request.
    error_description: String,
    /// What programs branch on.
    code: &'static str,
}

/// The id of a request, for its log lines and its answer.
#[derive(Clone, Debug)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The caller's own, if it is plain; else one that no other request of this process has, nor,
    /// by 64 random bits, one of another process.
    fn of(headers: &HeaderMap) -> Self {
        static PROCESS: LazyLock<u64> = LazyLock::new(|| uuid::Uuid::now_v7().as_u64_pair().1);
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let given = headers.get(REQUEST_ID).filter(|id| {
            let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            (1..=MAX_REQUEST_ID).contains(&id.len()) && id.as_bytes().iter().all(plain)
        });
        Self(given.cloned().unwrap_or_else(|| {
            let made = format!("{:016x}-{:x}", *PROCESS, COUNT.fetch_add(1, Ordering::Relaxed));
            HeaderValue::try_from(made).expect("hexadecimal digits are plain")
        }))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// The header that carries a request's id, both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Bytes a caller's own request id may have; a longer or odd one is replaced.
const MAX_REQUEST_ID: usize = 64;

/// What the answer to a request needs to know of it.
pub(super) struct Asked {
    request_id: RequestId,
    is_oauth: bool,
    unread: Unread,
}

impl Asked {
    /// Names the request; it is returned as its handler gets it.
    pub(super) async fn of(mut request: Request) -> (Request, Self) {
        let request_id = RequestId::of(request.headers());
        request.extensions_mut().insert(request_id.clone());
        let is_oauth = request.uri().path().starts_with("/oauth2/");
        let (request, unread) = Unread::of(request).await;
        (request, Self { request_id, is_oauth, unread })
    }

    /// The text of the request's id.
    pub(super) fn request_id(&self) -> &str {
        self.request_id.as_str()
    }

    /// Hears a refused client out, writes errors in their form and forbids caching where the handler did not say
    /// otherwise.
    pub(super) async fn answered(self, mut response: Response) -> Response {
        let Self { request_id, is_oauth, unread } = self;
        let status = response.status();
        unread.take_in(status).await;
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            response = problem.render(is_oauth, request_id.as_str());
        } else if status.is_client_error() || status.is_server_error() {
            let allow = response.headers().get(http::header::ALLOW).cloned();
            let code = Code::of_status(status.as_u16());
            response = Problem::new(code, code.title()).render(is_oauth, request_id.as_str());
            if let Some(allow) = allow {
                response.headers_mut().insert(http::header::ALLOW, allow);
            }
        }

        let headers = response.headers_mut();
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        if is_oauth {
            headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
        }
        headers.insert(http::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REQUEST_ID, request_id.0);
        response
    }
}

const fn is_error_text(character: char) -> bool {
    matches!(character, '\x20'..='\x21' | '\x23'..='\x5b' | '\x5d'..='\x7e')
}

fn to_json(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("an error document holds only strings and numbers")
}
