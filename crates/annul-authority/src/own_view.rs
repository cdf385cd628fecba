//! The authority's own view: the log as verifiers hold it, here, to judge tokens without reading
//! the store.
//!
//! ```text
//! store ── commit ──▶ told ──▶ callers answered
//!                       └────▶ follow: lines ──▶ view
//! ```
//!
//! A commit is told before its callers are answered. So a view that has reached what was told holds
//! every entry that anyone was ever told of, and its verdict is as fresh as the store's. While it
//! has not, or cannot tell, the store is read as if there were no view.

use std::time::Duration;

use annul_core::packed::PackedCells;
use annul_core::record::Record;
use annul_core::time::UnixSeconds;
use annul_core::view::{KeptContents, View, ViewContents, ViewWriter};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::model::LogLine;
use crate::store::{Committed, Store, StoreError};

/// Lines applied in one go.
const STEP: usize = 1000;
/// How often entries that are over are dropped, and how soon a failed read is tried again.
const TICK: Duration = Duration::from_secs(1);

/// The read side. It can be used only while it is current.
pub(crate) struct OwnView {
    view: View,
    committed: watch::Receiver<Committed>,
}

/// The write side, for the one task that follows the log.
pub(crate) struct OwnLog {
    writer: ViewWriter,
    committed: watch::Receiver<Committed>,
}

/// Why a step was not made. The view stays what it was, and is not current.
enum Behind {
    Store(StoreError),
    Unreadable,
}

impl OwnView {
    /// An empty view and what fills it.
    pub(crate) fn new(store: &dyn Store) -> (Self, OwnLog) {
        let (view, writer) = View::new();
        let committed = store.committed();
        (Self { view, committed: committed.clone() }, OwnLog { writer, committed })
    }

    /// The view, while it holds everything that was acknowledged to anyone before this call.
    pub(crate) fn current(&self) -> Option<&View> {
        let acknowledged = self.committed.borrow().head;
        let reached = self.view.position()?;
        (reached >= acknowledged).then_some(&self.view)
    }
}

impl OwnLog {
    /// Follows the log until the store is gone.
    pub(crate) async fn follow(mut self, store: &dyn Store, clock: &Clock) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let told = self.committed.borrow_and_update().clone();
            match self.catch_up(store, &told).await {
                Ok(()) => {}
                Err(Behind::Store(StoreError::Closed)) => return,
                Err(Behind::Store(error)) => {
                    tracing::warn!(error = %error, "the authority's own view does not follow; tokens are judged by the store");
                }
                Err(Behind::Unreadable) => {
                    tracing::warn!("the authority's own view cannot hold the log; tokens are judged by the store");
                }
            }
            tokio::select! {
                changed = self.committed.changed() => if changed.is_err() { return },
                _ = ticks.tick() => self.writer.expire(clock.seconds()),
            }
        }
    }

    /// Applies what was told, and reads from the store only what is missing before it.
    async fn catch_up(&mut self, store: &dyn Store, told: &Committed) -> Result<(), Behind> {
        if let Some(lines) = self.writer.view().position().and_then(|at| told.lines_after(at)) {
            return self.apply(lines);
        }
        loop {
            let Some(at) = self.writer.view().position() else {
                self.start_over(store).await?;
                continue;
            };
            let lines = store.lines_after(at, STEP).await?;
            if lines.base.is_none() {
                self.start_over(store).await?;
                continue;
            }
            if lines.lines.is_empty() {
                return Ok(());
            }
            self.apply(&lines.lines)?;
        }
    }

    fn apply(&mut self, lines: &[LogLine]) -> Result<(), Behind> {
        let records = lines.iter().map(|line| Record::from_line(&line.line));
        let records: Vec<Record> = records.collect::<Result<_, _>>().map_err(|_| Behind::Unreadable)?;
        self.writer.apply(&records).map_err(|_| Behind::Unreadable)
    }

    async fn start_over(&mut self, store: &dyn Store) -> Result<(), Behind> {
        let snapshot = store.feed_snapshot().await?;
        self.writer.set_hash_key(snapshot.log.hash_key);
        let contents = ViewContents {
            position: snapshot.log.head.at,
            settings: snapshot.log.settings,
            issuers: snapshot.issuers,
            cells: PackedCells::of(snapshot.log.head.at, snapshot.cells),
            kept: KeptContents::default(),
            forgotten: UnixSeconds(0),
        };
        self.writer.replace(contents).map_err(|_| Behind::Unreadable)
    }
}

impl From<StoreError> for Behind {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use annul_core::algebra::{Cutoff, Reach};
    use annul_core::target::Target;

    use super::*;
    use crate::model::{Act, NewRevocation};
    use crate::store::conformance::genesis;
    use crate::store::{Limits, MemoryStore, Revoke};

    fn named(subject: &str) -> Target {
        Target::parse(&format!("subject:{subject}"), &genesis().settings.issuer).unwrap()
    }

    async fn until_current(own: &OwnView) {
        while own.current().is_none() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn i1_a_current_view_holds_every_entry_that_was_answered() {
        let store = Arc::new(MemoryStore::new(Limits::default(), Clock::system()));
        store.bootstrap(genesis()).await.unwrap();
        let (own, log) = OwnView::new(store.as_ref());
        assert!(own.current().is_none(), "an empty view is not current");
        let following = tokio::spawn({
            let store = store.clone();
            async move { log.follow(store.as_ref(), &Clock::system()).await }
        });
        until_current(&own).await;
        for round in 0..500 {
            let target = named(&format!("u{round}"));
            let hash = target.hash(&genesis().hash_key);
            let (cutoff, reach) = (Cutoff::Now, Reach::Both);
            let revocations = vec![NewRevocation { target, cutoff, reach, exp: None, until: None, reason: None }];
            store.revoke(Act::new("test", "revoke"), Revoke { revocations, keep: None }).await.unwrap();
            if let Some(view) = own.current() {
                assert!(view.cell(&hash).is_some(), "entry {round} was answered");
            }
            until_current(&own).await;
            assert!(own.current().is_some_and(|view| view.cell(&hash).is_some()));
        }
        following.abort();
    }
}
