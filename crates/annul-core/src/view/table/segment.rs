//! The concurrent core: a piece of the table that one thread writes while many read it.
//!
//! ```text
//! filter    one word of 64 bits for four slots; a key sets four bits of one word
//! bucket    [first half of the key; 8]   one cache line: all that a miss behind the filter reads
//!           [second half;           8]
//!           [value;                 8]
//! wide      cells that do not fit a value, each written once; the value holds the index
//! ```
//!
//! Open addressing over buckets of eight slots, which fill from the front, so an empty slot ends the
//! search. **A slot's key is written once and never changes**; that is the whole proof:
//!
//! - The first half is stored last and with release, so whoever reads it finds the second half, the
//!   value and what the value refers to. A key is never seen half written.
//! - The value is one word. Whoever reads it finds an old value or a new one, never parts of both,
//!   and never another key's: the slot has no other key, before or after.
//! - Filter bits are set before the key and never cleared. Whoever began after the writer published
//!   an entry (by swapping the view's state) therefore finds its bits and its slot.
//!
//! Slots are not reused: what was forgotten goes when the segment is built anew, aside, and swapped
//! in. So readers wait for nobody and repeat nothing.

use std::sync::{Arc, OnceLock};

use super::atomic::{AtomicU64, Ordering};
use crate::algebra::Cell;
use crate::target::TargetHash;

const SLOTS: usize = 8;
const FILTER_WORDS_PER_BUCKET: usize = 2;

/// A target's hash in two words, in the order of hashes. The first word is never 0, which marks an empty slot: of 2^128
/// hashes one in 2^64 is read as its neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    first: u64,
    second: u64,
}

impl Key {
    /// The key of a target.
    #[inline]
    #[must_use]
    pub(crate) fn of(target: &TargetHash) -> Self {
        let (first, second) = target.0.split_at(8);
        Self { first: word(first).max(1), second: word(second) }
    }

    /// The target of this key.
    #[must_use]
    pub(crate) fn target(self) -> TargetHash {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.first.to_be_bytes());
        bytes[8..].copy_from_slice(&self.second.to_be_bytes());
        TargetHash(bytes)
    }

    /// Which of the table's segments it belongs to: its top byte.
    #[inline]
    #[must_use]
    pub(crate) const fn segment(self) -> usize {
        (self.first >> 56) as usize
    }
}

#[inline]
fn word(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// Eight slots. Aligned so that the first halves of their keys share one cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Bucket {
    first: [AtomicU64; SLOTS],
    second: [AtomicU64; SLOTS],
    value: [AtomicU64; SLOTS],
}

/// The place of a key that is there. It stays valid for as long as the segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    bucket: usize,
    index: usize,
}

/// There is no room; the segment has to be built anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRoom;

/// A part of the table. Readers call [`find`](Self::find), [`wide`](Self::wide) and
/// [`Filter::may_hold`] at any time; everything else belongs to the one writer.
#[derive(Debug)]
pub(crate) struct Segment {
    filter: Filter,
    buckets: Box<[Bucket]>,
    wide: Box<[OnceLock<Cell>]>,
    /// Slots that may be filled.
    limit: usize,
    /// Slots filled and wide cells written. Only the writer reads them.
    used: AtomicU64,
    wide_used: AtomicU64,
}

impl Segment {
    /// A segment that takes at least `entries` keys, and some more, and so many wide cells.
    #[must_use]
    pub(crate) fn with_room(entries: usize, wide: usize) -> Self {
        // Filled to 82 %, it is full at 92 %: less would waste memory, more would make long searches
        // and frequent rebuilding.
        let buckets = (entries * 100).div_ceil(SLOTS * 82).max(1);
        let slots = buckets * SLOTS;
        Self::of_size(buckets, slots - slots / 12, wide)
    }

    /// A segment without room: what a table begins with.
    #[must_use]
    pub(crate) fn empty() -> Self {
        Self::of_size(1, 0, 0)
    }

    fn of_size(buckets: usize, limit: usize, wide: usize) -> Self {
        Self {
            filter: Filter::of(buckets * FILTER_WORDS_PER_BUCKET),
            buckets: (0..buckets).map(|_| Bucket::default()).collect(),
            wide: (0..wide).map(|_| OnceLock::new()).collect(),
            limit,
            used: AtomicU64::new(0),
            wide_used: AtomicU64::new(0),
        }
    }

    /// Says of most keys that are not there that they are not. A clone is the same filter.
    #[must_use]
    pub(crate) fn filter(&self) -> &Filter {
        &self.filter
    }

    /// The key's value, if the key is there.
    #[inline]
    #[must_use]
    pub(crate) fn find(&self, key: Key) -> Option<u64> {
        let Slot { bucket, index } = self.locate(key)?;
        Some(self.buckets[bucket].value[index].load(Ordering::Acquire))
    }

    /// The wide cell that a value names.
    #[must_use]
    pub(crate) fn wide(&self, index: usize) -> Option<Cell> {
        self.wide.get(index).and_then(OnceLock::get).copied()
    }

