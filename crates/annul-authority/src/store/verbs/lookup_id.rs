//! Lookup ids: a subject takes another, and the old one is nobody's for good.

use annul_core::algebra::{HitCutoff, Reach, Refusal};
use annul_core::fold::EmittedBy;
use annul_core::target::{Target, TargetKind};

use super::credentials::resolve;
use super::names::up_to_now;
use super::revocations::{Counting, done};
use super::sessions::{admits_logins, own_subject};
use super::{Outcome, Result, Txn, cells, earlier_attempt, remember_attempt, repeated};
use crate::log::Appender;
use crate::model::{Account, Act, Side, StepState, SubjectState};
use crate::store::{LookupIdChange, LookupIdChanged, MAX_SCHEDULES, Refused};

pub(crate) fn change_lookup_id(txn: &mut Txn<'_>, act: &Act, change: &LookupIdChange) -> Result<LookupIdChanged> {
    match earlier_attempt(txn, act)? {
        Some(Outcome::LookupIdChanged(changed)) => {
            let appended = repeated(txn.tables, changed.appended.clone())?;
            return Ok(LookupIdChanged { appended, ..changed });
        }
        Some(_) => return Err(Refused::IdempotencyConflict.into()),
        None => {}
    }
    let mut log = txn.appender(act)?;
    let (old, account) = resolve(&log, &change.holder)?;
    let (from, to) = (own_subject(log.log(), &old)?, own_subject(log.log(), &change.fresh)?);
    let state = log.tables.subject(&from)?;
    admits_logins(&state)?;
    not_banned(&log, &from)?;
    if log.tables.client(&old)?.is_some() || from == to {
        return Err(Refused::NameTaken.into());
    }
    is_nobodys(&log, &change.fresh, &to)?;

    let entry = up_to_now(from.clone(), Reach::Both);
    let counting = Counting::begin(&log, [&entry])?;
    let at = log.revoke(&entry, EmittedBy::State)?;
    log.tables.put_subject(&from, &SubjectState { retired: Some(at), ..SubjectState::default() })?;
    // What tokens show (a fingerprint, a version, the time of a change) would tell whoever reads them
    // that the two ids are one person.
    log.tables.put_subject(&to, &SubjectState { claims: state.claims, ..SubjectState::default() })?;
    if let Some(account) = account {
        log.tables.put_account(&Account { subject: change.fresh.clone(), ..account })?;
    }
    rename_in_schedules(&mut log, &old, &change.fresh)?;
    let sessions = counting.finish(&log)?;
    let appended = done(&log, vec![at], sessions);
    let changed = LookupIdChanged { appended, subject: change.fresh.clone() };
    remember_attempt(txn, act, &Outcome::LookupIdChanged(changed.clone()))?;
    Ok(changed)
}

/// A new id is no way out of a ban: what `always` forbids this subject stays forbidden.
fn not_banned(log: &Appender<'_>, subject: &Target) -> Result<()> {
    let hash = subject.hash(&log.log().hash_key);
    for side in [Side::Sessions, Side::Access] {
        let cells = cells(&*log.tables, log.log(), side, [hash], log.commit())?;
        if let Some(at) = cells.get(&hash).and_then(|cell| cell.always) {
            let refusal = Refusal { kind: TargetKind::Subject, cutoff: HitCutoff::Always, at };
            return Err(Refused::Revoked(refusal).into());
        }
    }
    Ok(())
}

/// Nor is it a way out of what waits for its time: revocations that name the subject, one of its
/// devices or one of its clients name the new id from here on.
fn rename_in_schedules(log: &mut Appender<'_>, old: &str, fresh: &str) -> Result<()> {
    let issuer = log.log().settings.issuer.clone();
    let renamed = |target: &Target| match (target.kind(), target.parts()) {
        _ if target.issuer_name() != issuer => None,
        (TargetKind::Subject, [subject]) if subject == old => Target::one(&issuer, TargetKind::Subject, fresh).ok(),
        (kind @ (TargetKind::Device | TargetKind::SubjectClient), [subject, other]) if subject == old => {
            Target::two(&issuer, kind, fresh, other).ok()
        }
        _ => None,
    };
    // Those that wait come first, and there are no more of them.
    for mut schedule in log.tables.schedules(MAX_SCHEDULES as usize)? {
        let mut changed = false;
        for step in schedule.steps.iter_mut().filter(|step| step.state == StepState::Waiting) {
            for revocation in &mut step.revocations {
                if let Some(target) = renamed(&revocation.target) {
                    revocation.target = target;
                    changed = true;
                }
            }
        }
        if changed {
            log.tables.put_schedule(&schedule)?;
        }
    }
    Ok(())
}

/// A new id equals no subject's, account's or client's, past ones included.
fn is_nobodys(log: &Appender<'_>, name: &str, subject: &Target) -> Result<()> {
    let is_known = log.tables.subject(subject)? != SubjectState::default()
        || !log.tables.sessions_of(name, 1)?.is_empty()
        || log.tables.is_account_name(name)?
        || log.tables.client(name)?.is_some();
    if is_known { Err(Refused::NameTaken.into()) } else { Ok(()) }
}
