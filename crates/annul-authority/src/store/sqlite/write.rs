//! Writing rows.

use annul_core::algebra::{Cell, Until};
use annul_core::feed::log::{ReplicaId, ReplicaStatus};
use annul_core::fold::InForce;
use annul_core::record::HashedCell;
use annul_core::target::{Target, TargetHash, TargetKind};
use annul_core::time::{UnixMillis, UnixSeconds};
use rusqlite::{Params, params};

use super::failure::failed;
use super::read::cell_of;
use super::row::{
    FAMILY, Mark, Number, REVOCATION, cutoff_columns, emitter_column, full_name, position, reach_column, to_doc,
    until_column,
};
use super::rows::Rows;
use crate::model::{
    Account, AuditEvent, ClientRecord, Head, IdempotencyKey, KeyRecord, LogLine, RefreshFamily, Schedule, Session,
    StoredRevocation, SubjectState, VerifierBound,
};
use crate::store::tables::{Attempt, IssuerRow, MAX_BOUNDS, PruneHorizon, Write};
use crate::store::{LogState, Pruned, StoreError};

type Result<T> = std::result::Result<T, StoreError>;

impl Rows<'_> {
    /// Runs a statement and tells how many rows it touched.
    fn run(&self, sql: &str, params: impl Params) -> Result<usize> {
        let mut statement = self.connection.prepare_cached(sql).map_err(failed)?;
        statement.execute(params).map_err(failed)
    }
}

