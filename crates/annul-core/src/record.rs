//! Records, the lines of the log, and the chain that makes their order tamper-evident.
//!
//! Format v0. A record is one line of JSON; the authority writes the line once, and everybody who
//! stores, relays or follows the log passes on those bytes. The chain is taken over the bytes:
//!
//! ```text
//! chain(0) = BLAKE3.derive_key("annul log v0", log id)
//! chain(n) = BLAKE3(chain(n-1) || line(n))            line without its newline
//!
//! {"at":"1:5","kind":"revoke","target":"mVbT…","of":"subject","now":true,"until":1795305600}
//! {"at":"1:6","kind":"noop"}
//! {"at":"1:7","kind":"lift","cells":[{"target":"mVbT…","of":"subject","always":"1:3"}]}
//! {"at":"1:8","kind":"settings","settings":{…}}
//! {"at":"1:9","kind":"issuer","issuer":{…}}
//! ```
//!
//! An unknown kind is critical unless the line says `"optional":true`: a follower that does not
//! know it halts, for what it cannot read may be a revocation.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::algebra::{Cell, CutoffFields, TimeCutoff, Until};
use crate::position::Position;
use crate::settings::{IssuerRecord, Settings};
use crate::target::{TargetHash, TargetKind};
use crate::time::UnixSeconds;

/// One element of the log: anything that has a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The record's place.
    pub at: Position,
    /// What it says.
    pub body: RecordBody,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordBody {
    /// A revocation that reaches access tokens.
    Revoke(Entry),
    /// A position and nothing else: a revocation that reaches sessions only, or a record kind that
    /// the reader may ignore.
    Noop,
    /// Entries were lifted; each cell named here is replaced.
    Lift(Vec<HashedCell>),
    /// The settings from here on.
    Settings(Settings),
    /// An issuer from here on.
    Issuer(IssuerRecord),
    /// The log begins a new epoch.
    Epoch(EpochStart),
}

/// A revocation as verifiers see it. Its cutoff fields refer to its own position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it names.
    pub target: TargetHash,
    /// The kind of what it names, for the refusal.
    pub kind: TargetKind,
    /// The cutoffs it sets.
    pub fields: CutoffFields,
    /// When it may be forgotten.
    pub until: Until,
}

/// A target's whole cell, or its absence: what a lift leaves, what a snapshot lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashedCell {
    /// What the cell is about.
    pub target: TargetHash,
    /// The kind of what it is about.
    pub kind: TargetKind,
    /// What is in force, `None` when nothing is left.
    pub cell: Option<Cell>,
}

/// How a new epoch relates to the one before (design: "Epochs").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EpochKind {
    /// The log's first epoch.
    Genesis,
    /// A standby that held every acknowledged entry took over.
    Failover,
    /// The log moved to another store, nothing lost.
    Move,
    /// Anything else: entries may be missing; views keep what they hold.
    Restore,
}

/// The first record of an epoch after the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochStart {
    /// How the epoch came about.
    pub epoch_kind: EpochKind,
    /// The last position of the old epoch that the new one continues.
    pub fork: Position,
    /// The chain at `fork`.
    pub fork_chain: Chain,
}

impl Record {
    /// Bytes a line may have; the largest is an issuer's key set.
    pub const MAX_LINE: usize = 256 * 1024;

    /// The record's line, without a newline.
    #[must_use]
    pub fn to_line(&self) -> String {
        let wire = WireRecord::from(self);
        serde_json::to_string(&wire).expect("the wire form holds only strings, numbers and JSON values")
    }

    /// Reads a line. An unknown optional kind reads as [`RecordBody::Noop`].
    pub fn from_line(line: &str) -> Result<Self, RecordError> {
        if line.len() > Self::MAX_LINE {
            return Err(RecordError::TooLong);
        }
        match object::<WireRecord>(line) {
            Ok(wire) => wire.try_into(),
            Err(_) => Self::of_unknown_kind(line),
        }
    }

