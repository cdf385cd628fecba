//! What can be kept for later, and until when.

use annul_core::algebra::{Cutoff, Reach};
use annul_core::target::TargetKind;
use annul_core::time::{UnixMillis, UnixSeconds};

use crate::error::VerbError;
use crate::model::NewRevocation;
use crate::store::SchedulePlan;
use crate::verbs::revocations::RevokeRequest;

/// Seconds ahead that a revocation may be scheduled for: what is further away is a wish, not a plan.
const MOST_AHEAD: u64 = 366 * 24 * 3600;
/// Seconds over which a revocation may be spread: between two slices at the least, and a day, for the
/// last session is as stolen as the first.
pub const SPREAD: std::ops::RangeInclusive<u64> = 10..=24 * 3600;

/// Refuses what does not go with a later time.
pub(super) fn plannable(request: &RevokeRequest, revocations: &[NewRevocation]) -> Result<(), VerbError> {
    let member = if request.at.is_some() { "at" } else { "over" };
    if request.keep.is_some() {
        return Err(invalid("keep", "works at once only: the session may have ended when the time comes"));
    }
    if request.wait.is_some() {
        return Err(invalid("wait", "works at once only: look at the schedule when the time has come"));
    }
    if revocations.iter().any(|new| new.target.kind() == TargetKind::Key) {
        return Err(invalid(member, "does not go with a key: it is killed at once, or rotated"));
    }
    let late = |new: &NewRevocation| matches!(new.cutoff, Cutoff::Before(time) if Some(time.0) > request.at);
    if request.at.is_some() && revocations.iter().any(late) {
        return Err(invalid("cutoff", "lies after `at`: logins that have not happened by then are not revoked"));
    }
    Ok(())
}

/// When it is done: at a time, by which `expected` sessions would end as they are today, or spread over one.
pub(super) fn plan(
    request: &RevokeRequest,
    revocations: &[NewRevocation],
    now: UnixMillis,
    expected: u64,
) -> Result<SchedulePlan, VerbError> {
    match (request.at, request.over) {
        (Some(at), None) => Ok(SchedulePlan::At { due: moment(at, now)?, expected }),
        (None, Some(seconds)) => spread(seconds, revocations),
        _ => Err(invalid("over", "does not go with `at`: begin it when the time has come")),
    }
}

/// The entries as they would be if the time were `now`: a time of theirs that comes only later is `now`.
pub(super) fn as_of(revocations: &[NewRevocation], now: UnixSeconds) -> Vec<NewRevocation> {
    let as_of = |new: &NewRevocation| match new.cutoff {
        Cutoff::Before(time) => NewRevocation { cutoff: Cutoff::Before(time.min(now)), ..new.clone() },
        _ => new.clone(),
    };
    revocations.iter().map(as_of).collect()
}

fn moment(at: u64, now: UnixMillis) -> Result<UnixMillis, VerbError> {
    let due = UnixMillis(at.saturating_mul(1000));
    if due < now {
        return Err(invalid("at", "has passed: leave it out to revoke now"));
    }
    if at > now.floor().plus(MOST_AHEAD).0 {
        return Err(invalid("at", "lies more than a year ahead"));
    }
    Ok(due)
}

fn spread(seconds: u64, revocations: &[NewRevocation]) -> Result<SchedulePlan, VerbError> {
    if !SPREAD.contains(&seconds) {
        let (least, most) = (SPREAD.start(), SPREAD.end());
        return Err(VerbError::Invalid { member: "over", why: format!("is between {least} and {most} seconds") });
    }
    let first = revocations.first().map(|new| new.cutoff);
    if revocations.iter().any(|new| Some(new.cutoff) != first || new.cutoff == Cutoff::Always) {
        return Err(invalid(
            "over",
            "takes targets with the cutoff `now` or one `before`, which logins are older than",
        ));
    }
    if revocations.iter().any(|new| new.reach != Reach::Both) {
        return Err(invalid("over", "reaches both access tokens and sessions"));
    }
    Ok(SchedulePlan::Over { seconds })
}

fn invalid(member: &'static str, why: &str) -> VerbError {
    VerbError::Invalid { member, why: why.to_owned() }
}
