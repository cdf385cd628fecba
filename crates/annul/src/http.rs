//! From headers to a credential, and from a denial to an answer: RFC 6750, RFC 9470, RFC 9110.
//!
//! | situation                                   | status | `WWW-Authenticate`                    |
//! |---------------------------------------------|--------|---------------------------------------|
//! | no bearer token                             | 401    | the scheme alone, no `error`          |
//! | two credentials, or a broken one            | 400    | `error="invalid_request"`             |
//! | expired, forged, revoked, for someone else  | 401    | `error="invalid_token"`               |
//! | authenticated too long ago                  | 401    | `error="insufficient_user_authentication"` |
//! | refused by the application                  | 403    | none                                  |
//! | lacks a scope                               | 403    | `error="insufficient_scope"`          |
//! | this process cannot tell                    | 503    | none, but `Retry-After`               |
//!
//! A token in the query is not looked at: URLs end up in logs. Every answer is `no-store`.

use std::fmt;

use annul_core::TokenError;
use annul_core::policy::{Authorized, Denial, DenyReason};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;

/// The response header with the token that a client goes on with in place of its own: the same `jti`,
/// session, `auth_time` and `exp`, with a new date and position. A browser's script of another origin
/// reads it only where `Access-Control-Expose-Headers` names it.
pub const ANNUL_TOKEN: HeaderName = HeaderName::from_static("annul-token");

/// Puts the re-stamped token, if there is one, into a response, which nobody may then store.
pub fn deliver(authorized: &Authorized, headers: &mut HeaderMap) {
    let Some(restamped) = authorized.restamped() else { return };
    // A token is three base64url parts; anything else did not come from an authority.
    let Ok(mut value) = HeaderValue::from_str(restamped.expose()) else { return };
    value.set_sensitive(true);
    headers.insert(ANNUL_TOKEN, value);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// How much an answer says about why a token was refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Explain {
    /// That it is not valid, that it expired or that it was revoked: a client must know whether to
    /// fetch a new token or to send its user to the login. What revoked it, and which check failed,
    /// stay in logs and metrics.
    #[default]
    Discreetly,
    /// The exact code. For services whose clients are one's own.
    Fully,
}

/// Why a request has no usable bearer token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialError {
    /// No `Authorization`, or one of another scheme.
    Missing,
    /// More than one `Authorization`, or more than one credential in it.
    Ambiguous,
    /// The scheme is `Bearer` and what follows is not a token.
    Malformed,
}

impl CredentialError {
    /// A stable name for programs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "token_missing",
            Self::Ambiguous => "credentials_ambiguous",
            Self::Malformed => "credentials_malformed",
        }
    }
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the request has no bearer token",
            Self::Ambiguous => "the request has more than one credential",
            Self::Malformed => "the Authorization header does not hold one bearer token",
        })
    }
}

impl std::error::Error for CredentialError {}

/// The one bearer token of a request, still unread.
pub fn bearer(headers: &HeaderMap) -> Result<&str, CredentialError> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = all.next() else { return Err(CredentialError::Missing) };
    if all.next().is_some() {
        return Err(CredentialError::Ambiguous);
    }
    let value = value.to_str().map_err(|_| CredentialError::Malformed)?;
    let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(CredentialError::Missing);
    }
    let token = rest.trim_matches(' ');
    if token.contains([' ', ',']) {
        return Err(CredentialError::Ambiguous);
    }
    let form = token.trim_end_matches('=');
    if form.is_empty() || !form.bytes().all(is_token68) {
        return Err(CredentialError::Malformed);
    }
    Ok(token)
}

const fn is_token68(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
}

/// The answer to a request whose token was denied.
#[must_use]
pub fn answer(denial: &Denial, explain: Explain) -> Response<Bytes> {
    let code = match explain {
        Explain::Fully => denial.code(),
        Explain::Discreetly => discreet_code(denial.reason()),
    };
    let status = StatusCode::from_u16(denial.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let (error, description) = wording(denial.reason());
    let mut answer = plain_answer(status, error, description, code);
    let headers = answer.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, challenge(denial.reason(), error, description));
    }
    if let Some(seconds) = denial.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

