//! What each verb of the store means, written once over the rows of any store.

mod credentials;
mod devices;
mod exposure;
mod feed;
mod groups;
mod keys;
mod lookup_id;
mod names;
mod once;
mod refresh;
mod revocations;
mod schedules;
mod sessions;
mod subject_keys;
mod subjects;

use annul_core::algebra::Refusal;
use annul_core::target::{TargetHash, TargetKind};
use annul_core::time::UnixMillis;
use serde::{Deserialize, Serialize};

pub(crate) use self::credentials::{answered, change_credential, log_in};
pub(crate) use self::devices::devices_of;
pub(crate) use self::exposure::exposure;
pub(crate) use self::feed::{bootstrap, feed_snapshot, judging_snapshot, lines_after, prune, remember_replicas};
pub(crate) use self::groups::{set_groups, with_group_claim};
pub(crate) use self::keys::{change_keys, issuers, kill_key, publish_settings, put_issuer, remove_issuer};
pub(crate) use self::lookup_id::change_lookup_id;
pub(crate) use self::names::{add_account, add_client, change_client, note, remove_account, remove_client};
pub(crate) use self::once::use_once;
pub(crate) use self::refresh::{end_graces, redeem};
pub(crate) use self::revocations::{lift, rehearse, revoke};
pub(crate) use self::schedules::{
    answered_schedule, cancel_schedule, refuse_step, rehearse_schedule, run_step, schedule,
};
pub(crate) use self::sessions::{end_session, issuing_snapshot, note_uses, open_session, session_view, sessions_of};
pub(crate) use self::subject_keys::{set_subject_key, set_subject_secret};
pub(crate) use self::subjects::{block, change_subject, set_claims, unblock};
use super::tables::{ATTEMPT_LIFE, Attempt, Read, Write};
use super::{Appended, Cells, Limits, LogState, LookupIdChanged, Refused, StoreError};
use crate::log::Appender;
use crate::model::{Act, Session, SessionStatus, Side};

pub(crate) type Result<T> = std::result::Result<T, StoreError>;

/// A writing transaction.
pub(crate) struct Txn<'t> {
    pub(crate) tables: &'t mut dyn Write,
    pub(crate) limits: &'t Limits,
    /// The wall clock, read inside the transaction.
    pub(crate) commit: UnixMillis,
    /// The latest time any token of ours may have been issued at: past the commit when the clock has
    /// stepped back. Of an earlier process the store remembers the last line and the newest audit events;
    /// a token that leaves neither, such as a refreshed one, may have been issued after them.
    pub(crate) latest: UnixMillis,
}

impl Txn<'_> {
    /// The end of the log, for an act.
    fn appender(&mut self, act: &Act) -> Result<Appender<'_>> {
        Appender::begin(&mut *self.tables, self.limits, self.commit, self.latest, act.clone())
    }
}

/// A reading transaction.
pub(crate) struct Snapshot<'t> {
    pub(crate) tables: &'t dyn Read,
    /// The wall clock, read inside the transaction.
    pub(crate) now: UnixMillis,
}

/// The outcome that a repetition is answered with.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Appended(Appended),
    Opened {
        sid: String,
        replaced: Option<annul_core::position::Position>,
    },
    LookupIdChanged(LookupIdChanged),
    /// A name was given to somebody, or what is kept under it was changed; there is nothing to answer.
    Named,
    /// Revocations were kept for later.
    Scheduled {
        id: String,
    },
}

/// What an earlier attempt with the act's idempotency key did, if there was one.
fn earlier_attempt(txn: &Txn<'_>, act: &Act) -> Result<Option<Outcome>> {
    attempt_at(txn.tables, act, txn.commit)
}

fn attempt_at(tables: &(impl Read + ?Sized), act: &Act, now: UnixMillis) -> Result<Option<Outcome>> {
    let Some(key) = &act.idempotency else { return Ok(None) };
    let Some(attempt) = tables.attempt(key)? else { return Ok(None) };
    if now.0 > attempt.time.0.saturating_add(ATTEMPT_LIFE * 1000) {
        return Ok(None);
    }
    if attempt.request != key.request {
        return Err(Refused::IdempotencyConflict.into());
    }
    serde_json::from_str(&attempt.outcome)
        .map(Some)
        .map_err(|error| StoreError::Corrupt { detail: format!("an idempotency row: {error}") })
}

