//! Revocations for later: at a time, or spread over one; kept in the store, done when due, cancelled.

use std::time::Duration;

use annul_core::algebra::{Cutoff, Reach};
use annul_core::position::Position;
use annul_core::target::TargetKind;
use annul_core::time::{UnixMillis, UnixSeconds};
use serde::Serialize;
use utoipa::ToSchema;

use crate::authority::{Authority, Caller};
use crate::error::VerbError;
use crate::model::{NewRevocation, Schedule, Step, StepState};
use crate::secrets::random;
use crate::store::{NewSchedule, Refused, Revoke, SchedulePlan, StoreError};
use crate::verbs::bounds;
use crate::verbs::revocations::{CutoffText, DryRun, RevokeOutcome, RevokeRequest};

/// Seconds ahead that a revocation may be scheduled for: what is further away is a wish, not a plan.
pub const MOST_AHEAD: u64 = 366 * 24 * 3600;
/// Seconds over which a revocation may be spread: between two slices at the least, and a day, for the
/// last session is as stolen as the first.
pub const SPREAD: std::ops::RangeInclusive<u64> = 10..=24 * 3600;
/// How soon a step is tried again after the store failed.
const RETRY: Duration = Duration::from_secs(1);
/// How often the clock is looked at while a step waits: a wall clock that is put forward, or a machine
/// that slept, makes it no later than this.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A schedule: what is done when, and what was.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ScheduleItem {
    /// Names it, for looking it up and for cancelling.
    pub schedule: String,
    /// What it names.
    pub targets: Vec<String>,
    /// Whether something is left to do, and if not, how it ended.
    pub state: ScheduleState,
    /// When it was asked for (Unix milliseconds).
    pub created: u64,
    /// When its last step is or was due (Unix milliseconds).
    pub complete_at: u64,
    /// The sessions that would end by it, as they were counted when it was asked for.
    pub expected: u64,
    /// The sessions that ended by it so far.
    pub sessions: u64,
    /// Whether there may be more such sessions than were counted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sessions_at_least: bool,
    /// Who asked for it.
    pub actor: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What is done when, in the order of their times.
    pub steps: Vec<StepItem>,
}

/// How a schedule stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleState {
    /// Something is left to do.
    Waiting,
    /// All of it was done.
    Done,
    /// Some of it was refused when its time had come, and not done.
    Refused,
    /// It was cancelled before all of it was done.
    Cancelled,
}

/// One step of a schedule.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StepItem {
    /// Not done before this moment (Unix milliseconds).
    pub due: u64,
    /// The cutoff of its entries, where they have the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cutoff: Option<CutoffText>,
    /// The sessions that would end by it, as they were counted.
    pub expected: u64,
    /// What has become of it.
    pub state: ScheduleState,
    /// Its entries; a lift takes them.
    #[schema(value_type = Vec<String>)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub positions: Vec<Position>,
    /// When they were committed (Unix milliseconds).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged_at: Option<u64>,
    /// The sessions that ended by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions: Option<u64>,
    /// Whether there may be more such sessions than were counted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sessions_at_least: bool,
    /// Why it was refused: a code, and what was in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<[String; 2]>,
}

/// Schedules: those that have something left to do by their time, then the others, newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ScheduleList {
    /// The schedules.
    pub schedules: Vec<ScheduleItem>,
}

impl Authority {
    /// Schedules, those that wait first.
    pub async fn schedules(&self) -> Result<ScheduleList, VerbError> {
        let schedules = self.store().schedules().await?;
        Ok(ScheduleList { schedules: schedules.into_iter().map(|schedule| self.schedule_item(schedule)).collect() })
    }

    /// A schedule, done or not, for 30 days after its last step.
    pub async fn schedule(&self, id: &str) -> Result<ScheduleItem, VerbError> {
        let schedule = self.store().schedule_named(id).await?;
        let schedule =
            schedule.ok_or_else(|| StoreError::Refused(Refused::ScheduleUnknown { id: bounds::shown(id) }))?;
        Ok(self.schedule_item(schedule))
    }

    /// Cancels what of a schedule waits. Its entries that stand in the log stay there.
    pub async fn cancel_schedule(
        &self,
        caller: &Caller,
        id: &str,
        reason: Option<String>,
    ) -> Result<ScheduleItem, VerbError> {
        bounds::reason(reason.as_deref())?;
        let schedule = self.store().cancel_schedule(caller.act("schedule.cancel", reason), id).await?;
        Ok(self.schedule_item(schedule))
    }