    /// A line that is no record of a kind known here.
    fn of_unknown_kind(line: &str) -> Result<Self, RecordError> {
        let envelope: Envelope<'_> = object(line)?;
        if KNOWN_KINDS.contains(&envelope.kind.as_ref()) {
            return Err(RecordError::Malformed);
        }
        if envelope.optional {
            Ok(Self { at: envelope.at, body: RecordBody::Noop })
        } else {
            Err(RecordError::UnknownKind { at: envelope.at })
        }
    }

    /// Whether this record is what comes after `after` in a log whose chain there is `chain`: the next of its
    /// epoch, or the first of a later epoch that forked off exactly there.
    ///
    /// An epoch that forked off lower does not continue the lines between its fork and `after`: whoever has
    /// applied those needs its snapshot.
    #[must_use]
    pub fn continues(&self, after: Position, chain: Chain) -> bool {
        match &self.body {
            RecordBody::Epoch(start) if self.at.epoch > after.epoch => {
                self.at.seq == 1 && (start.fork, start.fork_chain) == (after, chain)
            }
            _ => self.at == after.next(),
        }
    }
}

/// Why a line is not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordError {
    /// Longer than [`Record::MAX_LINE`].
    TooLong,
    /// Not the JSON of a record: nothing of it was applied.
    Malformed,
    /// A critical record of a kind this version does not know. The follower must halt, not skip.
    UnknownKind {
        /// The record's place.
        at: Position,
    },
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "a record line is longer than {} bytes", Record::MAX_LINE),
            Self::Malformed => f.write_str("a record line is not the JSON of a record"),
            Self::UnknownKind { at } => write!(
                f,
                "the record at {at} is of a critical kind this version does not know; upgrade to follow this log"
            ),
        }
    }
}

impl std::error::Error for RecordError {}

/// The running hash over a log's lines: equal chains at a position mean equal histories up to it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chain(pub [u8; 32]);

impl Chain {
    /// The chain before the first record of the log with this id.
    #[must_use]
    pub fn genesis(log: &str) -> Self {
        Self(blake3::derive_key("annul log v0", log.as_bytes()))
    }

    /// The chain after `line`, which is given without its newline.
    #[must_use]
    pub fn extend(self, line: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0);
        hasher.update(line.as_bytes());
        Self(*hasher.finalize().as_bytes())
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chain({self})")
    }
}

impl Serialize for Chain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Chain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode(text.as_bytes()).map_err(serde::de::Error::custom)?;
        bytes.try_into().map(Self).map_err(|_| serde::de::Error::custom("a chain has 32 bytes"))
    }
}

impl HashedCell {
    /// The cell's JSON, as a snapshot lists it and a lift carries it, without a newline.
    #[must_use]
    pub fn to_line(&self) -> String {
        serde_json::to_string(&WireCell::from(self)).expect("the wire form holds only strings and numbers")
    }

    /// Reads a cell's JSON.
    pub fn from_line(line: &str) -> Result<Self, RecordError> {
        object::<WireCell>(line)?.try_into()
    }
}

/// Reads a line that is one object. An array is none, though serde takes its elements for the members in
/// their order.
fn object<'a, T: Deserialize<'a>>(line: &'a str) -> Result<T, RecordError> {
    if !line.trim_start().starts_with('{') {
        return Err(RecordError::Malformed);
    }
    serde_json::from_str(line).map_err(|_| RecordError::Malformed)
}

const KNOWN_KINDS: [&str; 6] = ["revoke", "noop", "lift", "settings", "issuer", "epoch"];

