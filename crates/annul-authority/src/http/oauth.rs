//! `/oauth2`: the standard's endpoints, in the standard's form.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use super::App;
use super::auth::{Read, Scope};
use super::client_auth::{OAuthRequest, TokenRequest};
use super::codes::Code;
use super::problem::Problem;
use crate::verbs::tokens::{ClientToken, Introspection};

/// The parameters of the token endpoint, for the document; the form itself is read by hand because
/// repeated and empty parameters have a meaning of their own (RFC 6749 §3.2).
#[derive(Debug, Deserialize, ToSchema)]
pub struct TokenForm {
    /// `client_credentials`.
    pub grant_type: String,
    /// The scopes wanted, separated by spaces; all that were granted when left out.
    pub scope: Option<String>,
    /// Who the token is for; the configured audience when left out.
    pub audience: Option<String>,
}

/// The parameters of introspection.
#[derive(Debug, Deserialize, ToSchema)]
pub struct IntrospectionForm {
    /// The token.
    pub token: String,
    /// Ignored: every kind of token is recognised by itself.
    pub token_type_hint: Option<String>,
}

/// Issues a machine's access token (RFC 6749 §4.4).
#[utoipa::path(post, path = "/oauth2/token", tag = "oauth2",
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = ClientToken)), security(("client" = [])))]
pub async fn token(
    State(app): State<App>,
    TokenRequest(OAuthRequest { client, form, .. }): TokenRequest,
) -> Result<Json<ClientToken>, Problem> {
    match form.get("grant_type") {
        Some("client_credentials") => {}
        Some(_) => return Err(Problem::new(Code::GrantUnsupported, "only client_credentials is offered")),
        None => return Err(Problem::new(Code::RequestInvalid, "grant_type is missing")),
    }
    let audience = form.get("audience").map(str::to_owned).into_iter().collect();
    let answer = app.authority.client_credentials(&client, form.get("scope"), audience).await?;
    app.metrics.issued("client_credentials");
    Ok(Json(answer))
}

/// Tells whether a token is active at this moment (RFC 7662). An inactive one is `{"active":false}`
/// and nothing else, whatever the reason.
#[utoipa::path(post, path = "/oauth2/introspect", tag = "oauth2",
    request_body(content = IntrospectionForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = Introspection)), security(("client" = ["annul.read"])))]
pub async fn introspect(
    State(app): State<App>,
    OAuthRequest { client, form, .. }: OAuthRequest<Read>,
) -> Result<Json<Introspection>, Problem> {
    client.require(Scope::Read.name())?;
    let token = form.get("token").ok_or_else(|| Problem::new(Code::RequestInvalid, "token is missing"))?;
    Ok(Json(app.authority.introspect(token).await?))
}
