//! What was kept for later, done as its time comes.

use std::time::Duration;

use annul_core::time::UnixMillis;

use crate::authority::Authority;
use crate::error::VerbError;
use crate::store::StoreError;

/// How soon a step is tried again after the store failed.
const RETRY: Duration = Duration::from_secs(1);
/// How often the clock is looked at while a step waits: a wall clock that is put forward, or a machine
/// that slept, makes it no later than this.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Authority {
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
}
