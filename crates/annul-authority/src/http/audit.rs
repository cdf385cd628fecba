//! `/v1/audit`: who did what to whom, and why.

use axum::Json;
use axum::extract::State;

use super::App;
use super::auth::{Allowed, Read};
use super::body::Params;
use super::problem::Problem;
use crate::verbs::audit::{AuditList, AuditQuery};
use crate::verbs::exposure::{ExposureAnswer, ExposureQuery};

/// Lists the newest events, or with `after` those that follow; in both, the newest of them is last.
/// A refusal's position, looked up here, names the target and the reason.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(AuditQuery),
    responses((status = 200, body = AuditList)), security(("client" = ["annul.read"])))]
pub async fn list(
    State(app): State<App>,
    _: Allowed<Read>,
    Params(query): Params<AuditQuery>,
) -> Result<Json<AuditList>, Problem> {
    Ok(Json(app.authority.audit(query).await?))
}

/// Which requests could have been accepted: whose tokens, until when, at which verifiers.
#[utoipa::path(get, path = "/v1/audit/exposure", tag = "audit", params(ExposureQuery),
    responses((status = 200, body = ExposureAnswer)), security(("client" = ["annul.read"])))]
pub async fn exposure(
    State(app): State<App>,
    _: Allowed<Read>,
    Params(query): Params<ExposureQuery>,
) -> Result<Json<ExposureAnswer>, Problem> {
    Ok(Json(app.authority.exposure(query, app.feed.replicas()).await?))
}
