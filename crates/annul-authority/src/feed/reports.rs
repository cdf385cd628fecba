//! What verifiers report, and what follows from it: who is counted, and where a record is in effect.

use std::time::Duration;

use annul_core::feed::log::{Acknowledged, Confirmation, ReplicaId, ReplicaStatus};
use annul_core::feed::report::Report;
use annul_core::position::Position;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Feed, FeedRefusal, bump, point_of, registry};
use crate::store::StoreError;

/// How often a wait for confirmation looks at the clock: ages run out without anyone reporting.
const CONFIRM_STEP: Duration = Duration::from_millis(200);

impl Feed {
    /// Counts a report and answers it with a head that was read after it came in.
    pub async fn report(&self, name: &str, instance: &str, report: Report) -> Result<Vec<u8>, FeedRefusal> {
        let refused = |detail: String| FeedRefusal::Report { detail };
        let id = ReplicaId::new(name, instance).ok_or_else(|| {
            refused("name and instance are 1 to 128 letters, digits, dots, dashes or underscores".to_owned())
        })?;
        let nonce = report.nonce.clone();
        let spoken_for = registry::spoken_for(&id, &report);
        self.log().report(id, report, self.0.clock.moment()).map_err(|why| refused(why.to_string()))?;
        bump(&self.0.reports);
        if !self.0.registry.knows(&spoken_for) {
            // Before the answer, for the answer is what lets the replica accept.
            self.remember().await?;
        }
        let point = point_of(&self.0.store.log().await?);
        let answer = self.log().answer(&point, &nonce, self.0.clock.moment());
        Ok(answer.expect("an authority signs its heads").to_json())
    }

    /// Writes down who is counted, for the next start.
    pub(super) async fn remember(&self) -> Result<(), StoreError> {
        self.0.registry.remember(self.0.store.as_ref(), || self.replicas()).await
    }

    /// What is known of the record at `at` being in effect.
    #[must_use]
    pub fn confirmation(&self, at: Position, acknowledged: Acknowledged) -> Confirmation {
        self.log().confirmation(at, acknowledged, self.0.clock.mono())
    }

    /// The same, after every replica has applied it or run out, or after `wait`.
    pub async fn confirmed(&self, at: Position, acknowledged: Acknowledged, wait: Duration) -> Confirmation {
        let deadline = Instant::now() + wait;
        let mut reports = self.0.reports.subscribe();
        loop {
            reports.borrow_and_update();
            let confirmation = self.confirmation(at, acknowledged);
            let now = Instant::now();
            if confirmation.confirmed || now >= deadline || self.is_closed() {
                return confirmation;
            }
            // Ages run out silently, so the clock is looked at besides the reports.
            let _ = tokio::time::timeout_at(deadline.min(now + CONFIRM_STEP), reports.changed()).await;
        }
    }

    /// Waits for the next report, at most until `deadline`.
    pub async fn next_report(&self, reports: &mut watch::Receiver<u64>, deadline: Instant) {
        // An elapsed wait is seen by the caller's own look at the clock.
        let _ = tokio::time::timeout_at(deadline, reports.changed()).await;
    }

    /// Tells of every report from now on.
    #[must_use]
    pub fn reports(&self) -> watch::Receiver<u64> {
        self.0.reports.subscribe()
    }

    /// Every replica heard from.
    #[must_use]
    pub fn replicas(&self) -> Vec<ReplicaStatus> {
        self.log().replicas(self.0.clock.mono())
    }

    /// The replicas that may still answer from a view.
    #[must_use]
    pub fn counted(&self) -> Vec<ReplicaStatus> {
        let mut replicas = self.replicas();
        replicas.retain(is_counted);
        replicas
    }

    /// The greatest position that every counted verifier has applied; the head when none is
    /// counted, `None` when one of them holds no view.
    #[must_use]
    pub fn applied_by_all(&self) -> Option<Position> {
        let head = self.log().point().at;
        self.counted().iter().try_fold(head, |least, replica| replica.position.map(|position| least.min(position)))
    }
}

/// Whether a replica may still answer from a view.
fn is_counted(replica: &ReplicaStatus) -> bool {
    replica.heard_ms_ago <= replica.longest_age.saturating_mul(1000)
}
