//! What entries amount to: from what was asked, over what was lifted, to what is in force.
//!
//! The authority's stores and the tests share these functions, so that a recomputation after a lift
//! and a property test cannot drift apart. Nothing here knows how entries are stored.
//!
//! ```text
//! Asked -> admit -> Admitted {fields, reach, until} -> LoggedEntry -> in_force -> InForce {access, sessions}
//! ```
//!
//! What reaches access and what reaches sessions are folded apart and never merged.

mod asked;

use std::fmt;

use crate::algebra::{Cell, CutoffFields, Reach, Reading, Refusal, Until};
use crate::position::Position;
use crate::target::{TargetHash, TargetKind};
use crate::time::UnixSeconds;

pub use asked::{Admitted, Asked, Horizon, NotAdmitted};

/// What brought an entry about, which decides who may lift it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EmittedBy {
    /// Somebody asked for this revocation.
    Request,
    /// A signing key was killed.
    KilledKey,
    /// A session of our own ended.
    EndedSession,
    /// State at the authority (block, version, registry, claims): only that state's verb undoes it.
    State,
}

/// An entry as the authority keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedEntry {
    /// Its position.
    pub at: Position,
    /// The kind of its target.
    pub kind: TargetKind,
    /// The cutoffs it sets.
    pub fields: CutoffFields,
    /// What it reaches.
    pub reach: Reach,
    /// When verifiers may forget it.
    pub until: Until,
    /// What brought it about.
    pub emitted_by: EmittedBy,
    /// Whether it was lifted.
    pub lifted: bool,
}

impl LoggedEntry {
    /// Whether a lift may undo this entry.
    ///
    /// # Errors
    /// The reason says which verb, if any, would undo it.
    pub fn liftable(&self) -> Result<(), NotLiftable> {
        if self.lifted {
            return Err(NotLiftable::AlreadyLifted);
        }
        match self.emitted_by {
            EmittedBy::KilledKey => Err(NotLiftable::KilledKey),
            EmittedBy::EndedSession => Err(NotLiftable::EndedSession),
            EmittedBy::State => Err(NotLiftable::State),
            EmittedBy::Request if self.kind == TargetKind::Key => Err(NotLiftable::KilledKey),
            EmittedBy::Request => Ok(()),
        }
    }
}

/// Why an entry cannot be lifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotLiftable {
    /// It was lifted before.
    AlreadyLifted,
    /// A killed key stays dead: whoever stole it still has it.
    KilledKey,
    /// An ended session stays ended.
    EndedSession,
    /// The entry follows from state at the authority, whose own verb undoes it.
    State,
}

impl fmt::Display for NotLiftable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadyLifted => "the entry was lifted before",
            Self::KilledKey => "a killed key is never revived; publish a new key",
            Self::EndedSession => "an ended session is never revived; open a new one",
            Self::State => {
                "the entry follows from state at the authority; change that state instead, such as by unblocking"
            }
        })
    }
}

impl std::error::Error for NotLiftable {}

/// All that is in force against one target, apart for tokens and for sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InForce {
    /// What verifiers hold; after a lift, the cell that the record carries.
    pub access: Option<Cell>,
    /// What the authority judges sessions by. It has no until: the authority keeps what reaches
    /// sessions for the longest session life, which is not the life of a token.
    pub sessions: Option<Cell>,
}

impl InForce {
    /// This and one more entry of the same target.
    #[must_use]
    pub fn and(self, entry: &LoggedEntry) -> Self {
        if entry.lifted {
            return self;
        }
        let cell = |until| Cell::of(entry.fields, entry.at, until);
        Self {
            access: absorbed(self.access, entry.reach.access().then(|| cell(entry.until))),
            sessions: absorbed(
                self.sessions,
                (entry.reach.sessions() && entry.kind.reaches_sessions()).then(|| cell(Until::Never)),
            ),
        }
    }
}

fn absorbed(held: Option<Cell>, more: Option<Cell>) -> Option<Cell> {
    match (held, more) {
        (Some(held), Some(more)) => Some(held.absorb(more)),
        (held, more) => held.or(more),
    }
}

/// What the entries of **one** target amount to, lifted ones left out. Their order does not matter.
#[must_use]
pub fn in_force<'a>(entries: impl IntoIterator<Item = &'a LoggedEntry>) -> InForce {
    entries.into_iter().fold(InForce::default(), InForce::and)
}

/// When a session came about, by the three clocks its targets are judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionReading {
    /// The position at login. A refresh does not move it; being kept does.
    pub login: Position,
    /// The position at which its claims were last set: what `claim` targets are judged by.
    pub claims: Position,
    /// When the user authenticated. Nothing moves it.
    pub auth_time: UnixSeconds,
}

