//! What the store is asked and answers when a credential is redeemed for a session's next tokens.

use annul_core::algebra::Refusal;
use annul_core::target::TargetHash;
use annul_core::time::UnixSeconds;
use annul_core::token::{Facts, TokenError};

use super::{IssuingSnapshot, LogState};
use crate::model::{
    KeyRecord, Presented, ProofKey, RefreshAsker, RefreshFamily, RefreshMark, Session, SessionStatus, SubjectState,
};

/// All that the next access token of a session is made of, as one transaction sees it.
#[derive(Clone, Copy, Debug)]
pub struct Issuing<'s> {
    /// The log; its head is the token's position.
    pub log: &'s LogState,
    /// The session.
    pub session: &'s Session,
    /// Whose it is.
    pub subject: &'s SubjectState,
    /// Its family as it stands once the token is issued: read where the access token is its own refresh
    /// credential, and when a credential is redeemed.
    pub family: Option<&'s RefreshFamily>,
    /// The keys that sign, with their states.
    pub keys: &'s [KeyRecord],
}

impl IssuingSnapshot {
    /// The same as the plan saw it.
    #[must_use]
    pub fn issuing(&self) -> Issuing<'_> {
        let Self { log, session, subject, family, keys, .. } = self;
        Issuing { log, session, subject, family: family.as_ref(), keys }
    }
}

/// Which targets, besides those of the session, the caller wants the cells of: computed from what was
/// read, inside the read transaction. Must not block.
pub type TargetPlan = Box<dyn FnOnce(&Issuing<'_>) -> Vec<TargetHash> + Send>;

/// The access token about to be issued, by which it is judged before anything changes; an error means
/// that none can be, and nothing changes. Must not block.
pub type IssuePlan = Box<dyn FnOnce(&Issuing<'_>) -> Result<Facts, NotIssued> + Send>;

/// A genuine credential that is presented for the next tokens.
#[derive(Clone, Debug)]
pub struct Redeem {
    /// The session it is of.
    pub sid: String,
    /// The credential.
    pub presented: Presented,
    /// What stands against the credential itself, whatever session it is of: the targets of an access
    /// token that name it alone.
    pub named: Vec<TargetHash>,
    /// Who presents it, with the scope asked for.
    pub by: RefreshAsker,
    /// The key that the session is bound to from here on, where it is bound to none yet.
    pub bind_to: Option<ProofKey>,
    /// What takes the credential's place.
    pub successor: NewSuccessor,
    /// Seconds for which a repetition gets the same successor.
    pub grace: u64,
    /// When it may be presented, reckoned from the end of an access token: the one presented, else the
    /// last that was issued.
    pub window: Option<RefreshWindow>,
}

/// The credential that takes a redeemed one's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSuccessor {
    /// What it will be recognised by.
    pub mark: RefreshMark,
    /// Itself, sealed under what only the redeemed credential holds; kept during the grace.
    pub sealed: Vec<u8>,
}

/// When a credential may be presented, around the `exp` of an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshWindow {
    /// Seconds before it from which on it may.
    pub before: u64,
    /// Seconds after it until which it may.
    pub after: u64,
}

impl RefreshWindow {
    /// Whether `now` lies within the window around `expires`.
    #[must_use]
    pub fn contains(&self, now: UnixSeconds, expires: UnixSeconds) -> bool {
        expires.minus(self.before) <= now && !self.is_over(now, expires)
    }

    /// Whether `now` lies behind it: what has not been presented by then never may be.
    #[must_use]
    pub fn is_over(&self, now: UnixSeconds, expires: UnixSeconds) -> bool {
        now >= expires.plus(self.after)
    }
}

/// What became of a genuine credential.
#[derive(Clone, Debug)]
pub enum Redeemed {
    /// It is spent, and its successor takes its place. The next access token is of this snapshot.
    Rotated(Box<IssuingSnapshot>),
    /// It was spent a moment ago by the same asker, who gets the same successor once more.
    Repeated {
        /// What the access token of this answer is of.
        snapshot: Box<IssuingSnapshot>,
        /// The successor as it was sealed then.
        sealed: Vec<u8>,
    },
    /// It was refused, and that was written down.
    Refused(RefreshRefusal),
}

/// Why a credential is not redeemed. Unless the text says otherwise, it ends nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshRefusal {
    /// It is none of ours, or its session or family is not known, or another history of it was.
    #[error("the refresh token is not known here; nothing was ended by this")]
    Unknown,
    /// It belongs to another client.
    #[error("the refresh token belongs to another client; nothing was ended by this")]
    OtherClient,
    /// Its session is bound to a proof key, and this one was not shown.
    #[error("the session is bound to another proof key than was shown, if any was; nothing was ended by this")]
    OtherKey,
    /// It is presented too early or too late.
    #[error("the tokens cannot be renewed at this time; nothing was ended by this")]
    OutsideWindow,
    /// It was redeemed before, and so somebody holds a copy. The session was ended by this.
    #[error("the refresh token was used before; its session was ended, for somebody may hold a copy")]
    Reused,
}

impl RefreshRefusal {
    /// The refusal's stable name.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unknown => "refresh_token_unknown",
            Self::OtherClient => "refresh_token_other_client",
            Self::OtherKey => "refresh_token_other_key",
            Self::OutsideWindow => "refresh_outside_window",
            Self::Reused => "refresh_token_reused",
        }
    }
}

/// Why no access token could be issued, so that nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotIssued {
    /// The credential is not known.
    #[error(transparent)]
    Refused(RefreshRefusal),
    /// The session cannot be used.
    #[error("the session is over")]
    SessionOver(SessionStatus),
    /// The token about to be issued, or the credential itself, is revoked.
    #[error("revoked by the entry at {}", .0.at)]
    Revoked(Refusal),
    /// The scope asked for is not the session's.
    #[error("the session does not have the scope {scope:?}")]
    Scope {
        /// A word that is not.
        scope: String,
    },
    /// Such a token would be refused.
    #[error("such a token would be refused: {0}")]
    Unissuable(TokenError),
    /// The key that was to sign does not sign any more.
    #[error("the signing keys have changed")]
    KeysChanged,
}

impl NotIssued {
    /// The refusal's stable name.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::SessionOver(SessionStatus::Expired) => "session_expired",
            Self::SessionOver(_) | Self::Revoked(_) => "session_revoked",
            Self::Scope { .. } => "invalid_scope",
            Self::Unissuable(error) => error.code(),
            Self::KeysChanged => "keys_changing",
        }
    }
}
