//! Sessions: opened, read for an issue, ended.

use annul_core::algebra::{Cutoff, Reach};
use annul_core::fold::EmittedBy;
use annul_core::position::Position;
use annul_core::settings::MAX_TARGETS;
use annul_core::target::{Target, TargetKind};
use annul_core::time::UnixMillis;

use super::revocations::done;
use super::subjects::apply;
use super::{
    Outcome, Result, Snapshot, Txn, cells, earlier_attempt, hashes, judge_ancestors, once, refresh, remember_attempt,
    status,
};
use crate::log::Appender;
use crate::model::{
    Act, Descent, Ended, GROUP_CLAIM, Login, MAX_ANCESTORS, NewFamily, NewRevocation, NewSession, Origin, RECORD_CLAIM,
    Session, SessionStatus, Side, SubjectState, VERSION_CLAIM,
};
use crate::store::tables::Write;
use crate::store::{
    Appended, Issuing, IssuingSnapshot, LogState, MAX_PAGE, Opened, Refused, SessionCount, SessionView, StoreError,
    TargetPlan,
};

/// Targets a token has besides those of its session: `token` and `key`.
const TARGETS_OF_A_TOKEN: usize = 2;

/// Opens a session as its origin has it: what a login appends stands before the session that it dates, and
/// a session that descends is dated where its token was judged.
pub(crate) fn open_session(txn: &mut Txn<'_>, act: &Act, new: NewSession) -> Result<Opened> {
    match earlier_attempt(txn, act)? {
        Some(Outcome::Opened { sid, replaced }) => return opened_before(txn, &sid, replaced, new.origin),
        Some(_) => return Err(Refused::IdempotencyConflict.into()),
        None => {}
    }
    admit(txn, &new)?;
    let mut log = txn.appender(act)?;
    let (subject, replaced) = match &new.origin {
        Origin::Login(login) => logged_in(&mut log, &new.subject, login)?,
        Origin::Descent(_) => (admitted(&log, &new.subject)?.1, None),
    };
    let (session, family) = drawn_up(&log, &subject, new);
    judge_new(&log, &session)?;
    put_session(log.parts(), &session)?;
    let family = family.map(|family| refresh::begin(&mut *log.tables, &session, family)).transpose()?;
    if replaced.is_none() {
        let text = Target::one(&log.log().settings.issuer, TargetKind::Session, &session.sid)
            .map_or_else(|_| session.sid.clone(), |target| log.text(&target));
        log.note_act(Some(text))?;
    }
    let log = log.log().clone();
    remember_attempt(txn, act, &Outcome::Opened { sid: session.sid.clone(), replaced })?;
    Ok(Opened { session, subject, replaced, log, family, repeated: false })
}

/// Ends what a login replaces and changes what it changes. The subject's state afterwards, and the entry by
/// which the replaced session ended.
fn logged_in(log: &mut Appender<'_>, subject: &str, login: &Login) -> Result<(SubjectState, Option<Position>)> {
    let replaced = match &login.replaces {
        Some(sid) => end_replaced(log, subject, sid)?,
        None => None,
    };
    let (subject, state) = admitted(log, subject)?;
    let state = match &login.change {
        Some(change) => apply(log, &subject, change)?.1,
        None => state,
    };
    Ok((state, replaced))
}

/// A subject that sessions may be opened for, and its state.
fn admitted(log: &Appender<'_>, subject: &str) -> Result<(Target, SubjectState)> {
    let subject = own_subject(log.log(), subject)?;
    let state = log.tables.subject(&subject)?;
    admits_logins(&state)?;
    Ok((subject, state))
}

/// The session, not yet judged nor written, and the family it is to have.
fn drawn_up(log: &Appender<'_>, subject: &SubjectState, new: NewSession) -> (Session, Option<NewFamily>) {
    let (head, now) = (log.log().head.at, log.commit());
    let mut claims = subject.claims.clone();
    claims.extend(new.claims);
    let session = Session {
        sid: new.sid,
        subject: new.subject,
        client_id: new.client_id,
        audience: new.audience,
        scope: new.scope,
        device: new.device,
        created: now,
        auth_time: new.auth_time,
        last_used: now,
        expires: now.floor().plus(new.life),
        idle_limit: new.idle_limit,
        claims,
        fingerprint: subject.fingerprint.clone(),
        confirmation: new.confirmation,
        bound_from: None,
        ancestors: Vec::new(),
        actor: None,
        format: new.format,
        refresh_by: None,
        position: head,
        claims_position: head,
        ended: None,
    };
    match new.origin {
        Origin::Login(Login { family, .. }) => {
            let refresh_by = family.as_ref().map(|family| family.first.kind());
            (Session { refresh_by, ..session }, family)
        }
        Origin::Descent(Descent { judged, ancestors, actor, ends }) => {
            let expires = ends.map_or(session.expires, |ends| ends.min(session.expires));
            (Session { ancestors, actor, expires, position: judged, claims_position: judged, ..session }, None)
        }
    }
}

