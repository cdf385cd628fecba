//! Credentials: proven at a login, and changed together with the end of what the old one gave.

use annul_core::algebra::Reach;
use annul_core::fold::EmittedBy;

use super::names::up_to_now;
use super::revocations::{Counting, done, keep_session};
use super::sessions::{few_enough_targets, open_session, own_subject};
use super::{Outcome, Result, Snapshot, Txn, attempt_at, once, repeated, status};
use crate::log::Appender;
use crate::model::{Account, Act, NewSession, Session, SessionStatus, SubjectState};
use crate::store::{AccountLogin, Appended, CredentialChange, Holder, Opened, Refused};

pub(crate) fn log_in(txn: &mut Txn<'_>, act: &Act, login: AccountLogin) -> Result<Opened> {
    let account = proven(txn.tables.account(&login.username)?, &login.proven)?;
    let subject = own_subject(&txn.tables.log()?, &account.subject)?;
    let state = txn.tables.subject(&subject)?;
    if state.fingerprint.is_none() {
        let state = SubjectState { fingerprint: Some(login.fingerprint), ..state };
        txn.tables.put_subject(&subject, &state)?;
    }
    open_session(txn, act, NewSession { subject: account.subject, ..login.session })
}

pub(crate) fn change_credential(txn: &mut Txn<'_>, act: &Act, change: &CredentialChange) -> Result<Appended> {
    once(txn, act, |txn| {
        let mut log = txn.appender(act)?;
        let (name, account) = resolve(&log, &change.holder)?;
        if let Some(password) = &change.password {
            let account = account.ok_or(Refused::AccountUnknown)?;
            log.tables.put_account(&Account { password: password.clone(), ..account })?;
        }
        let subject = own_subject(log.log(), &name)?;
        let state = log.tables.subject(&subject)?;
        if let Some(at) = state.retired {
            return Err(Refused::SubjectRetired { at }.into());
        }
        // Judged before the entry: keeping revives nothing.
        let keep = change.keep.as_deref().map(|sid| session_of(&log, &name, sid)).transpose()?;
        let entry = up_to_now(subject.clone(), Reach::Both);
        let counting = Counting::begin(&log, [&entry])?;
        let at = log.revoke(&entry, EmittedBy::State)?;
        let fingerprint = Some(change.fingerprint.clone());
        let state = state.touched(log.commit().floor());
        log.tables.put_subject(&subject, &SubjectState { fingerprint: fingerprint.clone(), ..state })?;
        let kept = match keep {
            Some((session, before)) => {
                let session = Session { fingerprint, ..session };
                few_enough_targets(log.log(), &session)?;
                Some(keep_session(&mut log, session, before, at)?)
            }
            None => None,
        };
        let sessions = counting.finish(&log)?;
        Ok(Appended { kept, ..done(&log, vec![at], sessions) })
    })
}

pub(crate) fn answered(snapshot: &Snapshot<'_>, act: &Act) -> Result<Option<Appended>> {
    match attempt_at(snapshot.tables, act, snapshot.now)? {
        Some(Outcome::Appended(appended)) => repeated(snapshot.tables, appended).map(Some),
        Some(_) => Err(Refused::IdempotencyConflict.into()),
        None => Ok(None),
    }
}

/// The holder's subject, and its account where it has one.
pub(super) fn resolve(log: &Appender<'_>, holder: &Holder) -> Result<(String, Option<Account>)> {
    let account = match holder {
        Holder::Subject(subject) => return Ok((subject.clone(), log.tables.account_of(subject)?)),
        Holder::Account { username, proven: None } => log.tables.account(username)?.ok_or(Refused::AccountUnknown)?,
        Holder::Account { username, proven: Some(hash) } => proven(log.tables.account(username)?, hash)?,
    };
    Ok((account.subject.clone(), Some(account)))
}

/// The account, if the hash that was proven is still its own: it may have been changed, or the
/// account removed, while the password was being hashed.
fn proven(account: Option<Account>, hash: &str) -> Result<Account> {
    account.filter(|account| account.password == hash).ok_or_else(|| Refused::NotProven.into())
}

/// A session of this subject and whether it can be used. Nobody keeps a session of somebody else.
fn session_of(log: &Appender<'_>, subject: &str, sid: &str) -> Result<(Session, SessionStatus)> {
    let session = log.tables.session(sid)?.filter(|session| session.subject == subject);
    let session = session.ok_or(Refused::SessionUnknown)?;
    let before = status(&*log.tables, log.log(), &session, log.commit())?;
    Ok((session, before))
}
