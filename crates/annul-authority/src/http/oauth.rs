//! `/oauth2`: the standard's endpoints, in the standard's form.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use super::auth::{Read, Scope};
use super::body::FormBody;
use super::client_auth::{OAuthRequest, TokenRequest};
use super::codes::Code;
use super::problem::Problem;
use crate::authority::Caller;
use crate::error::VerbError;
use crate::model::Seen;
use crate::secrets::secret::Secret;
use crate::store::RefreshRefusal;
use crate::verbs::refresh::{RefreshOutcome, RefreshRequest, Refreshed};
use crate::verbs::tokens::{ClientToken, Introspection};

/// The parameters of the token endpoint, for the document; the form itself is read by hand because
/// repeated and empty parameters have a meaning of their own (RFC 6749 §3.2).
#[derive(Debug, Deserialize, ToSchema)]
pub struct TokenForm {
    /// `client_credentials`, `refresh_token`, or `urn:ietf:params:oauth:grant-type:token-exchange`.
    pub grant_type: String,
    /// The scopes wanted, separated by spaces; all that were granted when left out.
    pub scope: Option<String>,
    /// Who the token is for; the configured audience when left out.
    pub audience: Option<String>,
    /// The refresh token, for the grant of that name.
    pub refresh_token: Option<String>,
    /// The access token to be exchanged for the next one.
    pub subject_token: Option<String>,
    /// `urn:ietf:params:oauth:token-type:access_token`, as the token to be exchanged is one.
    pub subject_token_type: Option<String>,
    /// The same, as the token wanted is one.
    pub requested_token_type: Option<String>,
    /// The client, where it has no secret.
    pub client_id: Option<String>,
}

/// The tokens that a grant gave (RFC 6749 §5.1, RFC 8693 §2.2.1).
#[derive(Debug, Serialize, ToSchema)]
pub struct GrantedTokens {
    /// The access token.
    #[schema(value_type = String)]
    pub access_token: Secret,
    /// `Bearer` or `DPoP`.
    pub token_type: &'static str,
    /// Seconds until the access token expires.
    pub expires_in: u64,
    /// The scope of the access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The refresh token to be used next.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<Secret>,
    /// Seconds until it expires if it is not used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token_expires_in: Option<u64>,
    /// What was exchanged for, where something was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_token_type: Option<&'static str>,
}

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// The parameters of introspection.
#[derive(Debug, Deserialize, ToSchema)]
pub struct IntrospectionForm {
    /// The token.
    pub token: String,
    /// Ignored: every kind of token is recognised by itself.
    pub token_type_hint: Option<String>,
}

/// Issues tokens: a machine's own (RFC 6749 §4.4), a session's next for its refresh token (§6), or for its
/// access token where that is its own refresh credential.
#[utoipa::path(post, path = "/oauth2/token", tag = "oauth2",
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = GrantedTokens)), security(("client" = []), ()))]
pub async fn token(
    State(app): State<App>,
    TokenRequest(OAuthRequest { client, form, address, agent, request_id, .. }): TokenRequest,
) -> Result<Json<GrantedTokens>, Problem> {
    let request = |token: &str| RefreshRequest {
        token: Secret::new(token.to_owned()),
        client_id: client.client_id.clone(),
        proof: client.proof.clone(),
        scope: form.get("scope").map(str::to_owned),
        seen: Seen { address: Some(address.to_string()), agent: agent.clone() },
    };
    let caller = Caller::client(&client.client_id).with_request_id(request_id.clone());
    match form.get("grant_type") {
        Some("client_credentials") => {
            let audience = form.get("audience").map(str::to_owned).into_iter().collect();
            let answer = app.authority.client_credentials(&client, form.get("scope"), audience).await?;
            app.metrics.issued("client_credentials");
            Ok(Json(of_client(answer)))
        }
        Some("refresh_token") => {
            let answer = app.authority.refresh(&caller, request(member(&form, "refresh_token")?)).await;
            Ok(Json(refreshed(&app, answer, None)?))
        }
        Some(TOKEN_EXCHANGE) => {
            for name in ["subject_token_type", "requested_token_type"] {
                if form.get(name).is_some_and(|kind| kind != ACCESS_TOKEN) {
                    return Err(Problem::new(Code::RequestInvalid, format!("{name} is not {ACCESS_TOKEN}")));
                }
            }
            let answer = app.authority.exchange_access_token(&caller, request(member(&form, "subject_token")?)).await;
            Ok(Json(refreshed(&app, answer, Some(ACCESS_TOKEN))?))
        }
        Some(_) => Err(Problem::new(Code::GrantUnsupported, "this grant type is not offered")),
        None => Err(Problem::new(Code::RequestInvalid, "grant_type is missing")),
    }
}

fn member<'f>(form: &'f FormBody, name: &str) -> Result<&'f str, Problem> {
    form.get(name).ok_or_else(|| Problem::new(Code::RequestInvalid, format!("{name} is missing")))
}

/// Counts what became of a refresh credential, and says it.
fn refreshed(
    app: &App,
    outcome: Result<Refreshed, VerbError>,
    issued_token_type: Option<&'static str>,
) -> Result<GrantedTokens, Problem> {
    app.metrics.refreshed(match &outcome {
        Ok(Refreshed { outcome: RefreshOutcome::Rotated, .. }) => "rotated",
        Ok(Refreshed { outcome: RefreshOutcome::Repeated, .. }) => "repeated",
        Err(VerbError::Refresh(RefreshRefusal::Reused)) => "reused",
        Err(_) => "refused",
    });
    let answer = outcome?;
    app.metrics.issued("refresh");
    Ok(GrantedTokens {
        access_token: answer.access_token,
        token_type: answer.token_type,
        expires_in: answer.expires_in,
        scope: answer.scope,
        refresh_token: answer.refresh_token,
        refresh_token_expires_in: answer.refresh_token_expires_in,
        issued_token_type,
    })
}

fn of_client(ClientToken { access_token, token_type, expires_in, scope }: ClientToken) -> GrantedTokens {
    GrantedTokens {
        access_token,
        token_type,
        expires_in,
        scope,
        refresh_token: None,
        refresh_token_expires_in: None,
        issued_token_type: None,
    }
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
