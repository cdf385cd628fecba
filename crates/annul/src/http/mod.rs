//! From headers to a credential, and from a denial to an answer: RFC 6750, RFC 9449, RFC 9470, RFC 9110.
//!
//! | situation                                   | status | `WWW-Authenticate`                    |
//! |---------------------------------------------|--------|---------------------------------------|
//! | no access token                             | 401    | the scheme alone, no `error`          |
//! | two credentials, or a broken one            | 400    | `error="invalid_request"`             |
//! | expired, forged, revoked, for someone else  | 401    | `error="invalid_token"`               |
//! | authenticated too long ago                  | 401    | `error="insufficient_user_authentication"` |
//! | bound to a key, and no good proof of it     | 401    | `DPoP`, its `error`, `algs`           |
//! | refused by the application                  | 403    | none                                  |
//! | lacks a scope                               | 403    | `error="insufficient_scope"`          |
//! | this process cannot tell                    | 503    | none, but `Retry-After`               |
//!
//! A token in the query is not looked at: URLs end up in logs. Every answer is `no-store`.

mod credential;

use annul_core::TokenError;
use annul_core::policy::{Authorized, Denial, DenyReason, SenderError};
use annul_core::token::PROOF_ALGORITHMS;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;

pub use credential::{CredentialError, Scheme, bearer, credential};

pub use crate::sender::{PeerCertificate, Presented};

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

/// The answer to a request whose bearer token was denied.
#[must_use]
pub fn answer(denial: &Denial, explain: Explain) -> Response<Bytes> {
    answer_by(Scheme::Bearer, denial, explain)
}

/// The answer to a request whose token came by `scheme` and was denied: it is challenged by the same.
#[must_use]
pub fn answer_by(scheme: Scheme, denial: &Denial, explain: Explain) -> Response<Bytes> {
    let code = match explain {
        Explain::Fully => denial.code(),
        Explain::Discreetly => discreet_code(denial.reason()),
    };
    let status = StatusCode::from_u16(denial.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let (error, description) = wording(denial.reason());
    let mut answer = plain_answer(status, error, description, code);
    let headers = answer.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, challenge(scheme, denial.reason(), error, description));
    }
    if let Some(seconds) = denial.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

/// Adds to a 401 without a challenge of its own for proofs that they are taken here, and by which algorithms.
pub(crate) fn offer_proofs(answer: &mut Response<Bytes>) {
    if answer.status() == StatusCode::UNAUTHORIZED {
        let offer = HeaderValue::from_str(&format!("DPoP {}", algorithms()));
        answer.headers_mut().extend(offer.ok().map(|offer| (WWW_AUTHENTICATE, offer)));
    }
}

/// The answer to a request without one usable access token.
#[must_use]
pub fn answer_without_credential(error: CredentialError) -> Response<Bytes> {
    let (status, challenge) = match error {
        CredentialError::Missing => (StatusCode::UNAUTHORIZED, "Bearer"),
        CredentialError::Ambiguous | CredentialError::Malformed => {
            (StatusCode::BAD_REQUEST, "Bearer error=\"invalid_request\"")
        }
    };
    let name = if error == CredentialError::Missing { "token_missing" } else { "invalid_request" };
    let mut answer = plain_answer(status, name, "The request must carry one access token", error.code());
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
        DenyReason::TokenRefused(TokenError::Missing) => ("token_missing", "The request must carry one access token"),
        DenyReason::AuthTooOld { .. } => {
            ("insufficient_user_authentication", "A more recent authentication is required")
        }
        DenyReason::RefusedByApplication => ("access_denied", "The request is not allowed"),
        DenyReason::Sender(error) if error.is_about_proofs() => {
            (error.error(), "The request must prove the key that the access token is bound to")
        }
        DenyReason::Stale { .. }
        | DenyReason::Undecidable(_)
        | DenyReason::AskUnavailable
        | DenyReason::Sender(SenderError::ProofMemoryFull) => {
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
        // It is the client's to mend, and says nothing of the token.
        DenyReason::Sender(error) => error.code(),
        DenyReason::RefusedByApplication => "access_denied",
        DenyReason::Stale { .. } | DenyReason::Undecidable(_) | DenyReason::AskUnavailable => "view_unavailable",
        _ => "token_invalid",
    }
}

