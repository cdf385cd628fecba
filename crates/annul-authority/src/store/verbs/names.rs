//! Who may call and who may log in: clients and accounts, in one name space.

use annul_core::algebra::{Cutoff, Reach};
use annul_core::fold::EmittedBy;
use annul_core::target::{Target, TargetKind};

use super::revocations::{Counting, done};
use super::sessions::own_subject;
use super::{Outcome, Result, Txn, earlier_attempt, once, remember_attempt};
use crate::log::Appender;
use crate::model::{Account, Act, ClientMetadata, ClientRecord, NewRevocation};
use crate::store::{Appended, Refused, SessionCount};

pub(crate) fn add_account(txn: &mut Txn<'_>, act: &Act, account: &Account) -> Result<()> {
    match earlier_attempt(txn, act)? {
        Some(Outcome::Named) => return Ok(()),
        Some(_) => return Err(Refused::IdempotencyConflict.into()),
        None => {}
    }
    if txn.tables.account(&account.username)?.is_some() {
        return Err(Refused::AccountExists.into());
    }
    let is_client = txn.tables.client(&account.username)?.is_some() || txn.tables.client(&account.subject)?.is_some();
    if is_client || txn.tables.is_account_name(&account.subject)? {
        return Err(Refused::NameTaken.into());
    }
    not_retired(txn, &account.subject)?;
    txn.tables.put_account(account)?;
    remember_attempt(txn, act, &Outcome::Named)?;
    note(txn, act, Some(account.username.clone()))
}

pub(crate) fn remove_account(txn: &mut Txn<'_>, act: &Act, username: &str) -> Result<Appended> {
    once(txn, act, |txn| {
        let mut log = txn.appender(act)?;
        let account = log.tables.account(username)?.ok_or(Refused::AccountUnknown)?;
        log.tables.remove_account(username)?;
        let subject = own_subject(log.log(), &account.subject)?;
        leave_behind(&mut log, &subject)?;
        end_subject(&mut log, subject)
    })
}

pub(crate) fn add_client(txn: &mut Txn<'_>, act: &Act, client: &ClientRecord) -> Result<()> {
    if txn.tables.client(&client.client_id)?.is_some() {
        return Err(Refused::ClientExists.into());
    }
    if txn.tables.is_account_name(&client.client_id)? {
        return Err(Refused::NameTaken.into());
    }
    // A client is the subject of its own tokens.
    not_retired(txn, &client.client_id)?;
    is_no_users(txn, &client.client_id)?;
    txn.tables.put_client(client)?;
    note(txn, act, Some(client.client_id.clone()))
}

pub(crate) fn change_client(txn: &mut Txn<'_>, act: &Act, client_id: &str, metadata: ClientMetadata) -> Result<()> {
    match earlier_attempt(txn, act)? {
        Some(Outcome::Named) => return Ok(()),
        Some(_) => return Err(Refused::IdempotencyConflict.into()),
        None => {}
    }
    let client = txn.tables.client(client_id)?.ok_or(Refused::ClientUnknown)?;
    // One without a secret cannot come to need one: there is nowhere that a new one could be shown.
    if client.secret_hash.is_empty() == metadata.token_endpoint_auth_method.has_secret() {
        return Err(Refused::ClientMethod.into());
    }
    txn.tables.put_client(&ClientRecord { metadata, ..client })?;
    remember_attempt(txn, act, &Outcome::Named)?;
    note(txn, act, Some(client_id.to_owned()))
}

pub(crate) fn remove_client(txn: &mut Txn<'_>, act: &Act, client_id: &str) -> Result<Appended> {
    once(txn, act, |txn| {
        let mut log = txn.appender(act)?;
        log.tables.client(client_id)?.ok_or(Refused::ClientUnknown)?;
        log.tables.remove_client(client_id)?;
        let subject = own_subject(log.log(), client_id)?;
        leave_behind(&mut log, &subject)?;
        let issuer = log.log().settings.issuer.clone();
        // Its own tokens name it twice; those of the sessions that it opened do not.
        let own_tokens =
            Target::two(issuer, TargetKind::SubjectClient, client_id, client_id).map_err(|_| Refused::ClientUnknown)?;
        let at = log.revoke(&up_to_now(own_tokens, Reach::Access), EmittedBy::State)?;
        log.note_act(Some(client_id.to_owned()))?;
        Ok(done(&log, vec![at], SessionCount::default()))
    })
}

/// Revokes all that a subject holds, in the transaction that changed its account.
fn end_subject(log: &mut Appender<'_>, subject: Target) -> Result<Appended> {
    let entry = up_to_now(subject, Reach::Both);
    let counting = Counting::begin(log, [&entry])?;
    let at = log.revoke(&entry, EmittedBy::State)?;
    let sessions = counting.finish(log)?;
    Ok(done(log, vec![at], sessions))
}

pub(super) fn up_to_now(target: Target, reach: Reach) -> NewRevocation {
    NewRevocation { target, cutoff: Cutoff::Now, reach, exp: None, until: None, reason: None }
}

/// Forgets what was set for the user or client that a subject was, so that whoever gets the name next
/// begins with nothing of theirs.
fn leave_behind(log: &mut Appender<'_>, subject: &Target) -> Result<()> {
    let state = log.tables.subject(subject)?;
    let left = state.left_behind();
    if state == left { Ok(()) } else { log.tables.put_subject(subject, &left) }
}

/// A user who has a session, live or kept as over, or anything set for them keeps their name.
fn is_no_users(txn: &Txn<'_>, name: &str) -> Result<()> {
    let state = txn.tables.subject(&own_subject(&txn.tables.log()?, name)?)?;
    let is_known = state != state.left_behind() || !txn.tables.sessions_of(name, 1)?.is_empty();
    if is_known { Err(Refused::NameTaken.into()) } else { Ok(()) }
}

/// An id that its subject left is given to nobody else.
fn not_retired(txn: &Txn<'_>, name: &str) -> Result<()> {
    let state = txn.tables.subject(&own_subject(&txn.tables.log()?, name)?)?;
    state.retired.map_or(Ok(()), |at| Err(Refused::SubjectRetired { at }.into()))
}

pub(crate) fn note(txn: &mut Txn<'_>, act: &Act, target: Option<String>) -> Result<()> {
    txn.appender(act)?.note_act(target)
}
