//! Reading rows.

use std::sync::Arc;

use annul_core::feed::log::ReplicaStatus;
use annul_core::fold::InForce;
use annul_core::position::Position;
use annul_core::record::{Chain, HashedCell};
use annul_core::target::{HashKey, Target, TargetHash};
use annul_core::time::{UnixMillis, UnixSeconds};
use rusqlite::{OptionalExtension as _, Params, Row, params};
use serde::de::DeserializeOwned;

use super::failure::{failed, unreadable};
use super::row::{
    AUDIT, FAMILY, Number, REVOCATION, audit, chain, family, from_doc, full_name, millis, position, revocation,
};
use super::rows::Rows;
use crate::model::{
    Account, AuditEvent, ClientRecord, Head, IdempotencyKey, KeyRecord, LogLine, RefreshFamily, Schedule, Session,
    Side, StoredRevocation, SubjectState, VerifierBound,
};
use crate::store::tables::{Attempt, IssuerRow, Read, SessionSpan};
use crate::store::{AuditFilter, DueStep, LogState, RevocationFilter, StoreError};

type Result<T> = std::result::Result<T, StoreError>;

impl Rows<'_> {
    /// The first row, if there is one.
    pub(super) fn first<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        let mut statement = self.connection.prepare_cached(sql).map_err(failed)?;
        statement.query_row(params, read).optional().map_err(failed)
    }

    /// Every row.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let mut statement = self.connection.prepare_cached(sql).map_err(failed)?;
        let rows = statement.query_map(params, read).map_err(failed)?;
        rows.collect::<rusqlite::Result<_>>().map_err(failed)
    }

    fn stored_log(&self) -> Result<LogState> {
        let sql = "SELECT id, settings, hash_key, feed_key, groups, subject_secret FROM log";
        let read = |row: &Row<'_>| {
            let hash_key = HashKey::from_bytes(row.get(2)?);
            let state = (row.get::<_, Option<String>>(4)?, row.get::<_, Option<String>>(5)?);
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, hash_key, row.get(3)?, state))
        };
        let (log, settings, hash_key, sealed_feed_key, (groups, subject_secret)) =
            self.first(sql, [], read)?.ok_or(StoreError::NotBootstrapped)?;
        Ok(LogState {
            log,
            head: self.head()?,
            settings: from_doc("log", &settings)?,
            hash_key,
            sealed_feed_key,
            groups: groups.map(|doc| from_doc("log", &doc)).transpose()?,
            subject_secret: subject_secret.map(|doc| from_doc("log", &doc)).transpose()?,
        })
    }

    /// The last line of the log, which is never removed, or of what this transaction appends to it.
    fn head(&self) -> Result<Head> {
        if let Some((last, _)) = self.lines.last() {
            return Ok(Head { at: last.at, chain: last.chain });
        }
        let last = "SELECT epoch, seq, chain FROM line ORDER BY epoch DESC, seq DESC LIMIT 1";
        let last = self.first(last, [], |row| Ok(Head { at: position(row)?, chain: chain(row.get(2)?) }))?;
        last.ok_or_else(unreadable("line"))
    }

    fn doc<T: DeserializeOwned>(&self, what: &'static str, sql: &str, params: impl Params) -> Result<Option<T>> {
        let doc: Option<String> = self.first(sql, params, |row| row.get(0))?;
        doc.map(|doc| from_doc(what, &doc)).transpose()
    }

    fn docs<T: DeserializeOwned>(&self, what: &'static str, sql: &str, params: impl Params) -> Result<Vec<T>> {
        let docs: Vec<String> = self.all(sql, params, |row| row.get(0))?;
        docs.iter().map(|doc| from_doc(what, doc)).collect()
    }
}

/// The cell that a column holds.
pub(super) fn cell_of(line: Option<String>) -> Result<Option<HashedCell>> {
    line.map(|line| HashedCell::from_line(&line).map_err(|_| unreadable("cell")())).transpose()
}

