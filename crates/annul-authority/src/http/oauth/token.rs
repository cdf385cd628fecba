//! `/oauth2/token`: tokens for grants (RFC 6749 §5, RFC 8693, RFC 7523).

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{caller, needed};
use crate::error::VerbError;
use crate::http::App;
use crate::http::auth::Issue;
use crate::http::client_auth::{OAuthRequest, TokenRequest};
use crate::http::codes::Code;
use crate::http::problem::{Fault, Problem};
use crate::model::{GrantType, Seen};
use crate::secrets::secret::Secret;
use crate::store::RefreshRefusal;
use crate::verbs::assertion::AssertionRequest;
use crate::verbs::exchange::ExchangeRequest;
use crate::verbs::granted::{ACCESS_TOKEN_TYPE, Granted, JWT_TYPE};
use crate::verbs::refresh::{ProofBinds, RefreshOutcome, RefreshRequest, Refreshed};

/// The parameters of the token endpoint, for the document; the form itself is read by hand because
/// repeated and empty parameters have a meaning of their own (RFC 6749 §3.2).
#[derive(Debug, Deserialize, ToSchema)]
pub struct TokenForm {
    /// `client_credentials`, `refresh_token`, `urn:ietf:params:oauth:grant-type:token-exchange` or
    /// `urn:ietf:params:oauth:grant-type:jwt-bearer`.
    pub grant_type: String,
    /// The scopes wanted, separated by spaces; all that were granted when left out.
    pub scope: Option<String>,
    /// Who the token is for; the configured audience when left out. May be repeated, but not with
    /// `refresh_token`, whose session has an audience.
    pub audience: Option<String>,
    /// The same as an absolute URI (RFC 8707). May be repeated.
    pub resource: Option<String>,
    /// With `refresh_token`: the refresh token.
    pub refresh_token: Option<String>,
    /// With a token exchange: the token whose subject the new one is about.
    pub subject_token: Option<String>,
    /// What kind of token that is: an access token, or a JWT.
    pub subject_token_type: Option<String>,
    /// With a token exchange: the token of whoever acts.
    pub actor_token: Option<String>,
    /// What kind of token that is.
    pub actor_token_type: Option<String>,
    /// With a token exchange: what is wanted, an access token or a JWT.
    pub requested_token_type: Option<String>,
    /// With an assertion: the assertion.
    pub assertion: Option<String>,
    /// The client, where it does not authenticate by header.
    pub client_id: Option<String>,
    /// Its secret.
    pub client_secret: Option<String>,
    /// The kind of its assertion.
    pub client_assertion_type: Option<String>,
    /// Its assertion.
    pub client_assertion: Option<String>,
}

/// Issues an access token for a grant that the client was registered for.
#[utoipa::path(post, path = "/oauth2/token", tag = "oauth2",
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = Granted)), security(("client" = [])))]
pub async fn token(State(app): State<App>, TokenRequest(request): TokenRequest) -> Result<Json<Granted>, Problem> {
    let grant = GrantType::from_name(needed(&request, "grant_type")?)
        .ok_or_else(|| Problem::new(Code::GrantUnsupported, "that grant is not offered"))?;
    request.client.require_grant(grant)?;
    let granted = match grant {
        GrantType::ClientCredentials => client_credentials(&app, &request).await?,
        GrantType::RefreshToken => refresh(&app, &request).await?,
        GrantType::TokenExchange => exchange(&app, &request).await?,
        GrantType::JwtBearer => assertion(&app, &request).await?,
    };
    app.metrics.issued(by(grant));
    Ok(Json(granted))
}

async fn client_credentials(app: &App, request: &OAuthRequest<Issue>) -> Result<Granted, Problem> {
    let granted = app.authority.client_credentials(&request.client, request.form.get("scope"), audience(request)?);
    granted.await.map_err(|error| refused(error, Fault::Grant))
}

async fn refresh(app: &App, request: &OAuthRequest<Issue>) -> Result<Granted, Problem> {
    let token = needed(request, "refresh_token")?;
    renewed(app, app.authority.refresh(&caller(request), refresh_request(request, token)).await)
}

/// Counts what became of a refresh credential, and says it.
fn renewed(app: &App, outcome: Result<Refreshed, VerbError>) -> Result<Granted, Problem> {
    app.metrics.refreshed(match &outcome {
        Ok(Refreshed { outcome: RefreshOutcome::Rotated, .. }) => "rotated",
        Ok(Refreshed { outcome: RefreshOutcome::Repeated, .. }) => "repeated",
        Err(VerbError::Refresh(RefreshRefusal::Reused)) => "reused",
        Err(_) => "refused",
    });
    outcome.map(Granted::from).map_err(|error| refused(error, Fault::Grant))
}

