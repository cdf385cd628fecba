//! What is written into the maps, with what finds it again.

use std::sync::Arc;

use annul_core::feed::log::{ReplicaId, ReplicaStatus};
use annul_core::fold::InForce;
use annul_core::record::HashedCell;
use annul_core::target::{Target, TargetHash, TargetKind};
use annul_core::time::{UnixMillis, UnixSeconds};

use super::{Kept, Result, State};
use crate::model::{
    Account, AuditEvent, ClientRecord, Head, IdempotencyKey, KeyRecord, LogLine, RefreshFamily, Schedule, Session,
    Side, StoredRevocation, SubjectState, VerifierBound,
};
use crate::store::tables::{Attempt, IssuerRow, MAX_BOUNDS, PruneHorizon, Write};
use crate::store::{LogState, Pruned, StoreError};

impl Write for State {
    fn put_log(&mut self, log: &LogState) -> Result<()> {
        self.log = Some(log.clone());
        Ok(())
    }

    fn put_line(&mut self, line: &LogLine, latest: UnixMillis) -> Result<()> {
        let log = self.log.as_mut().ok_or(StoreError::NotBootstrapped)?;
        log.head = Head { at: line.at, chain: line.chain };
        self.lines.insert(line.at, (line.clone(), latest));
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
        Ok(self.take_out(horizon, limit))
    }
}

impl State {
    pub(super) fn forget_family(&mut self, sid: &str) {
        let spent = self.families.remove(sid).and_then(|family| family.spent);
        if let Some(spent) = spent {
            self.graces.remove(&(spent.until, sid.to_owned()));
        }
    }

    pub(super) fn forget_session(&mut self, sid: &str) {
        let Some(kept) = self.sessions.remove(sid) else { return };
        for target in &kept.targets {
            self.sessions_by_target.remove(&(*target, sid.to_owned()));
        }
        self.sessions_by_subject.remove(&(kept.session.subject.clone(), sid.to_owned()));
        self.open_sessions_by_expiry.remove(&(kept.session.expires, sid.to_owned()));
    }
}
