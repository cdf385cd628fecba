//! The store in SQLite: one writer thread with group commit, readers beside it, in WAL mode.
//!
//! ```text
//! write ─▶ queue ─▶ writer thread   BEGIN IMMEDIATE · SAVEPOINT work … · appended rows · COMMIT (fsync) ─▶ answers
//! read  ─▶ queue ─▶ reader threads  BEGIN · work · COMMIT                                               ─▶ answer
//! ```
//!
//! `synchronous=FULL`: with less, a power failure could take back what was acknowledged. The WAL
//! lets readers see the last committed state while the writer writes the next.

mod failure;
mod open;
mod queue;
mod read;
mod row;
mod rows;
mod write;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use annul_core::time::UnixMillis;
use tokio::sync::{mpsc, watch};

use self::queue::{ReadJob, WriteJob, read_job, write_job};
use super::engine::Engine;
use super::verbs::{Snapshot, Txn};
use super::{Answer, Committed, Limits, OpenError, StoreError};
use crate::clock::Clock;

/// How the SQLite store is set up.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// Bounds of the store.
    pub limits: Limits,
    /// Threads that read.
    pub readers: usize,
    /// Pages of 4096 bytes the database may have; writes beyond answer [`StoreError::DiskFull`].
    pub most_pages: Option<u32>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { limits: Limits::default(), readers: 2, most_pages: None }
    }
}

/// Work that may wait in front of the writer or the readers. Beyond it callers wait, which is how
/// the authority slows down instead of growing.
const QUEUE: usize = 4096;
/// Milliseconds by which an earlier process's clock is believed to have run ahead at the most. Beyond a day it
/// was a wild reading, which must not hold every later entry for years.
const MOST_AHEAD: u64 = 24 * 3600 * 1000;

/// A store in a data directory: `annul.db` beside `lock`.
pub struct SqliteStore {
    writes: Option<mpsc::Sender<Box<dyn WriteJob>>>,
    reads: Option<mpsc::Sender<Box<dyn ReadJob>>>,
    committed: watch::Receiver<Committed>,
    takes_writes: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    // Held until the threads are done; the lock goes with it.
    _lock: File,
}

impl SqliteStore {
    /// Opens the store in `dir`, or makes it, the directory with mode 0700. Blocks on disk I/O.
    ///
    /// # Errors
    /// See [`OpenError`]; none of them changes what is there.
    pub fn open(dir: &Path, options: SqliteOptions, clock: Clock) -> Result<Self, OpenError> {
        let opened = open::open(dir, &options)?;
        let now = clock.millis();
        let behind = opened.latest.0.saturating_sub(now.0);
        if behind > 0 {
            tracing::warn!(
                behind_ms = behind,
                "the clock reads less than when the store was last written; revocations are kept for that much longer, \
                 by a day at the most"
            );
        }
        clock.recall(opened.latest.min(UnixMillis(now.0.saturating_add(MOST_AHEAD))));
        let (writes, write_queue) = mpsc::channel(QUEUE);
        let (reads, read_queue) = mpsc::channel(QUEUE);
        let (told, committed) = watch::channel(Committed { head: opened.head, ..Committed::default() });
        let mut threads = Vec::new();
        let start = |name: String, run: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new()
                .name(name)
                .spawn(run)
                .map_err(|error| OpenError::Io { path: dir.to_owned(), error })
        };
        let takes_writes = Arc::new(AtomicBool::new(true));
        let (limits, writer_clock) = (options.limits, clock.clone());
        let writer = opened.writer;
        let outcome = queue::Outcome { told, takes_writes: Arc::clone(&takes_writes) };
        threads.push(start(
            "annul-writer".to_owned(),
            Box::new(move || queue::write_all(&writer, write_queue, &limits, &writer_clock, &outcome)),
        )?);
        let read_queue = queue::shared(read_queue);
        for (index, reader) in opened.readers.into_iter().enumerate() {
            let (read_queue, clock) = (read_queue.clone(), clock.clone());
            threads.push(start(
                format!("annul-reader-{index}"),
                Box::new(move || queue::read_all(&reader, &read_queue, &clock)),
            )?);
        }
        Ok(Self { writes: Some(writes), reads: Some(reads), committed, takes_writes, threads, _lock: opened.lock })
    }

    fn submit<R: Send + 'static>(
        &self,
        job: Box<dyn WriteJob>,
        answer: tokio::sync::oneshot::Receiver<Result<R, StoreError>>,
    ) -> Answer<'_, R> {
        Box::pin(async move {
            let queue = self.writes.as_ref().ok_or(StoreError::Closed)?;
            queue.send(job).await.map_err(|_| StoreError::Closed)?;
            answer.await.map_err(|_| StoreError::Closed)?
        })
    }
}

