//! `/v1/feed`: the log on its way to every verifier. Plain HTTP, so that any language can follow it.
#![allow(unused_qualifications, reason = "the parameters of utoipa::path expand to a qualified call")]

use std::time::Duration;

use annul_core::feed::frame::FRAME_RECORDS;
use annul_core::feed::report::Report;
use annul_core::position::Position;
use annul_core::record::Chain;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap};
use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use utoipa::IntoParams;

use super::App;
use super::auth::{Allowed, Follow};
use super::body::{Params, RawBody, Segment};
use super::codes::Code;
use super::problem::Problem;
use crate::error::VerbError;
use crate::feed::{FeedRefusal, FollowerAt};

/// What the head is signed over.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HeadQuery {
    /// Any text of the caller's; it proves that the head was signed after the request.
    nonce: Option<String>,
}

/// Where a follower stands.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ChangesQuery {
    /// The position of the last record it has; the beginning of the log when left out.
    #[param(value_type = Option<String>)]
    after: Option<Position>,
    /// The chain there, which shows that it holds this history.
    #[param(value_type = Option<String>)]
    chain: Option<Chain>,
    /// Seconds to wait for a record when there is none, at most 60.
    wait: Option<u64>,
    /// Records at most.
    limit: Option<usize>,
}

/// Where a stream begins.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StreamQuery {
    /// The position of the last record the follower has.
    #[param(value_type = Option<String>)]
    after: Option<Position>,
    /// The chain there.
    #[param(value_type = Option<String>)]
    chain: Option<Chain>,
}

/// The introduction: the signed head, the feed key and the key that hashes targets.
#[utoipa::path(get, path = "/v1/feed/head", tag = "feed", params(HeadQuery),
    responses((status = 200, body = Object)), security(("client" = ["annul.follow"])))]
pub async fn head(
    State(app): State<App>,
    _: Allowed<Follow>,
    Params(query): Params<HeadQuery>,
) -> Result<Response, Problem> {
    if query.nonce.as_ref().is_some_and(|nonce| nonce.len() > Report::MAX_NAME) {
        return Err(Problem::new(Code::RequestInvalid, "nonce has at most 256 bytes"));
    }
    Ok(json(app.feed.introduction(query.nonce).await?))
}

/// The records after a position, with a signed head; an empty frame when none came in time.
#[utoipa::path(get, path = "/v1/feed/changes", tag = "feed", params(ChangesQuery),
    responses((status = 200, body = String, content_type = "application/x-ndjson")),
    security(("client" = ["annul.follow"])))]
pub async fn changes(
    State(app): State<App>,
    allowed: Allowed<Follow>,
    Params(query): Params<ChangesQuery>,
) -> Result<Response, Problem> {
    let wait = Duration::from_secs(query.wait.unwrap_or(0)).min(LONGEST_POLL);
    let limit = query.limit.unwrap_or(FRAME_RECORDS).clamp(1, FRAME_RECORDS);
    let mut admission = app.authority.admission(allowed.client);
    let frame = app.feed.changes(FollowerAt { after: query.after, chain: query.chain }, limit, wait).await?;
    // The wait may have outlasted the credential.
    if !admission.holds().await? {
        return Err(VerbError::InvalidClient.into());
    }
    Ok(ndjson(Body::from(frame)))
}

/// Everything in force at one position, signed.
#[utoipa::path(get, path = "/v1/feed/snapshot", tag = "feed",
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream")),
    security(("client" = ["annul.follow"])))]
pub async fn snapshot(State(app): State<App>, _: Allowed<Follow>) -> Result<Response, Problem> {
    let body = app.feed.snapshot().await?;
    app.metrics.snapshot();
    Ok(([(CONTENT_TYPE, "application/octet-stream")], body).into_response())
}

/// Records as they are committed, as server-sent events: `frame`, `heartbeat`, `canary`, `gone`.
#[utoipa::path(get, path = "/v1/feed/stream", tag = "feed", params(StreamQuery),
    responses((status = 200, body = String, content_type = "text/event-stream")),
    security(("client" = ["annul.follow"])))]
pub async fn stream(
    State(app): State<App>,
    allowed: Allowed<Follow>,
    headers: HeaderMap,
    Params(query): Params<StreamQuery>,
) -> Result<Response, Problem> {
    let resumed = headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok()?.parse().ok());
    let from = FollowerAt { after: query.after.or(resumed), chain: query.chain };
    let events = app.feed.stream(from, app.authority.admission(allowed.client)).await?;
    let mut response = Body::from_stream(events).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

/// What a verifier or relay has applied. The answer's head is read from the store after the report
/// came in and signed over its nonce: it is what makes a view fresh.
#[utoipa::path(post, path = "/v1/feed/replicas/{name}/{instance}", tag = "feed",
    params(("name" = String, Path), ("instance" = String, Path)), request_body = Object,
    responses((status = 200, body = Object)), security(("client" = ["annul.follow"])))]
pub async fn report(
    State(app): State<App>,
    _: Allowed<Follow>,
    Segment((name, instance)): Segment<(String, String)>,
    body: Body,
) -> Result<Response, Problem> {
    let body = RawBody::read(body, Report::MAX_BYTES, app.config.limits.request.0).await?;
    let report = Report::from_json(&body.0).map_err(|error| Problem::new(Code::RequestMalformed, error.to_string()))?;
    Ok(json(app.feed.report(&name, &instance, report).await?))
}

/// The longest a poll is held; longer ones die in proxies.
const LONGEST_POLL: Duration = Duration::from_secs(60);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells nginx not to buffer a stream.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

impl From<FeedRefusal> for Problem {
    fn from(refusal: FeedRefusal) -> Self {
        match refusal {
            FeedRefusal::Compacted => Self::new(Code::Compacted, "the log does not reach back to that position"),
            FeedRefusal::Diverged => Self::new(Code::Diverged, "the chain at that position is another one here"),
            FeedRefusal::Ahead { head } => {
                Self::new(Code::Ahead, format!("the log's head is {head}")).with("head", head.to_string())
            }
            FeedRefusal::Busy { retry_after } => {
                Self::new(Code::Busy, "as many are served at once as are allowed").retry_after(retry_after)
            }
            FeedRefusal::Report { detail } => Self::new(Code::RequestInvalid, detail),
            FeedRefusal::Store(error) => error.into(),
        }
    }
}

fn json(body: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

fn ndjson(body: impl Into<Body>) -> Response {
    let mut response = body.into().into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response
}