/// What an earlier attempt opened, as it stands now.
fn opened_before(txn: &mut Txn<'_>, sid: &str, replaced: Option<Position>, origin: Origin) -> Result<Opened> {
    let session = txn.tables.session(sid)?.ok_or(Refused::SessionUnknown)?;
    let log = txn.tables.log()?;
    let subject = txn.tables.subject(&own_subject(&log, &session.subject)?)?;
    let offered = match origin {
        Origin::Login(login) => login.family,
        Origin::Descent(_) => None,
    };
    let family = refresh::begin_again(txn.tables, sid, offered)?;
    Ok(Opened { session, subject, replaced, log, family, repeated: true })
}

pub(crate) fn issuing_snapshot(
    snapshot: &Snapshot<'_>,
    sid: &str,
    plan: TargetPlan,
) -> Result<Option<IssuingSnapshot>> {
    // One transaction: the position is that of the state in which the session is read.
    let log = snapshot.tables.log()?;
    let Some(session) = snapshot.tables.session(sid)? else { return Ok(None) };
    let subject = snapshot.tables.subject(&own_subject(&log, &session.subject)?)?;
    let status = status(snapshot.tables, &log, &session, snapshot.now)?;
    let family = refresh::named_by_tokens(snapshot.tables, &session)?;
    let keys = snapshot.tables.keys()?;
    let issuing = Issuing { log: &log, session: &session, subject: &subject, family: family.as_ref(), keys: &keys };
    let targets = plan(&issuing);
    let access = cells(snapshot.tables, &log, Side::Access, targets, snapshot.now)?;
    Ok(Some(IssuingSnapshot { session, subject, status, access, keys, log, family }))
}

pub(crate) fn session_view(snapshot: &Snapshot<'_>, sid: &str) -> Result<Option<SessionView>> {
    let log = snapshot.tables.log()?;
    let session = snapshot.tables.session(sid)?;
    session.map(|session| view(snapshot, &log, session)).transpose()
}

pub(crate) fn sessions_of(snapshot: &Snapshot<'_>, subject: &str) -> Result<Vec<SessionView>> {
    let log = snapshot.tables.log()?;
    let sessions = snapshot.tables.sessions_of(subject, MAX_PAGE)?;
    sessions.into_iter().map(|session| view(snapshot, &log, session)).collect()
}

pub(crate) fn end_session(txn: &mut Txn<'_>, act: &Act, sid: &str) -> Result<Appended> {
    once(txn, act, |txn| {
        let mut log = txn.appender(act)?;
        let session = log.tables.session(sid)?.ok_or(Refused::SessionUnknown)?;
        let was_live = status(&*log.tables, log.log(), &session, log.commit())? == SessionStatus::Live;
        let at = match &session.ended {
            Some(ended) => ended.at,
            None => end(&mut log, session)?,
        };
        Ok(done(&log, vec![at], SessionCount { ended: u64::from(was_live), at_least: false }))
    })
}

pub(crate) fn note_uses(txn: &mut Txn<'_>, uses: &[(String, UnixMillis)]) -> Result<()> {
    let log = txn.tables.log()?;
    for (sid, at) in uses {
        let Some(mut session) = txn.tables.session(sid)? else { continue };
        if session.last_used < *at {
            session.last_used = *at;
            put_session((&mut *txn.tables, &log), &session)?;
        }
    }
    Ok(())
}

/// Ends a session by its own entry.
pub(super) fn end(log: &mut Appender<'_>, session: Session) -> Result<Position> {
    let at = log.revoke(&ending(log.log(), &session.sid)?, EmittedBy::EndedSession)?;
    mark_ended(log, session, at)?;
    Ok(at)
}

/// The entry that ends a session of ours.
pub(super) fn ending(log: &LogState, sid: &str) -> Result<NewRevocation> {
    let target = Target::one(&log.settings.issuer, TargetKind::Session, sid).map_err(|_| Refused::SessionUnknown)?;
    Ok(NewRevocation { target, cutoff: Cutoff::Always, reach: Reach::Both, exp: None, until: None, reason: None })
}

