//! Subjects: their claims, their version, when their record changed, and whether they are blocked.

use annul_core::algebra::{Cutoff, Reach};
use annul_core::fold::EmittedBy;
use annul_core::position::Position;
use annul_core::target::{Target, TargetKind};

use super::revocations::{Counting, done, keep_session};
use super::sessions::{end, ending, few_enough_targets, own_subject, put_session};
use super::{Result, Txn, once, status};
use crate::log::Appender;
use crate::model::{Act, Chosen, Claims, NewRevocation, Session, SessionStatus, SubjectChange, SubjectState};
use crate::store::{Appended, MAX_PAGE, Refused, SessionCount};

pub(crate) fn set_claims(txn: &mut Txn<'_>, act: &Act, subject: &str, claims: &Claims) -> Result<Appended> {
    once(txn, act, |txn| {
        let mut log = txn.appender(act)?;
        let target = own_subject(log.log(), subject)?;
        let at = log.revoke(&entry(target.clone(), Cutoff::Now, Reach::Access), EmittedBy::State)?;
        let state = log.tables.subject(&target)?;
        let state = state.touched(log.commit().floor());
        log.tables.put_subject(&target, &SubjectState { claims: claims.clone(), ..state })?;
        // All are judged with the claims they last carried before any gets others, for a session is judged
        // by those of its ancestors too. The entry changes no judgement: it reaches access only.
        for_each_of(&mut log, &target, |log, session| {
            match status(&*log.tables, log.log(), &session, log.commit())? {
                SessionStatus::Revoked(_) => end(log, session).map(drop),
                _ => Ok(()),
            }
        })?;
        for_each_of(&mut log, &target, |log, session| {
            let reading = session.reading().with_claims_set(at);
            let session = Session { claims: claims.clone(), claims_position: reading.claims, ..session };
            few_enough_targets(log.log(), &session)?;
            put_session(log.parts(), &session)
        })?;
        Ok(done(&log, vec![at], SessionCount::default()))
    })
}

pub(crate) fn block(txn: &mut Txn<'_>, act: &Act, subject: &Target) -> Result<Appended> {
    once(txn, act, |txn| {
        let mut log = txn.appender(act)?;
        is_subject(subject)?;
        let state = log.tables.subject(subject)?;
        if let Some(at) = state.blocked {
            return Ok(done(&log, vec![at], SessionCount::default()));
        }
        let own = subject.issuer_name() == log.log().settings.issuer;
        let cutoff = if own { Cutoff::Now } else { Cutoff::Always };
        let entry = entry(subject.clone(), cutoff, Reach::Both);
        let counting = Counting::begin(&log, [&entry])?;
        let at = log.revoke(&entry, EmittedBy::State)?;
        log.tables.put_subject(subject, &SubjectState { blocked: Some(at), ..state })?;
        let sessions = counting.finish(&log)?;
        Ok(done(&log, vec![at], sessions))
    })
}

pub(crate) fn unblock(txn: &mut Txn<'_>, act: &Act, subject: &Target) -> Result<Appended> {
    once(txn, act, |txn| {
        let mut log = txn.appender(act)?;
        is_subject(subject)?;
        let state = log.tables.subject(subject)?;
        let blocked = state.blocked.ok_or(Refused::NotBlocked)?;
        let mut positions = Vec::new();
        if subject.issuer_name() == log.log().settings.issuer {
            let text = log.text(subject);
            log.note_act(Some(text))?;
        } else {
            positions.push(log.revoke(&entry(subject.clone(), Cutoff::Now, Reach::Both), EmittedBy::State)?);
            let block = log.tables.revocation(blocked)?.ok_or(Refused::RevocationUnknown { at: blocked })?;
            positions.push(log.lift(&[block])?);
        }
        log.tables.put_subject(subject, &SubjectState { blocked: None, ..state })?;
        Ok(done(&log, positions, SessionCount::default()))
    })
}

