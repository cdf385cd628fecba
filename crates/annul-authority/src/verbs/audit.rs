//! The audit: who did what to what, and why.

use annul_core::position::Position;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::authority::Authority;
use crate::error::VerbError;
use crate::store::{AuditFilter, MAX_PAGE};

/// Listed events when no limit is given.
const DEFAULT_PAGE: usize = 100;

/// Which events to list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// The first that follow the event with this id, for going on from page to page; 0 is before the
    /// first of all. The newest when left out.
    pub after: Option<u64>,
    /// How many at most; 100 unless given, and never more than 1000.
    pub limit: Option<usize>,
    /// Only those about this record.
    #[param(value_type = Option<String>)]
    pub position: Option<Position>,
    /// Only those with exactly this target.
    pub target: Option<String>,
}

/// Events, the newest of them last.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AuditList {
    /// The events.
    pub events: Vec<AuditItem>,
}

/// An event.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AuditItem {
    /// Counts the events, from 1.
    pub id: u64,
    /// The record it is about.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// When (Unix milliseconds).
    pub time: u64,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// What it was done to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The request it came in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Authority {
    /// Events in the order of their ids: the newest, or those that follow `after`. A refusal's position leads here to target, reason and actor.
    pub async fn audit(&self, query: AuditQuery) -> Result<AuditList, VerbError> {
        let filter = AuditFilter {
            after: query.after,
            at: query.position,
            target: query.target,
            limit: query.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE),
        };
        let events = self.store().audit(filter).await?.into_iter().map(|event| AuditItem {
            id: event.id,
            position: event.at,
            time: event.time.0,
            actor: event.actor,
            action: event.action,
            target: event.target,
            reason: event.reason,
            request_id: event.request_id,
        });
        Ok(AuditList { events: events.collect() })
    }
}
