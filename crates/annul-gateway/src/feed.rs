//! `/v1/feed/*`: the authority's feed, handed on.
//!
//! What leaves here are the authority's own signed bytes; what this gateway adds is its own age,
//! which the relay proves. Followers show the one credential that the configuration names: the
//! introduction holds the key under which targets are hashed.

use std::time::Duration;

use annul::Relay;
use annul::RelayAnswer;
use annul::feed::log::Ask;
use annul::feed::report::Report;
use annul::position::Position;
use annul::record::Chain;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use futures::StreamExt as _;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::json;

use crate::reply;
use crate::serve::Gateway;

/// The feed's routes, for authenticated followers.
pub(crate) fn routes(gateway: &Gateway) -> Router<Gateway> {
    Router::new()
        .route("/v1/feed/head", get(head))
        .route("/v1/feed/snapshot", get(snapshot))
        .route("/v1/feed/changes", get(changes))
        .route("/v1/feed/stream", get(stream))
        .route("/v1/feed/replicas/{name}/{instance}", post(report).layer(DefaultBodyLimit::max(Report::MAX_BYTES)))
        .route_layer(from_fn_with_state(gateway.clone(), authenticate))
}

async fn authenticate(State(gateway): State<Gateway>, headers: HeaderMap, request: Request, next: Next) -> Response {
    match &gateway.followers {
        None => problem(StatusCode::NOT_FOUND, "relay_off"),
        Some(client) if client.sent(&headers) => next.run(request).await,
        Some(_) => reply::unauthenticated(),
    }
}

async fn head(State(gateway): State<Gateway>) -> Response {
    with_relay(&gateway, |relay| async move { relay.introduction() }).await
}

async fn snapshot(State(gateway): State<Gateway>) -> Response {
    with_relay(&gateway, |relay| async move { relay.snapshot().await }).await
}

/// Where a follower stands, and how much it wants.
#[derive(Deserialize)]
struct Where {
    after: Position,
    chain: Option<Chain>,
    limit: Option<usize>,
    wait: Option<u64>,
}

async fn changes(State(gateway): State<Gateway>, place: Result<Query<Where>, QueryRejection>) -> Response {
    let Ok(Query(place)) = place else { return problem(StatusCode::BAD_REQUEST, "request_malformed") };
    let Ok(_held) = gateway.held.clone().try_acquire_owned() else { return busy() };
    let ask = Ask { after: place.after, chain: place.chain, limit: place.limit.unwrap_or(usize::MAX) };
    let wait = Duration::from_secs(place.wait.unwrap_or(0)).min(LONGEST_WAIT);
    with_relay(&gateway, |relay| async move { relay.changes(ask, wait).await }).await
}

async fn stream(State(gateway): State<Gateway>, place: Result<Query<Where>, QueryRejection>) -> Response {
    let Ok(Query(place)) = place else { return problem(StatusCode::BAD_REQUEST, "request_malformed") };
    let Ok(held) = gateway.held.clone().try_acquire_owned() else { return busy() };
    let Some(relay) = gateway.verifier.relay() else { return problem(StatusCode::NOT_FOUND, "relay_off") };
    match relay.stream(place.after, place.chain) {
        Err(answer) => of_relay(answer),
        Ok(events) => {
            // The permit goes when the connection does.
            let events = events.map(move |event| {
                let _ = &held;
                Ok::<Bytes, std::convert::Infallible>(event)
            });
            let mut response = reply::no_store(Response::new(Body::from_stream(events)));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
            response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
            response
        }
    }
}

async fn report(
    State(gateway): State<Gateway>,
    Path((name, instance)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    with_relay(&gateway, |relay| async move { relay.report(&name, &instance, &body).await }).await
}

async fn with_relay<A: Future<Output = RelayAnswer>>(gateway: &Gateway, ask: impl FnOnce(Relay) -> A) -> Response {
    match gateway.verifier.relay() {
        Some(relay) => of_relay(ask(relay).await),
        None => problem(StatusCode::NOT_FOUND, "relay_off"),
    }
}

fn of_relay(answer: RelayAnswer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let mut response = if status == StatusCode::OK {
        let mut response = reply::no_store(Response::new(Body::from(answer.body)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
        response
    } else {
        problem(status, answer.code)
    };
    if let Some(after) = answer.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
    }
    response
}

fn busy() -> Response {
    let mut response = problem(StatusCode::SERVICE_UNAVAILABLE, "too_many_followers");
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// A refusal in the form that `/v1` of the authority has (RFC 9457).
fn problem(status: StatusCode, code: &str) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let body = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "code": code });
    let mut response = reply::json(status, &body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

/// Followers that may wait at once. Each costs a connection and a few kilobytes.
pub(crate) const MAX_HELD: usize = 10_000;
/// The authority holds a follower no longer either.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
