//! `/v1/issuers`: foreign issuers whose tokens verifiers accept.
#![allow(unused_qualifications, reason = "the parameters of utoipa::path expand to a qualified call")]

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use super::App;
use super::auth::{Admin, Allowed, Read};
use super::body::{Attempt, Fingerprint, JsonBody, Params};
use super::codes::Code;
use super::problem::Problem;
use crate::jwks_fetch::FetchError;
use crate::verbs::issuers::{IssuerAnswer, IssuerList, IssuerRemoved, IssuerRequest};

/// Which issuer. It stands in the query because it is a URL.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct IssuerQuery {
    /// The exact `iss`.
    issuer: String,
}

/// Lists the accepted issuers.
#[utoipa::path(get, path = "/v1/issuers", tag = "issuers",
    responses((status = 200, body = IssuerList)), security(("client" = ["annul.read"])))]
pub async fn list(State(app): State<App>, _: Allowed<Read>) -> Result<Json<IssuerList>, Problem> {
    Ok(Json(app.authority.list_issuers().await?))
}

/// Accepts an issuer, or replaces what is known of it. With `jwks_uri` its keys are fetched before
/// anything is changed.
#[utoipa::path(post, path = "/v1/issuers", tag = "issuers", request_body = IssuerRequest,
    responses((status = 201, body = IssuerAnswer)), security(("client" = ["annul.admin"])))]
pub async fn add(
    State(app): State<App>,
    allowed: Allowed<Admin>,
    attempt: Attempt,
    body: JsonBody<IssuerRequest>,
) -> Result<(StatusCode, Json<IssuerAnswer>), Problem> {
    let caller = allowed.caller(attempt, body.fingerprint);
    let fetched = match &body.value.jwks_uri {
        Some(uri) => Some(app.fetcher.fetch(uri).await?),
        None => None,
    };
    Ok((StatusCode::CREATED, Json(app.authority.add_issuer(&caller, body.value, fetched).await?)))
}

/// Stops accepting an issuer.
#[utoipa::path(delete, path = "/v1/issuers", tag = "issuers", params(IssuerQuery),
    responses((status = 200, body = IssuerRemoved)), security(("client" = ["annul.admin"])))]
pub async fn remove(
    State(app): State<App>,
    allowed: Allowed<Admin>,
    attempt: Attempt,
    Fingerprint(fingerprint): Fingerprint,
    Params(query): Params<IssuerQuery>,
) -> Result<Json<IssuerRemoved>, Problem> {
    let caller = allowed.caller(attempt, fingerprint);
    Ok(Json(app.authority.remove_issuer(&caller, &query.issuer).await?))
}

impl From<FetchError> for Problem {
    fn from(error: FetchError) -> Self {
        let code = if error == FetchError::Refused { Code::UrlRefused } else { Code::FetchFailed };
        Self::new(code, format!("{error}; the issuer was left as it was"))
    }
}
