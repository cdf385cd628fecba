//! Why a follower is not served, and why a feed does not start.

use annul_core::feed::FeedError;
use annul_core::position::Position;

use crate::store::StoreError;

/// Why a follower was not served.
#[derive(Debug)]
pub enum FeedRefusal {
    /// The log does not reach back that far.
    Compacted,
    /// The follower holds another history.
    Diverged,
    /// The follower is ahead.
    Ahead {
        /// The head.
        head: Position,
    },
    /// As many are served as may be.
    Busy {
        /// Seconds after which to try again, drawn apart for each, so that they do not come back
        /// together.
        retry_after: u64,
    },
    /// The report was not taken.
    Report {
        /// Why.
        detail: String,
    },
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for FeedRefusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Why the feed did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeedStartError {
    /// The store failed.
    #[error("the feed cannot read the log: {0}; the data was left as it is")]
    Store(#[from] StoreError),
    /// The log in the store is not dense or not readable.
    #[error("the log in the store does not read: {0}; the data was left as it is, restore a backup")]
    Log(FeedError),
}
