//! The outcome of a policy: allowed, denied with an answer to give, or to be asked about.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{Gain, Policy, RevokedStatus, SenderError};
use crate::algebra::Refusal;
use crate::position::Position;
use crate::token::{TokenError, VerifiedToken};
use crate::verdict::Cause;

/// What becomes of a request.
#[must_use]
#[derive(Clone, Debug)]
pub enum Decision {
    /// Let it in.
    Allow(Authorized),
    /// Turn it away.
    Deny(Denial),
    /// Ask the authority and [settle](Unsettled::settle).
    Ask(Unsettled),
}

impl Decision {
    /// Lets the application have the last word on what is allowed. It can only refuse: a denial
    /// stays one. What is still to be asked passes through; apply this again to what it settles to.
    #[inline]
    pub fn unless_refused(self, accepts: impl FnOnce(&VerifiedToken) -> bool) -> Self {
        match self {
            Self::Allow(authorized) if !accepts(authorized.token()) => Self::Deny(authorized.refuse()),
            other => other,
        }
    }
}

/// Proof that a policy let this token in. Only [`Policy::decide`] and [`Unsettled::settle`] make one.
#[derive(Clone, Debug)]
pub struct Authorized {
    token: VerifiedToken,
    basis: Basis,
    restamped: Option<Restamped>,
}

/// A token that the authority sent in place of the one it was asked about: the same `jti`, session,
/// `auth_time` and `exp`, with the date and position of now. It is the bearer's to have. Its `Debug`
/// does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Restamped(Arc<str>);

impl Restamped {
    /// The text that came with the authority's answer. It was not verified here.
    #[must_use]
    pub fn new(token: &str) -> Self {
        Self(token.into())
    }

    /// The token. Whoever has it is its bearer: it goes to the client and into no log.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Restamped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Restamped(..)")
    }
}

/// On what ground a token was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Signature and claims alone: the route consults nothing more.
    Verified,
    /// A view fresh enough for the route.
    Checked {
        /// The view's position.
        as_of: Position,
        /// The view's proven age.
        age: Duration,
    },
    /// A view older than the route wants, within the age up to which it stays open.
    Open {
        /// The view's proven age.
        age: Duration,
    },
    /// The authority's answer.
    Answered,
}

impl Authorized {
    pub(super) const fn on(token: VerifiedToken, basis: Basis) -> Self {
        Self { token, basis, restamped: None }
    }

    /// The token that was let in.
    #[must_use]
    pub const fn token(&self) -> &VerifiedToken {
        &self.token
    }

    /// The token, the proof given up.
    #[must_use]
    pub fn into_token(self) -> VerifiedToken {
        self.token
    }

    /// On what ground it was let in.
    #[must_use]
    pub const fn basis(&self) -> Basis {
        self.basis
    }

    /// The position up to which nothing revokes the token, when a fresh view said so.
    #[must_use]
    pub const fn as_of(&self) -> Option<Position> {
        match self.basis {
            Basis::Checked { as_of, .. } => Some(as_of),
            Basis::Verified | Basis::Open { .. } | Basis::Answered => None,
        }
    }

    /// The token to give the client in place of its own, where the authority sent one.
    #[must_use]
    pub const fn restamped(&self) -> Option<&Restamped> {
        self.restamped.as_ref()
    }

    /// The denial by which the application takes the permission back.
    #[must_use]
    pub fn refuse(self) -> Denial {
        Denial::on(DenyReason::RefusedByApplication, RevokedStatus::Unauthorized)
    }
}

/// A token about which the authority must be asked before anything is decided.
///
/// Kept apart from the decision, which is moved several times for each request and is small without it.
#[derive(Clone, Debug)]
pub struct Unsettled(Box<Question>);

#[derive(Clone, Debug)]
struct Question {
    token: VerifiedToken,
    policy: Policy,
    gain: Gain,
}

/// What came of asking the authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The token and its session are good.
    Active(Vouched),
    /// The token is revoked, by the entry that the authority named, if it named one.
    Revoked(Option<Refusal>),
    /// The authority does not accept the token for another reason.
    Refused,
    /// There was no answer: no connection, no time or no budget left.
    Unavailable,
}

/// What the authority says of a token that it calls active.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vouched {
    /// The position up to which nothing revokes the token.
    pub as_of: Option<Position>,
    /// The id of the key that verified it.
    pub key_id: Option<String>,
    /// Its claims, which an opaque token does not carry itself.
    pub claims: Option<Map<String, Value>>,
    /// The token it sent in its place.
    pub restamped: Option<Restamped>,
}

impl Answer {
    /// Why the request is turned away; `None` when it is not.
    #[must_use]
    pub const fn refusal(&self) -> Option<DenyReason> {
        match self {
            Self::Active(_) => None,
            Self::Revoked(refusal) => Some(DenyReason::Revoked(*refusal)),
            Self::Refused => Some(DenyReason::RefusedByAuthority),
            Self::Unavailable => Some(DenyReason::AskUnavailable),
        }
    }
}

impl Unsettled {
    pub(super) fn about(token: VerifiedToken, policy: Policy, gain: Gain) -> Self {
        Self(Box::new(Question { token, policy, gain }))
    }

    /// The token to ask about. It is verified, and not yet allowed anything.
    #[must_use]
    pub fn token(&self) -> &VerifiedToken {
        &self.0.token
    }

    /// Whether a re-stamped token would spare the next request its question.
    #[must_use]
    pub fn gains_by_restamp(&self) -> bool {
        matches!(self.0.gain, Gain::Restamp)
    }