impl Read for Rows<'_> {
    fn log(&self) -> Result<LogState> {
        if let Some(held) = &*self.log.borrow() {
            return Ok(held.clone());
        }
        let log = self.stored_log()?;
        *self.log.borrow_mut() = Some(log.clone());
        Ok(log)
    }

    fn chain_at(&self, log: &LogState, at: Position) -> Result<Option<Chain>> {
        let sql = "SELECT chain FROM line WHERE epoch = ?1 AND seq = ?2";
        let chain_of = |at: Position| self.first(sql, params![at.epoch, Number(at.seq)], |row| row.get(0).map(chain));
        match chain_of(at)? {
            Some(chain) => Ok(Some(chain)),
            None if at == Position::new(1, 0) => Ok(chain_of(at.next())?.map(|_| Chain::genesis(&log.log))),
            None => Ok(None),
        }
    }

    fn lines_after(&self, after: Position, limit: usize) -> Result<Vec<LogLine>> {
        let sql = "SELECT epoch, seq, line, chain FROM line WHERE (epoch, seq) > (?1, ?2) ORDER BY epoch, seq LIMIT ?3";
        self.all(sql, params![after.epoch, Number(after.seq), Number(limit as u64)], |row| {
            Ok(LogLine { at: position(row)?, line: row.get(2)?, chain: chain(row.get(3)?) })
        })
    }

    fn session(&self, sid: &str) -> Result<Option<Session>> {
        self.doc("session", "SELECT doc FROM session WHERE sid = ?1", [sid])
    }

    fn sessions_of(&self, subject: &str, limit: usize) -> Result<Vec<Session>> {
        let sql = "SELECT doc FROM session WHERE subject = ?1 ORDER BY created_millis DESC, sid DESC LIMIT ?2";
        self.docs("session", sql, params![subject, Number(limit as u64)])
    }

    fn sessions_naming(
        &self,
        target: &TargetHash,
        over: UnixSeconds,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Session>> {
        // A CROSS JOIN is made in the order it is written in: by target, whatever else there is an index for.
        let sql = "SELECT s.doc FROM session_target t CROSS JOIN session s ON s.sid = t.sid \
                   WHERE t.target = ?1 AND t.sid > ?2 AND s.expires > ?3 ORDER BY t.sid LIMIT ?4";
        self.docs("session", sql, params![target.0, after, Number(over.0), Number(limit as u64)])
    }

    fn count_naming(&self, target: &TargetHash) -> Result<u64> {
        let sql = "SELECT count(*) FROM session_target WHERE target = ?1";
        let count: Option<Number> = self.first(sql, [target.0], |row| row.get(0))?;
        Ok(count.map_or(0, |count| count.0))
    }

    fn sessions_in(&self, span: &SessionSpan<'_>, after: &str, limit: usize) -> Result<Vec<Session>> {
        let subject = if span.subject.is_some() { "subject = ?5" } else { "?5 IS NULL" };
        let sql = format!(
            "SELECT doc FROM session WHERE sid > ?1 AND created_millis <= ?2 AND expires >= ?3 AND {subject} \
             ORDER BY sid LIMIT ?4"
        );
        let (opened_by, ends_from) = (Number(span.opened_by.0), Number(span.ends_from.0));
        self.docs("session", &sql, params![after, opened_by, ends_from, Number(limit as u64), span.subject])
    }

    fn family(&self, sid: &str) -> Result<Option<RefreshFamily>> {
        let sql = format!("SELECT {FAMILY} FROM refresh_family WHERE sid = ?1");
        let found = self.first(&sql, [sid], family)?;
        found.map(|family| family.ok_or_else(unreadable("refresh_family"))).transpose()
    }

    fn first_grace_end(&self) -> Result<Option<UnixMillis>> {
        let sql = "SELECT min(grace_until_millis) FROM refresh_family WHERE grace_until_millis IS NOT NULL";
        let first: Option<Option<Number>> = self.first(sql, [], |row| row.get(0))?;
        Ok(first.flatten().map(millis))
    }

    fn latest_expiry(&self) -> Result<Option<UnixSeconds>> {
        let sql = "SELECT max(expires) FROM session WHERE ended = 0";
        let latest: Option<Option<Number>> = self.first(sql, [], |row| row.get(0))?;
        Ok(latest.flatten().map(|seconds| UnixSeconds(seconds.0)))
    }

    fn cell(&self, side: Side, target: &TargetHash) -> Result<Option<HashedCell>> {
        let sql = match side {
            Side::Access => "SELECT access FROM cell WHERE target = ?1",
            Side::Sessions => "SELECT sessions FROM cell WHERE target = ?1",
        };
        cell_of(self.first(sql, [target.0], |row| row.get(0))?.flatten())
    }

    fn in_force(&self, target: &TargetHash) -> Result<InForce> {
        let sql = "SELECT access, sessions FROM cell WHERE target = ?1";
        let lines: Option<(Option<String>, Option<String>)> =
            self.first(sql, [target.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (access, sessions) = lines.unwrap_or_default();
        let held = |line| Ok::<_, StoreError>(cell_of(line)?.and_then(|hashed| hashed.cell));
        Ok(InForce { access: held(access)?, sessions: held(sessions)? })
    }

    fn access_cells(&self) -> Result<Vec<HashedCell>> {
        let sql = "SELECT access FROM cell WHERE access IS NOT NULL ORDER BY target";
        let lines: Vec<String> = self.all(sql, [], |row| row.get(0))?;
        lines.iter().map(|line| HashedCell::from_line(line).map_err(|_| unreadable("cell")())).collect()
    }

    fn revocation(&self, at: Position) -> Result<Option<StoredRevocation>> {
        let sql = format!("SELECT {REVOCATION} FROM revocation WHERE epoch = ?1 AND seq = ?2");
        let found = self.first(&sql, params![at.epoch, Number(at.seq)], revocation)?;
        found.map(|entry| entry.ok_or_else(unreadable("revocation"))).transpose()
    }

    fn revocations(&self, filter: &RevocationFilter) -> Result<Vec<StoredRevocation>> {
        let named = if filter.target.is_some() { "target = ?4" } else { "?4 IS NULL" };
        let sql = format!(
            "SELECT {REVOCATION} FROM revocation WHERE (epoch, seq) > (?1, ?2) AND {named} ORDER BY epoch, seq LIMIT ?3"
        );
        let after = filter.after.unwrap_or_default();
        let hash = match &filter.target {
            Some(target) => Some(target.hash(&self.log()?.hash_key).0),
            None => None,
        };
        let found =
            self.all(&sql, params![after.epoch, Number(after.seq), Number(filter.limit as u64), hash], revocation)?;
        found.into_iter().map(|entry| entry.ok_or_else(unreadable("revocation"))).collect()
    }

    fn revocations_on(&self, target: &TargetHash) -> Result<Vec<StoredRevocation>> {
        let sql = format!(
            "SELECT {REVOCATION} FROM revocation WHERE target = ?1 AND lifted_epoch IS NULL ORDER BY epoch, seq"
        );
        let found = self.all(&sql, [target.0], revocation)?;
        found.into_iter().map(|entry| entry.ok_or_else(unreadable("revocation"))).collect()
    }

    fn count_without_until(&self) -> Result<u64> {
        let sql = "SELECT count(*) FROM cell WHERE access IS NOT NULL AND access_until IS NULL";
        let count: Option<Number> = self.first(sql, [], |row| row.get(0))?;
        Ok(count.map_or(0, |count| count.0))
    }

    fn subject(&self, subject: &Target) -> Result<SubjectState> {
        let state = self.doc("subject", "SELECT doc FROM subject WHERE name = ?1", [full_name(subject)])?;
        Ok(state.unwrap_or_default())
    }

    fn keys(&self) -> Result<Vec<KeyRecord>> {
        self.docs("signing_key", "SELECT doc FROM signing_key ORDER BY created_millis, kid", [])
    }

    fn issuer(&self, issuer: &str) -> Result<Option<Arc<IssuerRow>>> {
        if let Some(held) = self.issuers.borrow().get(issuer) {
            return Ok(Some(Arc::clone(held)));
        }
        let stored: Option<Arc<IssuerRow>> =
            self.doc("issuer", "SELECT doc FROM issuer WHERE issuer = ?1", [issuer])?.map(Arc::new);
        if let Some(row) = &stored {
            self.issuers.borrow_mut().insert(issuer.to_owned(), Arc::clone(row));
        }
        Ok(stored)
    }

    fn issuers(&self) -> Result<Vec<IssuerRow>> {
        self.docs("issuer", "SELECT doc FROM issuer ORDER BY issuer", [])
    }

    fn account(&self, username: &str) -> Result<Option<Account>> {
        self.doc("account", "SELECT doc FROM account WHERE username = ?1", [username])
    }

    fn accounts(&self, after: &str, limit: usize) -> Result<Vec<Account>> {
        let sql = "SELECT doc FROM account WHERE username > ?1 ORDER BY username LIMIT ?2";
        self.docs("account", sql, params![after, Number(limit as u64)])
    }

    fn account_of(&self, subject: &str) -> Result<Option<Account>> {
        self.doc("account", "SELECT doc FROM account WHERE subject = ?1", [subject])
    }

    fn is_account_name(&self, name: &str) -> Result<bool> {
        let sql = "SELECT 1 FROM account WHERE username = ?1 OR subject = ?1 LIMIT 1";
        Ok(self.first(sql, [name], |_| Ok(()))?.is_some())
    }

    fn client(&self, client_id: &str) -> Result<Option<ClientRecord>> {
        self.doc("client", "SELECT doc FROM client WHERE client_id = ?1", [client_id])
    }

    fn clients(&self) -> Result<Vec<ClientRecord>> {
        self.docs("client", "SELECT doc FROM client ORDER BY client_id", [])
    }

    fn schedule(&self, id: &str) -> Result<Option<Schedule>> {
        self.doc("schedule", "SELECT doc FROM schedule WHERE id = ?1", [id])
    }

    fn schedules(&self, limit: usize) -> Result<Vec<Schedule>> {
        let sql = "SELECT doc FROM schedule ORDER BY due_millis IS NULL, due_millis, created_millis DESC LIMIT ?1";
        self.docs("schedule", sql, [Number(limit as u64)])
    }

    fn next_due(&self) -> Result<Option<DueStep>> {
        let sql = "SELECT id, due_millis FROM schedule WHERE due_millis IS NOT NULL ORDER BY due_millis, id LIMIT 1";
        self.first(sql, [], |row| Ok(DueStep { id: row.get(0)?, due: millis(row.get(1)?) }))
    }

    fn count_schedules(&self) -> Result<u64> {
        let sql = "SELECT count(*) FROM schedule WHERE due_millis IS NOT NULL";
        let count: Option<Number> = self.first(sql, [], |row| row.get(0))?;
        Ok(count.map_or(0, |count| count.0))
    }

    fn verifier_bounds(&self, limit: usize) -> Result<Vec<VerifierBound>> {
        let sql = "SELECT doc FROM verifier_bound ORDER BY id DESC LIMIT ?1";
        let mut newest: Vec<VerifierBound> = self.docs("verifier_bound", sql, [Number(limit as u64)])?;
        newest.reverse();
        Ok(newest)
    }

    fn replicas(&self) -> Result<Vec<ReplicaStatus>> {
        self.docs("replica", "SELECT doc FROM replica ORDER BY name, instance", [])
    }

    fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditEvent>> {
        let at = if filter.at.is_some() { "epoch = ?3 AND seq = ?4" } else { "?3 IS NULL AND ?4 IS NULL" };
        let target = if filter.target.is_some() { "target = ?5" } else { "?5 IS NULL" };
        let (after, order) = if filter.after.is_some() { ("id > ?1", "ASC") } else { ("?1 IS NULL", "DESC") };
        let sql = format!("SELECT {AUDIT} FROM audit WHERE {after} AND {at} AND {target} ORDER BY id {order} LIMIT ?2");
        let (epoch, seq) = (filter.at.map(|at| at.epoch), filter.at.map(|at| Number(at.seq)));
        let (after, limit) = (filter.after.map(Number), Number(filter.limit as u64));
        let mut events = self.all(&sql, params![after, limit, epoch, seq, filter.target], audit)?;
        if filter.after.is_none() {
            events.reverse();
        }
        Ok(events)
    }

    fn attempt(&self, key: &IdempotencyKey) -> Result<Option<Attempt>> {
        let sql = "SELECT request, time_millis, outcome FROM attempt WHERE client = ?1 AND key = ?2";
        self.first(sql, params![key.client, key.key], |row| {
            Ok(Attempt { request: row.get(0)?, time: millis(row.get(1)?), outcome: row.get(2)? })
        })
    }

    fn is_used(&self, key: &[u8; 32]) -> Result<bool> {
        Ok(self.first("SELECT 1 FROM used_once WHERE id = ?1", [key], |_| Ok(()))?.is_some())
    }
}
