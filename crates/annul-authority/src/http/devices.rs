//! `/v1/subjects/{subject}/devices`: where a user is logged in.

use axum::Json;
use axum::extract::State;

use super::App;
use super::auth::{Allowed, Read};
use super::body::Segment;
use super::problem::Problem;
use crate::verbs::devices::DeviceList;

/// Lists the subject's devices with their last login and logout, the newest login first.
#[utoipa::path(get, path = "/v1/subjects/{subject}/devices", tag = "subjects", params(("subject" = String, Path)),
    responses((status = 200, body = DeviceList)), security(("client" = ["annul.read"])))]
pub async fn list(
    State(app): State<App>,
    _: Allowed<Read>,
    Segment(subject): Segment<String>,
) -> Result<Json<DeviceList>, Problem> {
    Ok(Json(app.authority.devices_of(&subject).await?))
}
