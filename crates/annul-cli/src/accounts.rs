//! `annul accounts`: the built-in accounts, for those who have no user database of their own.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use crate::credential::Connection;
use crate::failure::{Exit, Outcome};
use crate::print::{self, Format};
use crate::remote::Remote;
use crate::sessions::time;
use crate::{password, revocation};

/// List, add, show and remove built-in accounts, set a password
#[derive(Args, Debug)]
pub(crate) struct Accounts {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the accounts
    List,
    /// Make an account; the password is asked for, or read from stdin
    Add {
        /// The account's name, which becomes the subject of its tokens
        username: String,
    },
    /// Show an account
    Show {
        /// The account's name
        username: String,
    },
    /// Remove an account and end its sessions
    Remove {
        /// The account's name
        username: String,
    },
    /// Set an account's password and end its sessions; it is asked for, or read from stdin
    Password {
        /// The account's name
        username: String,
    },
}

impl Accounts {
    pub(crate) async fn run(self, format: Format) -> Outcome {
        let remote = Remote::connect(&self.connection)?;
        match self.verb {
            Verb::List => list(&remote, format).await,
            Verb::Add { username } => {
                let password = password::read("password")?;
                let body = json!({ "username": username, "password": password });
                let answer = remote.post(&["v1", "accounts"], &body).await?;
                done(&answer, &format!("{username} can log in"), format)
            }
            Verb::Show { username } => {
                let answer = remote.get(&["v1", "accounts", &username]).await?;
                show(&answer, format)
            }
            Verb::Remove { username } => {
                let answer = remote.call(Method::DELETE, &["v1", "accounts", &username]).json().await?;
                done(&answer, &format!("{username} is removed"), format)
            }
            Verb::Password { username } => {
                let password = password::read("new password")?;
                let call = remote.call(Method::PUT, &["v1", "accounts", &username, "password"]);
                let answer = call.body(&json!({ "password": password })).json().await?;
                done(&answer, &format!("{username} has a new password"), format)
            }
        }
    }
}

async fn list(remote: &Remote, format: Format) -> Outcome {
    let answer = remote.get(&["v1", "accounts"]).await?;
    match format {
        Format::Json => print::json(&answer),
        Format::Human => {
            let accounts = print::rows(&answer, "accounts").iter();
            let rows = accounts.map(|account| [print::member(account, "username"), time(account, "created")]);
            print::table(["ACCOUNT", "CREATED"], rows.collect(), "no accounts");
        }
    }
    Ok(Exit::Done)
}

fn show(answer: &Value, format: Format) -> Outcome {
    match format {
        Format::Json => print::json(answer),
        Format::Human => {
            let members = answer.as_object().into_iter().flatten();
            let rows: Vec<_> = members.map(|(name, _)| (name.as_str(), print::member(answer, name))).collect();
            print::fields(&rows);
        }
    }
    Ok(Exit::Done)
}

/// What was done; where it revoked something, also from when that holds.
fn done(answer: &Value, text: &str, format: Format) -> Outcome {
    if format == Format::Human {
        print::line(&print::clean(text));
    }
    if answer["revocations"].is_array() {
        return revocation::conclude(answer, format);
    }
    if format == Format::Json {
        print::json(answer);
    }
    Ok(Exit::Done)
}
