//! What may be asked for, what the entry then says, and until when verifiers have to hold it.

use std::fmt;

use crate::algebra::{Cutoff, CutoffFields, Reach, Until};
use crate::target::TargetKind;
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

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: UnixMillis = UnixMillis(100_400);
    const HORIZON: Horizon =
        Horizon { exp: None, longest_life: 900, issuer_skew: 0, longest_session: None, max_leeway: 60, clock_skew: 5 };

    fn asked(kind: TargetKind, cutoff: Cutoff, reach: Reach) -> Asked {
        Asked { kind, cutoff, reach, foreign: false }
    }

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
}
