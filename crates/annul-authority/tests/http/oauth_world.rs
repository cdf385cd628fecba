//! Clients and foreign issuers as the OAuth endpoints meet them.

use std::time::{SystemTime, UNIX_EPOCH};

use annul_authority::secrets::signing::{SigningAlgorithm, SigningKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::running::{Credential, Running, text};

/// The token exchange's grant.
pub(crate) const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// The assertion's grant.
pub(crate) const ASSERTION: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The type of an access token.
pub(crate) const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";

impl Running {
    /// A form sent by a client.
    pub(crate) fn form(&self, client: &Credential, path: &str, form: &[(&str, &str)]) -> RequestBuilder {
        self.request_as(client, Method::POST, path).form(form)
    }

    /// A form sent by nobody in particular.
    pub(crate) fn bare_form(&self, path: &str, form: &[(&str, &str)]) -> RequestBuilder {
        self.bare(Method::POST, path).form(form)
    }

    /// A new client with these members.
    pub(crate) async fn register(&self, client: Value) -> Credential {
        let id = text(&client, "client_id");
        let answer = self.post("/v1/clients", client, 201).await;
        let secret = answer["client_secret"].as_str().unwrap_or_default().to_owned();
        Credential { id, secret }
    }

    /// Opens a session of a client with more members.
    pub(crate) async fn session_of(&self, client: &str, subject: &str, more: Value) -> Value {
        let mut session = json!({ "subject": subject, "client_id": client, "scope": "read write" });
        session.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.post("/v1/sessions", session, 201).await
    }

    /// What introspection says of a token.
    pub(crate) async fn introspected(&self, token: &str) -> Value {
        let request = self.form(&self.admin, "/oauth2/introspect", &[("token", token)]);
        crate::running::expect(request, 200).await
    }

    /// How many records the log has.
    pub(crate) async fn head(&self) -> String {
        text(&self.get("/v1/feed/head").await["head"]["head"], "at")
    }

    /// The audit's events of that action.
    pub(crate) async fn audited(&self, action: &str) -> Vec<Value> {
        let audit = self.get("/v1/audit?limit=1000").await;
        let events = audit["events"].as_array().unwrap_or_else(|| panic!("no events in {audit}"));
        events.iter().filter(|event| event["action"] == action).cloned().collect()
    }
}

/// A foreign issuer.
pub(crate) struct Idp {
    key: SigningKey,
}

/// Its name.
pub(crate) const IDP: &str = "https://idp.example";

impl Idp {
    pub(crate) fn new() -> Self {
        Self { key: SigningKey::generate(SigningAlgorithm::EdDsa).unwrap() }
    }

    pub(crate) fn jwks(&self) -> Value {
        json!({ "keys": [self.key.public_jwk()] })
    }

    /// Has an authority accept it, for logins of `subjects`.
    pub(crate) async fn accepted_by(&self, authority: &Running, subjects: &str) {
        let issuer = json!({ "issuer": IDP, "jwks": self.jwks(), "longest_life": 3600, "subjects": subjects });
        authority.post("/v1/issuers", issuer, 201).await;
    }

    /// A signed token of a kind.
    pub(crate) fn sign(&self, typ: &str, claims: &Value) -> String {
        self.key.sign_token(typ, claims.as_object().unwrap()).unwrap()
    }
}

/// The wall clock.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// What a token says, unverified.
pub(crate) fn said(token: &str) -> Value {
    part(token, 1)
}

/// The header or the claims of a token.
pub(crate) fn part(token: &str, at: usize) -> Value {
    let encoded = token.split('.').nth(at).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap()
}

/// Sends a request and expects an error of the standard's form, whole.
pub(crate) async fn oauth_error(request: RequestBuilder, status: u16, error: &str, code: &str) -> HeaderMap {
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["pragma"], "no-cache");
    let headers = response.headers().clone();
    let found = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    let name = (found, text(&body, "error"), text(&body, "code"));
    assert_eq!(name, (status, error.to_owned(), code.to_owned()), "{body}");
    let description = text(&body, "error_description");
    assert!(description.bytes().all(|b| matches!(b, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E)), "b_5: {description}");
    headers
}