impl Write for Rows<'_> {
    fn put_log(&mut self, log: &LogState) -> Result<()> {
        let settings = to_doc(&log.settings);
        self.run(
            "INSERT INTO log (one, id, settings, hash_key, feed_key, groups, subject_secret) \
             VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6) \
             ON CONFLICT (one) DO UPDATE SET settings = excluded.settings, feed_key = excluded.feed_key, \
             groups = excluded.groups, subject_secret = excluded.subject_secret",
            params![
                log.log,
                settings,
                log.hash_key.expose(),
                log.sealed_feed_key,
                log.groups.as_ref().map(to_doc),
                log.subject_secret.as_ref().map(to_doc)
            ],
        )?;
        *self.log.get_mut() = Some(log.clone());
        Ok(())
    }

    fn put_line(&mut self, line: &LogLine, latest: UnixMillis) -> Result<()> {
        if let Some(log) = self.log.get_mut() {
            log.head = Head { at: line.at, chain: line.chain };
        }
        self.lines.push((line.clone(), latest));
        Ok(())
    }

    fn put_session(&mut self, session: &Session, targets: &[TargetHash]) -> Result<()> {
        self.run(
            "INSERT INTO session (sid, subject, created_millis, expires, ended, doc) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
             ON CONFLICT (sid) DO UPDATE SET expires = excluded.expires, ended = excluded.ended, doc = excluded.doc",
            params![
                session.sid,
                session.subject,
                Number(session.created.0),
                Number(session.expires.0),
                session.ended.is_some(),
                to_doc(session)
            ],
        )?;
        let held = "SELECT target FROM session_target WHERE sid = ?1";
        let held: Vec<[u8; 16]> = self.all(held, [&session.sid], |row| row.get(0))?;
        for target in held.iter().filter(|held| !targets.contains(&TargetHash(**held))) {
            self.run("DELETE FROM session_target WHERE target = ?1 AND sid = ?2", params![target, session.sid])?;
        }
        for target in targets.iter().filter(|target| !held.contains(&target.0)) {
            self.run("INSERT INTO session_target (target, sid) VALUES (?1, ?2)", params![target.0, session.sid])?;
        }
        Ok(())
    }

    fn put_family(&mut self, family: &RefreshFamily) -> Result<()> {
        let spent = family.spent.as_ref();
        let sql = format!(
            "INSERT INTO refresh_family ({FAMILY}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
             ON CONFLICT (sid) DO UPDATE SET generation = excluded.generation, current = excluded.current, \
             access_expires = excluded.access_expires, spent = excluded.spent, successor = excluded.successor, \
             grace_until_millis = excluded.grace_until_millis, asker = excluded.asker"
        );
        let params = params![
            family.sid,
            family.generation,
            Mark(family.current.clone()),
            Number(family.access_expires.0),
            spent.map(|spent| Mark(spent.mark.clone())),
            spent.map(|spent| &spent.successor),
            spent.map(|spent| Number(spent.until.0)),
            spent.map(|spent| to_doc(&spent.by)),
        ];
        self.run(&sql, params).map(drop)
    }

    fn end_graces(&mut self, now: UnixMillis, limit: usize) -> Result<usize> {
        let sql = "UPDATE refresh_family SET spent = NULL, successor = NULL, grace_until_millis = NULL, asker = NULL \
                   WHERE sid IN (SELECT sid FROM refresh_family WHERE grace_until_millis <= ?1 \
                   ORDER BY grace_until_millis LIMIT ?2)";
        self.run(sql, params![Number(now.0), Number(limit as u64)])
    }

    fn put_revocation(&mut self, entry: &StoredRevocation) -> Result<()> {
        let (cutoff, cutoff_time) = cutoff_columns(entry.cutoff);
        let sql = format!(
            "INSERT INTO revocation ({REVOCATION}, spent_after) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19) \
             ON CONFLICT (epoch, seq) DO UPDATE SET lifted_epoch = excluded.lifted_epoch, lifted_seq = excluded.lifted_seq"
        );
        let params = params![
            entry.at.epoch,
            Number(entry.at.seq),
            entry.hash.0,
            full_name(&entry.target),
            cutoff,
            cutoff_time,
            entry.fields.always,
            entry.fields.now,
            entry.fields.before.map(|time| Number(time.0)),
            reach_column(entry.reach),
            until_column(entry.until),
            until_column(entry.sessions_until),
            entry.reason,
            entry.actor,
            Number(entry.time.0),
            emitter_column(entry.emitted_by),
            entry.lifted.map(|at| at.epoch),
            entry.lifted.map(|at| Number(at.seq)),
            entry.spent_after().map(|second| Number(second.0)),
        ];
        self.run(&sql, params).map(drop)
    }

    fn put_in_force(&mut self, target: &TargetHash, kind: TargetKind, in_force: &InForce) -> Result<()> {
        let sides = [in_force.access, in_force.sessions];
        if sides == [None, None] {
            return self.run("DELETE FROM cell WHERE target = ?1", [target.0]).map(drop);
        }
        let line =
            |cell: Option<Cell>| cell.map(|held| HashedCell { target: *target, kind, cell: Some(held) }.to_line());
        let due = sides.into_iter().flatten().filter_map(|cell| until_column(cell.until)).min();
        self.run(
            "INSERT INTO cell (target, access, access_until, sessions, due) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT (target) DO UPDATE SET access = excluded.access, access_until = excluded.access_until, \
             sessions = excluded.sessions, due = excluded.due",
            params![
                target.0,
                line(in_force.access),
                in_force.access.and_then(|cell| until_column(cell.until)),
                line(in_force.sessions),
                due
            ],
        )
        .map(drop)
    }

    fn put_subject(&mut self, subject: &Target, state: &SubjectState) -> Result<()> {
        let sql = "INSERT INTO subject (name, doc) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET doc = excluded.doc";
        self.run(sql, params![full_name(subject), to_doc(state)]).map(drop)
    }

    fn put_key(&mut self, key: &KeyRecord) -> Result<()> {
        let sql = "INSERT INTO signing_key (kid, created_millis, doc) VALUES (?1, ?2, ?3) \
                   ON CONFLICT (kid) DO UPDATE SET doc = excluded.doc";
        self.run(sql, params![key.kid, Number(key.created.0), to_doc(key)]).map(drop)
    }

    fn remove_key(&mut self, kid: &str) -> Result<()> {
        self.run("DELETE FROM signing_key WHERE kid = ?1", [kid]).map(drop)
    }

    fn put_issuer(&mut self, issuer: &IssuerRow) -> Result<()> {
        let sql =
            "INSERT INTO issuer (issuer, doc) VALUES (?1, ?2) ON CONFLICT (issuer) DO UPDATE SET doc = excluded.doc";
        self.issuers.get_mut().remove(&issuer.record.issuer);
        self.run(sql, params![issuer.record.issuer, to_doc(issuer)]).map(drop)
    }

    fn put_account(&mut self, account: &Account) -> Result<()> {
        let sql = "INSERT INTO account (username, subject, doc) VALUES (?1, ?2, ?3) \
                   ON CONFLICT (username) DO UPDATE SET subject = excluded.subject, doc = excluded.doc";
        self.run(sql, params![account.username, account.subject, to_doc(account)]).map(drop)
    }

    fn remove_account(&mut self, username: &str) -> Result<()> {
        self.run("DELETE FROM account WHERE username = ?1", [username]).map(drop)
    }

    fn put_client(&mut self, client: &ClientRecord) -> Result<()> {
        let sql = "INSERT INTO client (client_id, doc) VALUES (?1, ?2) \
                   ON CONFLICT (client_id) DO UPDATE SET doc = excluded.doc";
        self.client_changes += 1;
        self.run(sql, params![client.client_id, to_doc(client)]).map(drop)
    }

    fn remove_client(&mut self, client_id: &str) -> Result<()> {
        self.client_changes += 1;
        self.run("DELETE FROM client WHERE client_id = ?1", [client_id]).map(drop)
    }

    fn put_schedule(&mut self, schedule: &Schedule) -> Result<()> {
        let next = schedule.next().map(|step| Number(step.due.0));
        let last = schedule.steps.last().map_or(schedule.created, |step| step.due);
        self.run(
            "INSERT INTO schedule (id, created_millis, due_millis, last_millis, doc) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT (id) DO UPDATE SET due_millis = excluded.due_millis, doc = excluded.doc",
            params![schedule.id, Number(schedule.created.0), next, Number(last.0), to_doc(schedule)],
        )
        .map(drop)
    }

    fn put_verifier_bound(&mut self, bound: &VerifierBound) -> Result<()> {
        self.run("INSERT INTO verifier_bound (doc) VALUES (?1)", [to_doc(bound)])?;
        let surplus = "DELETE FROM verifier_bound WHERE id <= (SELECT max(id) FROM verifier_bound) - ?1";
        self.run(surplus, [Number(MAX_BOUNDS as u64)]).map(drop)
    }

    fn put_replica(&mut self, replica: &ReplicaStatus) -> Result<()> {
        let sql = "INSERT INTO replica (name, instance, doc) VALUES (?1, ?2, ?3) \
                   ON CONFLICT (name, instance) DO UPDATE SET doc = excluded.doc";
        self.run(sql, params![replica.name, replica.instance, to_doc(replica)]).map(drop)
    }

    fn remove_replica(&mut self, replica: &ReplicaId) -> Result<()> {
        let sql = "DELETE FROM replica WHERE name = ?1 AND instance = ?2";
        self.run(sql, [replica.name(), replica.instance()]).map(drop)
    }

    fn put_audit(&mut self, event: &AuditEvent) -> Result<()> {
        self.audit.push(event.clone());
        Ok(())
    }

    fn put_attempt(&mut self, key: &IdempotencyKey, attempt: &Attempt) -> Result<()> {
        self.run(
            "INSERT OR REPLACE INTO attempt (client, key, request, time_millis, outcome) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![key.client, key.key, attempt.request, Number(attempt.time.0), attempt.outcome],
        )
        .map(drop)
    }

    fn put_used(&mut self, key: &[u8; 32], until: UnixSeconds) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO used_once (id, until) VALUES (?1, ?2)";
        self.run(sql, params![key, Number(until.0)]).map(drop)
    }

    fn prune(&mut self, horizon: &PruneHorizon, limit: usize) -> Result<Pruned> {
        let entries = Number(horizon.entries.0);
        let most = Number(limit as u64);
        let removed = [
            self.run(
                "DELETE FROM revocation WHERE (epoch, seq) IN \
                 (SELECT epoch, seq FROM revocation WHERE spent_after < ?1 ORDER BY spent_after LIMIT ?2)",
                params![entries, most],
            )?,
            self.prune_cells(horizon.entries, limit)?,
            self.run(
                "DELETE FROM session WHERE sid IN (SELECT sid FROM session WHERE expires < ?1 ORDER BY expires LIMIT ?2)",
                params![entries, most],
            )?,
            self.prune_lines(horizon.lines, limit)?,
            self.run(
                "DELETE FROM attempt WHERE (client, key) IN \
                 (SELECT client, key FROM attempt WHERE time_millis < ?1 ORDER BY time_millis LIMIT ?2)",
                params![Number(horizon.attempts.0), most],
            )?,
            self.run(
                "DELETE FROM audit WHERE id IN \
                 (SELECT id FROM (SELECT id, time_millis FROM audit ORDER BY id LIMIT ?2) WHERE time_millis < ?1) \
                 AND id < (SELECT max(id) FROM audit)",
                params![Number(horizon.audit.0), most],
            )?,
            self.run(
                "DELETE FROM schedule WHERE id IN (SELECT id FROM schedule \
                 WHERE due_millis IS NULL AND last_millis < ?1 ORDER BY last_millis LIMIT ?2)",
                params![Number(horizon.schedules.0), most],
            )?,
            self.run(
                "DELETE FROM used_once WHERE id IN \
                 (SELECT id FROM used_once WHERE until < ?1 ORDER BY until LIMIT ?2)",
                params![entries, most],
            )?,
        ];
        Ok(Pruned {
            rows: removed.iter().map(|rows| *rows as u64).sum(),
            more: removed.iter().any(|rows| *rows >= limit),
        })
    }
}

