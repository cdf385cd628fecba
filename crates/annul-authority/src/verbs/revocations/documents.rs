//! What requests and answers say of revocations.

use std::time::Duration;

use annul_core::algebra::{Cutoff, Reach};
use annul_core::position::Position;
use annul_core::time::UnixSeconds;
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, OneOf, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::secrets::secret::Secret;
use crate::verbs::schedules::ScheduleItem;

/// What to revoke.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeRequest {
    /// Targets in text form, such as `subject:alice`; several are revoked together or not at all.
    #[serde(default)]
    pub targets: Vec<String>,
    /// A token to revoke by itself, in place of targets. It must verify.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub token: Option<Secret>,
    /// The issuer of targets that name none; our own unless given.
    #[serde(default)]
    pub issuer: Option<String>,
    /// How far back. Unless given: `always` for key, token, token_hash, confirmation and session,
    /// `now` for everything else.
    #[serde(default)]
    pub cutoff: Option<CutoffText>,
    /// What it applies to; `both` unless given.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub reach: Option<Reach>,
    /// A second until which it is kept at the least; computed unless given.
    #[serde(default)]
    pub until: Option<u64>,
    /// Why, for the audit.
    #[serde(default)]
    pub reason: Option<String>,
    /// The session that stays; with cutoff `now` only.
    #[serde(default)]
    pub keep: Option<String>,
    /// How long the answer may wait for verifiers to confirm.
    #[serde(default)]
    pub wait: Option<Wait>,
    /// Say what would happen, and do nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// The second at which it is to happen, in place of now; at most a year ahead.
    #[serde(default)]
    pub at: Option<u64>,
    /// Seconds over which it is spread, oldest logins first, between 10 and 86,400.
    #[serde(default)]
    pub over: Option<u64>,
}

impl RevokeRequest {
    /// Whether it is kept for later, in place of being done now.
    pub(crate) const fn is_for_later(&self) -> bool {
        self.at.is_some() || self.over.is_some()
    }
}

/// A cutoff as callers write it: `"now"`, `"always"` or `{"before": 1795305600}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CutoffText {
    /// Whatever was issued before this moment.
    Now,
    /// Whatever the token claims.
    Always,
    /// Whatever comes from a login before this second.
    Before(u64),
}

impl From<CutoffText> for Cutoff {
    fn from(text: CutoffText) -> Self {
        match text {
            CutoffText::Now => Self::Now,
            CutoffText::Always => Self::Always,
            CutoffText::Before(time) => Self::Before(UnixSeconds(time)),
        }
    }
}

impl From<Cutoff> for CutoffText {
    fn from(cutoff: Cutoff) -> Self {
        match cutoff {
            Cutoff::Now => Self::Now,
            Cutoff::Always => Self::Always,
            Cutoff::Before(time) => Self::Before(time.0),
        }
    }
}

/// How long to wait: milliseconds as a number, or `"2s"`, `"500ms"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait(Duration);

impl PartialSchema for Wait {
    fn schema() -> RefOr<Schema> {
        let millis = Object::builder().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(u64::MAX));
        let text = Object::builder().schema_type(Type::String).pattern(Some(Self::pattern()));
        OneOf::builder().item(millis).item(text).into()
    }
}

impl ToSchema for Wait {}

impl Wait {
    /// Reads `2s` or `500ms`; a number without a unit is milliseconds.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let count = digits.parse().ok()?;
        match unit {
            "" | "ms" => Some(Self(Duration::from_millis(count))),
            "s" => Some(Self(Duration::from_secs(count))),
            _ => None,
        }
    }

    /// The texts that are read, as a regular expression: without counts that have as many digits as the greatest.
    pub(crate) fn pattern() -> String {
        format!("^[0-9]{{1,{}}}(ms|s)?$", u64::MAX.ilog10())
    }

    /// How long.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl<'de> Deserialize<'de> for Wait {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Text {
            Millis(u64),
            Text(String),
        }
        match Text::deserialize(deserializer)? {
            Text::Millis(millis) => Ok(Self(Duration::from_millis(millis))),
            Text::Text(text) => Self::parse(&text).ok_or_else(|| serde::de::Error::custom("wait reads 2s or 500ms")),
        }
    }
}

