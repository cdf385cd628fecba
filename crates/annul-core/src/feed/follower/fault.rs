//! Why a follower stands still.

use std::fmt;

use crate::feed::FeedError;
use crate::position::Position;
use crate::record::RecordError;
use crate::view::Halt;

/// What a follower must not pass. Until it is over nothing is applied, and, but for
/// [`Fault::NotPermitted`], the view answers "cannot tell" at once instead of when its age is over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The feed is signed by another key than the pinned one.
    FeedKey {
        /// The fingerprint that was pinned.
        pinned: String,
        /// The fingerprint that was offered.
        offered: String,
    },
    /// A relay may not introduce a feed key, and none was given.
    NoFeedKey,
    /// The feed belongs to another issuer than the configured one.
    Issuer {
        /// The issuer the feed names.
        named: String,
    },
    /// The feed belongs to another log than before.
    OtherLog {
        /// The log it names.
        named: String,
    },
    /// The hash key is not the one the settings name.
    HashKey,
    /// The verifier's leeway is larger than the log's settings allow.
    Leeway {
        /// The configured leeway, in seconds.
        configured: u64,
        /// The largest one allowed, in seconds.
        allowed: u64,
    },
    /// More relays lie between here and the authority than [`MAX_HOPS`](crate::feed::MAX_HOPS).
    TooManyHops,
    /// A critical record of a kind this version does not know.
    UnknownRecord {
        /// The record's place.
        at: Position,
    },
    /// Something was not signed by the pinned key.
    Signature,
    /// A format of a later version.
    Version,
    /// The log has another history than this view, in the same epoch.
    Diverged {
        /// The view's position.
        at: Position,
    },
    /// The view can hold no more.
    ViewFull(Halt),
    /// The feed refused the follower's credential.
    NotPermitted {
        /// The HTTP status.
        status: u16,
    },
}

impl Fault {
    /// A stable name, for logs, status and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::FeedKey { .. } => "feed_key_differs",
            Self::NoFeedKey => "feed_key_missing",
            Self::Issuer { .. } => "issuer_differs",
            Self::OtherLog { .. } => "log_differs",
            Self::HashKey => "hash_key_differs",
            Self::Leeway { .. } => "leeway_beyond_settings",
            Self::TooManyHops => "too_many_hops",
            Self::UnknownRecord { .. } => "unknown_record",
            Self::Signature => "feed_signature_invalid",
            Self::Version => "feed_version_unknown",
            Self::Diverged { .. } => "diverged",
            Self::ViewFull(halt) => halt.code(),
            Self::NotPermitted { .. } => "feed_not_permitted",
        }
    }

    /// What the view is halted with, if the fault says anything about what the view holds.
    pub(super) const fn halt(&self) -> Option<Halt> {
        Some(match self {
            Self::NotPermitted { .. } => return None,
            Self::UnknownRecord { at } => Halt::UnknownRecord { at: *at },
            Self::Diverged { .. } | Self::OtherLog { .. } | Self::Issuer { .. } => Halt::Diverged,
            Self::Leeway { .. } => Halt::BeyondSettings,
            Self::ViewFull(halt) => *halt,
            Self::FeedKey { .. }
            | Self::NoFeedKey
            | Self::HashKey
            | Self::TooManyHops
            | Self::Signature
            | Self::Version => Halt::BadFeed,
        })
    }

    /// Whether the fault is one of who is being followed, which only a good introduction ends.
    pub(super) const fn of_introduction(&self) -> bool {
        matches!(
            self,
            Self::FeedKey { .. } | Self::NoFeedKey | Self::Issuer { .. } | Self::OtherLog { .. } | Self::TooManyHops
        )
    }

    /// Whether a verified frame that leads to `at` shows that the fault is over.
    pub(super) fn is_over_at(&self, at: Position) -> bool {
        match self {
            Self::UnknownRecord { at: unknown } => at >= *unknown,
            fault => !fault.of_introduction(),
        }
    }

    /// The fault that refused bytes amount to, if they are not simply to be asked for again.
    pub(super) fn of_error(error: &FeedError) -> Option<Self> {
        match error {
            FeedError::Version => Some(Self::Version),
            FeedError::Signature => Some(Self::Signature),
            FeedError::OtherLog { named } => Some(Self::OtherLog { named: named.clone() }),
            FeedError::Diverged { at } => Some(Self::Diverged { at: *at }),
            FeedError::Record(RecordError::UnknownKind { at }) => Some(Self::UnknownRecord { at: *at }),
            _ => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FeedKey { pinned, offered } => write!(
                f,
                "the feed key is {offered}, pinned is {pinned}; nothing was applied; if the authority's key was replaced on purpose, give the new fingerprint and remove the stored state"
            ),
            Self::NoFeedKey => f.write_str("a relay may not introduce the feed key; give its fingerprint"),
            Self::Issuer { named } => write!(f, "the feed belongs to the issuer {named:?}, not to the configured one"),
            Self::OtherLog { named } => write!(
                f,
                "the feed belongs to the log {named:?}, not to the one this state came from; remove the stored state to follow it"
            ),
            Self::HashKey => f.write_str("the hash key is not the one the log's settings name"),
            Self::Leeway { configured, allowed } => {
                write!(f, "the leeway of {configured} s is larger than the log allows ({allowed} s)")
            }
            Self::TooManyHops => f.write_str("too many relays between here and the authority; is there a loop?"),
            Self::UnknownRecord { at } => {
                write!(f, "the record at {at} is of a critical kind this version does not know; upgrade to follow on")
            }
            Self::Signature => f.write_str("the feed is not signed by the pinned key; nothing was applied"),
            Self::Version => f.write_str("the feed has a format of a later version; upgrade to follow on"),
            Self::Diverged { at } => write!(
                f,
                "the log has another history than this view at {at}; what is revoked here stays refused; find out which is right before removing the stored state"
            ),
            Self::ViewFull(halt) => halt.fmt(f),
            Self::NotPermitted { status } => {
                write!(f, "the feed answers {status}: the credential is not one with the scope annul.follow")
            }
        }
    }
}

impl std::error::Error for Fault {}
