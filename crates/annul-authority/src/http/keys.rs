//! `/v1/keys`: the keys that sign tokens.

use axum::Json;
use axum::extract::State;

use super::App;
use super::auth::{Admin, Allowed, Read};
use super::body::{Attempt, JsonBody, Segment};
use super::confirm::{self, RevocationAnswer};
use super::problem::Problem;
use crate::verbs::keys::{KeyList, KillRequest, RotateRequest, Rotated};

/// Lists the keys, killed ones too.
#[utoipa::path(get, path = "/v1/keys", tag = "keys",
    responses((status = 200, body = KeyList)), security(("client" = ["annul.read"])))]
pub async fn list(State(app): State<App>, _: Allowed<Read>) -> Result<Json<KeyList>, Problem> {
    Ok(Json(app.authority.list_keys().await?))
}

/// Lets the reserve key sign from now on and makes a new reserve. Tokens of the old key stay good.
#[utoipa::path(post, path = "/v1/keys/rotate", tag = "keys", request_body = RotateRequest,
    responses((status = 200, body = Rotated)), security(("client" = ["annul.admin"])))]
pub async fn rotate(
    State(app): State<App>,
    allowed: Allowed<Admin>,
    attempt: Attempt,
    body: JsonBody<RotateRequest>,
) -> Result<Json<Rotated>, Problem> {
    let caller = allowed.caller(attempt, body.fingerprint);
    let applied = app.feed.applied_by_all();
    Ok(Json(app.authority.rotate_key(&caller, body.value, applied).await?))
}

/// Kills a key: nothing it ever signed counts any more, and that is final.
#[utoipa::path(post, path = "/v1/keys/{kid}/kill", tag = "keys", params(("kid" = String, Path)),
    request_body = KillRequest, responses((status = 200, body = RevocationAnswer)),
    security(("client" = ["annul.admin"])))]
pub async fn kill(
    State(app): State<App>,
    allowed: Allowed<Admin>,
    attempt: Attempt,
    Segment(kid): Segment<String>,
    body: JsonBody<KillRequest>,
) -> Result<Json<RevocationAnswer>, Problem> {
    let caller = allowed.caller(attempt, body.fingerprint);
    let wait = body.value.wait;
    let revoked = app.authority.kill_key(&caller, &kid, body.value).await?;
    Ok(confirm::answer(&app, revoked, wait).await)
}
