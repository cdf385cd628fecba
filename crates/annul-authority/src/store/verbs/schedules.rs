//! Revocations for later: kept, appended step by step when their time has come, cancelled.
//!
//! A revocation that is spread is nothing new in the algebra. Its slices are entries `before T1`,
//! `before T2`, … on the same targets with rising times, so each takes the logins between two times,
//! oldest first; a view keeps the greatest time, and no row is walked.

use annul_core::algebra::Cutoff;
use annul_core::target::TargetHash;
use annul_core::time::{UnixMillis, UnixSeconds};

use super::revocations::append;
use super::{Outcome, Result, Snapshot, Txn, attempt_at, earlier_attempt, remember_attempt, status};
use crate::model::{Act, NewRevocation, Schedule, Session, SessionStatus, Step, StepState};
use crate::store::tables::Read;
use crate::store::{
    MAX_COUNTED, MAX_ENTRIES, MAX_SCHEDULES, MAX_SLICES, NewSchedule, Refused, Revoke, SLICE_SECONDS, SchedulePlan,
};

pub(crate) fn schedule(txn: &mut Txn<'_>, act: &Act, new: NewSchedule) -> Result<Schedule> {
    match earlier_attempt(txn, act)? {
        Some(Outcome::Scheduled { id }) => return named(txn.tables, &id),
        Some(_) => return Err(Refused::IdempotencyConflict.into()),
        None => {}
    }
    let schedule = keep(txn, act, new)?;
    remember_attempt(txn, act, &Outcome::Scheduled { id: schedule.id.clone() })?;
    Ok(schedule)
}

pub(crate) fn answered_schedule(snapshot: &Snapshot<'_>, act: &Act) -> Result<Option<Schedule>> {
    match attempt_at(snapshot.tables, act, snapshot.now)? {
        Some(Outcome::Scheduled { id }) => named(snapshot.tables, &id).map(Some),
        Some(_) => Err(Refused::IdempotencyConflict.into()),
        None => Ok(None),
    }
}

/// The same as [`schedule`], for a transaction that is undone: an attempt is neither looked up nor
/// remembered, for nothing was attempted.
pub(crate) fn rehearse_schedule(txn: &mut Txn<'_>, act: &Act, new: NewSchedule) -> Result<Schedule> {
    keep(txn, act, new)
}

pub(crate) fn run_step(txn: &mut Txn<'_>, id: &str) -> Result<Option<Schedule>> {
    let mut schedule = named(txn.tables, id)?;
    let act = Act::new(&schedule.actor, "revocation.due").because(schedule.reason.clone());
    let act = Act { request_id: Some(schedule.id.clone()), ..act };
    let commit = txn.commit;
    let Some(step) = schedule.next_mut().filter(|step| step.due <= commit) else { return Ok(None) };
    let appended = append(txn, &act, &Revoke { revocations: step.revocations.clone(), keep: None })?;
    step.state = StepState::Done {
        positions: appended.positions,
        time: appended.committed,
        sessions: appended.sessions.ended,
        at_least: appended.sessions.at_least,
    };
    txn.tables.put_schedule(&schedule)?;
    Ok(Some(schedule))
}

pub(crate) fn refuse_step(txn: &mut Txn<'_>, id: &str, code: String, detail: String) -> Result<()> {
    let mut schedule = named(txn.tables, id)?;
    let commit = txn.commit;
    let Some(step) = schedule.next_mut().filter(|step| step.due <= commit) else { return Ok(()) };
    step.state = StepState::Refused { code, detail };
    txn.tables.put_schedule(&schedule)?;
    let act = Act::new(&schedule.actor, "revocation.refused").because(schedule.reason.clone());
    txn.appender(&act)?.note_act(Some(schedule.id))
}

pub(crate) fn cancel_schedule(txn: &mut Txn<'_>, act: &Act, id: &str) -> Result<Schedule> {
    let mut schedule = named(txn.tables, id)?;
    if schedule.next().is_none() {
        return Err(Refused::ScheduleOver { id: id.to_owned() }.into());
    }
    while let Some(step) = schedule.next_mut() {
        step.state = StepState::Cancelled;
    }
    txn.tables.put_schedule(&schedule)?;
    txn.appender(act)?.note_act(Some(schedule.id.clone()))?;
    Ok(schedule)
}

