//! The feed: how what the authority's log says reaches every view, and how the views answer.
//!
//! Nothing here does I/O. Bytes come in, bytes and requests go out; a shell (HTTP in the authority,
//! the verifier and the gateway) carries them. Formats are v0, JSON lines ending in `\n`; only the
//! cells of a snapshot, of which there may be millions, are packed behind its header line.
//!
//! ```text
//! log::FeedLog ──frames, snapshot, stream──▶ follower::Follower ──▶ ViewWriter
//!      ▲                                          │
//!      └──── report (nonce) ── signed head ───────┘   freshness: a round trip, never an arrival
//!
//! relay::Relay = a Follower that serves, through a FeedLog of its own, what it has verified
//! ```
//!
//! - [`head`]: the feed key, and what it signs
//! - [`frame`]: records in transit; nothing of a frame is applied before all of it is verified
//! - [`snapshot`]: a whole view at one position, and the state a follower keeps on disk
//! - [`report`]: what a replica tells about itself, and what it is told back
//! - [`sse`]: the stream's event format, incremental and bounded
//! - [`follower`], [`log`], [`relay`]: the machines

pub mod follower;
pub mod frame;
pub mod head;
pub mod log;
pub mod relay;
pub mod report;
pub mod snapshot;
pub mod sse;

use std::fmt;

use crate::position::Position;
use crate::record::RecordError;

/// How many times a feed may be relayed between the authority and a verifier: each hop adds its own
/// flush to the delay, and more than this is a loop.
pub const MAX_HOPS: u8 = 4;

/// Why bytes of the feed were not taken. Whatever it is, nothing of them was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeedError {
    /// More bytes than the named thing may have.
    TooLarge {
        /// What was too large.
        what: &'static str,
        /// Its bound in bytes.
        limit: usize,
    },
    /// Not the form of the named thing.
    Malformed {
        /// What was expected.
        what: &'static str,
    },
    /// Written in a version of the format that is not known here.
    Version,
    /// The signature is not one by the feed key that was pinned.
    Signature,
    /// The signed bytes belong to another log.
    OtherLog {
        /// The log they name.
        named: String,
    },
    /// A record does not follow the one before it.
    NotDense {
        /// The position that came before.
        after: Position,
        /// The position that was found.
        found: Position,
    },
    /// The records do not lead to the signed chain: bytes changed on the way, or the history is
    /// another one.
    Chain {
        /// Where the chains differ.
        at: Position,
    },
    /// The log, as signed by the feed key, has another history at the reader's own position.
    Diverged {
        /// The reader's position.
        at: Position,
    },
    /// A record is not readable.
    Record(RecordError),
    /// It lies before what the reader holds.
    Older {
        /// The reader's position.
        held: Position,
        /// The position that was offered.
        offered: Position,
    },
    /// The answer is not to the question: its head was not signed over the report's nonce.
    Nonce,
    /// The snapshot's lines are not those its signed header names.
    Contents,
}

impl fmt::Display for FeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { what, limit } => write!(f, "{what} is larger than {limit} bytes"),
            Self::Malformed { what } => write!(f, "not the form of {what}"),
            Self::Version => f.write_str("written in a version of the feed format that is not known here; upgrade"),
            Self::Signature => f.write_str("not signed by the pinned feed key"),
            Self::OtherLog { named } => write!(f, "belongs to another log, {named:?}"),
            Self::NotDense { after, found } => write!(f, "the record at {found} does not follow {after}"),
            Self::Chain { at } => write!(f, "the records do not lead to the signed chain at {at}"),
            Self::Diverged { at } => write!(f, "the log has another history than this reader at {at}"),
            Self::Record(error) => error.fmt(f),
            Self::Older { held, offered } => write!(f, "{offered} lies before {held}, which is already held"),
            Self::Nonce => f.write_str("the head is not signed over this report's nonce: it may be an old one"),
            Self::Contents => f.write_str("the snapshot's lines are not those its signed header names"),
        }
    }
}

impl std::error::Error for FeedError {}

impl From<RecordError> for FeedError {
    fn from(error: RecordError) -> Self {
        Self::Record(error)
    }
}