/// The answer to a request without one usable bearer token.
#[must_use]
pub fn answer_without_credential(error: CredentialError) -> Response<Bytes> {
    let (status, challenge) = match error {
        CredentialError::Missing => (StatusCode::UNAUTHORIZED, "Bearer"),
        CredentialError::Ambiguous | CredentialError::Malformed => {
            (StatusCode::BAD_REQUEST, "Bearer error=\"invalid_request\"")
        }
    };
    let name = if error == CredentialError::Missing { "token_missing" } else { "invalid_request" };
    let mut answer = plain_answer(status, name, "The request must carry one bearer token", error.code());
    answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    answer
}

/// The answer to a request whose token is good and lacks a scope (RFC 6750 §3.1). `scopes` are those
/// that the resource needs; a name that RFC 6749 does not allow is left out.
#[must_use]
pub fn answer_insufficient_scope(scopes: &[&str]) -> Response<Bytes> {
    const DESCRIPTION: &str = "The access token does not have the scope this needs";
    let is_scope = |scope: &&&str| {
        !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
    };
    let scopes: Vec<&str> = scopes.iter().filter(is_scope).copied().collect();
    let mut answer = plain_answer(StatusCode::FORBIDDEN, "insufficient_scope", DESCRIPTION, "insufficient_scope");
    let text = format!(
        "Bearer error=\"insufficient_scope\", error_description=\"{DESCRIPTION}\", scope=\"{}\"",
        scopes.join(" ")
    );
    let challenge = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("Bearer"));
    answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    answer
}

/// The answer of a service that uses a token without the layer that checks it.
#[cfg(feature = "axum")]
pub(crate) fn answer_misuse() -> Response<Bytes> {
    plain_answer(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "The service is set up wrongly", "layer_missing")
}

fn plain_answer(
    status: StatusCode,
    error: &'static str,
    error_description: &'static str,
    code: &'static str,
) -> Response<Bytes> {
    let body = Body { error, error_description, code };
    let body = serde_json::to_vec(&body).expect("three strings are JSON");
    let mut answer = Response::new(Bytes::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// `error` and `error_description` for people: constants, so nothing of a token can reach a header.
fn wording(reason: &DenyReason) -> (&'static str, &'static str) {
    match reason {
        DenyReason::TokenRefused(TokenError::Missing) => ("token_missing", "The request must carry one bearer token"),
        DenyReason::AuthTooOld { .. } => {
            ("insufficient_user_authentication", "A more recent authentication is required")
        }
        DenyReason::RefusedByApplication => ("access_denied", "The request is not allowed"),
        DenyReason::Stale { .. } | DenyReason::Undecidable(_) | DenyReason::AskUnavailable => {
            ("temporarily_unavailable", "Whether the access token is valid cannot be told at the moment")
        }
        _ => ("invalid_token", "The access token is not valid or no longer valid"),
    }
}

fn discreet_code(reason: &DenyReason) -> &'static str {
    match reason {
        DenyReason::TokenRefused(TokenError::Missing) => "token_missing",
        DenyReason::TokenRefused(error) if error.code() == "token_expired" => "token_expired",
        DenyReason::Revoked(_) | DenyReason::TokenRefused(TokenError::KeyKilled) => "token_revoked",
        DenyReason::AuthTooOld { .. } => "insufficient_user_authentication",
        DenyReason::RefusedByApplication => "access_denied",
        DenyReason::Stale { .. } | DenyReason::Undecidable(_) | DenyReason::AskUnavailable => "view_unavailable",
        _ => "token_invalid",
    }
}

fn challenge(reason: &DenyReason, error: &str, description: &str) -> HeaderValue {
    let text = match reason {
        DenyReason::TokenRefused(TokenError::Missing) => "Bearer".to_owned(),
        DenyReason::AuthTooOld { max_age } => {
            format!("Bearer error=\"{error}\", error_description=\"{description}\", max_age=\"{}\"", max_age.as_secs())
        }
        _ => format!("Bearer error=\"{error}\", error_description=\"{description}\""),
    };
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("Bearer"))
}

