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
    responses((status = 201, body = RevocationAnswer), (status = 200, description = "dry run", body = DryRun)),
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