fn remember_attempt(txn: &mut Txn<'_>, act: &Act, outcome: &Outcome) -> Result<()> {
    let Some(key) = &act.idempotency else { return Ok(()) };
    let outcome = serde_json::to_string(outcome).expect("an outcome holds only numbers and strings");
    txn.tables.put_attempt(key, &Attempt { request: key.request, time: txn.commit, outcome })
}

/// Does `work` unless an earlier attempt did it.
fn once(txn: &mut Txn<'_>, act: &Act, work: impl FnOnce(&mut Txn<'_>) -> Result<Appended>) -> Result<Appended> {
    match earlier_attempt(txn, act)? {
        Some(Outcome::Appended(appended)) => return repeated(txn.tables, appended),
        Some(_) => return Err(Refused::IdempotencyConflict.into()),
        None => {}
    }
    let outcome = Outcome::Appended(work(txn)?);
    remember_attempt(txn, act, &outcome)?;
    let Outcome::Appended(appended) = outcome else { unreachable!("made two lines above") };
    with_revocations(txn.tables, appended)
}

/// The answer to an earlier attempt, for one that repeats it.
fn repeated(tables: &(impl Read + ?Sized), appended: Appended) -> Result<Appended> {
    with_revocations(tables, Appended { repeated: true, ..appended })
}

/// The answer with all of its revocations: an act may answer with those of an earlier one.
fn with_revocations(tables: &(impl Read + ?Sized), mut appended: Appended) -> Result<Appended> {
    if appended.revocations.len() < appended.positions.len() {
        let found: Result<Vec<_>> = appended.positions.iter().map(|at| tables.revocation(*at)).collect();
        appended.revocations = found?.into_iter().flatten().collect();
    }
    Ok(appended)
}

/// What is in force against targets; what has lapsed is left out, whether it was cleaned up or not.
fn cells(
    tables: &(impl Read + ?Sized),
    log: &LogState,
    side: Side,
    targets: impl IntoIterator<Item = TargetHash>,
    now: UnixMillis,
) -> Result<Cells> {
    let forgotten_at = now.floor().minus(log.settings.clock_skew);
    let mut cells = Cells::new();
    for target in targets {
        let cell = tables.cell(side, &target)?.and_then(|hashed| hashed.cell);
        if let Some(cell) = cell.filter(|cell| !cell.until.is_over(forgotten_at)) {
            cells.insert(target, cell);
        }
    }
    Ok(cells)
}

/// Whether a session can be used: the one judgement that reads, writes and counts share.
fn status(tables: &(impl Read + ?Sized), log: &LogState, session: &Session, now: UnixMillis) -> Result<SessionStatus> {
    if session.ended.is_some() {
        return Ok(SessionStatus::Ended);
    }
    if session.is_expired(now.floor()) {
        return Ok(SessionStatus::Expired);
    }
    let targets = session.hashed_targets(&log.settings, &log.hash_key);
    let cells = cells(tables, log, Side::Sessions, hashes(&targets), now)?;
    let refusal = match session.judge(&targets, |target| cells.get(target).copied()) {
        None => judge_ancestors(tables, log, session, now)?,
        refusal => refusal,
    };
    Ok(refusal.map_or(SessionStatus::Live, SessionStatus::Revoked))
}

/// The entry that revokes a session of ours that this one descends from, by whatever target of that
/// one. Those of other issuers are known by their names only, which are targets of this session too;
/// so is the end of one of ours that is forgotten by now.
fn judge_ancestors(
    tables: &(impl Read + ?Sized),
    log: &LogState,
    session: &Session,
    now: UnixMillis,
) -> Result<Option<Refusal>> {
    for ancestor in session.ancestors.iter().filter(|ancestor| ancestor.issuer == log.settings.issuer) {
        let Some(sid) = &ancestor.sid else { continue };
        let Some(ancestor) = tables.session(sid)? else { continue };
        let targets = ancestor.hashed_targets(&log.settings, &log.hash_key);
        let cells = cells(tables, log, Side::Sessions, hashes(&targets), now)?;
        if let Some(refusal) = ancestor.judge(&targets, |target| cells.get(target).copied()) {
            return Ok(Some(refusal));
        }
    }
    Ok(None)
}

fn hashes(targets: &[(TargetKind, TargetHash)]) -> Vec<TargetHash> {
    targets.iter().map(|(_, hash)| *hash).collect()
}