impl SessionReading {
    /// A session opened at `at`.
    #[must_use]
    pub const fn opened(at: Position, auth_time: UnixSeconds) -> Self {
        Self { login: at, claims: at, auth_time }
    }

    /// The session after the entry at `at` kept it. Whoever keeps a session judges it first.
    #[must_use]
    pub const fn kept(self, at: Position) -> Self {
        Self { login: at, claims: at, ..self }
    }

    /// The session after the entry at `at` set its claims. Whoever sets them judges it first.
    #[must_use]
    pub const fn with_claims_set(self, at: Position) -> Self {
        Self { claims: at, ..self }
    }

    /// What a target of this kind is judged by.
    #[must_use]
    pub const fn reading(&self, kind: TargetKind) -> Reading {
        let position = match kind {
            TargetKind::Claim => self.claims,
            _ => self.login,
        };
        Reading::Own { position, time: self.auth_time }
    }
}

/// The entry that ends a session with these targets, if one does. `lookup` finds what is in force
/// for *sessions* ([`InForce::sessions`]); kinds that no session has are passed over.
#[must_use]
pub fn judge_session(
    reading: &SessionReading,
    targets: impl IntoIterator<Item = (TargetKind, TargetHash)>,
    lookup: impl Fn(&TargetHash) -> Option<Cell>,
) -> Option<Refusal> {
    targets.into_iter().filter(|(kind, _)| kind.reaches_sessions()).find_map(|(kind, target)| {
        let hit = lookup(&target)?.judge(&reading.reading(kind))?;
        Some(Refusal { kind, cutoff: hit.cutoff, at: hit.at })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algebra::Cutoff;
    use crate::time::UnixMillis;

    fn entry(seq: u64, cutoff: Cutoff, reach: Reach) -> LoggedEntry {
        let asked = Asked { kind: TargetKind::Subject, cutoff, reach, foreign: false };
        let admitted = asked.admit(UnixMillis(100_400)).unwrap();
        LoggedEntry {
            at: Position::new(1, seq),
            kind: TargetKind::Subject,
            fields: admitted.fields,
            reach: admitted.reach,
            until: Until::At(UnixSeconds(1_000)),
            emitted_by: EmittedBy::Request,
            lifted: false,
        }
    }

    #[test]
    fn access_and_sessions_are_folded_apart() {
        let folded = in_force(&[entry(1, Cutoff::Now, Reach::Access), entry(2, Cutoff::Now, Reach::Sessions)]);
        assert_eq!(folded.access.unwrap().position, Some(Position::new(1, 1)));
        assert_eq!(folded.sessions.unwrap().position, Some(Position::new(1, 2)));
    }

    #[test]
    fn a_lifted_entry_leaves_what_is_not_lifted() {
        let first = entry(1, Cutoff::Now, Reach::Both);
        let second = LoggedEntry { lifted: true, ..entry(2, Cutoff::Always, Reach::Both) };
        assert_eq!(in_force(&[first, second]), in_force(&[first]));
        assert_eq!(in_force(&[second]), InForce::default());
    }

    #[test]
    fn a_lift_never_revives_a_killed_key_an_ended_session_or_state() {
        let entry = entry(1, Cutoff::Always, Reach::Both);
        assert_eq!(entry.liftable(), Ok(()));
        let by = |emitted_by| LoggedEntry { emitted_by, ..entry }.liftable();
        assert_eq!(by(EmittedBy::KilledKey), Err(NotLiftable::KilledKey));
        assert_eq!(by(EmittedBy::EndedSession), Err(NotLiftable::EndedSession));
        assert_eq!(by(EmittedBy::State), Err(NotLiftable::State));
        assert_eq!(LoggedEntry { kind: TargetKind::Key, ..entry }.liftable(), Err(NotLiftable::KilledKey));
        assert_eq!(LoggedEntry { lifted: true, ..entry }.liftable(), Err(NotLiftable::AlreadyLifted));
    }

    #[test]
    fn claim_targets_of_a_session_are_judged_by_when_its_claims_were_set() {
        let reading = SessionReading::opened(Position::new(1, 1), UnixSeconds(50)).with_claims_set(Position::new(1, 5));
        let target = TargetHash([7; 16]);
        let cell = Cell::of(CutoffFields { now: true, ..CutoffFields::default() }, Position::new(1, 3), Until::Never);
        let judged = |kind| judge_session(&reading, [(kind, target)], |_| Some(cell));
        assert!(judged(TargetKind::Claim).is_none());
        assert!(judged(TargetKind::Subject).is_some());
        assert!(judged(TargetKind::Key).is_none(), "a key reaches access only");
    }
}
