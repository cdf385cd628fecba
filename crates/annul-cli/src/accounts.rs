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

/// List, add, show and remove built-in accounts; change, as their user, what they log in with
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
        /// The session that stays
        #[arg(long, value_name = "SID")]
        keep: Option<String>,
        /// Why, for the audit log
        #[arg(long)]
        reason: Option<String>,
    },
    /// Change your own password and end your sessions; both passwords are asked for, or read from two
    /// lines of stdin, the present one first
    ChangePassword {
        /// The account's name
        username: String,
        /// The session that stays: the device that asks
        #[arg(long, value_name = "SID")]
        keep: Option<String>,
    },
    /// End all your sessions with your password as it is; it is asked for, or read from stdin
    Secure {
        /// The account's name
        username: String,
        /// The session that stays: the device that asks
        #[arg(long, value_name = "SID")]
        keep: Option<String>,
    },
    /// Take another lookup id and leave everything issued for the old one behind; the password is
    /// asked for, or read from stdin
    LookupId {
        /// The account's name
        username: String,
    },
}

impl Accounts {
    pub(crate) async fn run(self, format: Format) -> Outcome {
        let client = || Remote::connect(&self.connection);
        // Users prove themselves by their password and have no client's credential.
        let user = || Remote::anonymous(&self.connection);
        match self.verb {
            Verb::List => list(&client()?, format).await,
            Verb::Add { username } => add(&client()?, &username, format).await,
            Verb::Show { username } => show(&client()?.get(&["v1", "accounts", &username]).await?, format),
            Verb::Remove { username } => {
                let answer = client()?.call(Method::DELETE, &["v1", "accounts", &username]).json().await?;
                done(&answer, &format!("{username} is removed"), format)
            }
            Verb::Password { username, keep, reason } => {
                set_password(&client()?, &username, keep, reason, format).await
            }
            Verb::ChangePassword { username, keep } => change_password(&user()?, &username, keep, format).await,
            Verb::Secure { username, keep } => secure(&user()?, &username, keep, format).await,
            Verb::LookupId { username } => lookup_id(&user()?, &username, format).await,
        }
    }
}

async fn add(remote: &Remote, username: &str, format: Format) -> Outcome {
    let body = json!({ "username": username, "password": password::read("password")? });
    let answer = remote.post(&["v1", "accounts"], &body).await?;
    done(&answer, &format!("{username} can log in"), format)
}

async fn set_password(
    remote: &Remote,
    username: &str,
    keep: Option<String>,
    reason: Option<String>,
    format: Format,
) -> Outcome {
    let mut body = json!({ "password": password::read("new password")? });
    add_given(&mut body, "keep", keep);
    add_given(&mut body, "reason", reason);
    let answer = remote.call(Method::PUT, &["v1", "accounts", username, "password"]).body(&body).json().await?;
    done(&answer, &format!("{username} has a new password"), format)
}

async fn change_password(remote: &Remote, username: &str, keep: Option<String>, format: Format) -> Outcome {
    let current = password::read("current password")?;
    let mut body = json!({ "current": current, "password": password::read("new password")? });
    add_given(&mut body, "keep", keep);
    let answer = remote.post(&["v1", "accounts", username, "password"], &body).await?;
    done(&answer, &format!("{username} has a new password"), format)
}

async fn secure(remote: &Remote, username: &str, keep: Option<String>, format: Format) -> Outcome {
    let mut body = json!({ "password": password::read("password")? });
    add_given(&mut body, "keep", keep);
    let answer = remote.post(&["v1", "accounts", username, "secure"], &body).await?;
    done(&answer, &format!("what {username} held is worth nothing any more"), format)
}

async fn lookup_id(remote: &Remote, username: &str, format: Format) -> Outcome {
    let body = json!({ "password": password::read("password")? });
    let answer = remote.post(&["v1", "accounts", username, "lookup-id"], &body).await?;
    done(&answer, &format!("{username} goes by {} now", print::member(&answer, "subject")), format)
}

fn add_given(body: &mut Value, name: &str, text: Option<String>) {
    if let Some(text) = text {
        body[name] = text.into();
    }
}

async fn list(remote: &Remote, format: Format) -> Outcome {
    let answer = remote.get(&["v1", "accounts"]).await?;
    print::list(&answer, "accounts", format, ["ACCOUNT", "SUBJECT", "CREATED"], |account| {
        [print::member(account, "username"), print::member(account, "subject"), time(account, "created")]
    });
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