fn challenge(scheme: Scheme, reason: &DenyReason, error: &str, description: &str) -> HeaderValue {
    let scheme = match reason {
        DenyReason::Sender(error) if error.is_about_proofs() => Scheme::DPoP,
        _ => scheme,
    };
    let mut parameters = match reason {
        DenyReason::TokenRefused(TokenError::Missing) => Vec::new(),
        _ => vec![format!("error=\"{error}\""), format!("error_description=\"{description}\"")],
    };
    if let DenyReason::AuthTooOld { max_age } = reason {
        parameters.push(format!("max_age=\"{}\"", max_age.as_secs()));
    }
    if scheme == Scheme::DPoP {
        parameters.push(algorithms());
    }
    let text = format!("{} {}", scheme.name(), parameters.join(", "));
    HeaderValue::from_str(text.trim_end()).unwrap_or(HeaderValue::from_static("Bearer"))
}

/// The parameter of a challenge that names the algorithms of accepted proofs (RFC 9449 §7.1).
fn algorithms() -> String {
    format!("algs=\"{}\"", PROOF_ALGORITHMS.map(annul_core::token::Algorithm::name).join(" "))
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

    #[test]
    fn b_2_a_request_without_one_token_is_told_the_scheme_or_that_it_is_broken() {
        for (error, status, challenge) in [
            (CredentialError::Missing, 401, "Bearer"),
            (CredentialError::Ambiguous, 400, "Bearer error=\"invalid_request\""),
            (CredentialError::Malformed, 400, "Bearer error=\"invalid_request\""),
        ] {
            let answer = answer_without_credential(error);
            assert_eq!(answer.status().as_u16(), status);
            assert_eq!(answer.headers()[WWW_AUTHENTICATE], challenge);
        }
    }

    #[test]
    fn dp_3_a_refusal_is_challenged_by_the_scheme_it_came_by_or_lacked() {
        let policy = Policy::verify_only();
        let challenge = |scheme, reason| {
            let answer = answer_by(scheme, &policy.denial(reason), Explain::Discreetly);
            assert_eq!(answer.status(), 401);
            answer.headers()[WWW_AUTHENTICATE].to_str().unwrap().to_owned()
        };
        let algs = "algs=\"ES256 EdDSA ES384 ES512 PS256 PS384 PS512\"";
        let revoked = challenge(Scheme::DPoP, DenyReason::Revoked(None));
        assert!(revoked.starts_with("DPoP error=\"invalid_token\"") && revoked.ends_with(algs), "{revoked}");
        let needed = challenge(Scheme::Bearer, DenyReason::Sender(SenderError::ProofNeeded));
        assert!(needed.starts_with("DPoP error=\"invalid_token\"") && needed.ends_with(algs), "{needed}");
        let repeated = challenge(Scheme::DPoP, DenyReason::Sender(SenderError::ProofRepeated));
        assert!(repeated.starts_with("DPoP error=\"invalid_dpop_proof\""), "{repeated}");
        let other = challenge(Scheme::Bearer, DenyReason::Sender(SenderError::OtherCertificate));
        assert!(other.starts_with("Bearer error=\"invalid_token\"") && !other.contains("algs"), "{other}");

        let mut missing = answer_without_credential(CredentialError::Missing);
        offer_proofs(&mut missing);
        let offered: Vec<_> = missing.headers().get_all(WWW_AUTHENTICATE).iter().collect();
        assert_eq!(offered, ["Bearer", &format!("DPoP {algs}")], "no error code without a token");
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
