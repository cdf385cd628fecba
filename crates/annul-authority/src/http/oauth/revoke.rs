//! `/oauth2/revoke` (RFC 7009).

use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{caller, needed};
use crate::http::App;
use crate::http::auth::Revoke;
use crate::http::client_auth::OAuthRequest;
use crate::http::problem::Problem;
use crate::verbs::revoke_token::TokenRevocation;

/// The parameters of revocation.
#[derive(Debug, Deserialize, ToSchema)]
pub struct RevocationForm {
    /// The token: a refresh token or an access token.
    pub token: String,
    /// Ignored, known or not: every kind of token is recognised by itself.
    pub token_type_hint: Option<String>,
    /// The client, where it does not authenticate by header; a public client always names itself.
    pub client_id: Option<String>,
}

/// Revokes a token of the calling client's. When this answers 200 it is on disk and on its way to every
/// verifier; for a token that is unknown, expired or revoked already there is nothing to do, and the
/// answer is the same.
#[utoipa::path(post, path = "/oauth2/revoke", tag = "oauth2",
    request_body(content = RevocationForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200)), security(("client" = [])))]
pub async fn revoke(State(app): State<App>, request: OAuthRequest<Revoke>) -> Result<StatusCode, Problem> {
    let token = needed(&request, "token")?;
    let revoked = app.authority.revoke_token(&caller(&request), &request.client, token).await?;
    if revoked == TokenRevocation::Revoked {
        app.metrics.revoked(1);
    }
    Ok(StatusCode::OK)
}