async fn exchange(app: &App, request: &OAuthRequest<Issue>) -> Result<Granted, Problem> {
    let token = needed(request, "subject_token")?;
    typed(needed(request, "subject_token_type")?, "subject_token_type")?;
    let form = &request.form;
    let actor_token = match (form.get("actor_token"), form.get("actor_token_type")) {
        (None, None) => None,
        (Some(token), Some(name)) => {
            typed(name, "actor_token_type")?;
            Some(Secret::new(token.to_owned()))
        }
        _ => return Err(invalid("actor_token and actor_token_type go together")),
    };
    let wanted = form.get("requested_token_type");
    typed(wanted.unwrap_or(ACCESS_TOKEN_TYPE), "requested_token_type")?;
    let audience = audience(request)?;
    // A session's own token is its refresh credential, where it was opened so.
    if wanted == Some(ACCESS_TOKEN_TYPE) && actor_token.is_none() && audience.is_empty() {
        let renews = app.authority.renews_itself(&request.client, token).await;
        if renews.map_err(|error| refused(error, Fault::Request))? {
            let asked = refresh_request(request, token);
            let next = renewed(app, app.authority.exchange_access_token(&caller(request), asked).await)?;
            return Ok(Granted { issued_token_type: Some(ACCESS_TOKEN_TYPE), ..next });
        }
    }
    let asked = ExchangeRequest {
        subject_token: Secret::new(token.to_owned()),
        actor_token,
        audience,
        scope: form.get("scope").map(str::to_owned),
    };
    let granted = app.authority.exchange(&caller(request), &request.client, asked).await;
    // RFC 8693 §2.2.2: what is wrong with a token given in exchange is wrong with the request.
    granted.map_err(|error| refused(error, Fault::Request))
}

async fn assertion(app: &App, request: &OAuthRequest<Issue>) -> Result<Granted, Problem> {
    let asked = AssertionRequest {
        assertion: Secret::new(needed(request, "assertion")?.to_owned()),
        audience: audience(request)?,
        scope: request.form.get("scope").map(str::to_owned),
    };
    let granted = app.authority.redeem_assertion(&caller(request), &request.client, asked).await;
    granted.map_err(|error| refused(error, Fault::Grant))
}

fn refresh_request(request: &OAuthRequest<Issue>, token: &str) -> RefreshRequest {
    RefreshRequest {
        token: Secret::new(token.to_owned()),
        client_id: request.client.client_id.clone(),
        proof: request.client.proof.clone(),
        binds: match request.client.is_public() {
            true => ProofBinds::Session,
            false => ProofBinds::AccessToken,
        },
        scope: request.form.get("scope").map(str::to_owned),
        seen: Seen { address: Some(request.address.to_string()), agent: request.agent.clone() },
    }
}

/// Whom a token is for, by name or by address (RFC 8707 §2).
fn audience(request: &OAuthRequest<Issue>) -> Result<Vec<String>, Problem> {
    let mut names: Vec<String> = request.form.all("audience").map(str::to_owned).collect();
    for resource in request.form.all("resource") {
        let is_absolute = http::Uri::try_from(resource).is_ok_and(|uri| uri.scheme().is_some());
        if !is_absolute || resource.contains('#') {
            return Err(Problem::new(Code::AudienceRefused, "resource is an absolute URI without fragment"));
        }
        names.push(resource.to_owned());
    }
    Ok(names)
}

/// Access tokens are JWTs here, and no other kind of token is exchanged.
fn typed(name: &str, parameter: &str) -> Result<(), Problem> {
    match name {
        ACCESS_TOKEN_TYPE | JWT_TYPE => Ok(()),
        _ => Err(invalid(&format!("{parameter} names a kind of token that is not exchanged here"))),
    }
}

fn invalid(detail: &str) -> Problem {
    Problem::new(Code::RequestInvalid, detail)
}

/// A refusal in the standard's terms: what is wrong with the grant is `otherwise`, what has a name of
/// its own keeps it, and what is none of the client's doing stays what it is.
fn refused(error: VerbError, otherwise: Fault) -> Problem {
    let problem = Problem::from(error);
    if problem.status() >= 429 || problem.code() == Code::InvalidClient {
        return problem;
    }
    let is_named = match problem.code() {
        Code::RequestInvalid => true,
        code => !matches!(code.oauth_error(), "invalid_request" | "invalid_grant" | "invalid_client"),
    };
    let problem = problem.with_status(400);
    if is_named { problem } else { problem.about(otherwise) }
}

const fn by(grant: GrantType) -> &'static str {
    match grant {
        GrantType::ClientCredentials => "client_credentials",
        GrantType::RefreshToken => "refresh_token",
        GrantType::TokenExchange => "token_exchange",
        GrantType::JwtBearer => "jwt_bearer",
    }
}

impl From<Refreshed> for Granted {
    fn from(refreshed: Refreshed) -> Self {
        Self {
            access_token: refreshed.access_token,
            token_type: refreshed.token_type,
            expires_in: refreshed.expires_in,
            scope: refreshed.scope,
            refresh_token: refreshed.refresh_token,
            refresh_token_expires_in: refreshed.refresh_token_expires_in,
            issued_token_type: None,
        }
    }
}
