//! The places that entries lie in: found without a lock, given away under one.

use std::array;
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use annul_core::VerifiedToken;
use annul_core::time::UnixSeconds;
use arc_swap::ArcSwapOption;
use foldhash::fast::RandomState;

use super::Entry;

/// Places of a set: their tags fill one cache line.
const WAYS: usize = 8;

/// Bytes at a token's end that are hashed. They are its signature's, which differs from token to token;
/// so the place is known before the rest of a long token was fetched, and all of it is compared there.
const HASHED: usize = 43;

/// A bounded number of bytes of entries, spread over sets of places.
pub(super) struct Places {
    sets: Box<[Set]>,
    /// Seeded at random. Only what was verified is kept, so nobody but an issuer could fill a set with
    /// collisions, and would only displace what shares the set.
    hasher: RandomState,
    limit: u64,
    bytes: AtomicU64,
    entries: AtomicU64,
    /// The set from which something goes next when the bytes run out.
    hand: AtomicUsize,
}

/// A tag is the hash of the token in its place, 0 when the place is vacant. Tag and entry are written
/// one after the other, so the tag only says where to look; the token's bytes decide.
struct Set {
    tags: [AtomicU64; WAYS],
    entries: [ArcSwapOption<Entry>; WAYS],
    /// Looked up since it was last passed over.
    marks: [AtomicBool; WAYS],
    /// Held by whoever changes the set.
    change: Mutex<()>,
}

impl Places {
    /// Places for entries of at most `limit` bytes together, about `count` of them.
    pub(super) fn new(limit: u64, count: u64) -> Self {
        // A quarter more, for sets do not fill evenly.
        let sets = usize::try_from(count + count / 4).unwrap_or(usize::MAX).div_ceil(WAYS).max(1);
        Self {
            sets: (0..sets).map(|_| Set::new()).collect(),
            hasher: RandomState::default(),
            limit,
            bytes: AtomicU64::new(0),
            entries: AtomicU64::new(0),
            hand: AtomicUsize::new(0),
        }
    }

    /// The token with exactly these bytes, if its entry is there and `counts`.
    pub(super) fn find(&self, text: &str, counts: impl Fn(&Entry) -> bool) -> Option<VerifiedToken> {
        let (set, tag) = self.place(text);
        for way in 0..WAYS {
            if set.tags[way].load(Ordering::Relaxed) != tag {
                continue;
            }
            let held = set.entries[way].load();
            if let Some(entry) = held.as_deref().filter(|entry| *entry.text == *text && counts(entry)) {
                if !set.marks[way].load(Ordering::Relaxed) {
                    set.marks[way].store(true, Ordering::Relaxed);
                }
                return Some(entry.token.clone());
            }
        }
        None
    }

    /// Keeps an entry, in the place of what is least worth keeping.
    pub(super) fn keep(&self, entry: Arc<Entry>, now: UnixSeconds) {
        let weight = entry.weight();
        if weight > self.limit {
            return;
        }
        let held = self.bytes.fetch_add(weight, Ordering::Relaxed) + weight;
        self.make_room(held);
        let (set, tag) = self.place(&entry.text);
        let _changing = set.change.lock().unwrap_or_else(PoisonError::into_inner);
        let way = set.way_for(&entry.text, tag, now);
        set.tags[way].store(tag, Ordering::Relaxed);
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.gone(set.entries[way].swap(Some(entry)));
    }

    /// Drops what has expired.
    pub(super) fn sweep(&self, now: UnixSeconds) {
        for set in &self.sets {
            self.drop_from(set, |entry, _| entry.expires() <= now);
        }
    }

    pub(super) fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn place(&self, text: &str) -> (&Set, u64) {
        let end = &text.as_bytes()[text.len().saturating_sub(HASHED)..];
        let hash = self.hasher.hash_one(end);
        let set = ((u128::from(hash) * self.sets.len() as u128) >> 64) as usize;
        (&self.sets[set], hash.max(1))
    }

    /// Drops entries until the bytes are within the limit. What was looked up since the hand last came
    /// by is passed over once, so two rounds find enough.
    fn make_room(&self, mut held: u64) {
        for _ in 0..2 * self.sets.len() {
            if held <= self.limit {
                return;
            }
            let set = &self.sets[self.hand.fetch_add(1, Ordering::Relaxed) % self.sets.len()];
            self.drop_from(set, |_, mark| !mark.swap(false, Ordering::Relaxed));
            held = self.bytes();
        }
    }

    fn drop_from(&self, set: &Set, goes: impl Fn(&Entry, &AtomicBool) -> bool) {
        let _changing = set.change.lock().unwrap_or_else(PoisonError::into_inner);
        for way in 0..WAYS {
            if set.entries[way].load().as_deref().is_some_and(|entry| goes(entry, &set.marks[way])) {
                set.tags[way].store(0, Ordering::Relaxed);
                self.gone(set.entries[way].swap(None));
            }
        }
    }

    fn gone(&self, entry: Option<Arc<Entry>>) {
        if let Some(entry) = entry {
            self.entries.fetch_sub(1, Ordering::Relaxed);
            self.bytes.fetch_sub(entry.weight(), Ordering::Relaxed);
        }
    }
}

impl Set {
    fn new() -> Self {
        Self {
            tags: array::from_fn(|_| AtomicU64::new(0)),
            entries: array::from_fn(|_| ArcSwapOption::empty()),
            marks: array::from_fn(|_| AtomicBool::new(false)),
            change: Mutex::new(()),
        }
    }

    /// The token's own place, else a vacant one, else that of an expired token, else of one that was
    /// not looked up since the set was last searched like this. Only under the lock.
    fn way_for(&self, text: &str, tag: u64, now: UnixSeconds) -> usize {
        let own = |way: &usize| {
            self.tags[*way].load(Ordering::Relaxed) == tag
                && self.entries[*way].load().as_deref().is_some_and(|entry| *entry.text == *text)
        };
        let free = |way: &usize| self.entries[*way].load().as_deref().is_none_or(|entry| entry.expires() <= now);
        let unmarked = |way: &usize| !self.marks[*way].swap(false, Ordering::Relaxed);
        (0..WAYS).find(own).or_else(|| (0..WAYS).find(free)).or_else(|| (0..WAYS).find(unmarked)).unwrap_or(0)
    }
}
