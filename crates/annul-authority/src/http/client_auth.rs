//! Which client calls an endpoint under `/oauth2`, and which key its request proves.
//!
//! ```text
//! headers + form -> one way of proving -> OAuthClient        (OAuthRequest)
//! DPoP header or certificate           -> OAuthClient::proof (TokenRequest)
//! ```
//!
//! Header and form are read together, for a client may use either and must not use both (RFC 6749
//! §2.3). An unknown client is answered as a wrong proof is. Failures count against the address they
//! come from; a client that proved itself is counted by its id, and a public one, whose id anybody can
//! send, by its address.

use std::marker::PhantomData;
use std::net::IpAddr;

use axum::extract::{FromRequest, Request};
use http::HeaderMap;
use http::header::USER_AGENT;
use http::request::Parts;

use super::App;
use super::auth::{self, Issue, Needs};
use super::body::FormBody;
use super::certificate;
use super::codes::Code;
use super::dpop;
use super::problem::Problem;
use crate::model::{AuthMethod, ProofKey};
use crate::verbs::bounds::MAX_DEVICE_TEXT;
use crate::verbs::oauth_clients::{ClientProof, OAuthClient};

/// The path of the token endpoint, which older clients name as the audience of their assertions.
pub const TOKEN_PATH: &str = "/oauth2/token";
/// The only kind of client assertion (RFC 7523 §2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A request to an endpoint under `/oauth2`: the client that sent it, let in on the lane `L`, and its
/// form. Scopes are for the handler to judge.
#[derive(Debug)]
pub struct OAuthRequest<L: Needs> {
    /// The client.
    pub client: OAuthClient,
    /// What it asks.
    pub form: FormBody,
    /// The address it comes from.
    pub address: IpAddr,
    /// What it says of itself in `User-Agent`, cut to [`MAX_DEVICE_TEXT`] bytes.
    pub agent: Option<String>,
    /// The id of its request.
    pub request_id: String,
    lane: PhantomData<L>,
}

/// A request to the token endpoint: the same, with the key that it proves to hold in
/// [`OAuthClient::proof`]. A client that is to get bound tokens only and proves no key is refused.
#[derive(Debug)]
pub struct TokenRequest(pub OAuthRequest<Issue>);

impl<L: Needs> OAuthRequest<L> {
    async fn read(request: Request, app: &App) -> Result<(Self, Parts), Problem> {
        let (parts, body) = request.into_parts();
        let form = FormBody::read(&parts.headers, body, app).await?;
        let client = authenticate(&parts, &form, app).await;
        let client = auth::counted(client, &parts, app)?;
        let address = auth::address(&parts);
        match client.is_public() {
            true => app.limits.admit_anonymous(address)?,
            false => app.limits.admit_client(&client.client_id, L::SCOPE)?,
        }
        let (agent, request_id) = (agent(&parts.headers), auth::request_id(&parts));
        Ok((Self { client, form, address, agent, request_id, lane: PhantomData }, parts))
    }
}

impl<L: Needs> FromRequest<App> for OAuthRequest<L> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        Ok(Self::read(request, app).await?.0)
    }
}

impl FromRequest<App> for TokenRequest {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (mut request, parts) = OAuthRequest::read(request, app).await?;
        let proof = proof(&parts, &request.client, app)?;
        request.client = request.client.bound_to(proof)?;
        Ok(Self(request))
    }
}

/// The key that the request proves to hold: by DPoP, or by the certificate that the client's tokens are
/// bound to.
fn proof(parts: &Parts, client: &OAuthClient, app: &App) -> Result<Option<ProofKey>, Problem> {
    let by_dpop = dpop::proof_key(parts, app)?;
    if by_dpop.is_some() || !client.metadata().tls_client_certificate_bound_access_tokens {
        return Ok(by_dpop);
    }
    Ok(certificate::of(parts, app)?.map(|certificate| certificate.proof_key()))
}

async fn authenticate(parts: &Parts, form: &FormBody, app: &App) -> Result<OAuthClient, Problem> {
    let basic = auth::basic(&parts.headers)?;
    let assertion = assertion(form)?;
    let ambiguous = |detail| Err(Problem::new(Code::RequestAmbiguous, detail));
    let id = form.get("client_id");
    let (addresses, certificate);
    let proof = match (&basic, form.get("client_secret"), assertion) {
        (Some(basic), None, None) => match id {
            Some(id) if id != basic.id => return ambiguous("client_id names another client than the header"),
            _ => ClientProof::Basic { client_id: &basic.id, secret: &basic.secret },
        },
        (None, Some(secret), None) => ClientProof::Post { client_id: id.ok_or_else(nameless)?, secret },
        (None, None, Some(assertion)) => {
            addresses = [endpoint(app, TOKEN_PATH), endpoint(app, parts.uri.path())];
            ClientProof::Assertion { client_id: id, assertion, addresses: &addresses }
        }
        (None, None, None) => {
            certificate = certificate::of(parts, app)?;
            ClientProof::Id { client_id: id.ok_or_else(nameless)?, certificate: certificate.as_ref() }
        }
        _ => return ambiguous("the client authenticates in two ways at once"),
    };
    Ok(app.authority.oauth_client(proof).await?)
}

fn assertion(form: &FormBody) -> Result<Option<&str>, Problem> {
    match (form.get("client_assertion_type"), form.get("client_assertion")) {
        (None, None) => Ok(None),
        (Some(ASSERTION_TYPE), Some(assertion)) => Ok(Some(assertion)),
        _ => {
            let detail = "client_assertion comes with client_assertion_type, which names the JWT bearer type";
            Err(Problem::new(Code::RequestInvalid, detail))
        }
    }
}

fn nameless() -> Problem {
    Problem::new(Code::InvalidClient, "the request does not say which client it comes from")
}

/// The address that clients know a path by.
pub fn endpoint(app: &App, path: &str) -> String {
    format!("{}{path}", app.base_url.trim_end_matches('/'))
}

fn agent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(USER_AGENT)?.to_str().ok()?;
    Some(text.chars().take(MAX_DEVICE_TEXT).collect())
}

/// The methods that the OAuth endpoints take here: `tls_client_auth` only where a certificate can
/// come in.
#[must_use]
pub fn methods(app: &App) -> Vec<AuthMethod> {
    let by_certificate = app.config.server.takes_client_certificates();
    AuthMethod::ALL.into_iter().filter(|method| by_certificate || *method != AuthMethod::TlsClientAuth).collect()
}
