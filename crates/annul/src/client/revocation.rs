//! What goes to the authority and what comes back: revocations.

use annul_core::algebra::Reach;
use annul_core::position::Position;
use serde::{Deserialize, Serialize};

use super::types::Reason;

/// How far back a revocation reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CutoffText {
    /// Whatever was issued before the entry.
    Now,
    /// Whatever it claims.
    Always,
    /// Whatever comes from a login before this Unix second.
    Before(u64),
}

/// A revocation to make.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Revoke {
    /// What to revoke, in text form: `subject:alice`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    /// A token to revoke, instead of or beside targets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The issuer of targets that name none; the authority's own when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// How far back. The authority picks the one that the target allows when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cutoff: Option<CutoffText>,
    /// Access tokens, sessions or both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reach: Option<Reach>,
    /// Forget it after this Unix second, where no matching token can live longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// The session to keep ("this device stays").
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<String>,
    /// Why, and how long to wait.
    #[serde(flatten)]
    pub because: Reason,
}

/// One entry of the log, with what only the authority knows of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct RevocationInfo {
    /// Its place.
    pub position: Position,
    /// What it names, in text form.
    pub target: String,
    /// How far back it reaches.
    pub cutoff: CutoffText,
    /// What it applies to.
    pub reach: Reach,
    /// When it may be forgotten, in Unix seconds.
    #[serde(default)]
    pub until: Option<u64>,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// Who.
    #[serde(default)]
    pub actor: Option<String>,
    /// When, in Unix milliseconds.
    #[serde(default)]
    pub created: Option<u64>,
    /// The lift that undid it.
    #[serde(default)]
    pub lifted: Option<Position>,
}

/// What a revoking call answers: durable, and from when it holds everywhere.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct RevocationAnswer {
    /// The entries that were made.
    #[serde(default)]
    pub revocations: Vec<RevocationInfo>,
    /// The greatest position among them.
    pub position: Position,
    /// How many sessions it ended.
    #[serde(default)]
    pub sessions: u64,
    /// When it was durable, in Unix milliseconds.
    pub acknowledged_at: u64,
    /// From when no counted verifier accepts by `check`, in Unix milliseconds.
    pub enforced_by: u64,
    /// Who has applied it, where the call waited.
    #[serde(default)]
    pub confirmation: Option<Confirmation>,
    /// The kept session's new token, where one was kept.
    #[serde(default)]
    pub access_token: Option<String>,
}

/// Who has applied a revocation.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Confirmation {
    /// Verifiers that reported its position.
    pub applied: u64,
    /// Verifiers heard from lately.
    pub connected: u64,
    /// Verifiers not heard from; each is done when its age has run out.
    pub silent: u64,
    /// Whether nothing can accept any more what was revoked.
    pub confirmed: bool,
    /// Each verifier.
    #[serde(default)]
    pub verifiers: Vec<VerifierInfo>,
    /// Routes that a revocation reaches late or not at all.
    #[serde(default)]
    pub routes: UncheckedRoutes,
    /// Who else may hold tokens that this cannot count.
    #[serde(default)]
    pub not_counted: Vec<String>,
}

/// A verifier as the authority knows it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct VerifierInfo {
    /// Its name.
    pub name: String,
    /// Which one of that name.
    pub instance: String,
    /// `cold`, `live`, `stale` or `halted`.
    #[serde(default)]
    pub state: Option<String>,
    /// What it has applied.
    #[serde(default)]
    pub position: Option<Position>,
    /// How long ago it reported.
    #[serde(default)]
    pub heard_ms_ago: Option<u64>,
    /// Whether it can no longer accept what was revoked.
    #[serde(default)]
    pub done: Option<bool>,
}

/// How many routes do not check, or go on without knowing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct UncheckedRoutes {
    /// Routes that only verify.
    pub verify: u64,
    /// Routes that stay open when the view is stale.
    pub open: u64,
}

/// What a revocation would do.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct DryRun {
    /// What it would name, in text form.
    pub targets: Vec<String>,
    /// How many sessions it would end.
    pub sessions: u64,
}

/// Which revocations to list.
#[derive(Clone, Debug, Default)]
pub struct RevocationQuery {
    /// Only those on this target, in text form.
    pub target: Option<String>,
    /// Only those after this position.
    pub after: Option<Position>,
    /// At most so many.
    pub limit: Option<u32>,
}

#[derive(Deserialize)]
pub(super) struct RevocationList {
    pub(super) revocations: Vec<RevocationInfo>,
}

/// Entries to undo.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Lift {
    /// Their positions.
    pub positions: Vec<Position>,
    /// Why, and how long to wait.
    #[serde(flatten)]
    pub because: Reason,
}

/// What a lift answers.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct LiftAnswer {
    /// The position of the lift.
    pub position: Position,
    /// The entries it undid.
    #[serde(default)]
    pub lifted: Vec<Position>,
    /// When it was durable, in Unix milliseconds.
    pub acknowledged_at: u64,
    /// Who has applied it, where the call waited.
    #[serde(default)]
    pub confirmation: Option<Confirmation>,
}
