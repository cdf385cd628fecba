//! `/v1/revocations`: every target, cutoff and reach.
#![allow(unused_qualifications, reason = "the parameters of utoipa::path expand to a qualified call")]

use annul_core::position::Position;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::auth::{Allowed, Read, Revoke};
use super::body::{Attempt, JsonBody, Params, Segment};
use super::confirm::{self, Effect, RevocationAnswer};
use super::problem::Problem;
use crate::verbs::revocations::{
    DryRun, LiftRequest, Lifted, RevocationItem, RevocationList, RevocationQuery, RevokeOutcome, RevokeRequest,
};
use crate::verbs::schedules::{ScheduleItem, ScheduleList};

/// Which revocations.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only those of this target, as text.
    target: Option<String>,
    /// Only those after this position.
    #[param(value_type = Option<String>)]
    after: Option<Position>,
    /// How many at most.
    limit: Option<usize>,
}

/// How a schedule is cancelled.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CancelQuery {
    /// Why, for the audit.
    reason: Option<String>,
}

/// What a lift did, and when it is seen everywhere.
#[derive(Debug, Serialize, ToSchema)]
pub struct LiftAnswer {
    /// What was lifted.
    #[serde(flatten)]
    pub lifted: Lifted,
    /// By when it is seen everywhere.
    #[serde(flatten)]
    pub effect: Effect,
}

/// Revokes, or with `dry_run` tells what would be revoked by the same path.
#[utoipa::path(post, path = "/v1/revocations", tag = "revocations", request_body = RevokeRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "names this attempt, so that a repeat answers the same")),
    responses((status = 201, body = RevocationAnswer), (status = 202, description = "kept for later", body = ScheduleItem),
        (status = 200, description = "dry run", body = DryRun)),
    security(("client" = ["annul.revoke"])))]
pub async fn create(
    State(app): State<App>,
    allowed: Allowed<Revoke>,
    attempt: Attempt,
    body: JsonBody<RevokeRequest>,
) -> Result<Response, Problem> {
    let caller = allowed.caller(attempt, body.fingerprint);
    let wait = body.value.wait;
    match app.authority.revoke(&caller, body.value).await? {
        RevokeOutcome::Done(revoked) => {
            let answer = confirm::answer(&app, revoked, wait).await;
            Ok((StatusCode::CREATED, answer).into_response())
        }
        RevokeOutcome::Scheduled(schedule) => Ok((StatusCode::ACCEPTED, Json(schedule)).into_response()),
        RevokeOutcome::Dry(dry) => Ok(Json(dry).into_response()),
    }
}

/// Lists revocations in the order of their positions.
#[utoipa::path(get, path = "/v1/revocations", tag = "revocations", params(ListQuery),
    responses((status = 200, body = RevocationList)), security(("client" = ["annul.read"])))]
pub async fn list(
    State(app): State<App>,
    _: Allowed<Read>,
    Params(query): Params<ListQuery>,
) -> Result<Json<RevocationList>, Problem> {
    let ListQuery { target, after, limit } = query;
    Ok(Json(app.authority.list_revocations(RevocationQuery { target, after, limit }).await?))
}

/// Lists schedules: those that have something left to do by their time, then the others.
#[utoipa::path(get, path = "/v1/revocations/scheduled", tag = "revocations",
    responses((status = 200, body = ScheduleList)), security(("client" = ["annul.read"])))]
pub async fn schedules(State(app): State<App>, _: Allowed<Read>) -> Result<Json<ScheduleList>, Problem> {
    Ok(Json(app.authority.schedules().await?))
}

/// One schedule: what is done when, and what was.
#[utoipa::path(get, path = "/v1/revocations/scheduled/{id}", tag = "revocations", params(("id" = String, Path)),
    responses((status = 200, body = ScheduleItem)), security(("client" = ["annul.read"])))]
pub async fn schedule(
    State(app): State<App>,
    _: Allowed<Read>,
    Segment(id): Segment<String>,
) -> Result<Json<ScheduleItem>, Problem> {
    Ok(Json(app.authority.schedule(&id).await?))
}

/// Cancels what of a schedule waits. What was done stays; a lift undoes it.
#[utoipa::path(delete, path = "/v1/revocations/scheduled/{id}", tag = "revocations",
    params(("id" = String, Path), CancelQuery),
    responses((status = 200, body = ScheduleItem)), security(("client" = ["annul.revoke"])))]
pub async fn cancel(
    State(app): State<App>,
    allowed: Allowed<Revoke>,
    Segment(id): Segment<String>,
    Params(query): Params<CancelQuery>,
) -> Result<Json<ScheduleItem>, Problem> {
    // A schedule is cancelled once; a repetition is told that nothing waits any more.
    let caller = allowed.caller(Attempt(None), [0; 32]);
    Ok(Json(app.authority.cancel_schedule(&caller, &id, query.reason).await?))
}

/// One revocation: what it names, why, by whom.
#[utoipa::path(get, path = "/v1/revocations/{position}", tag = "revocations", params(("position" = String, Path)),
    responses((status = 200, body = RevocationItem)), security(("client" = ["annul.read"])))]
pub async fn get(
    State(app): State<App>,
    _: Allowed<Read>,
    Segment(position): Segment<Position>,
) -> Result<Json<RevocationItem>, Problem> {
    Ok(Json(app.authority.revocation(position).await?))
}

/// Undoes revocations by their positions; what else is in force against their targets stands.
#[utoipa::path(post, path = "/v1/revocations/lift", tag = "revocations", request_body = LiftRequest,
    responses((status = 200, body = LiftAnswer)), security(("client" = ["annul.revoke"])))]
pub async fn lift(
    State(app): State<App>,
    allowed: Allowed<Revoke>,
    attempt: Attempt,
    body: JsonBody<LiftRequest>,
) -> Result<Json<LiftAnswer>, Problem> {
    let caller = allowed.caller(attempt, body.fingerprint);
    let wait = body.value.wait;
    let lifted = app.authority.lift(&caller, body.value).await?;
    let effect = confirm::effect(&app, lifted.position, lifted.acknowledged_at, wait).await;
    Ok(Json(LiftAnswer { lifted, effect }))
}
