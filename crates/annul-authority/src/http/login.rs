//! `/v1/login` and `/v1/logout`: for users of built-in accounts and holders of own tokens.

use std::net::IpAddr;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;

use super::auth::Anonymous;
use super::body::JsonBody;
use super::codes::Code;
use super::confirm::{self, RevocationAnswer};
use super::dpop::{self, ProvenKey};
use super::problem::Problem;
use super::{App, certificate};
use crate::secrets::secret::Secret;
use crate::verbs::accounts::LoginRequest;
use crate::verbs::logout::LogoutRequest;
use crate::verbs::presented::PresentedToken;
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
    responses((status = 200, body = RevocationAnswer)),
    security(("access_token" = []), ("bound_access_token" = [], "dpop_proof" = [])))]
pub async fn logout(
    State(app): State<App>,
    _: Anonymous,
    AccessToken(presented): AccessToken,
    body: JsonBody<LogoutRequest>,
) -> Result<Json<RevocationAnswer>, Problem> {
    let wait = body.value.wait;
    let revoked = app.authority.logout(presented, body.value).await?;
    Ok(confirm::answer(&app, revoked, wait).await)
}

fn admit(app: &App, address: IpAddr, request: &LoginRequest) -> Result<(), Problem> {
    app.limits.admit_login(address, &request.username)
}

/// The access token that a request presents as its credential, and what its sender shows to hold.
#[derive(Debug)]
pub struct AccessToken(PresentedToken);

impl FromRequestParts<App> for AccessToken {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let (scheme, token) = credential(&parts.headers)?;
        let proof = match scheme {
            Scheme::Bearer => None,
            Scheme::Dpop => Some(dpop::proof_key_with(token, parts, app)?),
        };
        let certificate = certificate::of(parts, app)?.map(|certificate| certificate.proof_key());
        Ok(Self(PresentedToken { token: Secret::new(token.to_owned()), proof, certificate }))
    }
}

#[derive(Clone, Copy)]
enum Scheme {
    /// Whoever has the token may use it (RFC 6750 §2.1).
    Bearer,
    /// Only with a proof by the key it is bound to (RFC 9449 §7.1).
    Dpop,
}

/// The token of `Authorization` and its scheme, which is read in any case.
fn credential(headers: &HeaderMap) -> Result<(Scheme, &str), Problem> {
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
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Scheme::Bearer,
        "dpop" => Scheme::Dpop,
        _ => return Err(Problem::new(Code::TokenRequired, "this endpoint takes an access token as Bearer or DPoP")),
    };
    Ok((scheme, token.trim_start_matches(' ')))
}