/// Records that the entry at `at` ended the session.
pub(super) fn mark_ended(log: &mut Appender<'_>, session: Session, at: Position) -> Result<()> {
    refresh::forget_successor(&mut *log.tables, &session.sid)?;
    let reason = log.tables.revocation(at)?.and_then(|entry| entry.reason);
    let ended = Some(Ended { at, time: log.commit(), reason });
    put_session(log.parts(), &Session { ended, ..session })
}

/// Writes a session with the targets it is found by; one that has ended is found by none.
pub(super) fn put_session((tables, log): (&mut dyn Write, &LogState), session: &Session) -> Result<()> {
    let targets = match session.ended {
        Some(_) => Vec::new(),
        None => hashes(&session.hashed_targets(&log.settings, &log.hash_key)),
    };
    tables.put_session(session, &targets)
}

/// Refuses a session whose tokens would have more targets than a token may, also once its subject has a
/// version or a record.
pub(super) fn few_enough_targets(log: &LogState, session: &Session) -> Result<()> {
    let is_target = |claim: &&str| log.settings.claims.iter().any(|name| name == *claim);
    let of_state = [VERSION_CLAIM, RECORD_CLAIM].iter().filter(|claim| is_target(claim)).count();
    let groups = if is_target(&GROUP_CLAIM) { log.groups_of(session).len() } else { 0 };
    let count = session.targets(&log.settings).len() + TARGETS_OF_A_TOKEN + of_state + groups;
    if count > MAX_TARGETS {
        return Err(Refused::TooManyTargets { count }.into());
    }
    Ok(())
}

/// Refuses a subject that is blocked, or that goes by another id.
pub(super) fn admits_logins(state: &SubjectState) -> Result<()> {
    match (state.retired, state.blocked) {
        (Some(at), _) => Err(Refused::SubjectRetired { at }.into()),
        (None, Some(at)) => Err(Refused::SubjectBlocked { at }.into()),
        (None, None) => Ok(()),
    }
}

pub(super) fn own_subject(log: &LogState, subject: &str) -> Result<Target> {
    Target::one(&log.settings.issuer, TargetKind::Subject, subject).map_err(|_| Refused::NotASubject.into())
}

fn admit(txn: &Txn<'_>, new: &NewSession) -> Result<()> {
    let now = txn.commit.floor();
    let longest = txn.limits.longest_session;
    if new.life > longest {
        return Err(Refused::SessionTooLong { longest }.into());
    }
    if new.auth_time > now || new.auth_time < now.minus(longest) {
        return Err(Refused::AuthTimeOutOfRange { auth_time: new.auth_time }.into());
    }
    if let Origin::Descent(descent) = &new.origin
        && descent.ancestors.len() > MAX_ANCESTORS
    {
        return Err(Refused::TooManyAncestors.into());
    }
    if txn.tables.client(&new.subject)?.is_some() {
        return Err(Refused::NameTaken.into());
    }
    match txn.tables.session(&new.sid)? {
        Some(_) => Err(Refused::SessionExists.into()),
        None => Ok(()),
    }
}

/// A session is judged before it exists, by both sides: one whose first token would be dead on
/// arrival is not opened.
fn judge_new(log: &Appender<'_>, session: &Session) -> Result<()> {
    few_enough_targets(log.log(), session)?;
    let targets = session.hashed_targets(&log.log().settings, &log.log().hash_key);
    for side in [Side::Sessions, Side::Access] {
        let cells = cells(&*log.tables, log.log(), side, hashes(&targets), log.commit())?;
        if let Some(refusal) = session.judge(&targets, |target| cells.get(target).copied()) {
            return Err(Refused::Revoked(refusal).into());
        }
    }
    match judge_ancestors(&*log.tables, log.log(), session, log.commit())? {
        Some(refusal) => Err(Refused::Revoked(refusal).into()),
        None => Ok(()),
    }
}

fn end_replaced(log: &mut Appender<'_>, subject: &str, sid: &str) -> Result<Option<Position>> {
    let replaced = log.tables.session(sid)?.filter(|replaced| replaced.subject == subject);
    let replaced = replaced.ok_or(StoreError::Refused(Refused::SessionUnknown))?;
    if replaced.ended.is_some() {
        return Ok(None);
    }
    end(log, replaced).map(Some)
}

fn view(snapshot: &Snapshot<'_>, log: &LogState, session: Session) -> Result<SessionView> {
    let status = status(snapshot.tables, log, &session, snapshot.now)?;
    Ok(SessionView { session, status })
}
