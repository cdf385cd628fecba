//! `annul clients`: the programs that may call the authority, and what each may do.

use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::json;

use crate::credential::Connection;
use crate::failure::{Exit, Outcome};
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
        #[arg(long, value_enum, required = true)]
        scope: Vec<Scope>,
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
    Issue,
    /// Revoke and lift
    Revoke,
    /// Read sessions, revocations and the audit log
    Read,
    /// Follow the feed: every verifier needs this
    Follow,
    /// Keys, issuers, clients, accounts, settings
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
            Verb::Add { client_id, scope } => add(&remote, &client_id, &scope, format).await,
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
    match format {
        Format::Json => print::json(&answer),
        Format::Human => {
            let clients = print::rows(&answer, "clients").iter();
            let rows = clients.map(|client| [print::member(client, "client_id"), print::member(client, "scopes")]);
            print::table(["CLIENT", "SCOPES"], rows.collect(), "no clients");
        }
    }
    Ok(Exit::Done)
}

async fn add(remote: &Remote, client_id: &str, scopes: &[Scope], format: Format) -> Outcome {
    let scopes: Vec<_> = scopes.iter().map(|scope| scope.name()).collect();
    let answer = remote.post(&["v1", "clients"], &json!({ "client_id": client_id, "scopes": scopes })).await?;
    match format {
        Format::Json => print::json(&answer),
        Format::Human => {
            // The two lines are a credential file: they can be redirected into one.
            print::line(&format!("ANNUL_CLIENT_ID={}", print::clean(&print::member(&answer, "client_id"))));
            print::line(&format!("ANNUL_CLIENT_SECRET={}", print::clean(&print::member(&answer, "client_secret"))));
        }
    }
    Ok(Exit::Done)
}
