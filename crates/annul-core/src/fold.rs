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

use std::fmt;

use crate::algebra::{Cell, Cutoff, CutoffFields, Reach, Reading, Refusal, Until};
use crate::position::Position;
use crate::target::{TargetHash, TargetKind};
use crate::time::{UnixMillis, UnixSeconds};

/// A revocation as a caller asks for it, before it has a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The kind of target.
    pub kind: TargetKind,
    /// How far back it is to reach.
    pub cutoff: Cutoff,
    /// What it is to apply to.
    pub reach: Reach,
    /// Whether the target belongs to an issuer other than the log's own.
    pub foreign: bool,
}

/// What an entry will say: the fields it sets and what they reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The cutoff fields, for the record and the store alike.
    pub fields: CutoffFields,
    /// The reach, which `before` widens to both and a target without sessions narrows to access.
    pub reach: Reach,
}

impl Asked {
    /// What the entry says when it commits at `commit`, or why it cannot be asked.
    ///
    /// # Errors
    /// Nothing that is refused here would have revoked what the caller meant.
    pub fn admit(self, commit: UnixMillis) -> Result<Admitted, NotAdmitted> {
        if self.kind.only_always() && self.cutoff != Cutoff::Always {
            return Err(NotAdmitted::OnlyAlways { kind: self.kind });
        }
        if let Cutoff::Before(time) = self.cutoff
            && time > commit.floor()
        {
            return Err(NotAdmitted::InTheFuture { time });
        }
        let wide = if matches!(self.cutoff, Cutoff::Before(_)) { Reach::Both } else { self.reach };
        let reach = match (self.kind.reaches_sessions(), wide) {
            (true, reach) => reach,
            (false, Reach::Sessions) => return Err(NotAdmitted::ReachesNoSession { kind: self.kind }),
            (false, _) => Reach::Access,
        };
        Ok(Admitted { fields: CutoffFields::of(self.cutoff, self.foreign, commit), reach })
    }

    /// Until when verifiers must hold the entry (I16: never shorter than a matching token may be
    /// accepted anywhere).
    #[must_use]
    pub fn until(self, commit: UnixMillis, horizon: &Horizon) -> Until {
        let matching_tokens_end = match (self.cutoff, self.kind) {
            (Cutoff::Always, TargetKind::Token | TargetKind::TokenHash) => {
                horizon.exp.unwrap_or_else(|| horizon.newest_exp(commit))
            }
            (Cutoff::Always, TargetKind::Session) if self.foreign => match horizon.longest_session {
                Some(seconds) => horizon.newest_exp(commit).plus(seconds),
                None => return Until::Never,
            },
            // The session ends with the entry; one that lives on goes on getting tokens.
            (Cutoff::Always, TargetKind::Session) if self.reach.sessions() => horizon.newest_exp(commit),
            // Tokens may still be given to the name, or, for a key, be made by whoever holds it.
            (Cutoff::Always, _) => return Until::Never,
            (Cutoff::Now | Cutoff::Before(_), _) => horizon.newest_exp(commit),
        };
        Until::At(matching_tokens_end.plus(horizon.max_leeway).plus(horizon.clock_skew))
    }
}

/// What bounds the life of the tokens an entry may match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Horizon {
    /// The `exp` of the one token that is meant, when it is known.
    pub exp: Option<UnixSeconds>,
    /// The longest life that any outstanding token of the issuer may have, in seconds.
    pub longest_life: u64,
    /// By how many seconds the issuer's clock may run ahead; 0 for our own.
    pub issuer_skew: u64,
    /// For how many seconds a foreign session may bring forth tokens; unknown means without end.
    pub longest_session: Option<u64>,
    /// The largest leeway that any verifier may grant, in seconds.
    pub max_leeway: u64,
    /// By how many seconds any two clocks of the deployment may differ.
    pub clock_skew: u64,
}

impl Horizon {
    /// The latest `exp` of a token that was issued before the entry took hold. The commit is
    /// rounded up, as a foreign `now` is.
    fn newest_exp(&self, commit: UnixMillis) -> UnixSeconds {
        commit.next_second().plus(self.issuer_skew).plus(self.longest_life)
    }
}

/// Why a revocation cannot be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotAdmitted {
    /// The kind takes only `always`.
    OnlyAlways {
        /// The kind that was named.
        kind: TargetKind,
    },
    /// A `before` that lies ahead would revoke logins that have not happened.
    InTheFuture {
        /// The second that was named.
        time: UnixSeconds,
    },
    /// The reach is sessions, and no session has a target of this kind.
    ReachesNoSession {
        /// The kind that was named.
        kind: TargetKind,
    },
}

