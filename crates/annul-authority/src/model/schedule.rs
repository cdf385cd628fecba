//! Revocations that wait for their time.

use annul_core::position::Position;
use annul_core::time::UnixMillis;
use serde::{Deserialize, Serialize};

use super::NewRevocation;

/// Revocations to be appended later: one step for a scheduled one, several for one that is spread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Names it.
    pub id: String,
    /// Who asked for it; the entries are theirs.
    pub actor: String,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// When it was asked for.
    pub created: UnixMillis,
    /// What is done when, in the order of their times.
    pub steps: Vec<Step>,
}

/// What a schedule does at one time: all of it or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Not done before this moment.
    pub due: UnixMillis,
    /// The entries it appends.
    pub revocations: Vec<NewRevocation>,
    /// The sessions that would end by it, as counted when it was asked for.
    pub expected: u64,
    /// What has become of it.
    pub state: StepState,
}

/// What has become of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Its time has not come, or only just.
    Waiting,
    /// Its entries stand in the log.
    Done {
        /// The entries, in the order of asking.
        positions: Vec<Position>,
        /// When they were committed.
        time: UnixMillis,
        /// The sessions that ended by it.
        sessions: u64,
        /// Whether there may be more than were counted.
        at_least: bool,
    },
    /// When its time came the state did not allow it. Nothing of it was done, and it is not tried again.
    Refused {
        /// The refusal's stable name.
        code: String,
        /// What was in the way.
        detail: String,
    },
    /// Somebody cancelled it before its time.
    Cancelled,
}

impl Schedule {
    /// The first step that waits.
    #[must_use]
    pub fn next(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.state == StepState::Waiting)
    }

    /// The same, to be changed.
    pub(crate) fn next_mut(&mut self) -> Option<&mut Step> {
        self.steps.iter_mut().find(|step| step.state == StepState::Waiting)
    }
}