    /// Does every step whose time has come, each in a transaction of its own that also writes down
    /// that it was done, and tells when the next is due.
    ///
    /// # Errors
    /// The store's. What was not done is done by the next call.
    pub async fn run_due(&self) -> Result<Option<UnixMillis>, VerbError> {
        loop {
            let Some(next) = self.store().next_due().await? else { return Ok(None) };
            if next.due > self.clock().millis() {
                return Ok(Some(next.due));
            }
            match self.store().run_step(&next.id).await {
                Ok(Some(schedule)) => tracing::info!(schedule = schedule.id, "a scheduled revocation was done"),
                // The clock stepped back between the two looks at it.
                Ok(None) => return Ok(Some(next.due)),
                Err(StoreError::Refused(refused)) => {
                    tracing::error!(schedule = next.id, code = refused.code(), "a scheduled revocation was refused");
                    self.store().refuse_step(&next.id, refused.code(), refused.to_string()).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Does steps as they become due, for ever. One that became due while no authority ran is done at
    /// once.
    pub async fn keep_schedules(self) {
        loop {
            let made = self.scheduled().notified();
            let pause = match self.run_due().await {
                Ok(None) => None,
                Ok(Some(due)) => {
                    let wait = Duration::from_millis(due.0.saturating_sub(self.clock().millis().0));
                    Some(wait.min(LOOK_EVERY))
                }
                Err(error) => {
                    tracing::error!(error = %error, "scheduled revocations wait for the store");
                    Some(RETRY)
                }
            };
            match pause {
                None => made.await,
                // Either way the store is asked again.
                Some(pause) => _ = tokio::time::timeout(pause, made).await,
            }
        }
    }

    /// Keeps revocations for later, or says what would be kept.
    pub(crate) async fn revoke_later(
        &self,
        caller: &Caller,
        request: &RevokeRequest,
        revocations: Vec<NewRevocation>,
    ) -> Result<RevokeOutcome, VerbError> {
        plannable(request, &revocations)?;
        let act = caller.act("revocation.schedule", request.reason.clone());
        let now = self.clock().millis();
        // What would be refused today is refused today; a time that comes only with the step is looked
        // at as if it were this second.
        let today = match request.at {
            Some(_) => revocations.iter().map(|new| as_of(new, now.floor())).collect(),
            None => revocations.clone(),
        };
        let rehearsed = self.store().rehearse(act.clone(), Revoke { revocations: today, keep: None }).await?;
        let plan = match (request.at, request.over) {
            (Some(at), None) => SchedulePlan::At { due: moment(at, now)?, expected: rehearsed.sessions.ended },
            (None, Some(seconds)) => spread(seconds, &revocations)?,
            _ => return Err(invalid("over", "does not go with `at`: begin it when the time has come")),
        };
        let new = NewSchedule { id: random::name()?, revocations, plan };
        if request.dry_run {
            let schedule = self.schedule_item(self.store().rehearse_schedule(act, new).await?);
            return Ok(RevokeOutcome::Dry(DryRun {
                dry_run: true,
                targets: schedule.targets.clone(),
                sessions: rehearsed.sessions.ended,
                sessions_at_least: rehearsed.sessions.at_least,
                kept: None,
                schedule: Some(schedule),
            }));
        }
        let schedule = self.store().schedule(act, new).await?;
        self.scheduled().notify_one();
        Ok(RevokeOutcome::Scheduled(self.schedule_item(schedule)))
    }

    pub(crate) fn schedule_item(&self, schedule: Schedule) -> ScheduleItem {
        let mut targets: Vec<String> = Vec::new();
        for new in schedule.steps.iter().take(1).flat_map(|step| &step.revocations) {
            targets.push(new.target.text(self.issuer()));
        }
        let steps: Vec<StepItem> = schedule.steps.iter().map(step_item).collect();
        ScheduleItem {
            schedule: schedule.id,
            targets,
            state: whole_state(&steps),
            created: schedule.created.0,
            complete_at: steps.last().map_or(schedule.created.0, |step| step.due),
            expected: steps.iter().map(|step| step.expected).sum(),
            sessions: steps.iter().filter_map(|step| step.sessions).sum(),
            sessions_at_least: steps.iter().any(|step| step.sessions_at_least),
            actor: schedule.actor,
            reason: schedule.reason,
            steps,
        }
    }
}

/// What can be kept for later at all.
fn plannable(request: &RevokeRequest, revocations: &[NewRevocation]) -> Result<(), VerbError> {
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

fn as_of(new: &NewRevocation, now: UnixSeconds) -> NewRevocation {
    let cutoff = match new.cutoff {
        Cutoff::Before(time) => Cutoff::Before(time.min(now)),
        other => other,
    };
    NewRevocation { cutoff, ..new.clone() }
}

fn step_item(step: &Step) -> StepItem {
    let first = step.revocations.first().map(|new| new.cutoff);
    let cutoff = first.filter(|first| step.revocations.iter().all(|new| new.cutoff == *first));
    let mut item = StepItem {
        due: step.due.0,
        cutoff: cutoff.map(CutoffText::from),
        expected: step.expected,
        state: ScheduleState::Waiting,
        positions: Vec::new(),
        acknowledged_at: None,
        sessions: None,
        sessions_at_least: false,
        refused: None,
    };
    match &step.state {
        StepState::Waiting => {}
        StepState::Done { positions, time, sessions, at_least } => {
            item.state = ScheduleState::Done;
            item.positions.clone_from(positions);
            item.acknowledged_at = Some(time.0);
            item.sessions = Some(*sessions);
            item.sessions_at_least = *at_least;
        }
        StepState::Refused { code, detail } => {
            item.state = ScheduleState::Refused;
            item.refused = Some([code.clone(), detail.clone()]);
        }
        StepState::Cancelled => item.state = ScheduleState::Cancelled,
    }
    item
}

fn whole_state(steps: &[StepItem]) -> ScheduleState {
    let order = [ScheduleState::Waiting, ScheduleState::Refused, ScheduleState::Cancelled];
    let found = order.into_iter().find(|state| steps.iter().any(|step| step.state == *state));
    found.unwrap_or(ScheduleState::Done)
}

fn invalid(member: &'static str, why: &str) -> VerbError {
    VerbError::Invalid { member, why: why.to_owned() }
}
