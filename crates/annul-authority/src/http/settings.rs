//! `/v1/settings`: what every verifier must agree on.

use axum::Json;
use axum::extract::State;

use super::App;
use super::auth::{Admin, Allowed, Read};
use super::body::{Attempt, JsonBody};
use super::problem::Problem;
use crate::verbs::settings::{SettingsAnswer, SettingsRequest};

/// The settings in force.
#[utoipa::path(get, path = "/v1/settings", tag = "settings",
    responses((status = 200, body = Object)), security(("client" = ["annul.read"])))]
pub async fn get(State(app): State<App>, _: Allowed<Read>) -> Json<annul_core::settings::Settings> {
    Json(app.authority.settings().as_ref().clone())
}

/// Changes settings; what is left out stays. Verifiers have them as soon as they have the record.
#[utoipa::path(put, path = "/v1/settings", tag = "settings", request_body = SettingsRequest,
    responses((status = 200, body = SettingsAnswer)), security(("client" = ["annul.admin"])))]
pub async fn change(
    State(app): State<App>,
    allowed: Allowed<Admin>,
    attempt: Attempt,
    body: JsonBody<SettingsRequest>,
) -> Result<Json<SettingsAnswer>, Problem> {
    let caller = allowed.caller(attempt, body.fingerprint);
    Ok(Json(app.authority.change_settings(&caller, body.value).await?))
}