fn named(tables: &(impl Read + ?Sized), id: &str) -> Result<Schedule> {
    tables.schedule(id)?.ok_or_else(|| Refused::ScheduleUnknown { id: id.to_owned() }.into())
}

fn keep(txn: &mut Txn<'_>, act: &Act, new: NewSchedule) -> Result<Schedule> {
    if txn.tables.count_schedules()? >= MAX_SCHEDULES {
        return Err(Refused::TooManySchedules { most: MAX_SCHEDULES }.into());
    }
    let steps = match new.plan {
        SchedulePlan::At { due, expected } => {
            vec![Step { due, revocations: new.revocations, expected, state: StepState::Waiting }]
        }
        SchedulePlan::Over { seconds } => slices(txn, &new.revocations, seconds)?,
    };
    let entries: usize = steps.iter().map(|step| step.revocations.len()).sum();
    if !(1..=MAX_ENTRIES).contains(&entries) {
        return Err(Refused::EntryCount { most: MAX_ENTRIES }.into());
    }
    let schedule =
        Schedule { id: new.id, actor: act.actor.clone(), reason: act.reason.clone(), created: txn.commit, steps };
    txn.tables.put_schedule(&schedule)?;
    txn.appender(act)?.note_act(Some(schedule.id.clone()))?;
    Ok(schedule)
}

/// The slices of a revocation that is spread over `seconds`.
fn slices(txn: &Txn<'_>, revocations: &[NewRevocation], seconds: u64) -> Result<Vec<Step>> {
    let whole = revocations.iter().map(|new| cutoff_time(new, txn.commit)).max().unwrap_or_default();
    let most = (seconds / SLICE_SECONDS).clamp(1, MAX_SLICES);
    let logins = live_logins(txn, revocations, whole)?;
    let times = if logins.sampled.is_empty() {
        times_of_tokens(txn, revocations, whole, most)?
    } else {
        times_of_logins(&logins.sampled, most)
    };
    // A time that has not come cannot be asked for yet; what it would take goes with the last slice.
    let mut times: Vec<UnixSeconds> =
        times.into_iter().filter(|time| *time < whole && *time <= txn.commit.floor()).collect();
    times.push(whole);
    let gap = (seconds * 1000).checked_div(times.len() as u64 - 1).unwrap_or(0);
    let mut after = UnixSeconds(0);
    let mut steps = Vec::with_capacity(times.len());
    for (index, time) in times.iter().enumerate() {
        let last = index + 1 == times.len();
        // Counted back from the end, so that the last is due exactly when it was said.
        let wait = if last && index > 0 { seconds * 1000 } else { gap * index as u64 };
        let taken = logins.sampled.iter().filter(|login| **login >= after && **login < *time).count() as u64;
        let cut = |new: &NewRevocation| NewRevocation { cutoff: Cutoff::Before(*time), ..new.clone() };
        steps.push(Step {
            // Not before the time that it names, which until then could not be asked for.
            due: UnixMillis(txn.commit.0.saturating_add(wait).max(time.0.saturating_mul(1000))),
            revocations: revocations.iter().map(cut).collect(),
            expected: logins.scaled(taken),
            state: StepState::Waiting,
        });
        after = *time;
    }
    Ok(steps)
}

/// The time that takes everything: `now` becomes the second after the asking, so that whoever logs in
/// while the slices run stays.
fn cutoff_time(new: &NewRevocation, commit: UnixMillis) -> UnixSeconds {
    match new.cutoff {
        Cutoff::Before(time) => time,
        Cutoff::Now | Cutoff::Always => commit.next_second(),
    }
}

/// When the live sessions that are meant logged in, in order.
struct Logins {
    sampled: Vec<UnixSeconds>,
    looked_at: u64,
    named: u64,
}

impl Logins {
    /// How many of all sessions a count of those looked at stands for.
    fn scaled(&self, count: u64) -> u64 {
        if self.named <= self.looked_at { count } else { count.saturating_mul(self.named) / self.looked_at.max(1) }
    }
}

