//! The store in memory: for tests, for trying things out, and for nothing that must survive.
//!
//! All rows are persistent maps, so that a snapshot is a cheap copy of the roots and a transaction
//! works on a copy that replaces the state when it succeeds.

use std::sync::{Arc, Mutex, PoisonError};

use annul_core::feed::log::{ReplicaId, ReplicaStatus};
use annul_core::fold::InForce;
use annul_core::position::Position;
use annul_core::record::{Chain, HashedCell};
use annul_core::target::{Target, TargetHash, TargetKind};
use annul_core::time::{UnixMillis, UnixSeconds};
use imbl::{OrdMap, OrdSet};
use tokio::sync::watch;

use super::engine::Engine;
use super::tables::{Attempt, IssuerRow, MAX_BOUNDS, PruneHorizon, Read, SessionSpan, Write};
use super::verbs::{Snapshot, Txn};
use super::{Answer, AuditFilter, Committed, DueStep, Limits, LogState, Pruned, RevocationFilter, StoreError};
use crate::clock::Clock;
use crate::model::{
    Account, AuditEvent, ClientRecord, Head, IdempotencyKey, KeyRecord, LogLine, RefreshFamily, Schedule, Session,
    Side, StoredRevocation, SubjectState, VerifierBound,
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

impl Read for State {
    fn log(&self) -> Result<LogState> {
        self.log.clone().ok_or(StoreError::NotBootstrapped)
    }

    fn chain_at(&self, log: &LogState, at: Position) -> Result<Option<Chain>> {
        if let Some((line, _)) = self.lines.get(&at) {
            return Ok(Some(line.chain));
        }
        let before_first = at == Position::new(1, 0) && self.lines.contains_key(&Position::new(1, 1));
        Ok(before_first.then(|| Chain::genesis(&log.log)))
    }

    fn lines_after(&self, after: Position, limit: usize) -> Result<Vec<LogLine>> {
        let from = after.next();
        Ok(self.lines.range(from..).take(limit).map(|(_, (line, _))| line.clone()).collect())
    }

    fn session(&self, sid: &str) -> Result<Option<Session>> {
        Ok(self.sessions.get(sid).map(|kept| kept.session.clone()))
    }

    fn sessions_of(&self, subject: &str, limit: usize) -> Result<Vec<Session>> {
        let from = (subject.to_owned(), String::new());
        let named = self.sessions_by_subject.range(from..).take_while(|(of, _)| of == subject);
        let mut sessions: Vec<&Session> = named.filter_map(|(_, sid)| Some(&self.sessions.get(sid)?.session)).collect();
        sessions.sort_unstable_by(|a, b| (b.created, &b.sid).cmp(&(a.created, &a.sid)));
        Ok(sessions.into_iter().take(limit).cloned().collect())
    }

    fn sessions_naming(&self, target: &TargetHash, after: &str, limit: usize) -> Result<Vec<Session>> {
        let from = (*target, after.to_owned());
        let named = self.sessions_by_target.range(from..).take_while(|(of, _)| of == target);
        let named = named.filter(|(_, sid)| sid != after).take(limit);
        Ok(named.filter_map(|(_, sid)| Some(self.sessions.get(sid)?.session.clone())).collect())
    }

    fn count_naming(&self, target: &TargetHash) -> Result<u64> {
        let named = self.sessions_by_target.range((*target, String::new())..).take_while(|(of, _)| of == target);
        Ok(named.count() as u64)
    }

    fn sessions_in(&self, span: &SessionSpan<'_>, after: &str, limit: usize) -> Result<Vec<Session>> {
        let later = self.sessions.range(after.to_owned()..).filter(|(sid, _)| *sid != after);
        let within = later.map(|(_, kept)| &kept.session).filter(|session| {
            let of_subject = span.subject.is_none_or(|subject| session.subject == subject);
            of_subject && session.created <= span.opened_by && session.expires >= span.ends_from
        });
        Ok(within.take(limit).cloned().collect())
    }

    fn family(&self, sid: &str) -> Result<Option<RefreshFamily>> {
        Ok(self.families.get(sid).cloned())
    }

    fn first_grace_end(&self) -> Result<Option<UnixMillis>> {
        Ok(self.graces.get_min().map(|(until, _)| *until))
    }

    fn latest_expiry(&self) -> Result<Option<UnixSeconds>> {
        Ok(self.open_sessions_by_expiry.get_max().map(|(expires, _)| *expires))
    }

    fn cell(&self, side: Side, target: &TargetHash) -> Result<Option<HashedCell>> {
        Ok(self.cells.get(&(side, *target)).copied())
    }

    fn in_force(&self, target: &TargetHash) -> Result<InForce> {
        let held = |side| self.cells.get(&(side, *target)).and_then(|hashed| hashed.cell);
        Ok(InForce { access: held(Side::Access), sessions: held(Side::Sessions) })
    }

    fn access_cells(&self) -> Result<Vec<HashedCell>> {
        Ok(self.cells.iter().filter(|((side, _), _)| *side == Side::Access).map(|(_, cell)| *cell).collect())
    }

    fn revocation(&self, at: Position) -> Result<Option<StoredRevocation>> {
        Ok(self.revocations.get(&at).cloned())
    }

    fn revocations(&self, filter: &RevocationFilter) -> Result<Vec<StoredRevocation>> {
        let from = filter.after.map_or(Position::default(), Position::next);
        let named = self.revocations.range(from..).map(|(_, revocation)| revocation);
        let named = named.filter(|entry| filter.target.as_ref().is_none_or(|target| entry.target == *target));
        Ok(named.take(filter.limit).cloned().collect())
    }

    fn revocations_on(&self, target: &TargetHash) -> Result<Vec<StoredRevocation>> {
        let named = self.revocations_by_target.range((*target, Position::default())..);
        let named = named.take_while(|(of, _)| of == target).filter_map(|(_, at)| self.revocations.get(at));
        Ok(named.filter(|entry| entry.lifted.is_none()).cloned().collect())
    }

    fn count_without_until(&self) -> Result<u64> {
        let never = |cell: &HashedCell| cell.cell.is_some_and(|cell| cell.until == annul_core::algebra::Until::Never);
        let counted = self.cells.iter().filter(|((side, _), cell)| *side == Side::Access && never(cell)).count();
        Ok(counted.try_into().unwrap_or(u64::MAX))
    }

    fn subject(&self, subject: &Target) -> Result<SubjectState> {
        Ok(self.subjects.get(subject).cloned().unwrap_or_default())
    }

    fn keys(&self) -> Result<Vec<KeyRecord>> {
        let mut keys: Vec<KeyRecord> = self.keys.values().cloned().collect();
        keys.sort_by(|a, b| (a.created, &a.kid).cmp(&(b.created, &b.kid)));
        Ok(keys)
    }

    fn issuer(&self, issuer: &str) -> Result<Option<Arc<IssuerRow>>> {
        Ok(self.issuers.get(issuer).cloned())
    }

    fn issuers(&self) -> Result<Vec<IssuerRow>> {
        Ok(self.issuers.values().map(|issuer| IssuerRow::clone(issuer)).collect())
    }

    fn account(&self, username: &str) -> Result<Option<Account>> {
        Ok(self.accounts.get(username).cloned())
    }

    fn accounts(&self, after: &str, limit: usize) -> Result<Vec<Account>> {
        let named = self.accounts.range(after.to_owned()..).filter(|(name, _)| *name != after);
        Ok(named.take(limit).map(|(_, account)| account.clone()).collect())
    }

    fn account_of(&self, subject: &str) -> Result<Option<Account>> {
        Ok(self.accounts.values().find(|account| account.subject == subject).cloned())
    }

    fn is_account_name(&self, name: &str) -> Result<bool> {
        Ok(self.accounts.contains_key(name) || self.accounts.values().any(|account| account.subject == name))
    }

    fn client(&self, client_id: &str) -> Result<Option<ClientRecord>> {
        Ok(self.clients.get(client_id).cloned())
    }

    fn clients(&self) -> Result<Vec<ClientRecord>> {
        Ok(self.clients.values().cloned().collect())
    }

    fn schedule(&self, id: &str) -> Result<Option<Schedule>> {
        Ok(self.schedules.get(id).cloned())
    }

    fn schedules(&self, limit: usize) -> Result<Vec<Schedule>> {
        let mut all: Vec<&Schedule> = self.schedules.values().collect();
        let order = |schedule: &Schedule| {
            let next = schedule.next().map(|step| step.due);
            (next.is_none(), next, std::cmp::Reverse(schedule.created))
        };
        all.sort_by_key(|schedule| order(schedule));
        Ok(all.into_iter().take(limit).cloned().collect())
    }

    fn next_due(&self) -> Result<Option<DueStep>> {
        let waiting = self.schedules.values().filter_map(|schedule| Some((schedule.next()?.due, &schedule.id)));
        Ok(waiting.min().map(|(due, id)| DueStep { id: id.clone(), due }))
    }

    fn count_schedules(&self) -> Result<u64> {
        Ok(self.schedules.values().filter(|schedule| schedule.next().is_some()).count() as u64)
    }

    fn verifier_bounds(&self, limit: usize) -> Result<Vec<VerifierBound>> {
        let surplus = self.verifier_bounds.len().saturating_sub(limit);
        Ok(self.verifier_bounds.values().skip(surplus).copied().collect())
    }

    fn replicas(&self) -> Result<Vec<ReplicaStatus>> {
        Ok(self.replicas.values().cloned().collect())
    }

    fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditEvent>> {
        let events = self.audit.range(filter.after.saturating_add(1)..).map(|(_, event)| event);
        let events = events.filter(|event| filter.at.is_none() || event.at == filter.at);
        let events = events.filter(|event| filter.target.is_none() || event.target == filter.target);
        Ok(events.take(filter.limit).cloned().collect())
    }

    fn attempt(&self, key: &IdempotencyKey) -> Result<Option<Attempt>> {
        Ok(self.attempts.get(&(key.client.clone(), key.key.clone())).cloned())
    }

    fn is_used(&self, key: &[u8; 32]) -> Result<bool> {
        Ok(self.used.contains_key(key))
    }
}

impl Write for State {
    fn put_log(&mut self, log: &LogState) -> Result<()> {
        self.log = Some(log.clone());
        Ok(())
    }

    fn put_line(&mut self, line: &LogLine, time: UnixMillis) -> Result<()> {
        let log = self.log.as_mut().ok_or(StoreError::NotBootstrapped)?;
        log.head = Head { at: line.at, chain: line.chain };
        self.lines.insert(line.at, (line.clone(), time));
        Ok(())
    }

    fn put_session(&mut self, session: &Session, targets: &[TargetHash]) -> Result<()> {
        self.forget_session(&session.sid);
        for target in targets {
            self.sessions_by_target.insert((*target, session.sid.clone()));
        }
        self.sessions_by_subject.insert((session.subject.clone(), session.sid.clone()));
        if session.ended.is_none() {
            self.open_sessions_by_expiry.insert((session.expires, session.sid.clone()));
        }
        let kept = Kept { session: session.clone(), targets: targets.to_vec() };
        self.sessions.insert(session.sid.clone(), Arc::new(kept));
        Ok(())
    }

    fn put_family(&mut self, family: &RefreshFamily) -> Result<()> {
        self.forget_family(&family.sid);
        if let Some(spent) = &family.spent {
            self.graces.insert((spent.until, family.sid.clone()));
        }
        self.families.insert(family.sid.clone(), family.clone());
        Ok(())
    }

    fn end_graces(&mut self, now: UnixMillis, limit: usize) -> Result<usize> {
        let over: Vec<_> = self.graces.iter().take_while(|(until, _)| *until <= now).take(limit).cloned().collect();
        for grace in &over {
            self.graces.remove(grace);
            if let Some(family) = self.families.get_mut(&grace.1) {
                family.spent = None;
            }
        }
        Ok(over.len())
    }

    fn put_revocation(&mut self, revocation: &StoredRevocation) -> Result<()> {
        self.revocations_by_target.insert((revocation.hash, revocation.at));
        self.revocations.insert(revocation.at, revocation.clone());
        Ok(())
    }

    fn put_in_force(&mut self, target: &TargetHash, kind: TargetKind, in_force: &InForce) -> Result<()> {
        for (side, cell) in [(Side::Access, in_force.access), (Side::Sessions, in_force.sessions)] {
            match cell {
                Some(_) => self.cells.insert((side, *target), HashedCell { target: *target, kind, cell }),
                None => self.cells.remove(&(side, *target)),
            };
        }
        Ok(())
    }

    fn put_subject(&mut self, subject: &Target, state: &SubjectState) -> Result<()> {
        self.subjects.insert(subject.clone(), state.clone());
        Ok(())
    }

    fn put_key(&mut self, key: &KeyRecord) -> Result<()> {
        self.keys.insert(key.kid.clone(), key.clone());
        Ok(())
    }

    fn remove_key(&mut self, kid: &str) -> Result<()> {
        self.keys.remove(kid);
        Ok(())
    }

    fn put_issuer(&mut self, issuer: &IssuerRow) -> Result<()> {
        self.issuers.insert(issuer.record.issuer.clone(), Arc::new(issuer.clone()));
        Ok(())
    }

    fn put_account(&mut self, account: &Account) -> Result<()> {
        self.accounts.insert(account.username.clone(), account.clone());
        Ok(())
    }

    fn remove_account(&mut self, username: &str) -> Result<()> {
        self.accounts.remove(username);
        Ok(())
    }

    fn put_client(&mut self, client: &ClientRecord) -> Result<()> {
        self.client_changes += 1;
        self.clients.insert(client.client_id.clone(), client.clone());
        Ok(())
    }

    fn remove_client(&mut self, client_id: &str) -> Result<()> {
        self.client_changes += 1;
        self.clients.remove(client_id);
        Ok(())
    }

    fn put_schedule(&mut self, schedule: &Schedule) -> Result<()> {
        self.schedules.insert(schedule.id.clone(), schedule.clone());
        Ok(())
    }

    fn put_verifier_bound(&mut self, bound: &VerifierBound) -> Result<()> {
        let id = self.verifier_bounds.get_max().map_or(1, |(last, _)| last + 1);
        self.verifier_bounds.insert(id, *bound);
        while self.verifier_bounds.len() > MAX_BOUNDS {
            self.verifier_bounds = self.verifier_bounds.without_min().1;
        }
        Ok(())
    }

    fn put_replica(&mut self, replica: &ReplicaStatus) -> Result<()> {
        self.replicas.insert((replica.name.clone(), replica.instance.clone()), replica.clone());
        Ok(())
    }

    fn remove_replica(&mut self, replica: &ReplicaId) -> Result<()> {
        self.replicas.remove(&(replica.name().to_owned(), replica.instance().to_owned()));
        Ok(())
    }

    fn put_audit(&mut self, event: &AuditEvent) -> Result<()> {
        let id = self.audit.get_max().map_or(1, |(last, _)| last + 1);
        self.audit.insert(id, AuditEvent { id, ..event.clone() });
        Ok(())
    }

    fn put_attempt(&mut self, key: &IdempotencyKey, attempt: &Attempt) -> Result<()> {
        self.attempts.insert((key.client.clone(), key.key.clone()), attempt.clone());
        Ok(())
    }

    fn put_used(&mut self, key: &[u8; 32], until: UnixSeconds) -> Result<()> {
        if let Some(before) = self.used.insert(*key, until) {
            self.used_by_until.remove(&(before, *key));
        }
        self.used_by_until.insert((until, *key));
        Ok(())
    }

    fn prune(&mut self, horizon: &PruneHorizon, limit: usize) -> Result<Pruned> {
        let mut pruned = Pruned::default();
        let mut count = |removed: usize| {
            pruned.rows += removed as u64;
            pruned.more |= removed >= limit;
        };

        let spent = self.revocations.values().filter(|entry| entry.is_spent(horizon.entries));
        let spent: Vec<(TargetHash, Position)> = spent.take(limit).map(|entry| (entry.hash, entry.at)).collect();
        for (hash, at) in &spent {
            self.revocations.remove(at);
            self.revocations_by_target.remove(&(*hash, *at));
        }
        count(spent.len());

        let lapsed = |hashed: &HashedCell| hashed.cell.is_none_or(|cell| cell.until.is_over(horizon.entries));
        let cells = self.cells.iter().filter(|(_, cell)| lapsed(cell));
        let cells: Vec<(Side, TargetHash)> = cells.take(limit).map(|(key, _)| *key).collect();
        for key in &cells {
            self.cells.remove(key);
        }
        count(cells.len());

        let over = self.sessions.iter().filter(|(_, kept)| kept.session.expires < horizon.entries);
        let over: Vec<String> = over.take(limit).map(|(sid, _)| sid.clone()).collect();
        for sid in &over {
            self.forget_session(sid);
            self.forget_family(sid);
        }
        count(over.len());

        let head = self.log.as_ref().map(|log| log.head.at);
        let old = self.lines.iter().take_while(|(at, (_, time))| Some(**at) != head && *time < horizon.lines);
        let old: Vec<Position> = old.take(limit).map(|(at, _)| *at).collect();
        for at in &old {
            self.lines.remove(at);
        }
        count(old.len());

        let old = self.attempts.iter().filter(|(_, attempt)| attempt.time < horizon.attempts);
        let old: Vec<(String, String)> = old.take(limit).map(|(key, _)| key.clone()).collect();
        for key in &old {
            self.attempts.remove(key);
        }
        count(old.len());

        let last = self.audit.get_max().map(|(last, _)| *last);
        let old = self.audit.iter().take_while(|(id, event)| Some(**id) != last && event.time < horizon.audit);
        let old: Vec<u64> = old.take(limit).map(|(id, _)| *id).collect();
        for id in &old {
            self.audit.remove(id);
        }
        count(old.len());

        let is_old = |schedule: &&Schedule| {
            schedule.next().is_none() && schedule.steps.last().is_none_or(|step| step.due < horizon.schedules)
        };
        let old: Vec<String> =
            self.schedules.values().filter(is_old).take(limit).map(|schedule| schedule.id.clone()).collect();
        for id in &old {
            self.schedules.remove(id);
        }
        count(old.len());

        let over = self.used_by_until.iter().take_while(|(until, _)| *until < horizon.entries);
        let over: Vec<(UnixSeconds, [u8; 32])> = over.take(limit).copied().collect();
        for (until, key) in &over {
            self.used.remove(key);
            self.used_by_until.remove(&(*until, *key));
        }
        count(over.len());
        Ok(pruned)
    }
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

    fn forget_family(&mut self, sid: &str) {
        let spent = self.families.remove(sid).and_then(|family| family.spent);
        if let Some(spent) = spent {
            self.graces.remove(&(spent.until, sid.to_owned()));
        }
    }

    fn forget_session(&mut self, sid: &str) {
        let Some(kept) = self.sessions.remove(sid) else { return };
        for target in &kept.targets {
            self.sessions_by_target.remove(&(*target, sid.to_owned()));
        }
        self.sessions_by_subject.remove(&(kept.session.subject.clone(), sid.to_owned()));
        self.open_sessions_by_expiry.remove(&(kept.session.expires, sid.to_owned()));
    }
}
