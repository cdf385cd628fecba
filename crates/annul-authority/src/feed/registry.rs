//! What of the registry of replicas outlives this process.
//!
//! A verifier accepts by a view for as long as an answer to its report made that view fresh. So it is
//! written down *before* it is answered: an authority that starts again knows everyone who may still
//! accept, and no revocation looks confirmed, or enforced earlier than it is, because somebody has
//! not reported again yet.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use annul_core::feed::log::{ReplicaId, ReplicaStatus};
use annul_core::feed::report::{Report, RouteCounts};

use crate::store::{Store, StoreError};

/// What a confirmation reckons with; a report that changes nothing of it writes nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Counted {
    longest_age: u64,
    routes: RouteCounts,
}

/// A replica that a report speaks for, and what it says of it.
pub(super) type SpokenFor = (ReplicaId, Counted);

/// Everyone a report speaks for: whoever reports, and what is behind a relay, which counts by itself.
pub(super) fn spoken_for(id: &ReplicaId, report: &Report) -> Vec<SpokenFor> {
    let said = |report: &Report| Counted { longest_age: report.longest_age, routes: report.routes };
    let behind = report.behind.iter().filter_map(|child| {
        let id = ReplicaId::new(&child.name, &child.instance)?;
        Some((id, said(&child.report)))
    });
    std::iter::once((id.clone(), said(report))).chain(behind).collect()
}

/// The replicas that the store knows.
pub(super) struct Registry {
    known: Mutex<BTreeMap<ReplicaId, Counted>>,
    /// Held while the store is written, so that an older state never replaces a newer one.
    writing: tokio::sync::Mutex<()>,
}

impl Registry {
    /// A registry beside a store that remembers `recalled`.
    pub(super) fn new(recalled: &[ReplicaStatus]) -> Self {
        let known = recalled.iter().filter_map(|status| Some((id_of(status)?, counted(status))));
        Self { known: Mutex::new(known.collect()), writing: tokio::sync::Mutex::new(()) }
    }

    /// Whether the store knows everyone a report speaks for as the report says. To be asked after the
    /// report was taken: then a [`remember`](Self::remember) that is under way has seen it, or has
    /// dropped from what is known whom it has not seen.
    pub(super) fn knows(&self, spoken_for: &[SpokenFor]) -> bool {
        let known = self.known();
        spoken_for.iter().all(|(id, counted)| known.get(id) == Some(counted))
    }

    /// Makes the store remember exactly the replicas that `heard` lists when it is this call's turn.
    pub(super) async fn remember(
        &self,
        store: &dyn Store,
        heard: impl FnOnce() -> Vec<ReplicaStatus> + Send,
    ) -> Result<(), StoreError> {
        let _turn = self.writing.lock().await;
        let (now, new, gone) = {
            let mut known = self.known();
            let heard = heard();
            let now: BTreeMap<ReplicaId, Counted> =
                heard.iter().filter_map(|status| Some((id_of(status)?, counted(status)))).collect();
            let is_new = |status: &ReplicaStatus| id_of(status).is_some_and(|id| known.get(&id) != now.get(&id));
            let new: Vec<ReplicaStatus> = heard.into_iter().filter(is_new).collect();
            let gone: Vec<ReplicaId> = known.keys().filter(|id| !now.contains_key(id)).cloned().collect();
            known.retain(|id, _| now.contains_key(id));
            (now, new, gone)
        };
        if new.is_empty() && gone.is_empty() {
            return Ok(());
        }
        store.remember_replicas(new, gone).await?;
        *self.known() = now;
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<ReplicaId, Counted>> {
        // The map is replaced as a whole, so a panic elsewhere cannot have broken it.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn id_of(status: &ReplicaStatus) -> Option<ReplicaId> {
    ReplicaId::new(&status.name, &status.instance)
}

const fn counted(status: &ReplicaStatus) -> Counted {
    Counted { longest_age: status.longest_age, routes: status.routes }
}