#[derive(Serialize)]
struct Body {
    error: &'static str,
    error_description: &'static str,
    code: &'static str,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use annul_core::policy::Policy;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn b_1_the_scheme_has_no_case() {
        for value in ["Bearer a.b.c", "bearer a.b.c", "BEARER a.b.c", "bEaReR   a.b.c", "Bearer a.b.c "] {
            assert_eq!(bearer(&headers(&[value])), Ok("a.b.c"), "{value}");
        }
        assert_eq!(bearer(&headers(&["Bearer YQ=="])), Ok("YQ=="));
    }

    #[test]
    fn b_2_no_bearer_token_is_missing_and_not_an_error() {
        for values in [&[][..], &["Basic YTpi"], &["Bearerx a.b.c"], &[""]] {
            assert_eq!(bearer(&headers(values)), Err(CredentialError::Missing), "{values:?}");
        }
        let answer = answer_without_credential(CredentialError::Missing);
        assert_eq!(answer.status(), 401);
        assert_eq!(answer.headers()[WWW_AUTHENTICATE], "Bearer");
    }

    #[test]
    fn b_5_two_credentials_are_a_bad_request() {
        for values in
            [&["Bearer a", "Bearer b"][..], &["Bearer a", "Basic b"], &["Bearer a b"], &["Bearer a, Bearer b"]]
        {
            assert_eq!(bearer(&headers(values)), Err(CredentialError::Ambiguous), "{values:?}");
        }
        for value in ["Bearer", "Bearer ", "Bearer ==", "Bearer a\"b", "Bearer \u{fc}", "Bearer a=b"] {
            assert_eq!(bearer(&headers(&[value])), Err(CredentialError::Malformed), "{value}");
        }
        let answer = answer_without_credential(CredentialError::Ambiguous);
        assert_eq!(answer.status(), 400);
        assert_eq!(answer.headers()[WWW_AUTHENTICATE], "Bearer error=\"invalid_request\"");
    }

    #[test]
    fn not_knowing_is_503_with_retry_after_and_never_a_challenge() {
        let policy = Policy::check(Duration::from_secs(60));
        for reason in [DenyReason::Stale { age: None }, DenyReason::AskUnavailable] {
            let answer = answer(&policy.denial(reason), Explain::Discreetly);
            assert_eq!(answer.status(), 503);
            assert!(answer.headers().contains_key(RETRY_AFTER) && !answer.headers().contains_key(WWW_AUTHENTICATE));
            assert_eq!(answer.headers()[CACHE_CONTROL], "no-store");
        }
    }

    #[test]
    fn which_check_failed_is_told_only_when_asked_for() {
        let policy = Policy::check(Duration::from_secs(60));
        let code = |reason, explain| {
            let answer = answer(&policy.denial(reason), explain);
            serde_json::from_slice::<serde_json::Value>(answer.body()).unwrap()["code"].clone()
        };
        let forged = || DenyReason::TokenRefused(TokenError::SignatureInvalid);
        assert_eq!(code(forged(), Explain::Discreetly), "token_invalid");
        assert_eq!(code(forged(), Explain::Fully), "signature_invalid");
        assert_eq!(code(DenyReason::Revoked(None), Explain::Discreetly), "token_revoked");
    }

    #[test]
    fn b_4_a_missing_scope_is_403_and_its_names_cannot_leave_the_header() {
        let answer = answer_insufficient_scope(&["orders:read", "a\"b", "", "orders:write"]);
        assert_eq!(answer.status(), 403);
        let challenge = answer.headers()[WWW_AUTHENTICATE].to_str().unwrap();
        assert!(challenge.ends_with("scope=\"orders:read orders:write\""), "{challenge}");
    }

    #[test]
    fn b_7_an_old_authentication_asks_for_a_newer_one() {
        let denial = Policy::verify_only().denial(DenyReason::AuthTooOld { max_age: Duration::from_secs(300) });
        let answer = answer(&denial, Explain::Discreetly);
        let challenge = answer.headers()[WWW_AUTHENTICATE].to_str().unwrap();
        assert!(challenge.starts_with("Bearer error=\"insufficient_user_authentication\""), "{challenge}");
        assert!(challenge.ends_with("max_age=\"300\""), "{challenge}");
    }
}