impl Engine for SqliteStore {
    fn read<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Snapshot<'_>) -> Result<R, StoreError> + Send + 'static,
    ) -> Answer<'_, R> {
        let (job, answer) = read_job(work);
        Box::pin(async move {
            let queue = self.reads.as_ref().ok_or(StoreError::Closed)?;
            queue.send(job).await.map_err(|_| StoreError::Closed)?;
            answer.await.map_err(|_| StoreError::Closed)?
        })
    }

    fn write<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Txn<'_>) -> Result<R, StoreError> + Send + 'static,
    ) -> Answer<'_, R> {
        let (job, answer) = write_job(queue::Fate::Commit, work);
        self.submit(job, answer)
    }

    fn rehearse<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Txn<'_>) -> Result<R, StoreError> + Send + 'static,
    ) -> Answer<'_, R> {
        let (job, answer) = write_job(queue::Fate::Undo, work);
        self.submit(job, answer)
    }

    fn committed(&self) -> watch::Receiver<Committed> {
        self.committed.clone()
    }

    fn takes_writes(&self) -> bool {
        self.takes_writes.load(Ordering::Relaxed)
    }
}

impl Drop for SqliteStore {
    /// Lets what is queued finish, folds the WAL into the database and releases the lock.
    fn drop(&mut self) {
        self.writes = None;
        self.reads = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has already said so; there is nothing left to close for it.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use annul_core::algebra::{Cutoff, Reach};
    use annul_core::position::Position;
    use annul_core::target::{Target, TargetKind};

    use super::*;
    use crate::model::{Act, NewRevocation};
    use crate::store::conformance::genesis;
    use crate::store::{AuditFilter, Refused, Revoke, Store as _, verbs};

    #[tokio::test]
    async fn what_is_undone_leaves_the_rest_of_its_commit_whole() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(dir.path(), SqliteOptions::default(), Clock::system()).unwrap());
        let first = store.bootstrap(genesis()).await.unwrap().head.at;
        // All at once, so that they share commits; every third fails after it has appended.
        let writes: Vec<_> = (0..90)
            .map(|number| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    let target = Target::one(&genesis().settings.issuer, TargetKind::Subject, number.to_string());
                    let (target, cutoff, reach) = (target.unwrap(), Cutoff::Now, Reach::Both);
                    let new = NewRevocation { target, cutoff, reach, exp: None, until: None, reason: None };
                    let revoke = Revoke { revocations: vec![new], keep: None };
                    Engine::write(&*store, move |txn| {
                        let appended = verbs::revoke(txn, &Act::new("test", "revoke"), &revoke)?;
                        if number % 3 == 0 { Err(Refused::SessionUnknown.into()) } else { Ok(appended.head) }
                    })
                    .await
                })
            })
            .collect();
        let mut kept = Vec::new();
        for write in writes {
            kept.extend(write.await.unwrap());
        }
        kept.sort_unstable();
        let dense: Vec<_> = (1..=60).map(|step| Position::new(first.epoch, first.seq + step)).collect();
        assert_eq!(kept, dense);
        let lines = store.lines_after(first, 100).await.unwrap();
        assert_eq!(lines.lines.iter().map(|line| line.at).collect::<Vec<_>>(), dense);
        assert_eq!(lines.head.at, kept[59]);
        assert_eq!(lines.lines[59].chain, lines.head.chain);
        let audit = AuditFilter { limit: 1000, ..AuditFilter::default() };
        let audited = store.audit(audit).await.unwrap().into_iter().filter_map(|event| event.at);
        assert_eq!(audited.filter(|at| *at > first).collect::<Vec<_>>(), dense);
    }

    #[tokio::test]
    async fn a_verb_that_panics_takes_no_other_along() {
        let dir = tempfile::tempdir().unwrap();
        let options = SqliteOptions { readers: 1, ..SqliteOptions::default() };
        let store = SqliteStore::open(dir.path(), options, Clock::system()).unwrap();
        let fault = || -> Result<(), StoreError> { panic!("a fault, on purpose") };
        let written = Engine::write(&store, move |_| fault()).await;
        assert_eq!(written.unwrap_err().code(), "store_failed");
        assert!(Engine::read(&store, move |_| fault()).await.is_err());
        // One writer and one reader, both still there.
        assert_eq!(Engine::write(&store, |_| Ok(7)).await.unwrap(), 7);
        assert_eq!(store.log().await.unwrap_err(), StoreError::NotBootstrapped);
    }
}
