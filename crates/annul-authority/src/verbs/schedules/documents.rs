//! What answers say of schedules.

use annul_core::position::Position;
use serde::Serialize;
use utoipa::ToSchema;

use crate::verbs::revocations::CutoffText;

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