    /// Decides by the authority's answer. No answer closes the route.
    pub fn settle(self, answer: Answer) -> Decision {
        if let Some(reason) = answer.refusal() {
            return Decision::Deny(self.0.policy.denial(reason));
        }
        let restamped = if let Answer::Active(vouched) = answer { vouched.restamped } else { None };
        Decision::Allow(Authorized { restamped, ..Authorized::on(self.0.token, Basis::Answered) })
    }
}

/// A request turned away: why, and what to answer.
///
/// Kept apart from the decision, as what is [unsettled](Unsettled) is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial(Box<Grounds>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Grounds {
    reason: DenyReason,
    revoked_status: RevokedStatus,
}

/// Why a request is turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DenyReason {
    /// The token could not be verified, or there was none.
    TokenRefused(TokenError),
    /// The token is revoked; by which entry, when that is known.
    Revoked(Option<Refusal>),
    /// The view is older than the route allows.
    Stale {
        /// Its proven age; `None` when nothing was proven yet.
        age: Option<Duration>,
    },
    /// The view cannot tell.
    Undecidable(Cause),
    /// The user authenticated too long ago for this route.
    AuthTooOld {
        /// How long ago it may be.
        max_age: Duration,
    },
    /// The authority had to be asked and gave no answer.
    AskUnavailable,
    /// The authority was asked and does not accept the token.
    RefusedByAuthority,
    /// Who presented the token did not show to be the one it is bound to.
    Sender(SenderError),
    /// The application's own callback refused.
    RefusedByApplication,
}

/// Seconds after which a client may try again when a verifier could not tell. Verifiers reconnect
/// within a few seconds once their authority is back; a shorter time would only add load.
const RETRY_AFTER_SECONDS: u64 = 5;

impl Denial {
    pub(super) fn on(reason: DenyReason, revoked_status: RevokedStatus) -> Self {
        Self(Box::new(Grounds { reason, revoked_status }))
    }

    /// Why.
    #[must_use]
    pub const fn reason(&self) -> &DenyReason {
        &self.0.reason
    }

    /// The HTTP status: 401 when another token would help, 403 when none would, 503 when this
    /// process cannot tell.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match (&self.0.reason, self.0.revoked_status) {
            (DenyReason::Sender(SenderError::ProofMemoryFull), _) => 503,
            (DenyReason::Revoked(_), RevokedStatus::Forbidden) | (DenyReason::RefusedByApplication, _) => 403,
            (
                DenyReason::TokenRefused(_)
                | DenyReason::Revoked(_)
                | DenyReason::AuthTooOld { .. }
                | DenyReason::Sender(_)
                | DenyReason::RefusedByAuthority,
                _,
            ) => 401,
            (DenyReason::Stale { .. } | DenyReason::Undecidable(_) | DenyReason::AskUnavailable, _) => 503,
        }
    }

    /// The reason's stable name, for answers and metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.reason() {
            DenyReason::TokenRefused(error) => error.code(),
            DenyReason::Revoked(_) => "token_revoked",
            DenyReason::Stale { .. } => "view_stale",
            DenyReason::Undecidable(cause) => cause.code(),
            DenyReason::AuthTooOld { .. } => "insufficient_user_authentication",
            DenyReason::AskUnavailable => "ask_unavailable",
            DenyReason::RefusedByAuthority => "refused_by_authority",
            DenyReason::Sender(error) => error.code(),
            DenyReason::RefusedByApplication => "refused_by_application",
        }
    }

    /// Seconds for `Retry-After`, exactly when the status is 503.
    #[must_use]
    pub const fn retry_after(&self) -> Option<u64> {
        if self.status() == 503 { Some(RETRY_AFTER_SECONDS) } else { None }
    }

    /// The value of `WWW-Authenticate` (RFC 6750 §3, RFC 9449 §7.1), exactly when the status is 401. A request
    /// without a token is told the scheme and nothing more.
    #[must_use]
    pub fn challenge(&self) -> Option<String> {
        if self.status() != 401 {
            return None;
        }
        Some(match self.reason() {
            DenyReason::TokenRefused(TokenError::Missing) => "Bearer".to_owned(),
            DenyReason::AuthTooOld { max_age } => format!(
                "Bearer error=\"insufficient_user_authentication\", error_description=\"a more recent authentication is required\", max_age=\"{}\"",
                max_age.as_secs()
            ),
            DenyReason::Sender(error) if error.is_about_proofs() => {
                format!("DPoP error=\"{}\", error_description=\"{}\"", error.error(), error.code())
            }
            _ => format!("Bearer error=\"invalid_token\", error_description=\"{}\"", self.code()),
        })
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason().fmt(f)
    }
}

impl fmt::Display for DenyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TokenRefused(error) => error.fmt(f),
            Self::Revoked(Some(refusal)) => {
                write!(f, "the token is revoked by its {}, by the entry at {}", refusal.kind, refusal.at)
            }
            Self::Revoked(None) => f.write_str("the token is revoked"),
            Self::Stale { age: Some(age) } => {
                write!(f, "what this verifier knows is {} s old, older than this route allows", age.as_secs())
            }
            Self::Stale { age: None } => f.write_str("this verifier has not proven how old its view is"),
            Self::Undecidable(cause) => cause.fmt(f),
            Self::AuthTooOld { max_age } => {
                write!(f, "this route wants an authentication at most {} s old", max_age.as_secs())
            }
            Self::AskUnavailable => f.write_str("the authority had to be asked and did not answer"),
            Self::RefusedByAuthority => f.write_str("the authority does not accept the token"),
            Self::Sender(error) => error.fmt(f),
            Self::RefusedByApplication => f.write_str("the application refused the token"),
        }
    }
}
