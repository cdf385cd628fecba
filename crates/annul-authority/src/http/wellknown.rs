//! `/.well-known`: what clients discover. Public and cacheable.
//!
//! A cached key set is no revocation: verifiers that hold only a key set learn of a killed key when
//! their copy expires, which is why confirmations name them as not counted.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value;

use super::App;
use super::auth::Anonymous;
use super::body::Segment;
use super::codes::Code;
use super::oauth::metadata;
use super::problem::Problem;

/// The public keys of the authority's own tokens.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "discovery", responses((status = 200, body = Object)))]
pub async fn jwks(State(app): State<App>, _: Anonymous, headers: HeaderMap) -> Response {
    cacheable(&app.authority.jwks(), "public, max-age=300, stale-while-revalidate=60", &headers)
}

/// What the authority offers (RFC 8414).
#[utoipa::path(get, path = "/.well-known/oauth-authorization-server", tag = "discovery",
    responses((status = 200, body = Object)))]
pub async fn metadata(State(app): State<App>, _: Anonymous, headers: HeaderMap) -> Result<Response, Problem> {
    match issuer_path(app.authority.issuer()) {
        "" => Ok(metadata_answer(&app, &headers)),
        _ => Err(other_issuer()),
    }
}

/// The same for an issuer with a path, which stands behind the well-known part (RFC 8414 §3).
#[utoipa::path(get, path = "/.well-known/oauth-authorization-server/{*path}", tag = "discovery",
    params(("path" = String, Path)), responses((status = 200, body = Object)))]
pub async fn metadata_of_path(
    State(app): State<App>,
    _: Anonymous,
    Segment(path): Segment<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if issuer_path(app.authority.issuer()).trim_start_matches('/') == path.trim_end_matches('/') {
        Ok(metadata_answer(&app, &headers))
    } else {
        Err(other_issuer())
    }
}

fn metadata_answer(app: &App, headers: &HeaderMap) -> Response {
    cacheable(&metadata::document(app), "public, max-age=300", headers)
}

/// The path of an issuer that is a URL, without a slash at its end.
fn issuer_path(issuer: &str) -> &str {
    let rest = issuer.split_once("://").map_or("", |(_, rest)| rest);
    rest.find('/').and_then(|at| rest.get(at..)).map_or("", |path| path.trim_end_matches('/'))
}

fn other_issuer() -> Problem {
    Problem::new(Code::NotFound, "the issuer here has another path")
}

fn cacheable(document: &Value, cache_control: &'static str, headers: &HeaderMap) -> Response {
    let body = document.to_string();
    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&blake3::hash(body.as_bytes()).as_bytes()[..16]));
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let is_known = known.flat_map(|value| value.split(',')).any(|value| {
        let value = value.trim();
        value == "*" || value.trim_start_matches("W/") == tag
    });
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn md_1_the_issuers_path_follows_the_well_known_part() {
        assert_eq!(issuer_path("https://h/t1/"), "/t1");
        assert_eq!(issuer_path("https://h/a/b"), "/a/b");
        assert_eq!(issuer_path("https://h"), "");
        assert_eq!(issuer_path("https://h/"), "");
        assert_eq!(issuer_path("annul"), "");
    }
}
