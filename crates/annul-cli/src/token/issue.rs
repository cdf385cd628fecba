//! `annul token issue`: opens a session for a subject, or takes the next token of an open one.

use clap::Args;
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::credential::Connection;
use crate::failure::{Failure, Outcome};
use crate::print::Format;
use crate::remote::Remote;
use crate::token::print_token;

/// Open a session and print its access token, or print a session's next one
#[derive(Args, Debug)]
pub(crate) struct Issue {
    /// Whose token
    #[arg(long, required_unless_present = "session")]
    subject: Option<String>,
    /// The session whose next token is wanted, in place of a new session
    #[arg(
        long,
        value_name = "SID",
        conflicts_with_all = ["subject", "client", "audience", "device", "scope", "role", "claim"]
    )]
    session: Option<String>,
    /// The client the user logged in with
    #[arg(long)]
    client: Option<String>,
    /// The service the token is for; may be given several times
    #[arg(long)]
    audience: Vec<String>,
    /// Id of the device, by which it can be logged out
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    /// Scope of the token
    #[arg(long)]
    scope: Option<String>,
    /// A role; may be given several times
    #[arg(long)]
    role: Vec<String>,
    /// A further claim; the value is JSON where it reads as JSON, and else a string
    #[arg(long, value_name = "NAME=VALUE")]
    claim: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

impl Issue {
    pub(crate) async fn run(self, format: Format) -> Outcome {
        let body = self.body()?;
        let remote = Remote::connect(&self.connection)?;
        let call = match &self.session {
            Some(sid) => remote.call(Method::POST, &["v1", "sessions", sid, "token"]).body(&json!({})),
            None => remote.call(Method::POST, &["v1", "sessions"]).body(&body),
        };
        print_token(&call.json().await?, format)
    }

    fn body(&self) -> Result<Value, Failure> {
        let mut body = Map::new();
        let mut set = |name: &str, value: Value| body.insert(name.to_owned(), value);
        if let Some(subject) = &self.subject {
            set("subject", json!(subject));
        }
        if let Some(client) = &self.client {
            set("client_id", json!(client));
        }
        if !self.audience.is_empty() {
            set("audience", json!(self.audience));
        }
        if let Some(device) = &self.device {
            set("device", json!({ "id": device }));
        }
        if let Some(scope) = &self.scope {
            set("scope", json!(scope));
        }
        if !self.role.is_empty() {
            set("roles", json!(self.role));
        }
        if !self.claim.is_empty() {
            set("claims", Value::Object(self.claim.iter().map(|text| claim(text)).collect::<Result<_, _>>()?));
        }
        Ok(Value::Object(body))
    }
}

fn claim(text: &str) -> Result<(String, Value), Failure> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| Failure::usage(format!("{text:?} is not NAME=VALUE")))?;
    Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| json!(value))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_json_where_it_reads_as_json() {
        assert_eq!(claim("tenant=acme").unwrap(), ("tenant".to_owned(), json!("acme")));
        assert_eq!(claim("level=3").unwrap(), ("level".to_owned(), json!(3)));
        assert_eq!(claim("a=b=c").unwrap(), ("a".to_owned(), json!("b=c")));
        assert!(claim("tenant").is_err());
        assert!(claim("=acme").is_err());
    }
}
