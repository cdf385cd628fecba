//! `/v1/login` and `/v1/logout`: for users of built-in accounts and holders of own tokens.

use std::net::IpAddr;

use axum::Json;
use axum::extract::State;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::App;
use super::auth::Anonymous;
use super::body::JsonBody;
use super::codes::Code;
use super::confirm::{self, RevocationAnswer};
use super::dpop::ProvenKey;
use super::problem::Problem;
use crate::verbs::accounts::LoginRequest;
use crate::verbs::logout::LogoutRequest;
use crate::verbs::sessions::TokenAnswer;

/// Opens a session for a built-in account, bound to the key of a DPoP proof where one is sent.
#[utoipa::path(post, path = "/v1/login", tag = "login", request_body = LoginRequest,
    responses((status = 200, body = TokenAnswer)))]
pub async fn login(
    State(app): State<App>,
    caller: Anonymous,
    ProvenKey(proof): ProvenKey,
    body: JsonBody<LoginRequest>,
) -> Result<Json<TokenAnswer>, Problem> {
    admit(&app, caller.address, &body.value)?;
    let answer = app.authority.login_with_key(body.value, proof).await?;
    app.metrics.issued("login");
    Ok(Json(answer))
}

/// Logs the holder of an access token out: this session, this device, all others, or everywhere.
#[utoipa::path(post, path = "/v1/logout", tag = "login", request_body = LogoutRequest,
    responses((status = 200, body = RevocationAnswer)), security(("access_token" = [])))]
pub async fn logout(
    State(app): State<App>,
    _: Anonymous,
    headers: HeaderMap,
    body: JsonBody<LogoutRequest>,
) -> Result<Json<RevocationAnswer>, Problem> {
    let token = bearer(&headers)?;
    let wait = body.value.wait;
    let revoked = app.authority.logout(token, body.value).await?;
    Ok(confirm::answer(&app, revoked, wait).await)
}

fn admit(app: &App, address: IpAddr, request: &LoginRequest) -> Result<(), Problem> {
    app.limits.admit_login(address, &request.username)
}

/// The token of `Authorization: Bearer` (RFC 6750 §2.1); the scheme is read in any case.
fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or_else(|| Problem::new(Code::TokenRequired, "the request has no access token"))?;
    if values.next().is_some() {
        return Err(Problem::new(Code::RequestAmbiguous, "the request has two Authorization headers"));
    }
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or_else(|| Problem::new(Code::TokenRefused, "the Authorization header does not read"))?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(token.trim_start_matches(' '))
    } else {
        Err(Problem::new(Code::TokenRequired, "this endpoint takes an access token as Bearer"))
    }
}
