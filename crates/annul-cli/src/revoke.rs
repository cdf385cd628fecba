//! `annul revoke`: makes tokens and sessions dead, and says from when.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use annul_core::target::{Target, TargetKind};
use annul_core::time::UnixSeconds;
use clap::{Args, ValueEnum};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::confirm::Consent;
use crate::credential::Connection;
use crate::failure::{Exit, Failure, Outcome};
use crate::print::{self, Format};
use crate::remote::Remote;
use crate::when::{DurationArg, TimeArg, seconds_text};
use crate::{input, revocation};

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
    /// Revoke the targets in this file, one per line; - reads stdin; # begins a comment
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
    /// Wait this long for the verifiers to confirm; exit 3 when they did not
    #[arg(long, value_name = "DURATION")]
    wait: Option<DurationArg>,
    /// Say what it would do and do nothing
    #[arg(long)]
    dry_run: bool,
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
        let targets = self.all_targets()?;
        if self.token.is_some() && !targets.is_empty() {
            return Err(Failure::usage("--token stands alone; revoke targets in another call"));
        }
        if self.token.is_none() && targets.is_empty() {
            return Err(
                Failure::usage("nothing to revoke").with_hint("name a target such as subject:alice, or --token")
            );
        }
        let body = self.body()?;
        let consent = Consent::from_flag(self.yes || self.dry_run);
        let wide = self.wide(&targets);
        if let Some(what) = &wide {
            consent.possible(&format!("revoking {what}"))?;
        }
        let remote = Remote::connect(&self.connection)?;
        let batches = batches(&targets);
        if self.dry_run {
            return print_dry_run(&dry_run(&remote, &body, &batches).await?, format);
        }
        if let (Some(what), Consent::Ask) = (&wide, consent) {
            let preview = dry_run(&remote, &body, &batches).await?;
            consent.obtain(&self.question(what, &preview))?;
        }
        revocation::conclude(&self.send(&remote, &body, &batches).await?, format)
    }

    /// The targets named and those in the file, each read once so that a misspelt one is refused
    /// before anything is sent.
    fn all_targets(&self) -> Result<Vec<Named>, Failure> {
        let mut targets = self.targets.iter().map(|text| Named::parse(text)).collect::<Result<Vec<_>, _>>()?;
        let Some(path) = &self.file else { return Ok(targets) };
        for (index, line) in input::text(path, MAX_FILE)?.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let named = Named::parse(line)
                .map_err(|failure| Failure::usage(format!("line {}: {}", index + 1, failure.message())))?;
            targets.push(named);
        }
        Ok(targets)
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
        Ok(body)
    }

    /// What makes the call wide, if anything does.
    fn wide(&self, targets: &[Named]) -> Option<String> {
        if self.file.is_some() {
            return Some(format!("{} targets of a file", targets.len()));
        }
        let wide = targets.iter().filter(|target| {
            matches!(target.kind, TargetKind::Issuer | TargetKind::Claim | TargetKind::Client | TargetKind::Key)
        });
        let names: Vec<_> = wide.map(|target| target.text.as_str()).collect();
        (!names.is_empty()).then(|| names.join(" "))
    }

    fn question(&self, what: &str, preview: &Value) -> String {
        let cutoff = self.cutoff.map_or_else(String::new, |cutoff| format!(", {cutoff}"));
        let issuer = self.issuer.as_deref().map_or_else(String::new, |issuer| format!(" of {issuer}"));
        let sessions = preview["sessions"].as_u64().unwrap_or(0);
        print::clean(&format!("This revokes {what}{issuer}{cutoff}, and ends {sessions} session(s) known here."))
    }

    /// One call per batch. Only the last waits: positions are dense, so a verifier that has applied
    /// the last entry has applied all before it.
    async fn send(&self, remote: &Remote, body: &Map<String, Value>, batches: &[&[Named]]) -> Result<Value, Failure> {
        let key = self.idempotency_key.clone().unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
        let mut whole: Option<Value> = None;
        for (index, batch) in batches.iter().enumerate() {
            let mut body = with_targets(body, batch);
            let last = index + 1 == batches.len();
            let wait = self.wait.filter(|_| last);
            if let Some(wait) = wait {
                body["wait"] = json!(wait.millis());
            }
            let batch_key = if batches.len() == 1 { key.clone() } else { format!("{key}-{index}") };
            let call =
                remote.call(Method::POST, &["v1", "revocations"]).header("Idempotency-Key", &batch_key).body(&body);
            let answer = call.waiting(wait.map(|wait| wait.0).unwrap_or_default()).json().await.map_err(|failure| {
                if failure.exit == Exit::Unreachable {
                    failure.or_hint(format!(
                        "it may be recorded all the same; repeat the command with --idempotency-key {key} to be sure"
                    ))
                } else {
                    failure
                }
            })?;
            whole = Some(match whole {
                None => answer,
                Some(before) => joined(before, answer),
            });
        }
        whole.ok_or_else(|| Failure::usage("nothing to revoke"))
    }
}

