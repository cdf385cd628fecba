//! The newest lines of a log, shared by everybody who follows it: a follower is a cursor, and a slow
//! one costs nothing but its own delay (I19).

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use crate::position::Position;
use crate::record::Chain;

/// Lines in memory, oldest first, bounded by count and bytes. It always knows the chain at its
/// floor, so a cursor exactly there is answered like any other.
pub(super) struct Ring {
    floor: Slot,
    slots: VecDeque<Slot>,
    bytes: usize,
    most_records: usize,
    most_bytes: usize,
}

/// One line, where it stands, and the signed head that may end a frame there.
pub(super) struct Slot {
    pub(super) at: Position,
    pub(super) chain: Chain,
    pub(super) line: Arc<str>,
    pub(super) head: OnceLock<Arc<str>>,
}

/// Where a cursor stands among the slots.
pub(super) enum Place {
    /// At a known position; `next` is the index of the first slot after it.
    Known { next: usize, chain: Chain },
    /// Below what the ring still holds.
    Below,
    /// At a position this history does not have.
    Nowhere,
}

/// A run of slots that makes one frame.
pub(super) struct Run<'a> {
    pub(super) lines: Vec<&'a str>,
    pub(super) last: &'a Slot,
}

impl Ring {
    pub(super) fn new(at: Position, chain: Chain, most_records: usize, most_bytes: usize) -> Self {
        Self { floor: Slot::bare(at, chain), slots: VecDeque::new(), bytes: 0, most_records, most_bytes }
    }

    /// The slot of the last record; the floor's when the ring is empty.
    pub(super) fn tip(&self) -> &Slot {
        self.slots.back().unwrap_or(&self.floor)
    }

    pub(super) fn push(&mut self, at: Position, chain: Chain, line: Arc<str>) {
        self.bytes += line.len();
        self.slots.push_back(Slot { at, chain, line, head: OnceLock::new() });
        while self.slots.len() > self.most_records || self.bytes > self.most_bytes {
            let Some(oldest) = self.slots.pop_front() else { break };
            self.bytes -= oldest.line.len();
            self.floor = Slot { line: Arc::from(""), ..oldest };
        }
    }

    pub(super) fn place(&self, after: Position) -> Place {
        if after == self.floor.at {
            return Place::Known { next: 0, chain: self.floor.chain };
        }
        if after < self.floor.at {
            return Place::Below;
        }
        match self.slots.binary_search_by_key(&after, |slot| slot.at) {
            Ok(index) => {
                self.slots.get(index).map_or(Place::Nowhere, |slot| Place::Known { next: index + 1, chain: slot.chain })
            }
            Err(_) => Place::Nowhere,
        }
    }

    /// The longest run from `next` on within the bounds that may end in a head: where every slot
    /// can be signed that is the bound itself, elsewhere the last slot that brought a head along.
    /// A run holds at least one record, and runs over the bounds rather than hold none.
    pub(super) fn run(
        &self,
        next: usize,
        records: usize,
        bytes: usize,
        ends: impl Fn(&Slot) -> bool,
    ) -> Option<Run<'_>> {
        let mut size = 0;
        let mut best = None;
        for (taken, slot) in self.slots.range(next..).enumerate() {
            size += slot.line.len();
            let within = taken == 0 || (taken < records && size <= bytes);
            if !within && best.is_some() {
                break;
            }
            if ends(slot) {
                best = Some(taken + 1);
            }
        }
        let count = best?;
        let slots = self.slots.range(next..next + count);
        let last = slots.clone().next_back()?;
        Some(Run { lines: slots.map(|slot| &*slot.line).collect(), last })
    }
}

impl Slot {
    fn bare(at: Position, chain: Chain) -> Self {
        Self { at, chain, line: Arc::from(""), head: OnceLock::new() }
    }
}
