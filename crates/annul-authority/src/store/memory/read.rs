//! What is read of the maps.

use std::sync::Arc;

use annul_core::feed::log::ReplicaStatus;
use annul_core::fold::InForce;
use annul_core::position::Position;
use annul_core::record::{Chain, HashedCell};
use annul_core::target::{Target, TargetHash};
use annul_core::time::{UnixMillis, UnixSeconds};

use super::{Result, State};
use crate::model::{
    Account, AuditEvent, ClientRecord, IdempotencyKey, KeyRecord, LogLine, RefreshFamily, Schedule, Session, Side,
    StoredRevocation, SubjectState, VerifierBound,
};
use crate::store::tables::{Attempt, IssuerRow, Read, SessionSpan};
use crate::store::{AuditFilter, DueStep, LogState, RevocationFilter, StoreError};

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

    fn sessions_naming(
        &self,
        target: &TargetHash,
        over: UnixSeconds,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Session>> {
        let from = (*target, after.to_owned());
        let named = self.sessions_by_target.range(from..).take_while(|(of, _)| of == target);
        let named = named.filter(|(_, sid)| sid != after).filter_map(|(_, sid)| Some(&self.sessions.get(sid)?.session));
        Ok(named.filter(|session| session.expires > over).take(limit).cloned().collect())
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
        let is_meant = |event: &&AuditEvent| {
            (filter.at.is_none() || event.at == filter.at) && (filter.target.is_none() || event.target == filter.target)
        };
        if let Some(after) = filter.after {
            let events = self.audit.range(after.saturating_add(1)..).map(|(_, event)| event);
            return Ok(events.filter(is_meant).take(filter.limit).cloned().collect());
        }
        let newest = self.audit.values().rev().filter(is_meant).take(filter.limit);
        let mut events: Vec<AuditEvent> = newest.cloned().collect();
        events.reverse();
        Ok(events)
    }

    fn attempt(&self, key: &IdempotencyKey) -> Result<Option<Attempt>> {
        Ok(self.attempts.get(&(key.client.clone(), key.key.clone())).cloned())
    }

    fn is_used(&self, key: &[u8; 32]) -> Result<bool> {
        Ok(self.used.contains_key(key))
    }
}
