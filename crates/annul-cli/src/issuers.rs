//! `annul issuers`: whose tokens, besides the authority's own, verifiers accept.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::confirm::Consent;
use crate::credential::Connection;
use crate::failure::{Exit, Failure, Outcome};
use crate::input;
use crate::print::{self, Format};
use crate::remote::Remote;
use crate::when::{SecondsArg, span};

/// List, add and remove foreign issuers
#[derive(Args, Debug)]
pub(crate) struct Issuers {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the accepted issuers
    List,
    /// Accept an issuer's tokens, or change how they are accepted
    Add(Add),
    /// Accept an issuer's tokens no longer
    Remove {
        /// The exact iss
        issuer: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Args, Debug)]
struct Add {
    /// The exact iss
    issuer: String,
    /// File with its JWK set
    #[arg(long, value_name = "FILE", required_unless_present = "jwks_uri", conflicts_with = "jwks_uri")]
    jwks: Option<PathBuf>,
    /// Where the authority fetches its JWK set
    #[arg(long, value_name = "URL")]
    jwks_uri: Option<String>,
    /// The longest life of its tokens; longer ones are refused
    #[arg(long, value_name = "DURATION")]
    longest_life: SecondsArg,
    /// By how much its clock may run ahead of the authority's
    #[arg(long, value_name = "DURATION")]
    skew: Option<SecondsArg>,
    /// The longest life of its sessions; without it a revoked session of it is kept for ever
    #[arg(long, value_name = "DURATION")]
    longest_session: Option<SecondsArg>,
    /// Refuse its tokens that have no jti
    #[arg(long)]
    requires_jti: bool,
    /// The claim that holds the session's id, where it is not sid
    #[arg(long, value_name = "CLAIM")]
    session_claim: Option<String>,
    /// The claim that holds the device's id, where it is not device_id
    #[arg(long, value_name = "CLAIM")]
    device_claim: Option<String>,
    /// A claim that holds the client, in the order they are tried, where it is not client_id or azp
    #[arg(long, value_name = "CLAIM")]
    client_claim: Vec<String>,
}

impl Issuers {
    pub(crate) async fn run(self, format: Format) -> Outcome {
        match self.verb {
            Verb::List => list(&Remote::connect(&self.connection)?, format).await,
            Verb::Add(add) => {
                let body = add.body()?;
                let remote = Remote::connect(&self.connection)?;
                let answer = remote.post(&["v1", "issuers"], &body).await?;
                done(&answer, &format!("{} is accepted", add.issuer), format)
            }
            Verb::Remove { issuer, yes } => {
                let consent = Consent::from_flag(yes);
                consent.possible(&format!("removing issuer {issuer}"))?;
                let remote = Remote::connect(&self.connection)?;
                consent.obtain(&format!("This refuses every token of {issuer}."))?;
                let call = remote.call(Method::DELETE, &["v1", "issuers"]).query(&[("issuer", issuer.clone())]);
                done(&call.json().await?, &format!("{issuer} is accepted no longer"), format)
            }
        }
    }
}

fn done(answer: &Value, text: &str, format: Format) -> Outcome {
    match format {
        Format::Json => print::json(answer),
        Format::Human => print::line(&print::clean(text)),
    }
    Ok(Exit::Done)
}

async fn list(remote: &Remote, format: Format) -> Outcome {
    let answer = remote.get(&["v1", "issuers"]).await?;
    print::list(&answer, "issuers", format, ["ISSUER", "KEYS FROM", "LONGEST LIFE", "SKEW"], row);
    Ok(Exit::Done)
}

fn row(issuer: &Value) -> [String; 4] {
    let seconds = |name: &str| issuer[name].as_u64().map_or_else(String::new, |s| span(s.saturating_mul(1000)));
    let uri = print::member(issuer, "jwks_uri");
    let keys = if uri.is_empty() { "given".to_owned() } else { uri };
    [print::member(issuer, "issuer"), keys, seconds("longest_life"), seconds("skew")]
}

impl Add {
    fn body(&self) -> Result<Value, Failure> {
        let mut body = Map::new();
        body.insert("issuer".to_owned(), json!(self.issuer));
        body.insert("longest_life".to_owned(), json!(self.longest_life.0));
        body.insert("requires_jti".to_owned(), json!(self.requires_jti));
        if let Some(path) = &self.jwks {
            let jwks: Value = serde_json::from_slice(&input::bytes(path, MAX_JWKS)?)
                .map_err(|error| Failure::usage(format!("{} is not JSON: {error}", path.display())))?;
            body.insert("jwks".to_owned(), jwks);
        }
        if let Some(uri) = &self.jwks_uri {
            body.insert("jwks_uri".to_owned(), json!(uri));
        }
        if let Some(skew) = self.skew {
            body.insert("skew".to_owned(), json!(skew.0));
        }
        if let Some(session) = self.longest_session {
            body.insert("longest_session".to_owned(), json!(session.0));
        }
        let claims = self.claim_names();
        if !claims.is_empty() {
            body.insert("claims".to_owned(), Value::Object(claims));
        }
        Ok(Value::Object(body))
    }

    fn claim_names(&self) -> Map<String, Value> {
        let mut claims = Map::new();
        if let Some(session) = &self.session_claim {
            claims.insert("session".to_owned(), json!(session));
        }
        if let Some(device) = &self.device_claim {
            claims.insert("device".to_owned(), json!(device));
        }
        if !self.client_claim.is_empty() {
            claims.insert("client".to_owned(), json!(self.client_claim));
        }
        claims
    }
}

/// A JWK set of a few dozen keys with certificates is far below this.
pub(crate) const MAX_JWKS: u64 = 1024 * 1024;
