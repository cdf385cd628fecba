//! Following the store: the ring is filled with every line that is committed.

use std::sync::atomic::Ordering;
use std::time::Duration;

use annul_core::feed::log::LogPoint;
use annul_core::position::Position;
use tokio::sync::watch;

use super::{Feed, FeedStartError, RETRY, bump, point_of};
use crate::model::LogLine;
use crate::store::{Committed, LogState, Store, StoreError};

/// Lines read from the store in one go while the ring is filled.
const FILL_STEP: usize = 1000;
/// How often silent replicas are forgotten.
const TICK: Duration = Duration::from_secs(60);

impl Feed {
    /// Takes what is committed, until the store's writer is gone.
    pub(super) async fn follow(self, mut commits: watch::Receiver<Committed>) {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                changed = commits.changed() => if changed.is_err() {
                    // The store's writer is gone, and nothing is acknowledged any more.
                    self.0.follows.store(false, Ordering::Relaxed);
                    return;
                },
                _ = ticks.tick() => {
                    self.log().tick(self.0.clock.moment());
                    if let Err(error) = self.remember().await {
                        tracing::warn!(error = %error, "the replicas were not written down; trying again in a minute");
                    }
                }
            }
            let told = commits.borrow().clone();
            while let Err(error) = self.catch_up(&told).await {
                tracing::warn!(error = %error, "the feed does not follow the store; trying again");
                self.0.follows.store(false, Ordering::Relaxed);
                if matches!(error, FeedStartError::Store(StoreError::Closed)) {
                    return;
                }
                tokio::time::sleep(RETRY).await;
            }
            self.0.follows.store(true, Ordering::Relaxed);
        }
    }

    /// Takes every line beyond the ring: what was told, and from the store what is missing before it.
    pub(super) async fn catch_up(&self, told: &Committed) -> Result<(), FeedStartError> {
        loop {
            let at = self.log().point().at;
            match told.lines_after(at) {
                Some(lines) => return self.take(lines).await,
                None => {
                    let read = self.0.store.lines_after(at, FILL_STEP).await?;
                    if read.lines.is_empty() {
                        return Ok(());
                    }
                    self.take(&read.lines).await?;
                }
            }
        }
    }

    async fn take(&self, lines: &[LogLine]) -> Result<(), FeedStartError> {
        if lines.is_empty() {
            return Ok(());
        }
        let taken = self.log().committed(lines.iter().map(|line| line.line.as_str()));
        bump(&self.0.news);
        if let Err(error) = taken {
            let state = self.0.store.log().await?;
            self.log().restart(point_of(&state));
            return Err(FeedStartError::Log(error));
        }
        Ok(())
    }
}

/// Where a ring of `records` begins: as far back as it can hold and the store still has.
pub(super) async fn ring_start(store: &dyn Store, log: &LogState, records: usize) -> Result<LogPoint, FeedStartError> {
    let head = point_of(log);
    let back = u64::try_from(records).unwrap_or(u64::MAX);
    let start = Position::new(head.at.epoch, head.at.seq.saturating_sub(back));
    let read = store.lines_after(start, 1).await?;
    Ok(match read.base {
        Some(chain) => LogPoint { at: start, chain, ..head },
        None => head,
    })
}
