//! `annul sessions`: who is logged in where, and ending one.

use annul_core::time::{UnixMillis, UnixSeconds};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::Value;

use crate::credential::Connection;
use crate::failure::{Exit, Outcome};
use crate::print::{self, Format};
use crate::remote::Remote;
use crate::revocation;
use crate::when::{WaitArg, millis_text, seconds_text};

/// List a user's sessions and devices, end a session
#[derive(Args, Debug)]
pub(crate) struct Sessions {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the sessions of a subject
    List {
        /// Whose sessions
        subject: String,
    },
    /// List the devices of a subject with their last login and logout
    Devices {
        /// Whose devices
        subject: String,
    },
    /// End a session and every token of it
    End {
        /// The session's id
        sid: String,
        /// Why, for the audit log
        #[arg(long)]
        reason: Option<String>,
        /// Wait this long for the verifiers to confirm, at most 60s; exit 3 when they did not
        #[arg(long, value_name = "DURATION")]
        wait: Option<WaitArg>,
    },
}

impl Sessions {
    pub(crate) async fn run(self, format: Format) -> Outcome {
        let remote = Remote::connect(&self.connection)?;
        match self.verb {
            Verb::List { subject } => list(&remote, subject, format).await,
            Verb::Devices { subject } => devices(&remote, &subject, format).await,
            Verb::End { sid, reason, wait } => end(&remote, &sid, reason, wait, format).await,
        }
    }
}

async fn list(remote: &Remote, subject: String, format: Format) -> Outcome {
    let answer = remote.call(Method::GET, &["v1", "sessions"]).query(&[("subject", subject)]).json().await?;
    print::list(&answer, "sessions", format, ["SESSION", "STATUS", "CLIENT", "DEVICE", "LOGIN", "LAST USED"], row);
    Ok(Exit::Done)
}

fn row(session: &Value) -> [String; 6] {
    let device = &session["device"];
    let device = [print::member(device, "id"), print::member(device, "name")].join(" ");
    [
        print::member(session, "sid"),
        print::member(session, "status"),
        print::member(session, "client_id"),
        device.trim().to_owned(),
        time(session, "auth_time"),
        time(session, "last_used"),
    ]
}

async fn devices(remote: &Remote, subject: &str, format: Format) -> Outcome {
    let answer = remote.get(&["v1", "subjects", subject, "devices"]).await?;
    let heading = ["DEVICE", "LOGGED IN", "SYSTEM", "CLIENT", "LAST LOGIN", "LAST LOGOUT"];
    print::list(&answer, "devices", format, heading, device_row);
    Ok(Exit::Done)
}

fn device_row(entry: &Value) -> [String; 6] {
    let device = &entry["device"];
    let millis = |name: &str| entry[name].as_u64().map(|time| millis_text(UnixMillis(time))).unwrap_or_default();
    [
        [print::member(device, "id"), print::member(device, "name")].join(" ").trim().to_owned(),
        if entry["logged_in"] == true { "yes" } else { "no" }.to_owned(),
        [print::member(device, "os"), print::member(device, "agent")].join(" ").trim().to_owned(),
        print::member(entry, "client_id"),
        millis("last_login_at"),
        millis("last_logout_at"),
    ]
}

/// A member that holds Unix seconds, as a time.
pub(crate) fn time(value: &Value, name: &str) -> String {
    value[name].as_u64().map_or_else(|| print::member(value, name), |seconds| seconds_text(UnixSeconds(seconds)))
}

async fn end(remote: &Remote, sid: &str, reason: Option<String>, wait: Option<WaitArg>, format: Format) -> Outcome {
    let mut query = Vec::new();
    if let Some(reason) = reason {
        query.push(("reason", reason));
    }
    if let Some(wait) = wait {
        query.push(("wait", format!("{}ms", wait.millis())));
    }
    let call = remote.call(Method::DELETE, &["v1", "sessions", sid]).query(&query);
    let answer = call.waiting(wait.map(WaitArg::duration).unwrap_or_default()).json().await?;
    revocation::conclude(&answer, format)
}