/// At most [`MAX_COUNTED`] of the sessions are looked at; a sid is random, so the first by their sids
/// are a fair sample of all.
fn live_logins(txn: &Txn<'_>, revocations: &[NewRevocation], whole: UnixSeconds) -> Result<Logins> {
    let log = txn.tables.log()?;
    let mut targets: Vec<TargetHash> = revocations.iter().map(|new| new.target.hash(&log.hash_key)).collect();
    targets.sort_unstable();
    targets.dedup();
    let mut named = 0u64;
    let mut sessions: Vec<Session> = Vec::new();
    for target in &targets {
        named = named.saturating_add(txn.tables.count_naming(target)?);
        // Those that are over are counted, so they are in the sample.
        sessions.extend(txn.tables.sessions_naming(target, UnixSeconds(0), "", MAX_COUNTED)?);
        let held = sessions.len();
        sessions.sort_unstable_by(|a, b| a.sid.cmp(&b.sid));
        sessions.dedup_by(|a, b| a.sid == b.sid);
        // A session that has two of the targets was counted twice.
        named = named.saturating_sub((held - sessions.len()) as u64);
        sessions.truncate(MAX_COUNTED);
    }
    let looked_at = sessions.len() as u64;
    let mut sampled = Vec::new();
    for session in sessions.into_iter().filter(|session| session.auth_time < whole) {
        if status(&*txn.tables, &log, &session, txn.commit)? == SessionStatus::Live {
            sampled.push(session.auth_time);
        }
    }
    sampled.sort_unstable();
    Ok(Logins { sampled, looked_at, named })
}

/// Times between which about as many of the logins lie; logins of one second are not parted.
fn times_of_logins(logins: &[UnixSeconds], most: u64) -> Vec<UnixSeconds> {
    let most = usize::try_from(most).unwrap_or(usize::MAX).min(logins.len());
    let mut times: Vec<UnixSeconds> =
        (1..most).filter_map(|slice| Some(logins.get(slice * logins.len() / most - 1)?.plus(1))).collect();
    times.dedup();
    times
}

/// Where no session is known, as with a foreign issuer, tokens are taken to be issued evenly: times
/// over their longest life. Tokens of our own without a session need no spreading, for nobody logs in
/// again.
fn times_of_tokens(
    txn: &Txn<'_>,
    revocations: &[NewRevocation],
    whole: UnixSeconds,
    most: u64,
) -> Result<Vec<UnixSeconds>> {
    let own = txn.tables.log()?.settings.issuer;
    let mut life = 0;
    for new in revocations.iter().filter(|new| new.target.issuer_name() != own) {
        let issuer = txn.tables.issuer(new.target.issuer_name())?;
        life = issuer.map_or(0, |issuer| issuer.record.longest_life.saturating_add(issuer.record.skew)).max(life);
    }
    let most = most.min(life.max(1));
    Ok((1..most).map(|slice| whole.minus(life - life * slice / most)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(times: impl IntoIterator<Item = u64>) -> Vec<UnixSeconds> {
        times.into_iter().map(UnixSeconds).collect()
    }

    #[test]
    fn times_rise_and_part_the_logins_evenly() {
        assert_eq!(times_of_logins(&seconds(0..100), 4), seconds([25, 50, 75]));
        assert_eq!(times_of_logins(&seconds([3, 3, 3, 3, 9]), 5), seconds([4]), "one second is one slice");
        assert_eq!(times_of_logins(&seconds([3]), 60), []);
        for count in 1..80 {
            let times = times_of_logins(&seconds(0..count), 60);
            assert!(times.len() < 60 && times.is_sorted_by(|a, b| a < b), "{count}: {times:?}");
        }
    }

    #[test]
    fn a_sample_stands_for_all() {
        let logins = |looked_at, named| Logins { sampled: Vec::new(), looked_at, named };
        assert_eq!(logins(10_000, 1_000_000).scaled(167), 16_700);
        assert_eq!(logins(40, 40).scaled(7), 7);
        assert_eq!(logins(0, 0).scaled(0), 0);
    }
}
