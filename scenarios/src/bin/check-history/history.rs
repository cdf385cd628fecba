//! The lines that clients wrote, as they stand in the files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// Microseconds on the clients' clock.
pub(crate) type Micros = u64;

/// Epoch and sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Position(pub u64, pub u64);

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.0, self.1)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parts = text.split_once(':').and_then(|(epoch, seq)| Some(Self(epoch.parse().ok()?, seq.parse().ok()?)));
        parts.ok_or_else(|| serde::de::Error::custom(format!("{text:?} is no position")))
    }
}

/// What a client did and what came of it.
#[derive(Debug, Deserialize)]
pub(crate) struct Request<T> {
    pub(crate) id: String,
    pub(crate) sent: Micros,
    pub(crate) ended: Micros,
    pub(crate) status: Option<u16>,
    pub(crate) code: Option<String>,
    #[serde(flatten)]
    pub(crate) what: T,
}

impl<T> Request<T> {
    /// Whether the answer says that it was done.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.status, Some(200..=299))
    }

    /// Whether it may or may not have been done: the line broke, or a 503 that acknowledges nothing.
    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self.status, None | Some(500..))
    }

    /// Whether it was done, or may have been.
    pub(crate) fn may_be_done(&self) -> bool {
        self.is_done() || self.is_unknown()
    }

    /// Whether the answer refuses it with this code.
    pub(crate) fn is_refused_as(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }
}

/// A token, as its holder can read it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Token {
    pub(crate) kid: String,
    pub(crate) claims: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Issue {
    pub(crate) how: String,
    pub(crate) subject: Option<String>,
    pub(crate) device: Option<String>,
    pub(crate) tenant: Option<String>,
    pub(crate) sid: Option<String>,
    pub(crate) position: Option<Position>,
    pub(crate) token: Option<Token>,
}

/// An entry of the log, as an answer or the list of revocations shows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Shown {
    pub(crate) position: Position,
    pub(crate) target: String,
    pub(crate) cutoff: Value,
    pub(crate) reach: String,
    pub(crate) reason: Option<String>,
    pub(crate) actor: String,
    pub(crate) lifted: Option<Position>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Revoke {
    pub(crate) verb: String,
    pub(crate) reason: Option<String>,
    pub(crate) sid: Option<String>,
    pub(crate) keep: Option<String>,
    pub(crate) kept: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) position: Option<Position>,
    #[serde(default)]
    pub(crate) entries: Vec<Shown>,
    #[serde(default)]
    pub(crate) confirmed: Vec<String>,
}

impl Revoke {
    /// The entries that this call appended. An answer may also name one that was there before: what
    /// has ended already is ended once.
    pub(crate) fn own_entries(&self) -> impl Iterator<Item = &Shown> {
        self.entries.iter().filter(|entry| match &self.reason {
            Some(_) => entry.reason == self.reason,
            // A logout gives no reason; of its entries only the end of a session can be an earlier one.
            None => !entry.target.starts_with("session:"),
        })
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Lift {
    pub(crate) positions: Vec<Position>,
    pub(crate) position: Option<Position>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Rotate {
    pub(crate) active: Option<String>,
    pub(crate) position: Option<Position>,
}

/// A step in the life of an account: its password is set, or it is removed.
#[derive(Debug, Deserialize)]
pub(crate) struct Password {
    pub(crate) username: String,
    pub(crate) generation: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Login {
    pub(crate) username: String,
    pub(crate) generation: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Check {
    pub(crate) verifier: String,
    pub(crate) jti: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Look {
    pub(crate) verifier: String,
    pub(crate) instance: String,
    pub(crate) position: Option<Position>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Stored {
    pub(crate) verifier: String,
    pub(crate) position: Position,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RecordLine {
    pub(crate) at: Position,
    pub(crate) line: String,
}

impl RecordLine {
    /// The names of the keys that this record publishes, if it does.
    pub(crate) fn key_names(&self) -> Vec<String> {
        let record: Value = serde_json::from_str(&self.line).unwrap_or_default();
        let keys = record.pointer("/issuer/keys").and_then(Value::as_array).into_iter().flatten();
        keys.filter_map(|key| Some(key["kid"].as_str()?.to_owned())).collect()
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Frame {
    pub(crate) after: Position,
    pub(crate) records: Vec<RecordLine>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Line {
    Setup { max_staleness: Micros },
    Issue(Request<Issue>),
    Revoke(Request<Revoke>),
    Lift(Request<Lift>),
    Rotate(Request<Rotate>),
    Password(Request<Password>),
    Login(Request<Login>),
    Check(Request<Check>),
    Look(Request<Look>),
    Stored(Request<Stored>),
    Frame(Request<Frame>),
    Final(Final),
}

/// What was read after the last restart.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Final {
    #[serde(default)]
    pub(crate) records: Vec<RecordLine>,
    #[serde(default)]
    pub(crate) revocations: Vec<Shown>,
    /// By sid; an error's body for one that is not there.
    #[serde(default)]
    pub(crate) sessions: BTreeMap<String, Value>,
    /// Each key's state, by its kid.
    #[serde(default)]
    pub(crate) keys: BTreeMap<String, String>,
    /// The names of all accounts.
    #[serde(default)]
    pub(crate) accounts: Vec<String>,
}

/// Everything in a directory of record files. Lines of one file stand in the order in which that
/// client made its requests; nothing else is supposed.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) max_staleness: Micros,
    pub(crate) issues: Vec<Request<Issue>>,
    pub(crate) revokes: Vec<Request<Revoke>>,
    pub(crate) lifts: Vec<Request<Lift>>,
    pub(crate) rotations: Vec<Request<Rotate>>,
    pub(crate) passwords: Vec<Request<Password>>,
    pub(crate) logins: Vec<Request<Login>>,
    pub(crate) checks: Vec<Request<Check>>,
    pub(crate) looks: Vec<Request<Look>>,
    pub(crate) stored: Vec<Request<Stored>>,
    pub(crate) frames: Vec<Request<Frame>>,
    pub(crate) at_the_end: Final,
}

impl History {
    /// Reads a directory.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let mut history = Self::default();
        let mut files: Vec<_> = fs::read_dir(folder)
            .with_context(|| format!("list {}", folder.display()))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<std::io::Result<_>>()?;
        files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
        files.sort();
        for file in &files {
            let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
            for (index, line) in text.lines().enumerate() {
                let line = serde_json::from_str(line).with_context(|| format!("{}:{}", file.display(), index + 1))?;
                history.add(line);
            }
        }
        ensure!(history.max_staleness > 0, "no file in {} says how old a view may be", folder.display());
        ensure!(!history.at_the_end.records.is_empty(), "the log after the last restart is missing");
        Ok(history)
    }

    fn add(&mut self, line: Line) {
        match line {
            Line::Setup { max_staleness } => self.max_staleness = max_staleness,
            Line::Issue(request) => self.issues.push(request),
            Line::Revoke(request) => self.revokes.push(request),
            Line::Lift(request) => self.lifts.push(request),
            Line::Rotate(request) => self.rotations.push(request),
            Line::Password(request) => self.passwords.push(request),
            Line::Login(request) => self.logins.push(request),
            Line::Check(request) => self.checks.push(request),
            Line::Look(request) => self.looks.push(request),
            Line::Stored(request) => self.stored.push(request),
            Line::Frame(request) => self.frames.push(request),
            Line::Final(read) => self.at_the_end = read,
        }
    }
}
