//! The store in memory: for tests, for trying things out, and for nothing that must survive.
//!
//! All rows are persistent maps, so that a snapshot is a cheap copy of the roots and a transaction
//! works on a copy that replaces the state when it succeeds.

mod prune;
mod read;
mod write;

use std::sync::{Arc, Mutex, PoisonError};

use annul_core::feed::log::ReplicaStatus;
use annul_core::position::Position;
use annul_core::record::HashedCell;
use annul_core::target::{Target, TargetHash};
use annul_core::time::{UnixMillis, UnixSeconds};
use imbl::{OrdMap, OrdSet};
use tokio::sync::watch;

use super::engine::Engine;
use super::tables::{Attempt, IssuerRow};
use super::verbs::{Snapshot, Txn};
use super::{Answer, Committed, Limits, LogState, StoreError};
use crate::clock::Clock;
use crate::model::{
    Account, AuditEvent, ClientRecord, KeyRecord, LogLine, RefreshFamily, Schedule, Session, Side, StoredRevocation,
    SubjectState, VerifierBound,
};

type Result<T> = std::result::Result<T, StoreError>;

/// A store that forgets everything when it is dropped. "Durable" means only that it outlives the
/// verb.
pub struct MemoryStore {
    state: Mutex<State>,
    committed: watch::Sender<Committed>,
    limits: Limits,
    clock: Clock,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(limits: Limits, clock: Clock) -> Self {
        Self { state: Mutex::default(), committed: watch::Sender::default(), limits, clock }
    }

    /// A failed transaction leaves the state as it was, so a panic inside one spoils nothing.
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn transact<R>(&self, state: &mut State, work: impl FnOnce(&mut Txn<'_>) -> Result<R>) -> Result<R> {
        work(&mut Txn { tables: state, limits: &self.limits, commit: self.clock.millis(), latest: self.clock.latest() })
    }
}

impl Engine for MemoryStore {
    fn read<R: Send + 'static>(&self, work: impl FnOnce(&Snapshot<'_>) -> Result<R> + Send + 'static) -> Answer<'_, R> {
        Box::pin(async move {
            let state = self.state().clone();
            work(&Snapshot { tables: &state, now: self.clock.millis() })
        })
    }

    fn write<R: Send + 'static>(&self, work: impl FnOnce(&mut Txn<'_>) -> Result<R> + Send + 'static) -> Answer<'_, R> {
        Box::pin(async move {
            let mut current = self.state();
            let mut next = current.clone();
            let answer = self.transact(&mut next, work)?;
            *current = next;
            // Told under the lock, so that no two commits are told in the wrong order.
            self.committed.send_if_modified(|told| {
                let now = current.committed_after(told);
                let is_news = now != *told;
                *told = now;
                is_news
            });
            Ok(answer)
        })
    }

    fn rehearse<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Txn<'_>) -> Result<R> + Send + 'static,
    ) -> Answer<'_, R> {
        Box::pin(async move {
            let mut scratch = self.state().clone();
            self.transact(&mut scratch, work)
        })
    }

    fn committed(&self) -> watch::Receiver<Committed> {
        self.committed.subscribe()
    }

    fn takes_writes(&self) -> bool {
        true
    }
}

#[derive(Clone, Default)]
struct State {
    log: Option<LogState>,
    lines: OrdMap<Position, (LogLine, UnixMillis)>,
    sessions: OrdMap<String, Arc<Kept>>,
    sessions_by_subject: OrdSet<(String, String)>,
    sessions_by_target: OrdSet<(TargetHash, String)>,
    open_sessions_by_expiry: OrdSet<(UnixSeconds, String)>,
    families: OrdMap<String, RefreshFamily>,
    graces: OrdSet<(UnixMillis, String)>,
    revocations: OrdMap<Position, StoredRevocation>,
    revocations_by_target: OrdSet<(TargetHash, Position)>,
    cells: OrdMap<(Side, TargetHash), HashedCell>,
    subjects: OrdMap<Target, SubjectState>,
    keys: OrdMap<String, KeyRecord>,
    issuers: OrdMap<String, Arc<IssuerRow>>,
    accounts: OrdMap<String, Account>,
    clients: OrdMap<String, ClientRecord>,
    client_changes: u64,
    schedules: OrdMap<String, Schedule>,
    verifier_bounds: OrdMap<u64, VerifierBound>,
    replicas: OrdMap<(String, String), ReplicaStatus>,
    audit: OrdMap<u64, AuditEvent>,
    attempts: OrdMap<(String, String), Attempt>,
    used: OrdMap<[u8; 32], UnixSeconds>,
    used_by_until: OrdSet<(UnixSeconds, [u8; 32])>,
}

struct Kept {
    session: Session,
    targets: Vec<TargetHash>,
}

impl State {
    fn committed_after(&self, before: &Committed) -> Committed {
        let head = self.log.as_ref().map(|log| log.head.at).unwrap_or_default();
        let lines = if head == before.head {
            Arc::clone(&before.lines)
        } else {
            self.lines.range(before.head.next()..).map(|(_, (line, _))| line.clone()).collect()
        };
        Committed { head, client_changes: self.client_changes, lines }
    }
}
