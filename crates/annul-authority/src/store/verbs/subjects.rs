//! Subjects: their claims and whether they are blocked.

use annul_core::algebra::{Cutoff, Reach};
use annul_core::fold::EmittedBy;
use annul_core::target::{Target, TargetKind};

use super::revocations::{Counting, done};
use super::sessions::{end, few_enough_targets, own_subject, put_session};
use super::{Result, Txn, once, status};
use crate::log::Appender;
use crate::model::{Act, Claims, NewRevocation, Session, SessionStatus, SubjectState};
use crate::store::{Appended, MAX_PAGE, Refused, SessionCount};

pub(crate) fn set_claims(txn: &mut Txn<'_>, act: &Act, subject: &str, claims: &Claims) -> Result<Appended> {
    once(txn, act, |txn| {
        let mut log = txn.appender(act)?;
        let target = own_subject(log.log(), subject)?;
        // Judged before the entry and with the claims they last carried.
        let mut judged = Vec::new();
        for session in all_sessions_naming(&log, &target)? {
            let status = status(&*log.tables, log.log(), &session, log.commit())?;
            judged.push((session, status));
        }
        let at = log.revoke(&entry(target.clone(), Cutoff::Now, Reach::Access), EmittedBy::State)?;
        let state = log.tables.subject(&target)?;
        log.tables.put_subject(&target, &SubjectState { claims: claims.clone(), ..state })?;
        for (session, status) in judged {
            match status {
                // A session that merely descends from a subject of this name keeps its claims.
                SessionStatus::Live if session.subject == subject => {
                    let reading = session.reading().with_claims_set(at);
                    let session = Session { claims: claims.clone(), claims_position: reading.claims, ..session };
                    few_enough_targets(log.log(), &session)?;
                    put_session(log.parts(), &session)?;
                }
                SessionStatus::Revoked(_) if session.subject == subject => {
                    end(&mut log, session)?;
                }
                _ => {}
            }
        }
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

fn entry(target: Target, cutoff: Cutoff, reach: Reach) -> NewRevocation {
    NewRevocation { target, cutoff, reach, exp: None, until: None, reason: None }
}

fn is_subject(target: &Target) -> Result<()> {
    if target.kind() == TargetKind::Subject { Ok(()) } else { Err(Refused::NotASubject.into()) }
}

/// Every session with this target that has not ended, page by page.
fn all_sessions_naming(log: &Appender<'_>, target: &Target) -> Result<Vec<Session>> {
    let hash = target.hash(&log.log().hash_key);
    let mut sessions: Vec<Session> = Vec::new();
    loop {
        let after = sessions.last().map_or(String::new(), |session| session.sid.clone());
        let page = log.tables.sessions_naming(&hash, &after, MAX_PAGE)?;
        let last = page.len() < MAX_PAGE;
        sessions.extend(page);
        if last {
            return Ok(sessions);
        }
    }
}
