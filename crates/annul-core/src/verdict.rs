//! What a view says of a token: active, revoked, or that it cannot tell.
//!
//! A verdict is no decision. It is never a bool, "revoked" is never an error, and "cannot tell" is
//! never turned into either of the others here: that is what a [policy](crate::policy) is for.

use std::fmt;

use crate::algebra::Refusal;
use crate::position::Position;
use crate::token::TokenError;
use crate::view::Halt;

/// What the view says of one token.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing that the view holds revokes the token. How old the view may be is for the policy.
    Active {
        /// The position up to which this is so.
        as_of: Position,
    },
    /// An entry revokes the token. It stands however old the view is.
    Revoked(Refusal),
    /// The view cannot tell. It says nothing against the token.
    Indeterminate(Cause),
}

/// Why a view cannot tell.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The view has not heard from its log yet.
    NeverSynced,
    /// The view does not have the settings, or the hash key they name, by which tokens are judged.
    SettingsUnknown,
    /// The view stopped following its log.
    Halted(Halt),
    /// The token was issued in an epoch that the view has not heard of.
    UnknownEpoch {
        /// The token's epoch.
        epoch: u32,
    },
    /// The token claims a position that the log had not reached after the token's own issue (I10).
    ImpossiblePosition {
        /// The position it claims.
        lpos: Position,
    },
    /// An entry is in force on a claim of which the authority has to be asked.
    AskOn(Refusal),
    /// The wall clock was set back behind a time at which entries were forgotten; one of them may
    /// have been about this token.
    ClockStepped,
    /// The key that signed the token is not known here, and newer keys may exist.
    KeysUnknown,
    /// The token would live longer than its issuer's tokens may, and that may have been raised.
    LongestLifeUnknown,
    /// The token cannot be judged by any view; asking again will not help.
    Unfit(TokenError),
}

impl Cause {
    /// The cause's stable name, for answers and metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NeverSynced => "view_never_synced",
            Self::SettingsUnknown => "view_settings_unknown",
            Self::Halted(_) => "view_halted",
            Self::UnknownEpoch { .. } => "epoch_unknown",
            Self::ImpossiblePosition { .. } => "position_impossible",
            Self::AskOn(_) => "ask_required",
            Self::ClockStepped => "clock_stepped",
            Self::KeysUnknown => "keys_unknown",
            Self::LongestLifeUnknown => "longest_life_unknown",
            Self::Unfit(error) => error.code(),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverSynced => f.write_str("this verifier has not heard from its authority yet"),
            Self::SettingsUnknown => {
                f.write_str("this verifier does not have the settings and hash key of its log yet")
            }
            Self::Halted(halt) => write!(f, "this verifier stopped following its log: {halt}"),
            Self::UnknownEpoch { epoch } => {
                write!(f, "the token is of epoch {epoch}, which this verifier has not heard of")
            }
            Self::ImpossiblePosition { lpos } => {
                write!(f, "the token claims the position {lpos}, which the log had not reached when it was issued")
            }
            Self::AskOn(refusal) => write!(f, "the entry at {} has to be asked about", refusal.at),
            Self::ClockStepped => f.write_str("this machine's clock was set back behind entries it had forgotten"),
            Self::KeysUnknown => f.write_str("the key that signed the token is not known here yet"),
            Self::LongestLifeUnknown => {
                f.write_str("the token would live longer than its issuer's tokens might when this verifier last heard")
            }
            Self::Unfit(error) => error.fmt(f),
        }
    }
}
