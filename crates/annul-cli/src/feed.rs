//! `annul feed`: watches the log as a verifier would, with every frame verified.

use std::time::Duration;

use annul_core::algebra::Until;
use annul_core::feed::frame::{Frame, VerifiedFrame};
use annul_core::feed::report::Introduction;
use annul_core::position::Position;
use annul_core::record::{Chain, Record, RecordBody};
use annul_core::target::TargetKind;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::Value;

use crate::credential::Connection;
use crate::failure::{Exit, Failure, Outcome};
use crate::print::{self, Format};
use crate::remote::Remote;
use crate::when::{millis_text, seconds_text, span};

/// Watch the log; see which verifiers follow it
#[derive(Args, Debug)]
pub(crate) struct Feed {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print records as they are written, each frame verified; needs the scope annul.follow
    Tail {
        /// Begin with the first record of the log, while it is still kept
        #[arg(long)]
        from_start: bool,
    },
    /// Show the head and the verifiers that report; needs annul.follow and annul.read
    Status,
}

impl Feed {
    pub(crate) async fn run(self, format: Format) -> Outcome {
        let remote = Remote::connect(&self.connection)?;
        match self.verb {
            Verb::Tail { from_start } => tail(&remote, from_start, format).await,
            Verb::Status => status(&remote, format).await,
        }
    }
}

async fn introduction(remote: &Remote) -> Result<Introduction, Failure> {
    let body = remote.call(Method::GET, &["v1", "feed", "head"]).bytes().await?;
    let introduction = Introduction::from_json(&body).map_err(unreadable)?;
    introduction.head.verify(&introduction.feed_key, &introduction.head.claimed().log).map_err(unreadable)?;
    Ok(introduction)
}

fn unreadable(error: impl std::fmt::Display) -> Failure {
    Failure::refused(format!("the feed cannot be trusted: {error}"))
}

async fn tail(remote: &Remote, from_start: bool, format: Format) -> Outcome {
    let introduction = introduction(remote).await?;
    let head = introduction.head.claimed();
    let mut at = head.at;
    let mut chain = head.chain;
    if from_start {
        at = Position::new(1, 0);
        chain = Chain::genesis(&head.log);
    }
    loop {
        let query = [("after", at.to_string()), ("chain", chain.to_string()), ("wait", WAIT.as_secs().to_string())];
        let call = remote.call(Method::GET, &["v1", "feed", "changes"]).query(&query).waiting(WAIT);
        let frame = Frame::from_bytes(&call.bytes().await?).map_err(unreadable)?;
        let frame = frame.verify(&introduction.feed_key, &head.log, at, chain).map_err(unreadable)?;
        at = frame.at();
        chain = frame.chain();
        show(&frame, format);
        if print::goes_nowhere() {
            return Ok(Exit::Done);
        }
    }
}

fn show(frame: &VerifiedFrame, format: Format) {
    for (record, line) in frame.records().iter().zip(frame.lines()) {
        match format {
            Format::Json => print::line(line),
            Format::Human => print::line(&print::clean(&describe(record))),
        }
    }
}

/// A record in one line. Targets are hashes: names stay at the authority, `annul audit` has them.
fn describe(record: &Record) -> String {
    let text = match &record.body {
        RecordBody::Revoke(entry) => {
            let mut cutoffs = Vec::new();
            cutoffs.extend(entry.fields.always.then(|| "always".to_owned()));
            cutoffs.extend(entry.fields.now.then(|| "now".to_owned()));
            cutoffs.extend(entry.fields.before.map(|time| format!("before {}", seconds_text(time))));
            let until = match entry.until {
                Until::At(time) => format!("until {}", seconds_text(time)),
                // An entry against a key is a kill, which nothing lifts.
                Until::Never if entry.kind == TargetKind::Key => "for good".to_owned(),
                Until::Never => "until lifted".to_owned(),
            };
            format!("revoke {} {} {} {until}", entry.kind, entry.target, cutoffs.join(" "))
        }
        RecordBody::Noop => "noop: reaches sessions only, or is optional".to_owned(),
        RecordBody::Lift(cells) => format!("lift {} target(s)", cells.len()),
        RecordBody::Settings(settings) => format!("settings revision {}", settings.revision),
        RecordBody::Issuer(issuer) if issuer.removed => format!("issuer {} removed", issuer.issuer),
        RecordBody::Issuer(issuer) => format!("issuer {} with {} key(s)", issuer.issuer, issuer.keys.len()),
        RecordBody::Epoch(epoch) => format!("epoch {:?} after {}", epoch.epoch_kind, epoch.fork),
    };
    format!("{}  {text}", record.at)
}

async fn status(remote: &Remote, format: Format) -> Outcome {
    let introduction = introduction(remote).await?;
    let answer = remote.get(&["statusz"]).await?;
    if format == Format::Json {
        print::json(&answer);
        return Ok(Exit::Done);
    }
    let head = introduction.head.claimed();
    print::fields(&[
        ("log", head.log.clone()),
        ("head", head.at.to_string()),
        ("signed", millis_text(head.issued)),
        ("feed key", introduction.feed_key.fingerprint().to_owned()),
        ("issuer", introduction.issuer.clone()),
    ]);
    print::line("");
    let rows = print::rows(&answer, "replicas").iter().map(row).collect();
    print::table(["VERIFIER", "STATE", "APPLIED", "HEARD", "MAX AGE", "VERSION"], rows, "no verifier has reported");
    Ok(Exit::Done)
}

fn row(replica: &Value) -> [String; 6] {
    let text = |name: &str| print::member(replica, name);
    let heard = replica["heard_ms_ago"].as_u64().map_or_else(|| "never".to_owned(), |ms| format!("{} ago", span(ms)));
    let age = replica["longest_age"].as_u64().map_or_else(String::new, |age| span(age.saturating_mul(1000)));
    [format!("{}/{}", text("name"), text("instance")), text("state"), text("position"), heard, age, text("version")]
}

/// How long the authority holds a request when there is nothing new.
const WAIT: Duration = Duration::from_secs(25);
