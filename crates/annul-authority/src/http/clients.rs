//! `/v1/clients`: who may call the authority.

use axum::Json;
use axum::extract::State;
use http::StatusCode;

use super::App;
use super::auth::{Admin, Allowed};
use super::body::{Attempt, Fingerprint, JsonBody, Segment};
use super::problem::Problem;
use crate::verbs::clients::{ClientItem, ClientList, ClientMetadataRequest, ClientRequest, ClientSecretAnswer};

/// Lists the clients; secrets are not kept and so not shown.
#[utoipa::path(get, path = "/v1/clients", tag = "clients",
    responses((status = 200, body = ClientList)), security(("client" = ["annul.admin"])))]
pub async fn list(State(app): State<App>, _: Allowed<Admin>) -> Result<Json<ClientList>, Problem> {
    Ok(Json(app.authority.list_clients().await?))
}

/// Makes a client. Its secret is in this answer and nowhere else.
#[utoipa::path(post, path = "/v1/clients", tag = "clients", request_body = ClientRequest,
    responses((status = 201, body = ClientSecretAnswer)), security(("client" = ["annul.admin"])))]
pub async fn create(
    State(app): State<App>,
    allowed: Allowed<Admin>,
    attempt: Attempt,
    body: JsonBody<ClientRequest>,
) -> Result<(StatusCode, Json<ClientSecretAnswer>), Problem> {
    let caller = allowed.caller(attempt, body.fingerprint);
    Ok((StatusCode::CREATED, Json(app.authority.create_client(&caller, body.value).await?)))
}

/// Replaces how a client proves itself and what its tokens are like; id, secret and scopes stay.
#[utoipa::path(put, path = "/v1/clients/{client_id}", tag = "clients", params(("client_id" = String, Path)),
    request_body = ClientMetadataRequest, responses((status = 200, body = ClientItem)),
    security(("client" = ["annul.admin"])))]
pub async fn change(
    State(app): State<App>,
    allowed: Allowed<Admin>,
    attempt: Attempt,
    Segment(client_id): Segment<String>,
    body: JsonBody<ClientMetadataRequest>,
) -> Result<Json<ClientItem>, Problem> {
    let caller = allowed.caller(attempt, body.fingerprint);
    Ok(Json(app.authority.change_client(&caller, &client_id, body.value).await?))
}

/// Removes a client; its secret is worthless from here on, and so are the streams and polls of the feed
/// that it opened before.
#[utoipa::path(delete, path = "/v1/clients/{client_id}", tag = "clients", params(("client_id" = String, Path)),
    responses((status = 204)), security(("client" = ["annul.admin"])))]
pub async fn delete(
    State(app): State<App>,
    allowed: Allowed<Admin>,
    attempt: Attempt,
    Fingerprint(fingerprint): Fingerprint,
    Segment(client_id): Segment<String>,
) -> Result<StatusCode, Problem> {
    let caller = allowed.caller(attempt, fingerprint);
    app.authority.delete_client(&caller, &client_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
