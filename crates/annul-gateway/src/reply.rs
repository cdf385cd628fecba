//! What every answer of the gateway has in common: JSON, and never stored.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

/// An answer with a JSON body.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    text(status, serde_json::to_string(body).expect("answers hold only strings, numbers and booleans"))
}

/// The same of a text that is JSON already.
pub(crate) fn text(status: StatusCode, json: String) -> Response {
    let mut response = Response::new(Body::from(json));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    no_store(response)
}

/// A refusal with the members that OAuth gives errors, and our code.
pub(crate) fn error(status: StatusCode, error: &str, code: &str, description: &str) -> Response {
    json(status, &serde_json::json!({ "error": error, "error_description": description, "code": code }))
}

/// The refusal of a caller without the configured credential.
pub(crate) fn unauthenticated() -> Response {
    let mut response = error(
        StatusCode::UNAUTHORIZED,
        "invalid_client",
        "invalid_client",
        "This endpoint needs the credential that the gateway's configuration names",
    );
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"annul gateway\""));
    response
}

/// An answer of the verifier as this server's.
pub(crate) fn of_verifier(answer: http::Response<Bytes>) -> Response {
    no_store(answer.map(Body::from))
}

/// The answer, marked so that nobody keeps it.
pub(crate) fn no_store(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
