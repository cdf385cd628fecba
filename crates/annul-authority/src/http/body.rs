//! Reading what a request carries: bounded, strict, and with every refusal named.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use bytes::Bytes;
use futures::poll;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use serde::de::DeserializeOwned;

use super::App;
use super::auth::form_decode;
use super::codes::Code;
use super::problem::Problem;

/// A JSON body, together with its bytes: an idempotency key stands for exactly these.
#[derive(Debug)]
pub struct JsonBody<T> {
    /// What the body says.
    pub value: T,
    /// A hash of method, path and body, keyed: it is kept for a day, and a body may hold a password.
    pub fingerprint: [u8; 32],
}

impl<T: DeserializeOwned> FromRequest<App> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read(body, app.config.limits.body as usize, app.config.limits.request.0).await?;
        // An absent body is an empty object: several verbs need nothing said.
        let value = if bytes.is_empty() {
            from_json(b"{}")?
        } else {
            if !is_media_type(&parts.headers, "application/json") {
                return Err(Problem::new(Code::MediaTypeUnsupported, "the body must be application/json"));
            }
            from_json(&bytes)?
        };
        Ok(Self { value, fingerprint: app.authority.fingerprint(&fingerprint(&parts, &bytes)) })
    }
}

/// The raw bytes of a body, bounded by what the reader of them allows.
#[derive(Debug)]
pub struct RawBody(pub Bytes);

impl RawBody {
    /// Reads a body of at most `limit` bytes.
    pub async fn read(body: Body, limit: usize, within: Duration) -> Result<Self, Problem> {
        read(body, limit, within).await.map(Self)
    }
}

/// What a request without a body stands for, when it carries an idempotency key.
#[derive(Debug)]
pub struct Fingerprint(pub [u8; 32]);

impl<S: Send + Sync> FromRequestParts<S> for Fingerprint {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(fingerprint(parts, b"")))
    }
}

/// Query parameters; an unknown or repeated one is refused.
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = Query::<T>::try_from_uri(&parts.uri).map_err(|rejection| {
            let detail = rejection.body_text();
            let code = if detail.contains("unknown field") { Code::RequestUnknownField } else { Code::RequestInvalid };
            Problem::new(code, shortened(&detail))
        })?;
        Ok(Self(query.0))
    }
}

/// The parts of the path, decoded.
#[derive(Debug)]
pub struct Segment<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Segment<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|path| Self(path.0)).map_err(|rejection| {
            Problem::new(Code::RequestInvalid, format!("the path does not read: {}", shortened(&rejection.body_text())))
        })
    }
}

/// A form body (RFC 6749): repeated parameters are refused, empty ones are absent, unknown ones are
/// ignored by whoever reads them.
#[derive(Debug)]
pub struct FormBody(Vec<(String, String)>);

impl FormBody {
    /// The parameter of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Every parameter of that name, for the names that may be repeated.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The parameters of an address, by the same rules.
    pub fn of_query(query: &str) -> Result<Self, Problem> {
        Self::parse(query.as_bytes())
    }

    fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        let broken = || Problem::new(Code::RequestInvalid, "the form has a broken escape");
        let text = str::from_utf8(bytes).map_err(|_| broken())?;
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = form_decode(name.as_bytes()).zip(form_decode(value.as_bytes()));
            let (name, value) = decoded.ok_or_else(broken)?;
            if !REPEATABLE.contains(&name.as_str()) && pairs.iter().any(|(known, _)| *known == name) {
                return Err(Problem::new(Code::RequestAmbiguous, "a parameter of the form is repeated"));
            }
            if pairs.len() == MAX_PARAMETERS {
                return Err(Problem::new(Code::RequestInvalid, "the form has too many parameters"));
            }
            pairs.push((name, value));
        }
        pairs.retain(|(_, value)| !value.is_empty());
        Ok(Self(pairs))
    }
}

impl FormBody {
    /// Reads the form of a request with these headers.
    pub(super) async fn read(headers: &HeaderMap, body: Body, app: &App) -> Result<Self, Problem> {
        if !is_media_type(headers, "application/x-www-form-urlencoded") {
            return Err(Problem::new(Code::MediaTypeUnsupported, "the body must be application/x-www-form-urlencoded"));
        }
        Self::parse(&read(body, app.config.limits.body as usize, app.config.limits.request.0).await?)
    }
}

