//! Clients that called before, so that not every request reads its caller from the store.
//!
//! A record counts only while no client was changed since before it was read: changes are told with
//! the commit that made them, before its caller is answered. So a removed client is refused from the
//! answer to its removal on, also when whoever removed it did not wait for that answer.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;

use crate::model::ClientRecord;
use crate::store::{Committed, Store, StoreError};

/// Clients held at once. They are those that exist, so a deployment has to be large to reach it, and
/// past it they are read anew.
const MOST: usize = 10_000;

/// The clients read since clients were last changed.
pub(crate) struct KnownClients {
    committed: watch::Receiver<Committed>,
    held: RwLock<Held>,
}

#[derive(Default)]
struct Held {
    /// The count of changes at which all of them were read.
    changes: u64,
    records: HashMap<String, Arc<ClientRecord>>,
}

impl KnownClients {
    pub(crate) fn new(store: &dyn Store) -> Self {
        Self { committed: store.committed(), held: RwLock::default() }
    }

    /// The client, as every change that was acknowledged before this call has left it.
    pub(crate) async fn find(&self, store: &dyn Store, id: &str) -> Result<Option<Arc<ClientRecord>>, StoreError> {
        // Taken before the store is read: what is read may be newer than this count, never older.
        let changes = self.committed.borrow().client_changes;
        if let Some(known) = self.held(changes, id) {
            return Ok(Some(known));
        }
        let found = store.client(id).await?.map(Arc::new);
        if let Some(record) = &found {
            self.hold(changes, record);
        }
        Ok(found)
    }

    fn held(&self, changes: u64, id: &str) -> Option<Arc<ClientRecord>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        if held.changes == changes { held.records.get(id).cloned() } else { None }
    }

    fn hold(&self, changes: u64, record: &Arc<ClientRecord>) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if held.changes > changes {
            return;
        }
        if held.changes < changes || held.records.len() >= MOST {
            *held = Held { changes, records: HashMap::new() };
        }
        held.records.insert(record.client_id.clone(), Arc::clone(record));
    }
}

#[cfg(test)]
mod tests {
    use annul_core::time::UnixMillis;

    use super::*;
    use crate::clock::Clock;
    use crate::model::{Act, ClientMetadata};
    use crate::store::conformance::genesis;
    use crate::store::{Limits, MemoryStore};

    fn record(id: &str) -> ClientRecord {
        ClientRecord {
            client_id: id.to_owned(),
            secret_hash: vec![1],
            scopes: Vec::new(),
            created: UnixMillis(0),
            metadata: ClientMetadata::default(),
        }
    }

    async fn store_with_log() -> MemoryStore {
        let store = MemoryStore::new(Limits::default(), Clock::system());
        store.bootstrap(genesis()).await.unwrap();
        store
    }

    #[tokio::test]
    async fn a_client_is_known_until_any_client_changes() {
        let store = store_with_log().await;
        let known = KnownClients::new(&store);
        assert!(known.find(&store, "shop").await.unwrap().is_none());
        store.add_client(Act::new("test", "add"), record("shop")).await.unwrap();
        assert!(known.find(&store, "shop").await.unwrap().is_some(), "an unknown one is not held as unknown");
        let first = known.find(&store, "shop").await.unwrap().unwrap();
        let again = known.find(&store, "shop").await.unwrap().unwrap();
        assert!(Arc::ptr_eq(&first, &again), "read once");
        store.remove_client(Act::new("test", "remove"), "shop").await.unwrap();
        assert!(known.find(&store, "shop").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn what_was_read_before_a_change_is_not_held_after_it() {
        let store = store_with_log().await;
        let known = KnownClients::new(&store);
        let before = known.committed.borrow().client_changes;
        let old = Arc::new(record("shop"));
        store.add_client(Act::new("test", "add"), record("other")).await.unwrap();
        known.find(&store, "other").await.unwrap().unwrap();
        known.hold(before, &old);
        assert!(known.find(&store, "shop").await.unwrap().is_none(), "a late reader brings nothing old back");
    }
}
