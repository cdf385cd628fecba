//! Revocations for later: at a time, or spread over one; kept in the store, done when due, cancelled.

mod documents;
mod due;
mod plan;

use crate::authority::{Authority, Caller};
use crate::error::VerbError;
use crate::model::{NewRevocation, Schedule, Step, StepState};
use crate::secrets::random;
use crate::store::{NewSchedule, Refused, Revoke, StoreError};
use crate::verbs::bounds;
use crate::verbs::revocations::{CutoffText, DryRun, RevokeOutcome, RevokeRequest};

pub use documents::{ScheduleItem, ScheduleList, ScheduleState, StepItem};
pub use plan::SPREAD;

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

    /// Keeps revocations for later, or says what would be kept.
    pub(crate) async fn revoke_later(
        &self,
        caller: &Caller,
        request: &RevokeRequest,
        revocations: Vec<NewRevocation>,
    ) -> Result<RevokeOutcome, VerbError> {
        plan::plannable(request, &revocations)?;
        let act = caller.act("revocation.schedule", request.reason.clone());
        let now = self.clock().millis();
        // What would be refused today is refused today; a time that comes only with the step is looked
        // at as if it were this second.
        let today = match request.at {
            Some(_) => plan::as_of(&revocations, now.floor()),
            None => revocations.clone(),
        };
        let rehearsed = self.store().rehearse(act.clone(), Revoke { revocations: today, keep: None }).await?;
        let plan = plan::plan(request, &revocations, now, rehearsed.sessions.ended)?;
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

    /// A schedule, as callers see it.
    pub(crate) fn schedule_item(&self, schedule: Schedule) -> ScheduleItem {
        // All steps name the same.
        let named = schedule.steps.iter().take(1).flat_map(|step| &step.revocations);
        let targets = named.map(|new| new.target.text(self.issuer())).collect();
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
