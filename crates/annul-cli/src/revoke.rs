//! `annul revoke`: makes tokens and sessions dead, and says from when.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use annul_core::target::TargetKind;
use annul_core::time::UnixSeconds;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use crate::bulk::{Bulk, Line, batches, read_lines};
use crate::confirm::Consent;
use crate::credential::Connection;
use crate::failure::{Exit, Failure, Outcome};
use crate::print::{self, Format, MAX_SHOWN, thousands};
use crate::remote::Remote;
use crate::when::{SecondsArg, TimeArg, WaitArg, seconds_text, span};
use crate::{input, revocation, schedules};

/// Revoke what tokens and sessions are named by
///
/// A target is a kind and a name: token:JTI, session:SID, device:SUBJECT/DEVICE, subject:SUBJECT,
/// client:CLIENT, subject_client:SUBJECT/CLIENT, key:KID, claim:NAME=VALUE, confirmation:THUMBPRINT,
/// or issuer for everything. Write / as %2F, = as %3D and % as %25 inside a name.
#[derive(Args, Debug)]
pub(crate) struct Revoke {
    /// What to revoke, such as subject:alice
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// Revoke this one token; - reads it from stdin, where no other user of the machine sees it
    #[arg(long, value_name = "JWT|-")]
    token: Option<String>,
    /// Revoke what the lines of this file name; - reads stdin; # begins a comment
    ///
    /// A line is a target, or a JSON object with target and, in place of the flags, cutoff, reach or
    /// reason. All lines are read, and rehearsed by the authority, before the first is revoked. They
    /// are sent in batches, each whole or not at all; after a failure the same command with the
    /// --idempotency-key that it named goes on where it stopped.
    #[arg(long, value_name = "FILE|-")]
    file: Option<PathBuf>,
    /// Which tokens: older than this call (now), every one (always), or from a login before a time.
    /// Where it is not given, the authority takes always for a token, key or session and else now
    #[arg(long, value_name = "now|always|before:TIME")]
    cutoff: Option<CutoffArg>,
    /// What it reaches; both where it is not given
    #[arg(long, value_enum)]
    reach: Option<ReachArg>,
    /// Why, for the audit log; it never leaves the authority
    #[arg(long)]
    reason: Option<String>,
    /// Wait this long for the verifiers to confirm, at most 60s; exit 3 when they did not
    #[arg(long, value_name = "DURATION")]
    wait: Option<WaitArg>,
    /// Say what it would do and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do it at this time in place of now; see annul schedules
    #[arg(long, value_name = "TIME", conflicts_with_all = ["over", "wait", "keep"])]
    at: Option<TimeArg>,
    /// Spread it over this long, oldest logins first, so that they do not all log in again at once
    #[arg(long, value_name = "DURATION", conflicts_with_all = ["wait", "keep", "file", "reach"])]
    over: Option<SecondsArg>,
    /// The session that stays, re-stamped; with --cutoff now only
    #[arg(long, value_name = "SID")]
    keep: Option<String>,
    /// The issuer the targets belong to, where it is not the authority's own
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// Do not ask before a wide revocation (issuer, claim, client, key, a file)
    #[arg(long)]
    yes: bool,
    /// Repeat an earlier call whose answer was lost, without revoking twice
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CutoffArg {
    Now,
    Always,
    Before(UnixSeconds),
}

impl FromStr for CutoffArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "now" => Ok(Self::Now),
            "always" => Ok(Self::Always),
            _ => match text.strip_prefix("before:") {
                Some(time) => time.parse::<TimeArg>().map(|time| Self::Before(time.0)),
                None => Err(format!("{text:?} is not now, always or before:TIME")),
            },
        }
    }
}

impl CutoffArg {
    fn to_json(self) -> Value {
        match self {
            Self::Now => json!("now"),
            Self::Always => json!("always"),
            Self::Before(time) => json!({ "before": time.0 }),
        }
    }
}

impl fmt::Display for CutoffArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now => f.write_str("now"),
            Self::Always => f.write_str("always"),
            Self::Before(time) => write!(f, "before {}", seconds_text(*time)),
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ReachArg {
    /// Access tokens; sessions live on and their next token is clean
    Access,
    /// Login and refresh only; access tokens live out their minutes
    Sessions,
    /// Access tokens and sessions
    Both,
}

impl ReachArg {
    fn name(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Sessions => "sessions",
            Self::Both => "both",
        }
    }
}

impl Revoke {
    pub(crate) async fn run(self, format: Format) -> Outcome {
        let lines = self.lines()?;
        if self.token.is_some() && !lines.is_empty() {
            return Err(Failure::usage("--token stands alone; revoke targets in another call"));
        }
        if self.token.is_none() && lines.is_empty() {
            return Err(
                Failure::usage("nothing to revoke").with_hint("name a target such as subject:alice, or --token")
            );
        }
        let body = self.body()?;
        let consent = Consent::from_flag(self.yes || self.dry_run);
        let wide = self.wide(&lines);
        if let Some(what) = &wide {
            consent.possible(&format!("revoking {what}"))?;
        }
        let remote = Remote::connect(&self.connection)?;
        let bulk = Bulk::new(&remote, self.file.is_some(), batches(&body, &lines));
        if self.dry_run {
            return print_dry_run(&bulk.rehearse().await?, format);
        }
        // A file is rehearsed whole, so that a line which the authority refuses stops all of it.
        let asks = wide.is_some() && consent == Consent::Ask;
        if asks || self.file.is_some() {
            let preview = bulk.rehearse().await?;
            consent.obtain(&self.question(wide.as_deref().unwrap_or_default(), &preview))?;
        }
        let key = self.idempotency_key.clone().unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
        let answer = bulk.send(&key, self.wait, format).await?;
        if answer.get("schedule").is_some() || answer.get("schedules").is_some() {
            return schedules::conclude(&answer, format);
        }
        revocation::conclude(&answer, format)
    }

