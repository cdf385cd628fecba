//! The authority as the demonstration's backend calls it.

use std::time::Instant;

use reqwest::{Method, Url};
use serde_json::{Value, json};

use super::Problem;
use crate::credential::Credential;
use crate::remote::Remote;

/// A session that a user opened on a device, with its newest token.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) sid: String,
    pub(crate) token: String,
}

/// A revoking call that was acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Acknowledged {
    pub(crate) at: Instant,
    pub(crate) answer: Value,
}

/// The authority, with a credential that may do everything.
#[derive(Clone)]
pub(crate) struct Authority {
    remote: Remote,
}

impl Authority {
    pub(crate) fn new(url: &str, credential: Credential) -> Result<Self, Problem> {
        let base = Url::parse(url).map_err(|error| Problem::from(error.to_string()))?;
        Ok(Self { remote: Remote::on_this_machine(base, credential)? })
    }

    /// A client with these scopes.
    pub(crate) async fn client(&self, id: &str, scopes: &[&str]) -> Result<Credential, Problem> {
        let answer = self.remote.post(&["v1", "clients"], &json!({ "client_id": id, "scopes": scopes })).await?;
        Ok(Credential { id: id.to_owned(), secret: text(&answer, "client_secret")? })
    }

    pub(crate) async fn add_issuer(&self, issuer: &str, jwks: &Value) -> Result<(), Problem> {
        let body = json!({ "issuer": issuer, "jwks": jwks, "longest_life": 600 });
        self.remote.post(&["v1", "issuers"], &body).await?;
        Ok(())
    }

    pub(crate) async fn open(&self, subject: &str, device: &str, roles: &[&str]) -> Result<Session, Problem> {
        let body = json!({
            "subject": subject,
            "client_id": "demo-app",
            "device": { "id": device, "name": device },
            "roles": roles,
        });
        let answer = self.remote.post(&["v1", "sessions"], &body).await?;
        Ok(Session { sid: text(&answer, "sid")?, token: text(&answer, "access_token")? })
    }

    /// The session's next token; nothing when the authority refuses it.
    pub(crate) async fn next_token(&self, sid: &str) -> Result<Option<String>, Problem> {
        match self.remote.post(&["v1", "sessions", sid, "token"], &json!({})).await {
            Ok(answer) => text(&answer, "access_token").map(Some),
            Err(failure) if failure.exit == crate::failure::Exit::Refused => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    pub(crate) async fn revoke(&self, body: &Value) -> Result<Acknowledged, Problem> {
        acknowledged(self.remote.post(&["v1", "revocations"], body).await?)
    }

    pub(crate) async fn end(&self, sid: &str) -> Result<Acknowledged, Problem> {
        acknowledged(self.remote.call(Method::DELETE, &["v1", "sessions", sid]).json().await?)
    }

    pub(crate) async fn set_roles(&self, subject: &str, roles: &[&str]) -> Result<Acknowledged, Problem> {
        let call = self.remote.call(Method::PUT, &["v1", "subjects", subject, "claims"]);
        acknowledged(call.body(&json!({ "claims": { "roles": roles } })).json().await?)
    }

    pub(crate) async fn kill_key(&self, kid: &str) -> Result<Acknowledged, Problem> {
        acknowledged(self.remote.post(&["v1", "keys", kid, "kill"], &json!({ "reason": "demonstration" })).await?)
    }
}

fn acknowledged(answer: Value) -> Result<Acknowledged, Problem> {
    let at = Instant::now();
    if answer["position"].is_string() {
        Ok(Acknowledged { at, answer })
    } else {
        Err("a revoking call named no position".into())
    }
}

fn text(answer: &Value, name: &str) -> Result<String, Problem> {
    answer[name].as_str().map(str::to_owned).ok_or_else(|| format!("the authority answered without {name}").into())
}
