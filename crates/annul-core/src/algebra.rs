//! The rule that decides whether something is revoked.
//!
//! A token or a session names itself by targets and carries a [`Reading`]: the position and time of
//! its issue. A [`Cell`] is all that is in force against one target. **It is revoked iff for one of
//! its targets: always, or position > its position, or time > its time.** All tests are strict.
//!
//! The same rule judges tokens at verifiers and sessions at the authority; the two kinds of state
//! are never merged, they only share this code.

use serde::{Deserialize, Serialize};

use crate::position::Position;
use crate::target::TargetKind;
use crate::time::{UnixMillis, UnixSeconds};

/// What a revocation asks for: how far back it reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cutoff {
    /// Whatever position or time the token claims.
    Always,
    /// Whatever was issued before the entry's own position.
    Now,
    /// Whatever comes from a login before this second.
    Before(UnixSeconds),
}

/// What a revocation applies to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Access tokens; sessions live on and their next token is clean.
    Access,
    /// Login and refresh only; verifiers see nothing of it.
    Sessions,
    /// Access tokens and sessions.
    #[default]
    Both,
}

impl Reach {
    /// Whether verifiers enforce it.
    #[must_use]
    pub const fn access(self) -> bool {
        matches!(self, Self::Access | Self::Both)
    }

    /// Whether the authority enforces it when a session is used.
    #[must_use]
    pub const fn sessions(self) -> bool {
        matches!(self, Self::Sessions | Self::Both)
    }
}

/// When nothing that an entry matches can be accepted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Until {
    /// The entry may be forgotten after this second, and not before.
    At(UnixSeconds),
    /// Only a lift ends it.
    Never,
}

impl Until {
    /// Whether the entry may be forgotten at `now`. Strict: expiry never leads (I16).
    #[must_use]
    pub fn is_over(self, now: UnixSeconds) -> bool {
        matches!(self, Self::At(until) if now > until)
    }
}

/// The cutoff fields one entry sets on its target. An entry that was asked as `now` on a foreign
/// issuer sets the time too, which is why this is not a [`Cutoff`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CutoffFields {
    /// Everything, whatever it claims.
    pub always: bool,
    /// Everything older than the entry's own position.
    pub now: bool,
    /// Everything older than this second.
    pub before: Option<UnixSeconds>,
}

impl CutoffFields {
    /// The fields that `cutoff` sets on a target of our own issuer, or of a foreign one, committed
    /// at `commit`. A foreign token has no position, so `now` becomes the first whole second after
    /// the commit: it errs to refusal.
    #[must_use]
    pub fn of(cutoff: Cutoff, foreign: bool, commit: UnixMillis) -> Self {
        match cutoff {
            Cutoff::Always => Self { always: true, ..Self::default() },
            Cutoff::Now => Self { now: true, before: foreign.then(|| commit.next_second()), ..Self::default() },
            Cutoff::Before(time) => Self { before: Some(time), ..Self::default() },
        }
    }
}

/// A time cutoff and the entry that set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeCutoff {
    /// What comes from before this second is revoked.
    pub time: UnixSeconds,
    /// The entry that set the greatest time.
    pub at: Position,
}

/// All that is in force against one target, side by side: always, the greatest position, the
/// greatest time, the greatest until.
///
/// Absorbing is commutative, associative and idempotent, so a repeated or reordered entry changes
/// nothing; only a missing one could.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cell {
    /// The newest entry that revokes whatever the token claims.
    pub always: Option<Position>,
    /// Whatever is older than this position is revoked; it is also the entry's own position.
    pub position: Option<Position>,
    /// Whatever is older than this second is revoked.
    pub time: Option<TimeCutoff>,
    /// When the whole cell may be forgotten.
    pub until: Until,
}

impl Cell {
    /// The cell with nothing but the entry at `at`.
    #[must_use]
    pub fn of(fields: CutoffFields, at: Position, until: Until) -> Self {
        Self {
            always: fields.always.then_some(at),
            position: fields.now.then_some(at),
            time: fields.before.map(|time| TimeCutoff { time, at }),
            until,
        }
    }

    /// This cell and `other` together in force.
    #[must_use]
    pub fn absorb(self, other: Self) -> Self {
        Self {
            always: self.always.max(other.always),
            position: self.position.max(other.position),
            time: match (self.time, other.time) {
                (Some(ours), Some(theirs)) => {
                    Some(if (ours.time, ours.at) >= (theirs.time, theirs.at) { ours } else { theirs })
                }
                (ours, theirs) => ours.or(theirs),
            },
            until: self.until.max(other.until),
        }
    }

    /// What is left of the cell by those entries alone whose places `of` takes; nothing if it takes none. A cell
    /// names one entry for each of its fields: one that another had covered is not found again.
    #[must_use]
    pub fn only(&self, of: impl Fn(Position) -> bool) -> Option<Self> {
        let left = Self {
            always: self.always.filter(|at| of(*at)),
            position: self.position.filter(|at| of(*at)),
            time: self.time.filter(|cutoff| of(cutoff.at)),
            until: self.until,
        };
        (left.always.is_some() || left.position.is_some() || left.time.is_some()).then_some(left)
    }