pub(crate) fn change_subject(
    txn: &mut Txn<'_>,
    act: &Act,
    subject: &str,
    change: &SubjectChange,
    chosen: Option<&Chosen>,
) -> Result<Appended> {
    once(txn, act, |txn| {
        let mut log = txn.appender(act)?;
        let target = own_subject(log.log(), subject)?;
        let mut entries = vec![entry(target.clone(), Cutoff::Now, change.reach)];
        let (mut ends, mut device_ends, mut stays) = (None, None, None);
        match chosen {
            None => {}
            Some(Chosen::Ends(sid)) => {
                let session = session_of(&log, subject, sid)?;
                if let Some(ended) = &session.ended {
                    return Ok(done(&log, vec![ended.at], SessionCount::default()));
                }
                entries.push(ending(log.log(), sid)?);
                ends = Some(session);
            }
            Some(Chosen::DeviceEnds(device)) => {
                let device = Target::two(&log.log().settings.issuer, TargetKind::Device, subject, device);
                let device = entry(device.map_err(|_| Refused::NotASubject)?, Cutoff::Now, Reach::Both);
                entries.push(device.clone());
                device_ends = Some(device);
            }
            Some(Chosen::Stays(sid)) => {
                let session = session_of(&log, subject, sid)?;
                // Judged before the entry: only what was usable then is dated anew.
                let before = status(&*log.tables, log.log(), &session, log.commit())?;
                stays = Some((session, before));
            }
        }
        let counting = Counting::begin(&log, &entries)?;
        let mut positions = Vec::new();
        if let Some(session) = ends {
            positions.push(end(&mut log, session)?);
        }
        if let Some(device) = device_ends {
            positions.push(log.revoke(&device, EmittedBy::Request)?);
        }
        let (at, _) = apply(&mut log, &target, change)?;
        positions.push(at);
        let kept = stays.map(|(session, before)| keep_session(&mut log, session, before, at)).transpose()?;
        let sessions = counting.finish(&log)?;
        Ok(Appended { kept, ..done(&log, positions, sessions) })
    })
}

/// Changes a subject's state by the entry that refuses what was issued under the one before.
pub(super) fn apply(
    log: &mut Appender<'_>,
    subject: &Target,
    change: &SubjectChange,
) -> Result<(Position, SubjectState)> {
    let mut state = log.tables.subject(subject)?;
    for part in &change.parts {
        state = state.after(*part, log.commit().floor());
    }
    let at = log.revoke(&entry(subject.clone(), Cutoff::Now, change.reach), EmittedBy::State)?;
    log.tables.put_subject(subject, &state)?;
    Ok((at, state))
}

fn session_of(log: &Appender<'_>, subject: &str, sid: &str) -> Result<Session> {
    let session = log.tables.session(sid)?.filter(|session| session.subject == subject);
    session.ok_or_else(|| Refused::SessionUnknown.into())
}

fn entry(target: Target, cutoff: Cutoff, reach: Reach) -> NewRevocation {
    NewRevocation { target, cutoff, reach, exp: None, until: None, reason: None }
}

fn is_subject(target: &Target) -> Result<()> {
    if target.kind() == TargetKind::Subject { Ok(()) } else { Err(Refused::NotASubject.into()) }
}

/// Does `work` with every session of a subject of ours that is not over, page by page: anybody with an
/// account can have more than fit in memory.
fn for_each_of(
    log: &mut Appender<'_>,
    subject: &Target,
    mut work: impl FnMut(&mut Appender<'_>, Session) -> Result<()>,
) -> Result<()> {
    let hash = subject.hash(&log.log().hash_key);
    let now = log.commit().floor();
    let mut after = String::new();
    loop {
        let page = log.tables.sessions_naming(&hash, now, &after, MAX_PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        after.clone_from(&last.sid);
        for session in page {
            // One that merely descends from a subject of this name is not the subject's.
            let is_of = subject.parts().first() == Some(&session.subject);
            if is_of && !session.is_expired(now) {
                work(log, session)?;
            }
        }
    }
}
