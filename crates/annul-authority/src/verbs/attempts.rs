//! Attempts that were made before, under the same idempotency key.
//!
//! What was done is not refused afterwards. A verb that judges by the time, or by what the first
//! attempt itself has changed, asks here before it does; the store asks once more inside the
//! transaction, which alone decides whether anything is done.

use crate::authority::{Authority, Caller};
use crate::error::VerbError;
use crate::model::Act;
use crate::store::Appended;
use crate::verbs::revocations::{RevokeOutcome, RevokeRequest};

impl Authority {
    /// What an earlier attempt with the act's idempotency key appended, if it has one and there was one. This
    /// process then knows the keys as that attempt left them, also where it was cut off after its commit.
    pub(crate) async fn answered(&self, act: &Act) -> Result<Option<Appended>, VerbError> {
        if act.idempotency.is_none() {
            return Ok(None);
        }
        let earlier = self.store().answered(act.clone()).await?;
        if earlier.is_some() {
            self.reload().await?;
        }
        Ok(earlier)
    }

    /// The answer to an earlier attempt of this revocation. A dry run attempts nothing and has none.
    pub(crate) async fn revoked_before(
        &self,
        caller: &Caller,
        request: &RevokeRequest,
    ) -> Result<Option<RevokeOutcome>, VerbError> {
        let act = caller.act("revocation.create", None);
        if act.idempotency.is_none() || request.dry_run {
            return Ok(None);
        }
        if request.is_for_later() {
            let schedule = self.store().answered_schedule(act).await?;
            return Ok(schedule.map(|schedule| RevokeOutcome::Scheduled(self.schedule_item(schedule))));
        }
        let Some(appended) = self.answered(&act).await? else { return Ok(None) };
        Ok(Some(RevokeOutcome::Done(self.revoked_keeping(appended, request.keep.clone()).await)))
    }
}