    /// The entry in this cell that revokes what `reading` describes, if one does. `always` is named
    /// before a cutoff.
    #[must_use]
    pub fn judge(&self, reading: &Reading) -> Option<Hit> {
        if let Some(at) = self.always {
            return Some(Hit { cutoff: HitCutoff::Always, at });
        }
        match *reading {
            Reading::Own { position, time } => {
                let by_position =
                    self.position.filter(|cutoff| *cutoff > position).map(|at| Hit { cutoff: HitCutoff::Position, at });
                by_position.or_else(|| {
                    self.time
                        .filter(|cutoff| cutoff.time > time)
                        .map(|cutoff| Hit { cutoff: HitCutoff::Time, at: cutoff.at })
                })
            }
            Reading::Foreign { issued, skew } => self
                .time
                .filter(|cutoff| issued.is_none_or(|issued| cutoff.time.plus(skew) > issued))
                .map(|cutoff| Hit { cutoff: HitCutoff::Time, at: cutoff.at }),
        }
    }
}

/// When something was issued, as far as its issuer can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reading {
    /// Issued by the log's own authority.
    Own {
        /// The log's head in the snapshot in which its session was read (`lpos`).
        position: Position,
        /// `auth_time`, else `iat`.
        time: UnixSeconds,
    },
    /// Issued elsewhere; it has no position.
    Foreign {
        /// `iat`. Without it the token is older than every cutoff.
        issued: Option<UnixSeconds>,
        /// Seconds by which the issuer's clock may run ahead of ours.
        skew: u64,
    },
}

/// Which field of a cell matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HitCutoff {
    /// `always`.
    Always,
    /// A position greater than the token's.
    Position,
    /// A time greater than the token's.
    Time,
}

/// A match: which field of the cell, set by which entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hit {
    /// The field that matched.
    pub cutoff: HitCutoff,
    /// The position of the entry that set it.
    pub at: Position,
}

/// Why something is revoked: the kind of target and the entry. The audit resolves the position to
/// the target's name, the reason and the actor, which never leave the authority otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Refusal {
    /// The kind of target that matched.
    pub kind: TargetKind,
    /// The field that matched.
    pub cutoff: HitCutoff,
    /// The position of the entry.
    pub at: Position,
}

impl Refusal {
    /// Whether a route that trusts young tokens (`check_after`) must refuse all the same: a killed
    /// key, a revoked issuer and every `always` hold at any age.
    #[must_use]
    pub fn holds_at_any_age(&self) -> bool {
        self.cutoff == HitCutoff::Always || matches!(self.kind, TargetKind::Issuer | TargetKind::Key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: Until = Until::Never;

    fn own(position: (u32, u64), time: u64) -> Reading {
        Reading::Own { position: Position::new(position.0, position.1), time: UnixSeconds(time) }
    }

    fn cell(cutoff: Cutoff, foreign: bool) -> Cell {
        Cell::of(CutoffFields::of(cutoff, foreign, UnixMillis(100_300)), Position::new(1, 5), NEVER)
    }

    #[test]
    fn now_is_strict_at_its_own_position() {
        let cell = cell(Cutoff::Now, false);
        assert!(cell.judge(&own((1, 4), 0)).is_some());
        assert!(cell.judge(&own((1, 5), 0)).is_none(), "a login that the entry's transaction kept must live");
        assert!(cell.judge(&own((1, 6), 0)).is_none());
        assert!(cell.judge(&own((2, 0), 0)).is_none());
    }

    #[test]
    fn before_is_strict_at_its_own_second() {
        let cell = cell(Cutoff::Before(UnixSeconds(50)), false);
        assert!(cell.judge(&own((9, 9), 49)).is_some());
        assert!(cell.judge(&own((9, 9), 50)).is_none());
    }

    #[test]
    fn a_foreign_now_errs_to_refusal_by_skew_and_a_second() {
        let cell = cell(Cutoff::Now, true);
        let foreign = |issued, skew| Reading::Foreign { issued, skew };
        assert!(cell.judge(&foreign(Some(UnixSeconds(100)), 0)).is_some());
        assert!(cell.judge(&foreign(Some(UnixSeconds(101)), 0)).is_none());
        assert!(cell.judge(&foreign(Some(UnixSeconds(101)), 2)).is_some());
        assert!(cell.judge(&foreign(Some(UnixSeconds(103)), 2)).is_none());
        assert!(cell.judge(&foreign(None, 0)).is_some(), "without iat a token is older than every cutoff");
    }

    #[test]
    fn always_ignores_what_the_token_claims() {
        let cell = cell(Cutoff::Always, false);
        assert!(cell.judge(&own((u32::MAX, Position::MAX_SEQ), u64::MAX)).is_some());
    }

    #[test]
    fn until_is_kept_through_its_own_second() {
        assert!(!Until::At(UnixSeconds(10)).is_over(UnixSeconds(10)));
        assert!(Until::At(UnixSeconds(10)).is_over(UnixSeconds(11)));
        assert!(!Until::Never.is_over(UnixSeconds(u64::MAX)));
    }
}
