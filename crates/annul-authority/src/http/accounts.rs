//! `/v1/accounts`: built-in accounts, for those who have no other place for passwords.

use axum::Json;
use axum::extract::State;
use http::StatusCode;

use super::App;
use super::auth::{Admin, Allowed};
use super::body::{Attempt, Fingerprint, JsonBody, Segment};
use super::confirm::{self, RevocationAnswer};
use super::problem::Problem;
use crate::verbs::accounts::{AccountAnswer, AccountList, AccountRequest, PasswordRequest};

/// Lists the accounts.
#[utoipa::path(get, path = "/v1/accounts", tag = "accounts",
    responses((status = 200, body = AccountList)), security(("client" = ["annul.admin"])))]
pub async fn list(State(app): State<App>, _: Allowed<Admin>) -> Result<Json<AccountList>, Problem> {
    Ok(Json(app.authority.list_accounts().await?))
}

/// One account.
#[utoipa::path(get, path = "/v1/accounts/{username}", tag = "accounts", params(("username" = String, Path)),
    responses((status = 200, body = AccountAnswer)), security(("client" = ["annul.admin"])))]
pub async fn get(
    State(app): State<App>,
    _: Allowed<Admin>,
    Segment(username): Segment<String>,
) -> Result<Json<AccountAnswer>, Problem> {
    Ok(Json(app.authority.account(&username).await?))
}

/// Makes an account.
#[utoipa::path(post, path = "/v1/accounts", tag = "accounts", request_body = AccountRequest,
    responses((status = 201, body = AccountAnswer)), security(("client" = ["annul.admin"])))]
pub async fn create(
    State(app): State<App>,
    allowed: Allowed<Admin>,
    attempt: Attempt,
    body: JsonBody<AccountRequest>,
) -> Result<(StatusCode, Json<AccountAnswer>), Problem> {
    let caller = allowed.caller(attempt, body.fingerprint);
    Ok((StatusCode::CREATED, Json(app.authority.create_account(&caller, body.value).await?)))
}

/// Removes an account and ends what its user holds.
#[utoipa::path(delete, path = "/v1/accounts/{username}", tag = "accounts", params(("username" = String, Path)),
    responses((status = 200, body = RevocationAnswer)), security(("client" = ["annul.admin"])))]
pub async fn delete(
    State(app): State<App>,
    allowed: Allowed<Admin>,
    attempt: Attempt,
    Fingerprint(fingerprint): Fingerprint,
    Segment(username): Segment<String>,
) -> Result<Json<RevocationAnswer>, Problem> {
    let caller = allowed.caller(attempt, fingerprint);
    let revoked = app.authority.delete_account(&caller, &username).await?;
    Ok(confirm::answer(&app, revoked, None).await)
}

/// Sets an account's password and ends what its user holds, but for the session to be kept.
#[utoipa::path(put, path = "/v1/accounts/{username}/password", tag = "accounts", params(("username" = String, Path)),
    request_body = PasswordRequest, responses((status = 200, body = RevocationAnswer)),
    security(("client" = ["annul.admin"])))]
pub async fn set_password(
    State(app): State<App>,
    allowed: Allowed<Admin>,
    attempt: Attempt,
    Segment(username): Segment<String>,
    body: JsonBody<PasswordRequest>,
) -> Result<Json<RevocationAnswer>, Problem> {
    let caller = allowed.caller(attempt, body.fingerprint);
    let wait = body.value.wait;
    let revoked = app.authority.set_password(&caller, &username, body.value).await?;
    Ok(confirm::answer(&app, revoked, wait).await)
}
