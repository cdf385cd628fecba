//! `/v1/auth`: what a proxy asks before it lets a request through.
//!
//! The answer is 200 with who the bearer is, or 401, 403 or 503; nothing else, for nginx turns every
//! other status into 500. Three rules keep a client from naming itself:
//!
//! - every identity header stands in every 200, also when it is empty: some proxies pass on what a
//!   client sent in a header that the answer lacks;
//! - a request that already carries such a header is refused, in any spelling that a backend might
//!   read as the same (`X_Annul_Subject`, `X.Annul.Subject`: some servers make one CGI variable of
//!   both, by reading every byte that is neither letter nor digit alike);
//! - a value is written so that it holds no separator and no byte beyond ASCII, and two names never
//!   become one.

use std::fmt::Write as _;

use annul::policy::{Authorized, Decision};
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::reply;
use crate::serve::Gateway;

/// Judges the bearer token of the request that the proxy holds back.
pub(crate) async fn authorise(State(gateway): State<Gateway>, headers: HeaderMap) -> Response {
    if let Some(name) = smuggled(&headers) {
        tracing::warn!(header = %name, "request refused: the client sent an identity header");
        return reply::error(
            StatusCode::FORBIDDEN,
            "access_denied",
            "identity_header_sent",
            "The request carries a header that only the gateway may set",
        );
    }
    let token = match annul::http::bearer(&headers) {
        Ok(token) => token,
        Err(error) => return folded(reply::of_verifier(annul::http::answer_without_credential(error))),
    };
    match gateway.route.decide(token).await {
        Decision::Allow(authorized) => allowed(&authorized),
        Decision::Deny(denial) => reply::of_verifier(annul::http::answer(&denial, gateway.explain)),
        // `decide` settles every question before it answers.
        Decision::Ask(_) => reply::error(
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily_unavailable",
            "view_unavailable",
            "Whether the access token is valid cannot be told at the moment",
        ),
    }
}

/// A bad request as 401, which proxies pass on; nginx makes 500 of a 400.
fn folded(mut response: Response) -> Response {
    if response.status() == StatusCode::BAD_REQUEST {
        *response.status_mut() = StatusCode::UNAUTHORIZED;
    }
    response
}

/// The first header by which the client names itself.
fn smuggled(headers: &HeaderMap) -> Option<&HeaderName> {
    let alike = |byte: u8| if byte.is_ascii_alphanumeric() { byte } else { b'-' };
    headers.keys().find(|name| {
        let name = name.as_str();
        name.len() >= PREFIX.len() && name.bytes().map(alike).zip(PREFIX.bytes()).all(|(given, ours)| given == ours)
    })
}

fn allowed(authorized: &Authorized) -> Response {
    let token = authorized.token();
    let scope: Vec<String> = token.scopes().map(encode).collect();
    let identity = [
        ("x-annul-subject", token.subject().map(encode)),
        ("x-annul-session", token.sid().map(encode)),
        ("x-annul-client", token.client().map(encode)),
        ("x-annul-scope", Some(scope.join(" "))),
        ("x-annul-issuer", Some(encode(token.issuer()))),
    ];
    let mut response = Response::new(Body::empty());
    for (name, value) in identity {
        let value = HeaderValue::from_str(&value.unwrap_or_default()).expect("encoded values are visible ASCII");
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
    annul::http::deliver(authorized, response.headers_mut());
    reply::no_store(response)
}

/// The text with everything but visible ASCII percent-encoded, and the percent sign too, so that no
/// two texts meet and none can end the header.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// What the identity headers begin with, once every byte that is neither letter nor digit is read as a
/// hyphen. Header names are in lower case already.
const PREFIX: &str = "x-annul-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gw_2_no_spelling_of_an_identity_header_passes() {
        let spellings = ["X-Annul-Subject", "x_annul_subject", "X-Annul_Scope", "x_annul-anything", "x-annul-"];
        // Every byte beside letters and digits that a header name may have (RFC 9110 §5.6.2).
        let others = "!#$%&'*+-.^_`|~".chars().map(|other| format!("X{other}Annul{other}Subject"));
        for name in spellings.map(str::to_owned).into_iter().chain(others) {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static("root"));
            assert!(smuggled(&headers).is_some(), "{name} passed");
        }
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("1.2.3.4"));
        headers.insert("x-annulled", HeaderValue::from_static("yes"));
        headers.insert("x-annul", HeaderValue::from_static("yes"));
        assert!(smuggled(&headers).is_none());
    }

    #[test]
    fn a_value_cannot_end_its_header_nor_meet_another() {
        assert_eq!(encode("alice"), "alice");
        assert_eq!(encode("auth0|5f7c"), "auth0|5f7c");
        assert_eq!(encode("a\r\nX-Admin: 1"), "a%0D%0AX-Admin:%201");
        assert_eq!(encode("é"), "%C3%A9");
        assert_ne!(encode("a%0D"), encode("a\r"));
    }
}