#[derive(Deserialize)]
struct Envelope<'a> {
    at: Position,
    #[serde(borrow)]
    kind: std::borrow::Cow<'a, str>,
    #[serde(default)]
    optional: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireRecord {
    at: Position,
    kind: WireKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<TargetHash>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of: Option<TargetKind>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    always: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    now: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<UnixSeconds>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<UnixSeconds>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cells: Option<Vec<WireCell>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    settings: Option<Settings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issuer: Option<IssuerRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epoch: Option<EpochStart>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WireKind {
    Revoke,
    Noop,
    Lift,
    Settings,
    Issuer,
    Epoch,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireCell {
    target: TargetHash,
    of: TargetKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    always: Option<Position>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    position: Option<Position>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time: Option<UnixSeconds>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time_at: Option<Position>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<UnixSeconds>,
}

impl From<&Record> for WireRecord {
    fn from(record: &Record) -> Self {
        let mut wire = Self {
            at: record.at,
            kind: WireKind::Noop,
            target: None,
            of: None,
            always: false,
            now: false,
            before: None,
            until: None,
            cells: None,
            settings: None,
            issuer: None,
            epoch: None,
        };
        match &record.body {
            RecordBody::Noop => {}
            RecordBody::Revoke(entry) => {
                wire.kind = WireKind::Revoke;
                wire.target = Some(entry.target);
                wire.of = Some(entry.kind);
                wire.always = entry.fields.always;
                wire.now = entry.fields.now;
                wire.before = entry.fields.before;
                wire.until = wire_until(entry.until);
            }
            RecordBody::Lift(cells) => {
                wire.kind = WireKind::Lift;
                wire.cells = Some(cells.iter().map(WireCell::from).collect());
            }
            RecordBody::Settings(settings) => {
                wire.kind = WireKind::Settings;
                wire.settings = Some(settings.clone());
            }
            RecordBody::Issuer(issuer) => {
                wire.kind = WireKind::Issuer;
                wire.issuer = Some(issuer.clone());
            }
            RecordBody::Epoch(epoch) => {
                wire.kind = WireKind::Epoch;
                wire.epoch = Some(*epoch);
            }
        }
        wire
    }
}

impl TryFrom<WireRecord> for Record {
    type Error = RecordError;

    fn try_from(wire: WireRecord) -> Result<Self, RecordError> {
        let body = match wire.kind {
            WireKind::Noop => RecordBody::Noop,
            WireKind::Revoke => {
                let fields = CutoffFields { always: wire.always, now: wire.now, before: wire.before };
                if fields == CutoffFields::default() {
                    return Err(RecordError::Malformed);
                }
                RecordBody::Revoke(Entry {
                    target: wire.target.ok_or(RecordError::Malformed)?,
                    kind: wire.of.ok_or(RecordError::Malformed)?,
                    fields,
                    until: core_until(wire.until),
                })
            }
            WireKind::Lift => {
                let cells = wire.cells.ok_or(RecordError::Malformed)?;
                RecordBody::Lift(cells.into_iter().map(HashedCell::try_from).collect::<Result<_, _>>()?)
            }
            WireKind::Settings => RecordBody::Settings(wire.settings.ok_or(RecordError::Malformed)?),
            WireKind::Issuer => RecordBody::Issuer(wire.issuer.ok_or(RecordError::Malformed)?),
            WireKind::Epoch => RecordBody::Epoch(wire.epoch.ok_or(RecordError::Malformed)?),
        };
        Ok(Self { at: wire.at, body })
    }
}

impl From<&HashedCell> for WireCell {
    fn from(hashed: &HashedCell) -> Self {
        let cell = hashed.cell;
        Self {
            target: hashed.target,
            of: hashed.kind,
            always: cell.and_then(|cell| cell.always),
            position: cell.and_then(|cell| cell.position),
            time: cell.and_then(|cell| cell.time).map(|cutoff| cutoff.time),
            time_at: cell.and_then(|cell| cell.time).map(|cutoff| cutoff.at),
            until: cell.and_then(|cell| wire_until(cell.until)),
        }
    }
}

impl TryFrom<WireCell> for HashedCell {
    type Error = RecordError;

    fn try_from(wire: WireCell) -> Result<Self, RecordError> {
        let time = match (wire.time, wire.time_at) {
            (Some(time), Some(at)) => Some(TimeCutoff { time, at }),
            (None, None) => None,
            _ => return Err(RecordError::Malformed),
        };
        let something = wire.always.is_some() || wire.position.is_some() || time.is_some();
        let cell = something.then_some(Cell {
            always: wire.always,
            position: wire.position,
            time,
            until: core_until(wire.until),
        });
        Ok(Self { target: wire.target, kind: wire.of, cell })
    }
}

fn wire_until(until: Until) -> Option<UnixSeconds> {
    match until {
        Until::At(at) => Some(at),
        Until::Never => None,
    }
}

fn core_until(until: Option<UnixSeconds>) -> Until {
    until.map_or(Until::Never, Until::At)
}