impl fmt::Display for NotAdmitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnlyAlways { kind } => {
                write!(f, "{kind} takes only the cutoff always: what it names cannot be dated by its own claims")
            }
            Self::InTheFuture { time } => write!(f, "the cutoff before {time} lies in the future"),
            Self::ReachesNoSession { kind } => write!(f, "no session has a {kind}: the reach must be access or both"),
        }
    }
}

impl std::error::Error for NotAdmitted {}

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

    const COMMIT: UnixMillis = UnixMillis(100_400);

    fn asked(kind: TargetKind, cutoff: Cutoff, reach: Reach) -> Asked {
        Asked { kind, cutoff, reach, foreign: false }
    }

    fn entry(seq: u64, cutoff: Cutoff, reach: Reach) -> LoggedEntry {
        let admitted = asked(TargetKind::Subject, cutoff, reach).admit(COMMIT).unwrap();
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

    const HORIZON: Horizon =
        Horizon { exp: None, longest_life: 900, issuer_skew: 0, longest_session: None, max_leeway: 60, clock_skew: 5 };

    #[test]
    fn a_before_in_the_future_is_refused_and_this_second_is_not() {
        let before = |time| asked(TargetKind::Subject, Cutoff::Before(UnixSeconds(time)), Reach::Both).admit(COMMIT);
        assert!(before(100).is_ok());
        assert_eq!(before(101), Err(NotAdmitted::InTheFuture { time: UnixSeconds(101) }));
    }

    #[test]
    fn before_always_reaches_both() {
        for reach in [Reach::Access, Reach::Sessions, Reach::Both] {
            let admitted = asked(TargetKind::Client, Cutoff::Before(UnixSeconds(7)), reach).admit(COMMIT).unwrap();
            assert_eq!(admitted.reach, Reach::Both);
        }
    }

    #[test]
    fn what_a_key_signed_cannot_be_dated_by_its_claims() {
        for kind in TargetKind::ALL.into_iter().filter(|kind| kind.only_always()) {
            assert_eq!(asked(kind, Cutoff::Now, Reach::Both).admit(COMMIT), Err(NotAdmitted::OnlyAlways { kind }));
            assert!(asked(kind, Cutoff::Always, Reach::Both).admit(COMMIT).is_ok());
        }
    }

    #[test]
    fn a_target_that_no_session_has_reaches_access_or_is_refused() {
        let kind = TargetKind::Token;
        assert_eq!(asked(kind, Cutoff::Always, Reach::Both).admit(COMMIT).unwrap().reach, Reach::Access);
        assert_eq!(
            asked(kind, Cutoff::Always, Reach::Sessions).admit(COMMIT),
            Err(NotAdmitted::ReachesNoSession { kind })
        );
    }

    #[test]
    fn i16_until_outlives_every_matching_token_by_leeway_and_skew() {
        let until = |kind, cutoff, horizon: &Horizon| asked(kind, cutoff, Reach::Both).until(COMMIT, horizon);
        let outstanding = Until::At(UnixSeconds(101 + 900 + 65));
        assert_eq!(until(TargetKind::Subject, Cutoff::Now, &HORIZON), outstanding);
        assert_eq!(until(TargetKind::Session, Cutoff::Always, &HORIZON), outstanding);
        assert_eq!(until(TargetKind::Token, Cutoff::Always, &HORIZON), outstanding);
        let known = Horizon { exp: Some(UnixSeconds(300)), ..HORIZON };
        assert_eq!(until(TargetKind::Token, Cutoff::Always, &known), Until::At(UnixSeconds(365)));
    }

    #[test]
    fn always_on_a_name_that_may_still_get_tokens_has_no_until() {
        use TargetKind::{Claim, Client, Confirmation, Device, Issuer, Key, Subject, SubjectClient};
        for kind in [Issuer, Subject, Client, SubjectClient, Device, Key, Confirmation, Claim] {
            assert_eq!(asked(kind, Cutoff::Always, Reach::Both).until(COMMIT, &HORIZON), Until::Never, "{kind}");
        }
    }

    #[test]
    fn always_on_the_access_of_a_session_that_lives_on_has_no_until() {
        let session = asked(TargetKind::Session, Cutoff::Always, Reach::Access);
        assert_eq!(session.until(COMMIT, &HORIZON), Until::Never);
    }

    #[test]
    fn a_foreign_session_lives_for_its_issuers_longest_session_or_without_end() {
        let session = Asked { kind: TargetKind::Session, cutoff: Cutoff::Always, reach: Reach::Both, foreign: true };
        assert_eq!(session.until(COMMIT, &HORIZON), Until::Never);
        let known = Horizon { longest_session: Some(5_000), ..HORIZON };
        assert_eq!(session.until(COMMIT, &known), Until::At(UnixSeconds(101 + 900 + 5_000 + 65)));
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