/// What a revoking verb did. It is on disk.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Revoked {
    /// The entries, in the order of asking.
    pub revocations: Vec<RevocationItem>,
    /// Whoever has applied this position enforces all of them.
    #[schema(value_type = String)]
    pub position: Position,
    /// The sessions that were live before and are not any more.
    pub sessions: u64,
    /// Whether there may be more such sessions than were counted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sessions_at_least: bool,
    /// When it was committed (Unix milliseconds).
    pub acknowledged_at: u64,
    /// What became of the session to be kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<KeptState>,
    /// The next token of the session that was kept.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_token: Option<Secret>,
    /// Whether this is the answer to an earlier call with the same idempotency key.
    #[serde(skip)]
    pub repeated: bool,
}

/// What became of a session to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeptState {
    /// It lives on.
    Kept,
    /// It was revoked before already, and has now ended.
    Ended,
    /// It had ended before.
    WasOver,
}

/// One revocation.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RevocationItem {
    /// Its place in the log.
    #[schema(value_type = String)]
    pub position: Position,
    /// What it names.
    pub target: String,
    /// How far back it reaches.
    pub cutoff: CutoffText,
    /// What it applies to.
    #[schema(value_type = String)]
    pub reach: Reach,
    /// When verifiers may forget it; absent when only a lift ends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who asked for it.
    pub actor: String,
    /// When it was committed (Unix milliseconds).
    pub time: u64,
    /// What it follows from, where it was not asked for by itself: a killed `key`, an ended
    /// `session`, other `state` such as a block. A lift does not undo it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emitted_by: Option<&'static str>,
    /// The lift that undid it.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifted: Option<Position>,
}

/// What [`Authority::revoke`](crate::authority::Authority::revoke) did.
#[derive(Clone, Debug)]
pub enum RevokeOutcome {
    /// It revoked.
    Done(Revoked),
    /// It will, as described.
    Scheduled(ScheduleItem),
    /// It only looked.
    Dry(DryRun),
}

/// What a revocation would do.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DryRun {
    /// Always true.
    pub dry_run: bool,
    /// The targets, as they were understood.
    pub targets: Vec<String>,
    /// The sessions that would end.
    pub sessions: u64,
    /// Whether there may be more such sessions than were counted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sessions_at_least: bool,
    /// What would become of the session to be kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<KeptState>,
    /// What would be done when, for a call with `at` or `over`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleItem>,
}

/// Revocations in the order of their positions.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RevocationList {
    /// The revocations.
    pub revocations: Vec<RevocationItem>,
}

/// Which revocations to list.
#[derive(Clone, Debug, Default)]
pub struct RevocationQuery {
    /// Only those of this target, in text form.
    pub target: Option<String>,
    /// Only those after this position.
    pub after: Option<Position>,
    /// How many at most.
    pub limit: Option<usize>,
}

/// What to lift.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LiftRequest {
    /// The positions of the entries.
    #[schema(value_type = Vec<String>)]
    pub positions: Vec<Position>,
    /// Why, for the audit.
    #[serde(default)]
    pub reason: Option<String>,
    /// How long the answer may wait for verifiers to confirm.
    #[serde(default)]
    pub wait: Option<Wait>,
}

/// What a lift did. It is on disk.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Lifted {
    /// The entries that are undone.
    #[schema(value_type = Vec<String>)]
    pub lifted: Vec<Position>,
    /// The record that says so.
    #[schema(value_type = String)]
    pub position: Position,
    /// When it was committed (Unix milliseconds).
    pub acknowledged_at: u64,
}
