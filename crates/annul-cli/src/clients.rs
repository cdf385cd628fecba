//! `annul clients`: the programs that may call the authority, and what each may do.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::credential::Connection;
use crate::failure::{Exit, Failure, Outcome};
use crate::input;
use crate::print::{self, Format};
use crate::remote::Remote;

/// List, add and remove client credentials
#[derive(Args, Debug)]
pub(crate) struct Clients {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the clients and what they may do
    List,
    /// Make a client; its secret is shown this once
    Add {
        /// The client's id
        client_id: String,
        /// What it may do; may be given several times
        #[arg(long, value_enum, required_unless_present = "metadata")]
        scope: Vec<Scope>,
        /// A JSON file, or - for stdin, with further members of POST /v1/clients, under the names of
        /// RFC 7591: how it proves itself, its keys, its grants, what its tokens are bound to
        #[arg(long, value_name = "FILE")]
        metadata: Option<PathBuf>,
    },
    /// Take a client's credential away at once
    Remove {
        /// The client's id
        client_id: String,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scope {
    /// Open sessions and get tokens
    #[value(alias = "annul.issue")]
    Issue,
    /// Revoke and lift
    #[value(alias = "annul.revoke")]
    Revoke,
    /// Read sessions, revocations and the audit log
    #[value(alias = "annul.read")]
    Read,
    /// Follow the feed: every verifier needs this
    #[value(alias = "annul.follow")]
    Follow,
    /// Keys, issuers, clients, accounts, settings
    #[value(alias = "annul.admin")]
    Admin,
}

impl Scope {
    fn name(self) -> &'static str {
        match self {
            Self::Issue => "annul.issue",
            Self::Revoke => "annul.revoke",
            Self::Read => "annul.read",
            Self::Follow => "annul.follow",
            Self::Admin => "annul.admin",
        }
    }
}

impl Clients {
    pub(crate) async fn run(self, format: Format) -> Outcome {
        let remote = Remote::connect(&self.connection)?;
        match self.verb {
            Verb::List => list(&remote, format).await,
            Verb::Add { client_id, scope, metadata } => {
                let request = request(&client_id, &scope, metadata.as_deref())?;
                add(&remote, &request, format).await
            }
            Verb::Remove { client_id } => {
                let answer = remote.call(Method::DELETE, &["v1", "clients", &client_id]).json().await?;
                match format {
                    Format::Json => print::json(&answer),
                    Format::Human => print::line(&format!("{} is no client any more", print::clean(&client_id))),
                }
                Ok(Exit::Done)
            }
        }
    }
}

async fn list(remote: &Remote, format: Format) -> Outcome {
    let answer = remote.get(&["v1", "clients"]).await?;
    print::list(&answer, "clients", format, ["CLIENT", "PROVES ITSELF BY", "SCOPES"], |client| {
        ["client_id", "token_endpoint_auth_method", "scopes"].map(|column| print::member(client, column))
    });
    Ok(Exit::Done)
}

/// Bytes of a file with a client's metadata: the authority reads no larger body unless configured to.
const MAX_METADATA: u64 = 64 * 1024;

/// The body of the request. Scopes in the file are kept, and those given as flags come with them.
fn request(client_id: &str, scopes: &[Scope], metadata: Option<&Path>) -> Result<Value, Failure> {
    let mut members = match metadata {
        Some(path) => {
            let text = input::text(path, MAX_METADATA)?;
            let members: Result<Map<String, Value>, _> = serde_json::from_str(&text);
            members.map_err(|error| Failure::usage(format!("{} is no JSON object: {error}", path.display())))?
        }
        None => Map::new(),
    };
    members.insert("client_id".to_owned(), client_id.into());
    match members.entry("scopes").or_insert_with(|| json!([])) {
        Value::Array(listed) => listed.extend(scopes.iter().map(|scope| Value::from(scope.name()))),
        _ => return Err(Failure::usage("scopes in the metadata is a list")),
    }
    Ok(members.into())
}

async fn add(remote: &Remote, request: &Value, format: Format) -> Outcome {
    let answer = remote.post(&["v1", "clients"], request).await?;
    match format {
        Format::Json => print::json(&answer),
        Format::Human => {
            // The two lines are a credential file: they can be redirected into one.
            print::line(&format!("ANNUL_CLIENT_ID={}", print::clean(&print::member(&answer, "client_id"))));
            if answer.get("client_secret").is_some() {
                print::line(&format!("ANNUL_CLIENT_SECRET={}", print::clean(&print::member(&answer, "client_secret"))));
            }
        }
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_taken_by_its_short_name_and_by_its_whole_one() {
        for scope in Scope::value_variants() {
            let short = scope.name().trim_start_matches("annul.");
            for given in [short, scope.name()] {
                assert_eq!(Scope::from_str(given, false).map(Scope::name), Ok(scope.name()), "{given}");
            }
        }
    }
}
