//! The two queues and the threads behind them: group commit for writes, one snapshot per read.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use super::failure::failed;
use super::rows::Rows;
use crate::clock::Clock;
use crate::store::verbs::{Snapshot, Txn};
use crate::store::{Committed, Limits, StoreError};

/// Pieces of work that share one commit. More would make the first wait for the last.
const MOST_IN_A_COMMIT: usize = 256;

/// Whether a piece of work is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// With the commit.
    Commit,
    /// Never: it was a rehearsal.
    Undo,
}

/// Work for the writer.
pub(super) trait WriteJob: Send {
    /// Does the work and says whether it is to be kept, or how the engine failed it.
    fn run(&mut self, txn: &mut Txn<'_>) -> Result<Fate, StoreError>;
    /// Answers after the commit it took part in.
    fn answer(self: Box<Self>, commit: Result<(), StoreError>);
}

/// Work for a reader.
pub(super) trait ReadJob: Send {
    /// Does the work; `snapshot` is an error when no transaction could be begun.
    fn run(self: Box<Self>, snapshot: Result<&Snapshot<'_>, StoreError>);
}

type Reply<R> = oneshot::Sender<Result<R, StoreError>>;
type Reading<R> = oneshot::Receiver<Result<R, StoreError>>;

pub(super) fn write_job<R: Send + 'static>(
    fate: Fate,
    work: impl FnOnce(&mut Txn<'_>) -> Result<R, StoreError> + Send + 'static,
) -> (Box<dyn WriteJob>, Reading<R>) {
    struct Job<R, W> {
        fate: Fate,
        work: Option<W>,
        outcome: Option<Result<R, StoreError>>,
        reply: Reply<R>,
    }

    impl<R: Send, W: FnOnce(&mut Txn<'_>) -> Result<R, StoreError> + Send> WriteJob for Job<R, W> {
        fn run(&mut self, txn: &mut Txn<'_>) -> Result<Fate, StoreError> {
            let Some(work) = self.work.take() else { return Ok(Fate::Undo) };
            match self.outcome.insert(work(txn)) {
                Ok(_) => Ok(self.fate),
                Err(StoreError::Refused(_)) => Ok(Fate::Undo),
                Err(error) => Err(error.clone()),
            }
        }

        fn answer(self: Box<Self>, commit: Result<(), StoreError>) {
            // Also a refusal waits for the commit: it may rest on what the same commit wrote.
            let outcome = commit.and(self.outcome.unwrap_or_else(|| Err(fault())));
            // Nobody waits any more when the caller gave up.
            let _ = self.reply.send(outcome);
        }
    }

    let (reply, reading) = oneshot::channel();
    (Box::new(Job { fate, work: Some(work), outcome: None, reply }), reading)
}

pub(super) fn read_job<R: Send + 'static>(
    work: impl FnOnce(&Snapshot<'_>) -> Result<R, StoreError> + Send + 'static,
) -> (Box<dyn ReadJob>, Reading<R>) {
    struct Job<R, W> {
        work: W,
        reply: Reply<R>,
    }

    impl<R: Send, W: FnOnce(&Snapshot<'_>) -> Result<R, StoreError> + Send> ReadJob for Job<R, W> {
        fn run(self: Box<Self>, snapshot: Result<&Snapshot<'_>, StoreError>) {
            // Nobody waits any more when the caller gave up.
            let _ = self.reply.send(snapshot.and_then(self.work));
        }
    }

    let (reply, reading) = oneshot::channel();
    (Box::new(Job { work, reply }), reading)
}

/// What the writer tells those who wait for nothing.
pub(super) struct Outcome {
    /// What each commit left.
    pub(super) told: watch::Sender<Committed>,
    /// Whether the last commit was taken.
    pub(super) takes_writes: Arc<AtomicBool>,
}

/// The writer thread: drains the queue, commits what it drained at once, then answers.
pub(super) fn write_all(
    connection: &Connection,
    mut queue: mpsc::Receiver<Box<dyn WriteJob>>,
    limits: &Limits,
    clock: &Clock,
    outcome: &Outcome,
) {
    let mut rows = Rows::of(connection);
    while let Some(first) = queue.blocking_recv() {
        let mut jobs = vec![first];
        while jobs.len() < MOST_IN_A_COMMIT
            && let Ok(job) = queue.try_recv()
        {
            jobs.push(job);
        }
        let before = outcome.told.borrow().clone();
        let commit = commit_together(&mut rows, &mut jobs, &before, limits, clock);
        // A commit of nothing says nothing about the disk.
        if !matches!(commit, Ok(Left { kept: Fate::Undo, .. })) {
            outcome.takes_writes.store(commit.is_ok(), Ordering::Relaxed);
        }
        // Told before anyone is answered: whoever was answered finds the commit told.
        let answer = commit.map(|Left { now, .. }| {
            outcome.told.send_if_modified(|told| {
                let is_news = now != *told;
                *told = now;
                is_news
            });
        });
        for job in jobs {
            job.answer(answer.clone());
        }
    }
    // The WAL is complete either way; folding it in only makes the next start faster.
    let _ = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
}

/// What a transaction left.
struct Left {
    /// Whether any of its work was kept.
    kept: Fate,
    /// What is committed after it.
    now: Committed,
}

/// One transaction for all jobs.
fn commit_together(
    rows: &mut Rows<'_>,
    jobs: &mut [Box<dyn WriteJob>],
    before: &Committed,
    limits: &Limits,
    clock: &Clock,
) -> Result<Left, StoreError> {
    rows.execute("BEGIN IMMEDIATE")?;
    let committed = run_together(rows, jobs, limits, clock).and_then(|kept| match kept {
        Fate::Commit => {
            let appended = rows.write_appended()?;
            rows.execute("COMMIT")?;
            let client_changes = before.client_changes + std::mem::take(&mut rows.client_changes);
            let now = match appended.last() {
                Some(last) => Committed { head: last.at, client_changes, lines: appended.into() },
                None => Committed { client_changes, ..before.clone() },
            };
            Ok(Left { kept, now })
        }
        Fate::Undo => rows.execute("ROLLBACK").map(|()| Left { kept, now: before.clone() }),
    });
    if committed.is_err() {
        rows.forget();
        if !rows.connection.is_autocommit() {
            // When even this fails the next BEGIN fails too, and nothing is acknowledged.
            let _ = rows.execute("ROLLBACK");
        }
    }
    committed
}

/// Runs each job in a savepoint, so that one that fails spoils no other. One that is alone needs
/// none: its transaction holds nothing else. Tells whether any was kept.
fn run_together(
    rows: &mut Rows<'_>,
    jobs: &mut [Box<dyn WriteJob>],
    limits: &Limits,
    clock: &Clock,
) -> Result<Fate, StoreError> {
    if let [alone] = jobs {
        return run_one(rows, alone.as_mut(), limits, clock);
    }
    let mut kept = Fate::Undo;
    for job in jobs {
        rows.execute("SAVEPOINT work")?;
        match run_one(rows, job.as_mut(), limits, clock)? {
            Fate::Commit => kept = Fate::Commit,
            Fate::Undo => rows.execute("ROLLBACK TO work")?,
        }
        rows.execute("RELEASE work")?;
    }
    Ok(kept)
}

/// Tells whether the work is to be kept; what it appended is taken back where it is not.
fn run_one(rows: &mut Rows<'_>, job: &mut dyn WriteJob, limits: &Limits, clock: &Clock) -> Result<Fate, StoreError> {
    let mark = rows.mark();
    let mut txn = Txn { tables: rows, limits, commit: clock.millis(), latest: clock.latest() };
    // A fault in one verb undoes that verb; it must not take the writer and every other caller along.
    let ran = catch_unwind(AssertUnwindSafe(|| job.run(&mut txn))).unwrap_or_else(|_| Err(fault()));
    if rows.connection.is_autocommit() {
        // A full disk or an I/O error undid the whole transaction, the jobs before this one too.
        let undone = || StoreError::Failed { detail: "the transaction was undone".to_owned() };
        return Err(ran.err().unwrap_or_else(undone));
    }
    if ran == Ok(Fate::Commit) {
        return Ok(Fate::Commit);
    }
    rows.back_to(&mark);
    Ok(Fate::Undo)
}

/// What a verb that panicked is answered with; the panic itself is in the log.
fn fault() -> StoreError {
    StoreError::Failed { detail: "the verb met a fault of the authority and was undone".to_owned() }
}

/// The queue that the reader threads share.
pub(super) type SharedQueue = Arc<Mutex<mpsc::Receiver<Box<dyn ReadJob>>>>;

pub(super) fn shared(queue: mpsc::Receiver<Box<dyn ReadJob>>) -> SharedQueue {
    Arc::new(Mutex::new(queue))
}

/// A reader thread: each job in a read transaction of its own, that is, over one committed state.
pub(super) fn read_all(connection: &Connection, queue: &SharedQueue, clock: &Clock) {
    loop {
        // The lock is held while waiting, so one idle reader waits on the queue and the others on it.
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(job) = job else { return };
        match connection.execute_batch("BEGIN") {
            Ok(()) => {
                let rows = Rows::of(connection);
                let snapshot = Snapshot { tables: &rows, now: clock.millis() };
                // After a fault in one verb its caller is told that nothing answers; the others read on.
                let _ = catch_unwind(AssertUnwindSafe(|| job.run(Ok(&snapshot))));
                // Nothing was written; ending the transaction cannot lose anything.
                let _ = connection.execute_batch("COMMIT");
            }
            Err(error) => job.run(Err(failed(error))),
        }
    }
}
