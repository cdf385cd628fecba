//! The cells in force, by target, and their grouping by until.
//!
//! Both maps are persistent: a clone shares everything with the original, so the writer changes its
//! own copy while readers keep the one they loaded. A cell lies in exactly one group, or, without
//! until, in none; expiry takes whole groups and never looks at a clock finer than that.

use std::hash::{BuildHasherDefault, Hasher};

use imbl::shared_ptr::DefaultSharedPtr;
use imbl::{GenericHashMap, GenericHashSet, OrdMap};

use crate::algebra::{Cell, Until};
use crate::record::HashedCell;
use crate::target::{TargetHash, TargetKind};
use crate::time::UnixSeconds;

/// Seconds of until that share a group. A cell may outlive its until by that much; more would hold
/// memory for nothing, less would make groups that hold a handful of cells.
const GROUP_SECONDS: u64 = 10;

/// A target hash is keyed and uniform already: hashing it again would cost and add nothing.
#[derive(Clone, Default)]
pub(super) struct TargetHasher(u64);

impl Hasher for TargetHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(head) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*head);
        }
    }

    /// The length that arrays put before their bytes, which is the same for every target.
    fn write_usize(&mut self, _length: usize) {}
}

type ByTarget = BuildHasherDefault<TargetHasher>;
type Targets = GenericHashSet<TargetHash, ByTarget, DefaultSharedPtr>;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Held {
    kind: TargetKind,
    cell: Cell,
}

#[derive(Clone, Default)]
pub(super) struct Cells {
    held: GenericHashMap<TargetHash, Held, ByTarget, DefaultSharedPtr>,
    groups: OrdMap<u64, Targets>,
    without_until: usize,
}

impl Cells {
    pub(super) fn get(&self, target: &TargetHash) -> Option<Cell> {
        self.held.get(target).map(|held| held.cell)
    }

    /// Adds to what is in force against `target`.
    pub(super) fn absorb(&mut self, target: TargetHash, kind: TargetKind, cell: Cell) {
        let cell = self.get(&target).map_or(cell, |held| held.absorb(cell));
        self.put(target, kind, cell);
    }

    /// Makes `hashed` all that is in force against its target: what a lift leaves.
    pub(super) fn replace(&mut self, hashed: &HashedCell) {
        match hashed.cell {
            Some(cell) => self.put(hashed.target, hashed.kind, cell),
            None => self.remove(&hashed.target),
        }
    }

    fn put(&mut self, target: TargetHash, kind: TargetKind, cell: Cell) {
        let before = self.held.insert(target, Held { kind, cell }).map(|held| group_of(held.cell.until));
        let group = group_of(cell.until);
        if before == Some(group) {
            return;
        }
        if let Some(before) = before {
            self.leave(before, &target);
        }
        match group {
            Some(group) => {
                self.groups.entry(group).or_default().insert(target);
            }
            None => self.without_until += 1,
        }
    }

    fn remove(&mut self, target: &TargetHash) {
        if let Some(held) = self.held.remove(target) {
            self.leave(group_of(held.cell.until), target);
        }
    }

    fn leave(&mut self, group: Option<u64>, target: &TargetHash) {
        let Some(group) = group else {
            self.without_until -= 1;
            return;
        };
        let emptied = self.groups.get_mut(&group).is_some_and(|targets| {
            targets.remove(target);
            targets.is_empty()
        });
        if emptied {
            self.groups.remove(&group);
        }
    }

    /// Drops every group whose last second is strictly past, with its cells (I16). Says up to which
    /// second untils were dropped, if any were.
    pub(super) fn expire(&mut self, now: UnixSeconds) -> Option<UnixSeconds> {
        let mut dropped = None;
        while let Some(&(group, _)) = self.groups.get_min()
            && Until::At(last_second(group)).is_over(now)
        {
            for target in self.groups.remove(&group).iter().flatten() {
                self.held.remove(target);
            }
            dropped = Some(last_second(group));
        }
        dropped
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn without_until(&self) -> usize {
        self.without_until
    }

    pub(super) fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Every cell, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = HashedCell> {
        self.held.iter().map(|(&target, held)| HashedCell { target, kind: held.kind, cell: Some(held.cell) })
    }
}

fn group_of(until: Until) -> Option<u64> {
    match until {
        Until::At(until) => Some(until.0 / GROUP_SECONDS),
        Until::Never => None,
    }
}

fn last_second(group: u64) -> UnixSeconds {
    UnixSeconds(group.saturating_mul(GROUP_SECONDS).saturating_add(GROUP_SECONDS - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Position;

    fn cell(seq: u64, until: Until) -> Cell {
        Cell { always: None, position: Some(Position::new(1, seq)), time: None, until }
    }

    fn target(byte: u8) -> TargetHash {
        TargetHash([byte; 16])
    }

    fn put(cells: &mut Cells, byte: u8, until: Until) {
        cells.absorb(target(byte), TargetKind::Subject, cell(1, until));
    }

    const fn at(second: u64) -> Until {
        Until::At(UnixSeconds(second))
    }

    #[test]
    fn i16_a_group_goes_only_when_its_last_second_is_strictly_past() {
        let mut cells = Cells::default();
        put(&mut cells, 1, at(120));
        put(&mut cells, 2, at(129));
        put(&mut cells, 3, at(130));
        put(&mut cells, 4, Until::Never);
        assert_eq!(cells.expire(UnixSeconds(129)), None);
        assert_eq!((cells.len(), cells.groups(), cells.without_until()), (4, 2, 1));
        assert_eq!(cells.expire(UnixSeconds(130)), Some(UnixSeconds(129)));
        assert_eq!((cells.len(), cells.groups(), cells.without_until()), (2, 1, 1));
        assert!(cells.get(&target(1)).is_none() && cells.get(&target(3)).is_some());
    }

    #[test]
    fn a_later_until_moves_the_cell_to_its_new_group() {
        let mut cells = Cells::default();
        put(&mut cells, 1, at(10));
        put(&mut cells, 1, at(500));
        assert_eq!(cells.groups(), 1);
        cells.expire(UnixSeconds(400));
        assert!(cells.get(&target(1)).is_some());
        put(&mut cells, 1, Until::Never);
        assert_eq!((cells.groups(), cells.without_until()), (0, 1));
    }

    #[test]
    fn a_lift_replaces_the_cell_with_an_earlier_until_too() {
        let mut cells = Cells::default();
        put(&mut cells, 1, Until::Never);
        let hashed = |cell| HashedCell { target: target(1), kind: TargetKind::Subject, cell };
        cells.replace(&hashed(Some(cell(1, at(70)))));
        assert_eq!((cells.groups(), cells.without_until()), (1, 0));
        cells.replace(&hashed(None));
        assert_eq!((cells.len(), cells.groups(), cells.without_until()), (0, 0, 0));
    }

    #[test]
    fn a_clone_keeps_what_it_had() {
        let mut cells = Cells::default();
        put(&mut cells, 1, at(10));
        let reader = cells.clone();
        cells.expire(UnixSeconds(1_000));
        assert!(reader.get(&target(1)).is_some());
    }

    #[test]
    fn targets_that_differ_in_their_last_byte_only_are_two() {
        let mut cells = Cells::default();
        let (mut first, mut second) = ([9; 16], [9; 16]);
        (first[15], second[15]) = (1, 2);
        cells.absorb(TargetHash(first), TargetKind::Token, cell(1, Until::Never));
        assert!(cells.get(&TargetHash(second)).is_none());
    }
}
