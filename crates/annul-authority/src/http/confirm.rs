//! What a revoking verb answers: what was done, by when it holds everywhere, and, when asked to
//! wait, who applied it.

use std::time::Duration;

use annul_core::feed::log::{Acknowledged, Confirmation};
use annul_core::position::Position;
use annul_core::time::UnixMillis;
use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use crate::verbs::revocations::{Revoked, Wait};

/// The longest a call waits for its confirmation: clients and proxies give up soon after.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What a revoking verb did, and what has come of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct RevocationAnswer {
    /// What was done.
    #[serde(flatten)]
    pub revoked: Revoked,
    /// By when it holds.
    #[serde(flatten)]
    pub effect: Effect,
}

/// By when a record is in effect at the verifiers.
#[derive(Debug, Serialize, ToSchema)]
pub struct Effect {
    /// By when no counted verifier accepts what it revokes, in milliseconds since 1970, whether or
    /// not anybody reports again: the acknowledgement and the longest age heard from.
    pub enforced_by: u64,
    /// Who applied it, when the call was asked to wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub confirmation: Option<Confirmation>,
}

/// The answer for what was done, after waiting for the confirmation as long as was asked.
pub async fn answer(app: &App, revoked: Revoked, wait: Option<Wait>) -> Json<RevocationAnswer> {
    app.metrics.revoked(revoked.revocations.len() as u64);
    let effect = effect(app, revoked.position, revoked.acknowledged_at, wait).await;
    Json(RevocationAnswer { revoked, effect })
}

/// By when the record at `at` is in effect. The commit is durable already; a wait that runs out
/// changes nothing about it.
pub async fn effect(app: &App, at: Position, acknowledged_at: u64, wait: Option<Wait>) -> Effect {
    let acknowledged = Acknowledged { at: app.authority.clock().mono(), wall: UnixMillis(acknowledged_at) };
    match wait {
        None => {
            let confirmation = app.feed.confirmation(at, acknowledged);
            Effect { enforced_by: confirmation.enforced_by.0, confirmation: None }
        }
        Some(wait) => {
            let confirmation = app.feed.confirmed(at, acknowledged, wait.duration().min(LONGEST_WAIT)).await;
            Effect { enforced_by: confirmation.enforced_by.0, confirmation: Some(confirmation) }
        }
    }
}
