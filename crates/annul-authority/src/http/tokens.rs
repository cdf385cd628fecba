//! `/v1/tokens/check`: a fresh verdict, for routes that ask.

use axum::Json;
use axum::extract::State;

use super::App;
use super::auth::{Allowed, Read};
use super::body::JsonBody;
use super::problem::Problem;
use crate::verbs::tokens::{CheckAnswer, CheckRequest};

/// Verifies a token and judges it by everything the authority knows at this moment.
#[utoipa::path(post, path = "/v1/tokens/check", tag = "tokens", request_body = CheckRequest,
    responses((status = 200, body = CheckAnswer)), security(("client" = ["annul.read"])))]
pub async fn check(
    State(app): State<App>,
    _: Allowed<Read>,
    body: JsonBody<CheckRequest>,
) -> Result<Json<CheckAnswer>, Problem> {
    Ok(Json(app.authority.check_token(body.value).await?))
}
