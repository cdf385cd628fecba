//! `/v1/sessions`: opened by a backend that authenticated the user.
#![allow(unused_qualifications, reason = "the parameters of utoipa::path expand to a qualified call")]

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use super::App;
use super::auth::{Allowed, Issue, Read, Revoke};
use super::body::{Attempt, Fingerprint, JsonBody, Nothing, Params, Segment};
use super::confirm::{self, RevocationAnswer};
use super::problem::Problem;
use crate::verbs::revocations::Wait;
use crate::verbs::sessions::{OpenSession, SessionAnswer, SessionList, TokenAnswer};

/// Whose sessions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// The subject.
    subject: String,
}

/// How a session is ended.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EndQuery {
    /// Why, for the audit.
    reason: Option<String>,
    /// How long to wait for the confirmation.
    #[param(value_type = Option<String>)]
    wait: Option<Wait>,
}

/// Opens a session for a user the caller has authenticated and answers with its first access token.
#[utoipa::path(post, path = "/v1/sessions", tag = "sessions", request_body = OpenSession,
    responses((status = 201, body = TokenAnswer)), security(("client" = ["annul.issue"])))]
pub async fn open(
    State(app): State<App>,
    allowed: Allowed<Issue>,
    attempt: Attempt,
    body: JsonBody<OpenSession>,
) -> Result<(StatusCode, Json<TokenAnswer>), Problem> {
    let caller = allowed.caller(attempt, body.fingerprint);
    let answer = app.authority.open_session(&caller, body.value).await?;
    app.metrics.issued("session");
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Lists a subject's sessions, newest first.
#[utoipa::path(get, path = "/v1/sessions", tag = "sessions", params(ListQuery),
    responses((status = 200, body = SessionList)), security(("client" = ["annul.read"])))]
pub async fn list(
    State(app): State<App>,
    _: Allowed<Read>,
    Params(query): Params<ListQuery>,
) -> Result<Json<SessionList>, Problem> {
    Ok(Json(app.authority.sessions_of(&query.subject).await?))
}

/// One session and whether it can be used.
#[utoipa::path(get, path = "/v1/sessions/{sid}", tag = "sessions", params(("sid" = String, Path)),
    responses((status = 200, body = SessionAnswer)), security(("client" = ["annul.read"])))]
pub async fn get(
    State(app): State<App>,
    _: Allowed<Read>,
    Segment(sid): Segment<String>,
) -> Result<Json<SessionAnswer>, Problem> {
    Ok(Json(app.authority.session(&sid).await?))
}

/// Ends a session: its tokens are revoked, and it gets no more. Final.
#[utoipa::path(delete, path = "/v1/sessions/{sid}", tag = "sessions", params(("sid" = String, Path), EndQuery),
    responses((status = 200, body = RevocationAnswer)), security(("client" = ["annul.revoke"])))]
pub async fn end(
    State(app): State<App>,
    allowed: Allowed<Revoke>,
    attempt: Attempt,
    Fingerprint(fingerprint): Fingerprint,
    Segment(sid): Segment<String>,
    Params(query): Params<EndQuery>,
) -> Result<Json<RevocationAnswer>, Problem> {
    let caller = allowed.caller(attempt, fingerprint);
    let revoked = app.authority.log_out(&caller, &sid, query.reason).await?;
    Ok(confirm::answer(&app, revoked, query.wait).await)
}

/// The next access token of a session, with the claims as they are now.
#[utoipa::path(post, path = "/v1/sessions/{sid}/token", tag = "sessions", params(("sid" = String, Path)),
    responses((status = 200, body = TokenAnswer)), security(("client" = ["annul.issue"])))]
pub async fn next_token(
    State(app): State<App>,
    _: Allowed<Issue>,
    Segment(sid): Segment<String>,
    _: JsonBody<Nothing>,
) -> Result<Json<TokenAnswer>, Problem> {
    let answer = app.authority.next_token(&sid).await?;
    app.metrics.issued("refresh");
    Ok(Json(answer))
}