impl Rows<'_> {
    /// Takes what has lapsed out of the cells, each side by itself.
    fn prune_cells(&mut self, before: UnixSeconds, limit: usize) -> Result<usize> {
        let sql = "SELECT access, sessions FROM cell WHERE due < ?1 ORDER BY due LIMIT ?2";
        let due: Vec<(Option<String>, Option<String>)> =
            self.all(sql, params![Number(before.0), Number(limit as u64)], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut removed = 0;
        for (access, sessions) in due {
            let (access, sessions) = (cell_of(access)?, cell_of(sessions)?);
            let Some(HashedCell { target, kind, .. }) = access.or(sessions) else { continue };
            let mut stays = |hashed: Option<HashedCell>| {
                let held = hashed.and_then(|hashed| hashed.cell);
                let stays = held.filter(|cell| !matches!(cell.until, Until::At(second) if second < before));
                removed += usize::from(held != stays);
                stays
            };
            let in_force = InForce { access: stays(access), sessions: stays(sessions) };
            self.put_in_force(&target, kind, &in_force)?;
        }
        Ok(removed)
    }

    /// Lines go from the front only, up to the first that is young enough, and never the last one.
    fn prune_lines(&self, before: UnixMillis, limit: usize) -> Result<usize> {
        let sql = "SELECT epoch, seq, time_millis FROM line ORDER BY epoch, seq LIMIT ?1";
        let front =
            self.all(sql, [Number(limit as u64 + 1)], |row| Ok((position(row)?, row.get::<_, Number>(2)?.0)))?;
        let old = front.iter().take(limit.min(front.len().saturating_sub(1)));
        let Some((last, _)) = old.take_while(|(_, time)| *time < before.0).last() else { return Ok(0) };
        let sql = "DELETE FROM line WHERE (epoch, seq) <= (?1, ?2)";
        self.run(sql, params![last.epoch, Number(last.seq)])
    }

    /// Writes what the transaction appended, and tells the lines of the log among it.
    pub(super) fn write_appended(&mut self) -> Result<Vec<LogLine>> {
        for (line, time) in &self.lines {
            self.run(
                "INSERT INTO line (epoch, seq, line, chain, time_millis) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![line.at.epoch, Number(line.at.seq), line.line, line.chain.0, Number(time.0)],
            )?;
        }
        for event in &self.audit {
            self.run(
                "INSERT INTO audit (epoch, seq, time_millis, actor, action, target, reason, request_id) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![
                    event.at.map(|at| at.epoch),
                    event.at.map(|at| Number(at.seq)),
                    Number(event.time.0),
                    event.actor,
                    event.action,
                    event.target,
                    event.reason,
                    event.request_id
                ],
            )?;
        }
        self.audit.clear();
        Ok(self.lines.drain(..).map(|(line, _)| line).collect())
    }
}
