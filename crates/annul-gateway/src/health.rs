//! `/livez`, `/readyz`, `/statusz`, `/metrics`: for those who run the gateway.
//!
//! Alive never depends on the authority, or an outage there would restart every gateway. Ready waits
//! for the first synchronisation and stays: a stale gateway answers 503 by itself, route by route.

use axum::extract::State;
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde_json::json;

use crate::reply;
use crate::serve::Gateway;

/// Whether the process runs.
pub(crate) async fn livez() -> Response {
    reply::json(StatusCode::OK, &json!({ "live": true }))
}

/// Whether the view has been synchronised since the start.
pub(crate) async fn readyz(State(gateway): State<Gateway>) -> Response {
    let ready = gateway.synchronised();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    reply::json(status, &json!({ "ready": ready, "state": gateway.verifier.status().state }))
}

/// The verifier's state: positions, ages and counts, no names.
pub(crate) async fn statusz(State(gateway): State<Gateway>) -> Response {
    reply::json(StatusCode::OK, &gateway.verifier.status())
}

/// The counters, for Prometheus.
pub(crate) async fn metrics(State(gateway): State<Gateway>) -> Response {
    let mut response = reply::no_store(Response::new(gateway.metrics.render().into()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4"));
    response
}
