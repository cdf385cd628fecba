//! `annul keys`: the authority's signing keys.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::confirm::Consent;
use crate::credential::Connection;
use crate::failure::{Exit, Outcome};
use crate::print::{self, Format};
use crate::remote::Remote;
use crate::revocation;
use crate::sessions::time;
use crate::when::WaitArg;

/// List, rotate and kill signing keys
#[derive(Args, Debug)]
pub(crate) struct Keys {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the signing keys and their states
    List,
    /// Sign with a new key from now on; tokens of the old one stay good
    Rotate {
        /// The new key's algorithm, such as ES256 or EdDSA
        #[arg(long, value_name = "ALG")]
        algorithm: Option<String>,
    },
    /// Refuse everything a key ever signed or will sign, everywhere, for ever
    Kill {
        /// The key's id
        // A thumbprint, which may begin with a hyphen.
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// Why, for the audit log
        #[arg(long)]
        reason: Option<String>,
        /// End the sessions too: everybody logs in again
        #[arg(long)]
        end_sessions: bool,
        /// Wait this long for the verifiers to confirm, at most 60s; exit 3 when they did not
        #[arg(long, value_name = "DURATION")]
        wait: Option<WaitArg>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Make a new secret for the keys of all subjects: every token signed by one fails, sessions live on
    SubjectSecret {
        /// Why, for the audit log
        #[arg(long)]
        reason: Option<String>,
        /// Wait this long for the verifiers to confirm, at most 60s; exit 3 when they did not
        #[arg(long, value_name = "DURATION")]
        wait: Option<WaitArg>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

impl Keys {
    pub(crate) async fn run(self, format: Format) -> Outcome {
        match self.verb {
            Verb::List => list(&Remote::connect(&self.connection)?, format).await,
            Verb::Rotate { algorithm } => rotate(&Remote::connect(&self.connection)?, algorithm, format).await,
            Verb::Kill { kid, reason, end_sessions, wait, yes } => {
                let consent = Consent::from_flag(yes);
                consent.possible(&format!("killing key {kid}"))?;
                let remote = Remote::connect(&self.connection)?;
                let sessions = if end_sessions { "and ends every session" } else { "and keeps the sessions" };
                consent.obtain(&format!("This refuses every token key {kid} signed, cannot be undone, {sessions}."))?;
                kill(&remote, &kid, Kill { reason, end_sessions, wait }, format).await
            }
            Verb::SubjectSecret { reason, wait, yes } => {
                let consent = Consent::from_flag(yes);
                consent.possible("a new secret for the keys of all subjects")?;
                let remote = Remote::connect(&self.connection)?;
                consent.obtain("This refuses every token that a subject's key signed and keeps the sessions.")?;
                act(&remote, &["v1", "keys", "subject-secret"], (Map::new(), reason, wait), format).await
            }
        }
    }
}

async fn list(remote: &Remote, format: Format) -> Outcome {
    let answer = remote.get(&["v1", "keys"]).await?;
    print::list(&answer, "keys", format, ["KEY", "ALGORITHM", "STATE", "CREATED"], row);
    Ok(Exit::Done)
}

fn row(key: &Value) -> [String; 4] {
    [print::member(key, "kid"), print::member(key, "algorithm"), print::member(key, "state"), time(key, "created")]
}

async fn rotate(remote: &Remote, algorithm: Option<String>, format: Format) -> Outcome {
    let body = algorithm.map_or_else(|| json!({}), |algorithm| json!({ "algorithm": algorithm }));
    let answer = remote.post(&["v1", "keys", "rotate"], &body).await?;
    match format {
        Format::Json => print::json(&answer),
        Format::Human => {
            print::fields(&[
                ("signs now", print::member(&answer, "active")),
                ("in reserve", print::member(&answer, "reserve")),
                ("old tokens", "stay good until they expire".to_owned()),
            ]);
        }
    }
    Ok(Exit::Done)
}

struct Kill {
    reason: Option<String>,
    end_sessions: bool,
    wait: Option<WaitArg>,
}

async fn kill(remote: &Remote, kid: &str, kill: Kill, format: Format) -> Outcome {
    let body = Map::from_iter([("end_sessions".to_owned(), json!(kill.end_sessions))]);
    act(remote, &["v1", "keys", kid, "kill"], (body, kill.reason, kill.wait), format).await
}

/// Sends a change of keys with why and how long to wait, and concludes with its answer.
async fn act(
    remote: &Remote,
    path: &[&str],
    (mut body, reason, wait): (Map<String, Value>, Option<String>, Option<WaitArg>),
    format: Format,
) -> Outcome {
    if let Some(reason) = reason {
        body.insert("reason".to_owned(), json!(reason));
    }
    if let Some(wait) = wait {
        body.insert("wait".to_owned(), json!(wait.millis()));
    }
    let call = remote.call(Method::POST, path).body(&body.into());
    let answer = call.waiting(wait.map(WaitArg::duration).unwrap_or_default()).json().await?;
    revocation::conclude(&answer, format)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        keys: Keys,
    }

    #[test]
    fn a_key_whose_id_begins_with_a_hyphen_is_killed_like_any_other() {
        for id in ["-VQpeeYkqLpk", "-hB", "--wB"] {
            let line =
                Line::try_parse_from(["keys", "kill", id, "--yes", "--wait", "2s"]).map_err(|error| error.to_string());
            let Ok(Line { keys: Keys { verb: Verb::Kill { kid, yes: true, wait: Some(_), .. }, .. } }) = line else {
                panic!("{id}: not read as a key's id")
            };
            assert_eq!(kid, id);
        }
    }
}