/// Parameters that may come more than once (RFC 8693 §2.1, RFC 8707 §2).
const REPEATABLE: [&str; 2] = ["audience", "resource"];

/// Parameters a form may have: the standards that meet at these endpoints name fewer than 30.
const MAX_PARAMETERS: usize = 64;

/// The header by which a caller names one attempt.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Bytes an idempotency key may have.
pub(super) const MAX_IDEMPOTENCY_KEY: usize = 255;

async fn read(body: Body, limit: usize, within: Duration) -> Result<Bytes, Problem> {
    let mut reading = pin!(to_bytes(body, limit));
    let bytes = match poll!(&mut reading) {
        // Most bodies came with the head and need no timer.
        Poll::Ready(bytes) => bytes,
        Poll::Pending => tokio::time::timeout(within, reading)
            .await
            .map_err(|_| Problem::new(Code::RequestTimeout, "the body did not arrive in time"))?,
    };
    bytes.map_err(|error| {
        let is_bound = std::error::Error::source(&error).is_some_and(|source| source.to_string().contains("limit"));
        if is_bound {
            Problem::new(Code::BodyTooLarge, format!("the body has more than {limit} bytes; nothing was changed"))
        } else {
            Problem::new(Code::RequestMalformed, "the body broke off")
        }
    })
}

fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // The deserializer would take an array's values for the members in their order.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::new(Code::RequestMalformed, "the body is no JSON object"));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let detail = error.to_string();
        let code = match error.classify() {
            serde_json::error::Category::Data if detail.starts_with("unknown field") => Code::RequestUnknownField,
            serde_json::error::Category::Data => Code::RequestInvalid,
            _ => Code::RequestMalformed,
        };
        Problem::new(code, shortened(&detail))
    })
}

/// Characters of a parser's message that are passed on: it may quote what the caller sent.
const MAX_DETAIL: usize = 300;

fn shortened(detail: &str) -> String {
    detail.chars().take(MAX_DETAIL).collect()
}

fn is_media_type(headers: &HeaderMap, wanted: &str) -> bool {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    given.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(wanted)
}

fn fingerprint(parts: &Parts, body: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in [parts.method.as_str(), parts.uri.path_and_query().map_or("", |path| path.as_str())] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.update(body);
    *hasher.finalize().as_bytes()
}

/// The caller's name for this attempt, if it gave one.
#[derive(Debug)]
pub struct Attempt(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for Attempt {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(value) = values.next() else { return Ok(Self(None)) };
        if values.next().is_some() {
            return Err(Problem::new(Code::RequestAmbiguous, "the request has two Idempotency-Key headers"));
        }
        let fits = |text: &&str| (1..=MAX_IDEMPOTENCY_KEY).contains(&text.len());
        let text = value.to_str().ok().filter(fits).ok_or_else(|| {
            let detail = format!("Idempotency-Key takes 1 to {MAX_IDEMPOTENCY_KEY} printable ASCII characters");
            Problem::new(Code::RequestInvalid, detail)
        })?;
        Ok(Self(Some(text.to_owned())))
    }
}

/// A body that says nothing: `{}` or none at all.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn te_1_a_repeated_parameter_is_refused_and_an_empty_one_is_absent() {
        let form = FormBody::parse(b"grant_type=client_credentials&scope=&x=%2B+").unwrap();
        assert_eq!(form.get("grant_type"), Some("client_credentials"));
        assert_eq!(form.get("scope"), None);
        assert_eq!(form.get("x"), Some("+ "));
        let problem = FormBody::parse(b"scope=a&scope=a").unwrap_err();
        assert_eq!(problem.code(), Code::RequestAmbiguous);
        assert!(FormBody::parse(b"scope=a&scope=").is_err(), "repeated even when empty");
        let form = FormBody::parse(b"audience=a&audience=b&resource=&audience=").unwrap();
        assert_eq!(form.all("audience").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(form.all("resource").count(), 0);
        assert!(FormBody::parse(b"a=%zz").is_err());
    }
}