    /// The targets named and those in the file, each read once so that a misspelt one is refused
    /// before anything is sent.
    fn lines(&self) -> Result<Vec<Line>, Failure> {
        let mut lines = self.targets.iter().map(|text| Line::target(text, 0)).collect::<Result<Vec<_>, _>>()?;
        let Some(path) = &self.file else { return Ok(lines) };
        if !lines.is_empty() {
            return Err(Failure::usage("--file stands alone; revoke other targets in another call"));
        }
        lines = read_lines(&input::text(path, MAX_FILE)?)?;
        Ok(lines)
    }

    fn body(&self) -> Result<Map<String, Value>, Failure> {
        let mut body = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        set("token", self.token.as_deref().map(input::token).transpose()?.map(Value::from));
        set("issuer", self.issuer.clone().map(Value::from));
        set("cutoff", self.cutoff.map(CutoffArg::to_json));
        set("reach", self.reach.map(|reach| json!(reach.name())));
        set("reason", self.reason.clone().map(Value::from));
        set("keep", self.keep.clone().map(Value::from));
        set("at", self.at.map(|at| json!(at.0)));
        set("over", self.over.map(|over| json!(over.0)));
        Ok(body)
    }

    /// What makes the call wide, if anything does.
    fn wide(&self, lines: &[Line]) -> Option<String> {
        if self.file.is_some() {
            return Some(format!("{} targets of a file", lines.len()));
        }
        let wide = lines.iter().filter(|line| {
            matches!(line.kind, TargetKind::Issuer | TargetKind::Claim | TargetKind::Client | TargetKind::Key)
        });
        let names: Vec<_> = wide.map(|line| line.text.as_str()).collect();
        (!names.is_empty()).then(|| names.join(" "))
    }

    fn question(&self, what: &str, preview: &Value) -> String {
        let cutoff = self.cutoff.map_or_else(String::new, |cutoff| format!(", {cutoff}"));
        let issuer = self.issuer.as_deref().map_or_else(String::new, |issuer| format!(" of {issuer}"));
        let when = match (self.at, self.over) {
            (Some(at), _) => format!(" at {}", seconds_text(at.0)),
            (_, Some(over)) => format!(" over {}", span(over.0.saturating_mul(1000))),
            _ => String::new(),
        };
        print::clean(&format!("This revokes {what}{issuer}{cutoff}{when}. {}", would_end(preview)))
    }
}

/// What a rehearsal counted, as a sentence.
fn would_end(preview: &Value) -> String {
    let flag = |name: &str| preview[name].as_bool() == Some(true);
    let bound = match (flag("sessions_at_least"), flag("sessions_at_most")) {
        (true, _) => "at least ",
        (false, true) => "at most ",
        (false, false) => "",
    };
    let count = preview["sessions"].as_u64().unwrap_or(0);
    format!("This would end {bound}{} session{}.", thousands(count), if count == 1 { "" } else { "s" })
}

fn print_dry_run(answer: &Value, format: Format) -> Outcome {
    match format {
        Format::Json => print::json(answer),
        Format::Human => {
            let targets = print::rows(answer, "targets");
            let text = |target: &Value| target.as_str().map_or_else(|| print::member(target, "target"), str::to_owned);
            let shown = targets.iter().take(MAX_SHOWN).map(|target| [text(target)]).collect();
            print::table(["WOULD REVOKE"], shown, "nothing");
            if targets.len() > MAX_SHOWN {
                print::line(&format!("and {} more", thousands((targets.len() - MAX_SHOWN) as u64)));
            }
            print::line("");
            if !answer["schedule"].is_null() {
                schedules::print_steps(&answer["schedule"]);
                print::line("");
            }
            print::line(&would_end(answer));
            print::line("Nothing was done: this was a dry run.");
        }
    }
    Ok(Exit::Done)
}

/// A line is at most a target's text; a file of a hundred thousand of them is the largest the
/// authority is asked to take at one sitting.
const MAX_FILE: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cutoff_is_now_always_or_before_a_time() {
        assert_eq!("now".parse(), Ok(CutoffArg::Now));
        assert_eq!("always".parse(), Ok(CutoffArg::Always));
        assert_eq!("before:1970-01-01T00:00:05.5Z".parse(), Ok(CutoffArg::Before(UnixSeconds(6))));
        for text in ["", "Now", "before", "before:", "before:soon", "after:5"] {
            assert!(text.parse::<CutoffArg>().is_err(), "{text:?} was taken for a cutoff");
        }
    }
}
