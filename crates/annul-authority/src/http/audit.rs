//! `/v1/audit`: who did what to whom, and why.

use axum::Json;
use axum::extract::State;

use super::App;
use super::auth::{Allowed, Read};
use super::body::Params;
use super::problem::Problem;
use crate::verbs::audit::{AuditList, AuditQuery};

/// Lists events in order. A refusal's position, looked up here, names the target and the reason.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(AuditQuery),
    responses((status = 200, body = AuditList)), security(("client" = ["annul.read"])))]
pub async fn list(
    State(app): State<App>,
    _: Allowed<Read>,
    Params(query): Params<AuditQuery>,
) -> Result<Json<AuditList>, Problem> {
    Ok(Json(app.authority.audit(query).await?))
}