    /// The key's slot, if the key is there.
    #[inline]
    #[must_use]
    pub(crate) fn locate(&self, key: Key) -> Option<Slot> {
        if !self.filter.may_hold(key) {
            return None;
        }
        let mut bucket = self.home(key);
        for _ in 0..self.buckets.len() {
            let here = &self.buckets[bucket];
            for index in 0..SLOTS {
                let first = here.first[index].load(Ordering::Acquire);
                if first == key.first && here.second[index].load(Ordering::Relaxed) == key.second {
                    return Some(Slot { bucket, index });
                }
                if first == 0 {
                    return None;
                }
            }
            bucket = self.after(bucket);
        }
        None
    }

    /// Adds a key that is not there. Readers find it from the moment this returns, or earlier.
    ///
    /// # Errors
    /// Nothing changed; there is no room.
    pub(crate) fn insert(&self, key: Key, value: u64) -> Result<(), NoRoom> {
        let used = self.used();
        if used >= self.limit {
            return Err(NoRoom);
        }
        let Slot { bucket, index } = self.vacant(key).ok_or(NoRoom)?;
        self.filter.add(key);
        let here = &self.buckets[bucket];
        here.second[index].store(key.second, Ordering::Relaxed);
        here.value[index].store(value, Ordering::Relaxed);
        here.first[index].store(key.first, Ordering::Release);
        self.used.store(used as u64 + 1, Ordering::Relaxed);
        Ok(())
    }

    /// Gives a key another value.
    pub(crate) fn set(&self, slot: Slot, value: u64) {
        self.buckets[slot.bucket].value[slot.index].store(value, Ordering::Release);
    }

    /// Keeps a cell that does not fit a value, and says where.
    ///
    /// # Errors
    /// Nothing changed; there is no room.
    pub(crate) fn add_wide(&self, cell: Cell) -> Result<usize, NoRoom> {
        let index = self.wide_used();
        let place = self.wide.get(index).ok_or(NoRoom)?;
        place.set(cell).map_err(|_| NoRoom)?;
        self.wide_used.store(index as u64 + 1, Ordering::Relaxed);
        Ok(index)
    }

    /// Every key with its value, in the order of their places: a segment built from them is written
    /// from front to back.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (Key, u64)> {
        self.buckets.iter().flat_map(|bucket| {
            (0..SLOTS).filter_map(|index| {
                let first = bucket.first[index].load(Ordering::Acquire);
                let second = bucket.second[index].load(Ordering::Relaxed);
                (first != 0).then(|| (Key { first, second }, bucket.value[index].load(Ordering::Acquire)))
            })
        })
    }

    /// Slots filled.
    #[must_use]
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed) as usize
    }

    /// Wide cells written, those included that no value names any more.
    #[must_use]
    pub(crate) fn wide_used(&self) -> usize {
        self.wide_used.load(Ordering::Relaxed) as usize
    }

    fn vacant(&self, key: Key) -> Option<Slot> {
        let mut bucket = self.home(key);
        for _ in 0..self.buckets.len() {
            let free = self.buckets[bucket].first.iter().position(|first| first.load(Ordering::Relaxed) == 0);
            if let Some(index) = free {
                return Some(Slot { bucket, index });
            }
            bucket = self.after(bucket);
        }
        None
    }

    /// The bucket where the search for a key begins. The top byte chose the segment already.
    #[inline]
    fn home(&self, key: Key) -> usize {
        scaled(key.first << 8, self.buckets.len())
    }

    #[inline]
    fn after(&self, bucket: usize) -> usize {
        if bucket + 1 == self.buckets.len() { 0 } else { bucket + 1 }
    }
}

/// The filter of a segment, apart from it, so that a look-up that ends here reads nothing else.
#[derive(Clone, Debug)]
pub(crate) struct Filter(Arc<[AtomicU64]>);

impl Filter {
    fn of(words: usize) -> Self {
        Self((0..words).map(|_| AtomicU64::new(0)).collect())
    }

    /// Whether the key may be there; mostly `false` when it is not.
    #[inline]
    #[must_use]
    pub(crate) fn may_hold(&self, key: Key) -> bool {
        let (word, bits) = self.place(key);
        self.0[word].load(Ordering::Relaxed) & bits == bits
    }

    fn add(&self, key: Key) {
        let (word, bits) = self.place(key);
        self.0[word].store(self.0[word].load(Ordering::Relaxed) | bits, Ordering::Relaxed);
    }

    /// The key's word and its bits there: the top of the second half chooses the word, its lowest 24
    /// bits four bits in it.
    #[inline]
    fn place(&self, key: Key) -> (usize, u64) {
        let bit = |shift: u32| 1_u64 << (key.second >> shift & 63);
        (scaled(key.second, self.0.len()), bit(0) | bit(6) | bit(12) | bit(18))
    }
}

/// Maps a uniform word to `0..count`, keeping its order.
#[inline]
fn scaled(word: u64, count: usize) -> usize {
    ((u128::from(word) * count as u128) >> 64) as usize
}
