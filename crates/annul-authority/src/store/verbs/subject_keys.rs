//! Keys of subjects: the secret they are derived from, and each subject's own string.

use annul_core::algebra::{Cutoff, Reach};
use annul_core::fold::EmittedBy;
use annul_core::target::{Target, TargetKind};

use super::revocations::done;
use super::sessions::own_subject;
use super::{Result, Txn, once};
use crate::model::{Act, NewRevocation, SealedSecret, SubjectState};
use crate::store::{Appended, Refused, SessionCount};

pub(crate) fn set_subject_secret(txn: &mut Txn<'_>, act: &Act, secret: &SealedSecret) -> Result<Appended> {
    once(txn, act, |txn| {
        let mut log = txn.appender(act)?;
        let before = log.log().subject_secret.clone();
        let next = before.as_ref().map_or(1, |before| before.generation + 1);
        if secret.generation != next {
            return Err(Refused::KeyExists { kid: secret.name() }.into());
        }
        let mut positions = Vec::new();
        if let Some(before) = before {
            let target = Target::one(&log.log().settings.issuer, TargetKind::Key, before.name());
            let target = target.map_err(|_| Refused::NotAKey)?;
            positions.push(log.revoke(&entry(target, Cutoff::Always), EmittedBy::KilledKey)?);
        } else {
            log.note_act(None)?;
        }
        log.subject_secret(secret.clone())?;
        Ok(done(&log, positions, SessionCount::default()))
    })
}

pub(crate) fn set_subject_key(txn: &mut Txn<'_>, act: &Act, subject: &str, key: &str) -> Result<Appended> {
    once(txn, act, |txn| {
        let mut log = txn.appender(act)?;
        let target = own_subject(log.log(), subject)?;
        let state = log.tables.subject(&target)?;
        let at = log.revoke(&entry(target.clone(), Cutoff::Now), EmittedBy::State)?;
        log.tables.put_subject(&target, &SubjectState { key: key.to_owned(), ..state })?;
        Ok(done(&log, vec![at], SessionCount::default()))
    })
}

fn entry(target: Target, cutoff: Cutoff) -> NewRevocation {
    NewRevocation { target, cutoff, reach: Reach::Access, exp: None, until: None, reason: None }
}
