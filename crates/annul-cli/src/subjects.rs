//! `annul subjects`: what is held about a user apart from sessions, and the changes of it that no
//! older token outlives.

use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::credential::Connection;
use crate::failure::{Exit, Outcome};
use crate::print::{self, Format};
use crate::remote::{Call, Remote};
use crate::revocation;
use crate::sessions::time;
use crate::when::WaitArg;

/// Show a user's state, block and unblock, set a version, change a key, say what changed
#[derive(Args, Debug)]
pub(crate) struct Subjects {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show whether a subject is blocked, its version, its record's last change and its claims
    Show {
        /// The subject
        subject: String,
        #[command(flatten)]
        issuer: Issuer,
    },
    /// Revoke all that a subject has and let it log in no more
    Block {
        /// The subject
        subject: String,
        #[command(flatten)]
        issuer: Issuer,
        #[command(flatten)]
        how: How,
    },
    /// Let a blocked subject log in again; nothing that was revoked comes back
    Unblock {
        /// The subject
        subject: String,
        #[command(flatten)]
        issuer: Issuer,
        #[command(flatten)]
        how: How,
    },
    /// Set a subject's version, up or down; whatever was issued before is refused
    Version {
        /// The subject
        subject: String,
        /// The version; the next one where it is not given
        version: Option<u64>,
        /// What it reaches; both where it is not given
        #[arg(long, value_enum)]
        reach: Option<ReachArg>,
        /// The session of the subject that stays
        #[arg(long, value_name = "SID")]
        keep: Option<String>,
        #[command(flatten)]
        how: How,
    },
    /// Say which fields of a subject's record changed; tokens with the old record are refused
    Changed {
        /// The subject
        subject: String,
        /// The fields, as the authority's configuration names them
        #[arg(value_name = "FIELD", required = true)]
        fields: Vec<String>,
        /// The session of the subject that stays, where a field ends sessions
        #[arg(long, value_name = "SID")]
        keep: Option<String>,
        #[command(flatten)]
        how: How,
    },
    /// Give a subject a new key where each has its own: its tokens fail, its sessions live on
    Key {
        /// The subject
        subject: String,
        #[command(flatten)]
        how: How,
    },
}

#[derive(Args, Debug)]
struct Issuer {
    /// The issuer that knows the subject, where it is not the authority's own
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
}

#[derive(Args, Debug)]
struct How {
    /// Why, for the audit log
    #[arg(long)]
    reason: Option<String>,
    /// Wait this long for the verifiers to confirm, at most 60s; exit 3 when they did not
    #[arg(long, value_name = "DURATION")]
    wait: Option<WaitArg>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ReachArg {
    /// Access tokens; sessions live on and their next token has the new version
    Access,
    /// Access tokens and sessions
    Both,
}

impl Subjects {
    pub(crate) async fn run(self, format: Format) -> Outcome {
        let remote = Remote::connect(&self.connection)?;
        match self.verb {
            Verb::Show { subject, issuer } => show(&remote, &subject, issuer, format).await,
            Verb::Block { subject, issuer, how } => {
                let mut body = Map::new();
                set(&mut body, "issuer", issuer.issuer);
                let call = remote.call(Method::POST, &["v1", "subjects", &subject, "block"]);
                how.finish(call, body, format).await
            }
            Verb::Unblock { subject, issuer, how } => {
                let call = remote.call(Method::DELETE, &["v1", "subjects", &subject, "block"]);
                unblock(call, issuer, how, format).await
            }
            Verb::Version { subject, version, reach, keep, how } => {
                let mut body = Map::new();
                set(&mut body, "version", version);
                set(&mut body, "reach", reach.map(ReachArg::name));
                set(&mut body, "keep", keep);
                let call = remote.call(Method::PUT, &["v1", "subjects", &subject, "version"]);
                how.finish(call, body, format).await
            }
            Verb::Changed { subject, fields, keep, how } => {
                let mut body = Map::new();
                set(&mut body, "fields", Some(fields));
                set(&mut body, "keep", keep);
                let call = remote.call(Method::POST, &["v1", "subjects", &subject, "record"]);
                how.finish(call, body, format).await
            }
            Verb::Key { subject, how } => {
                let call = remote.call(Method::POST, &["v1", "subjects", &subject, "key"]);
                how.finish(call, Map::new(), format).await
            }
        }
    }
}

impl How {
    /// Sends the call with `body` and what is said of how, and concludes with its answer.
    async fn finish(self, call: Call, mut body: Map<String, Value>, format: Format) -> Outcome {
        set(&mut body, "reason", self.reason);
        set(&mut body, "wait", self.wait.map(WaitArg::millis));
        let call = call.body(&body.into()).waiting(self.wait.map(WaitArg::duration).unwrap_or_default());
        revocation::conclude(&call.json().await?, format)
    }
}

impl ReachArg {
    fn name(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Both => "both",
        }
    }
}

async fn show(remote: &Remote, subject: &str, issuer: Issuer, format: Format) -> Outcome {
    let query: Vec<_> = issuer.issuer.into_iter().map(|issuer| ("issuer", issuer)).collect();
    let answer = remote.call(Method::GET, &["v1", "subjects", subject]).query(&query).json().await?;
    match format {
        Format::Json => print::json(&answer),
        Format::Human => print::fields(&[
            ("subject", print::member(&answer, "subject")),
            ("issuer", print::member(&answer, "issuer")),
            ("blocked", answer["blocked"].as_str().map_or("no".to_owned(), |at| format!("since {at}"))),
            ("version", or_none(print::member(&answer, "version"))),
            ("record", or_none(time(&answer, "updated_at"))),
            ("claims", print::member(&answer, "claims")),
        ]),
    }
    Ok(Exit::Done)
}

async fn unblock(call: Call, issuer: Issuer, how: How, format: Format) -> Outcome {
    let wait = how.wait.map(|wait| ("wait", format!("{}ms", wait.millis())));
    let members = [issuer.issuer.map(|issuer| ("issuer", issuer)), how.reason.map(|reason| ("reason", reason)), wait];
    let query: Vec<_> = members.into_iter().flatten().collect();
    let answer = call.query(&query).waiting(how.wait.map(WaitArg::duration).unwrap_or_default()).json().await?;
    if format == Format::Human && answer["revocations"].as_array().is_some_and(Vec::is_empty) {
        // Our own subject: the state alone changed, and there is no entry to tell about.
        print::line("unblocked; a new login is accepted, and nothing that was revoked comes back");
        return Ok(Exit::Done);
    }
    revocation::conclude(&answer, format)
}

/// Sets a member that was given; one that was not stays away.
fn set(body: &mut Map<String, Value>, name: &str, value: Option<impl serde::Serialize>) {
    if let Some(value) = value {
        body.insert(name.to_owned(), json!(value));
    }
}

fn or_none(text: String) -> String {
    if text.is_empty() { "none".to_owned() } else { text }
}