/// A target as it was written, and its kind.
#[derive(Debug)]
struct Named {
    text: String,
    kind: TargetKind,
}

impl Named {
    fn parse(text: &str) -> Result<Self, Failure> {
        // The issuer plays no part in the form; the authority puts its own in place.
        let target = Target::parse(text, "own")
            .map_err(|error| Failure::usage(format!("{:?} is not a target: {error}", print::clean(text))))?;
        Ok(Self { text: text.to_owned(), kind: target.kind() })
    }
}

fn batches(targets: &[Named]) -> Vec<&[Named]> {
    if targets.is_empty() { vec![targets] } else { targets.chunks(MAX_BATCH).collect() }
}

fn with_targets(body: &Map<String, Value>, targets: &[Named]) -> Value {
    let mut body = body.clone();
    if !targets.is_empty() {
        body.insert("targets".to_owned(), targets.iter().map(|target| target.text.as_str()).collect());
    }
    Value::Object(body)
}

async fn dry_run(remote: &Remote, body: &Map<String, Value>, batches: &[&[Named]]) -> Result<Value, Failure> {
    let mut whole: Option<Value> = None;
    for batch in batches {
        let mut body = with_targets(body, batch);
        body["dry_run"] = json!(true);
        let answer = remote.post(&["v1", "revocations"], &body).await?;
        whole = Some(match whole {
            None => answer,
            Some(before) => joined(before, answer),
        });
    }
    Ok(whole.unwrap_or_default())
}

/// Two answers as one: lists after each other, sessions added, all else from the later one.
fn joined(before: Value, mut later: Value) -> Value {
    for list in ["revocations", "targets"] {
        if let (Some(first), Some(rest)) = (before[list].as_array(), later[list].as_array()) {
            later[list] = first.iter().chain(rest).cloned().collect();
        }
    }
    if let (Some(first), Some(rest)) = (before["sessions"].as_u64(), later["sessions"].as_u64()) {
        later["sessions"] = json!(first + rest);
    }
    later
}

fn print_dry_run(answer: &Value, format: Format) -> Outcome {
    match format {
        Format::Json => print::json(answer),
        Format::Human => {
            let targets = print::rows(answer, "targets");
            let text = |target: &Value| target.as_str().map_or_else(|| print::member(target, "target"), str::to_owned);
            print::table(["WOULD REVOKE"], targets.iter().map(|target| [text(target)]).collect(), "nothing");
            print::line("");
            print::fields(&[
                ("sessions", format!("{} would end", answer["sessions"].as_u64().unwrap_or(0))),
                ("done", "nothing: this was a dry run".to_owned()),
            ]);
        }
    }
    Ok(Exit::Done)
}

/// A line is at most a target's text; a file of a hundred thousand of them is the largest the
/// authority is asked to take at one sitting.
const MAX_FILE: u64 = 64 * 1024 * 1024;
/// Targets of one call: one transaction, and a body well under the authority's bound.
const MAX_BATCH: usize = 100;

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

    #[test]
    fn answers_of_batches_become_one() {
        let first = json!({"revocations": [1, 2], "sessions": 3, "position": "1:2"});
        let second = json!({"revocations": [3], "sessions": 4, "position": "1:3"});
        assert_eq!(joined(first, second), json!({"revocations": [1, 2, 3], "sessions": 7, "position": "1:3"}));
    }
}
