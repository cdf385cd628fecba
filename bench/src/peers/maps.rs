//! The general concurrent maps that a view could have been: the 128-bit hash of a target to a cutoff
//! and an until. Each gets the fastest hasher there is for keys that are random already.

use std::hash::{BuildHasherDefault, Hasher};

use parking_lot::RwLock;

/// The hash of a target.
pub type Key = [u8; 16];
/// Cutoff and until.
pub type Value = (u64, u64);
type Ready = BuildHasherDefault<FirstBytes>;

/// Takes the first eight bytes of a key for its hash.
#[derive(Default)]
pub struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    /// The length in front of the bytes is the same for all keys.
    fn write_usize(&mut self, _: usize) {}
}

/// A map that threads share.
pub trait Map: Sync {
    /// Its name.
    fn name(&self) -> &'static str;
    /// Puts an entry in.
    fn insert(&self, key: Key, value: Value);
    /// The until of an entry.
    fn get(&self, key: &Key) -> Option<u64>;
    /// Whether there is an entry for any of these keys, in the way that is quickest for all of them.
    fn holds_any(&self, keys: &[Key]) -> bool {
        keys.iter().any(|key| self.get(key).is_some())
    }
}

/// All of them, empty, with room for `count` entries.
#[must_use]
pub fn all(count: usize) -> Vec<Box<dyn Map>> {
    vec![
        Box::new(papaya::HashMap::<Key, Value, Ready>::with_capacity_and_hasher(count, Ready::default())),
        Box::new(dashmap::DashMap::<Key, Value, Ready>::with_capacity_and_hasher(count, Ready::default())),
        Box::new(scc::HashMap::<Key, Value, Ready>::with_capacity_and_hasher(count, Ready::default())),
        Box::new(RwLock::new(hashbrown::HashMap::<Key, Value, Ready>::with_capacity_and_hasher(
            count,
            Ready::default(),
        ))),
    ]
}

impl Map for papaya::HashMap<Key, Value, Ready> {
    fn name(&self) -> &'static str {
        "papaya"
    }

    fn insert(&self, key: Key, value: Value) {
        self.pin().insert(key, value);
    }

    fn get(&self, key: &Key) -> Option<u64> {
        self.pin().get(key).map(|value| value.1)
    }

    fn holds_any(&self, keys: &[Key]) -> bool {
        let pinned = self.pin();
        keys.iter().any(|key| pinned.get(key).is_some())
    }
}

impl Map for dashmap::DashMap<Key, Value, Ready> {
    fn name(&self) -> &'static str {
        "dashmap"
    }

    fn insert(&self, key: Key, value: Value) {
        Self::insert(self, key, value);
    }

    fn get(&self, key: &Key) -> Option<u64> {
        Self::get(self, key).map(|value| value.1)
    }
}

impl Map for scc::HashMap<Key, Value, Ready> {
    fn name(&self) -> &'static str {
        "scc"
    }

    fn insert(&self, key: Key, value: Value) {
        let _ = self.insert_sync(key, value);
    }

    fn get(&self, key: &Key) -> Option<u64> {
        self.read_sync(key, |_, value| value.1)
    }
}

impl Map for RwLock<hashbrown::HashMap<Key, Value, Ready>> {
    fn name(&self) -> &'static str {
        "RwLock of hashbrown"
    }

    fn insert(&self, key: Key, value: Value) {
        self.write().insert(key, value);
    }

    fn get(&self, key: &Key) -> Option<u64> {
        self.read().get(key).map(|value| value.1)
    }

    fn holds_any(&self, keys: &[Key]) -> bool {
        let read = self.read();
        keys.iter().any(|key| read.contains_key(key))
    }
}
