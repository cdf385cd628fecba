//! The places that tokens lie in: found without a lock, given away under one.

use std::array;
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwapOption, Guard};
use foldhash::fast::FixedState;

use super::super::verify::{Verified, VerifiedToken};
use super::weight;
use crate::time::UnixSeconds;

/// Places of a set: what is needed to find one fills half a cache line, the tokens' addresses another.
const WAYS: usize = 8;

/// Bytes at a token's end that are hashed. They are its signature's, which differs from token to token;
/// so the place is known before the rest of a long token was fetched, and all of it is compared there.
const HASHED: usize = 43;

/// A bounded number of bytes of tokens, spread over sets of places.
pub(super) struct Places {
    sets: Box<[Set]>,
    /// Only what was verified is kept, so nobody but an issuer could fill a set with collisions, and
    /// would only displace what shares the set.
    hasher: FixedState,
    limit: u64,
    bytes: AtomicU64,
    entries: AtomicU64,
    /// The set from which something goes next when the bytes run out.
    hand: AtomicUsize,
}

/// A tag is part of the hash of the token in its place, 0 when the place is vacant. Tag and token are
/// written one after the other, so the tag only says where to look; the token's bytes decide.
#[repr(align(128))]
struct Set {
    tags: [AtomicU32; WAYS],
    /// One bit for each way: looked up since it was last passed over.
    marks: AtomicU8,
    /// Held by whoever changes the set.
    change: Mutex<()>,
    tokens: [ArcSwapOption<Verified>; WAYS],
}

impl Places {
    /// Places for tokens of at most `limit` bytes together, about `count` of them.
    pub(super) fn new(limit: u64, count: u64, seed: u64) -> Self {
        // A quarter more, for sets do not fill evenly.
        let sets = usize::try_from(count + count / 4).unwrap_or(usize::MAX).div_ceil(WAYS).max(1);
        Self {
            sets: (0..sets).map(|_| Set::new()).collect(),
            hasher: FixedState::with_seed(seed),
            limit,
            bytes: AtomicU64::new(0),
            entries: AtomicU64::new(0),
            hand: AtomicUsize::new(0),
        }
    }

    /// The token with exactly these bytes, if it is there and `read` makes something of it, and that.
    #[inline]
    pub(super) fn find<R>(&self, text: &str, read: impl Fn(&Arc<Verified>) -> Option<R>) -> Option<(VerifiedToken, R)> {
        let (set, tag) = self.place(text);
        let mut ways = set.ways_with(tag);
        while ways != 0 {
            let way = ways.trailing_zeros() as usize;
            ways &= ways - 1;
            let held = set.tokens[way].load();
            let own = held.as_ref().filter(|verified| verified.text() == text);
            if let Some(made) = own.and_then(&read) {
                set.mark(way);
                return Guard::into_inner(held).map(|verified| (VerifiedToken::of(verified), made));
            }
        }
        None
    }

    /// Keeps a token, in the place of what is least worth keeping.
    pub(super) fn keep(&self, token: &VerifiedToken) {
        let verified = token.shared();
        let weight = weight(verified);
        if weight > self.limit {
            return;
        }
        let held = self.bytes.fetch_add(weight, Ordering::Relaxed) + weight;
        self.make_room(held);
        let (set, tag) = self.place(verified.text());
        let _changing = set.change.lock().unwrap_or_else(PoisonError::into_inner);
        let way = set.way_for(verified.text(), tag);
        set.tags[way].store(tag, Ordering::Relaxed);
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.gone(set.tokens[way].swap(Some(Arc::clone(verified))));
    }

    /// Drops what has expired.
    pub(super) fn sweep(&self, now: UnixSeconds) {
        for set in &self.sets {
            self.drop_from(set, |way| set.has_expired(way, now));
        }
    }

    pub(super) fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    #[inline]
    fn place(&self, text: &str) -> (&Set, u32) {
        let end = &text.as_bytes()[text.len().saturating_sub(HASHED)..];
        let hash = self.hasher.hash_one(end);
        let set = ((u128::from(hash) * self.sets.len() as u128) >> 64) as usize;
        (&self.sets[set], (hash as u32).max(1))
    }

    /// Drops tokens until the bytes are within the limit. What was looked up since the hand last came
    /// by is passed over once, so two rounds find enough.
    fn make_room(&self, mut held: u64) {
        for _ in 0..2 * self.sets.len() {
            if held <= self.limit {
                return;
            }
            let set = &self.sets[self.hand.fetch_add(1, Ordering::Relaxed) % self.sets.len()];
            // What the tokens say is not looked at: most lie in no cache of the processor any more.
            self.drop_from(set, |way| !set.unmark(way));
            held = self.bytes();
        }
    }

    fn drop_from(&self, set: &Set, goes: impl Fn(usize) -> bool) {
        let _changing = set.change.lock().unwrap_or_else(PoisonError::into_inner);
        for way in (0..WAYS).filter(|&way| set.is_taken(way)) {
            if goes(way) {
                set.tags[way].store(0, Ordering::Relaxed);
                self.gone(set.tokens[way].swap(None));
            }
        }
    }

    fn gone(&self, token: Option<Arc<Verified>>) {
        if let Some(token) = token {
            self.entries.fetch_sub(1, Ordering::Relaxed);
            self.bytes.fetch_sub(weight(&token), Ordering::Relaxed);
        }
    }
}

impl Set {
    fn new() -> Self {
        Self {
            tags: array::from_fn(|_| AtomicU32::new(0)),
            marks: AtomicU8::new(0),
            change: Mutex::new(()),
            tokens: array::from_fn(|_| ArcSwapOption::empty()),
        }
    }

    /// A bit for each way that has this tag.
    #[inline]
    fn ways_with(&self, tag: u32) -> u32 {
        let tags = self.tags.iter().enumerate();
        tags.fold(0, |ways, (way, own)| ways | u32::from(own.load(Ordering::Relaxed) == tag) << way)
    }

    fn is_taken(&self, way: usize) -> bool {
        self.tags[way].load(Ordering::Relaxed) != 0
    }

    fn has_expired(&self, way: usize, now: UnixSeconds) -> bool {
        self.tokens[way].load().as_ref().is_some_and(|token| token.expires() <= now)
    }

    #[inline]
    fn mark(&self, way: usize) {
        let bit = 1 << way;
        if self.marks.load(Ordering::Relaxed) & bit == 0 {
            self.marks.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// Takes a way's mark off and says whether it had one.
    fn unmark(&self, way: usize) -> bool {
        let bit = 1 << way;
        self.marks.fetch_and(!bit, Ordering::Relaxed) & bit != 0
    }

    /// The token's own place, else a vacant one, else that of a token which was not looked up since the set
    /// was last searched like this. Which of them has expired is left to the sweep: to ask eight tokens that
    /// lie in no cache of the processor any more takes as long as to hash a new one. Only under the lock.
    fn way_for(&self, text: &str, tag: u32) -> usize {
        let own = |way: &usize| {
            let is_it = || self.tokens[*way].load().as_ref().is_some_and(|token| token.text() == text);
            self.tags[*way].load(Ordering::Relaxed) == tag && is_it()
        };
        let vacant = |way: &usize| !self.is_taken(*way);
        let unmarked = |way: &usize| !self.unmark(*way);
        let mut ways = 0..WAYS;
        ways.clone().find(own).or_else(|| ways.clone().find(vacant)).or_else(|| ways.find(unmarked)).unwrap_or(0)
    }
}
