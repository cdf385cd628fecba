//! The cells in force, and their grouping by until.
//!
//! A cell lies in exactly one group, or, without until, in none. Readers hold the table and the first
//! group still in force: forgetting whole groups moves that number and touches no cell, and what it
//! left behind goes when its segment of the table is built anew. The writer alone counts the groups.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use super::table::{Draft, Key, SEGMENTS, Table};
use crate::algebra::{Cell, Until};
use crate::record::HashedCell;
use crate::target::{TargetHash, TargetKind};
use crate::time::UnixSeconds;

/// Seconds of until that share a group. A cell may outlive its until by that much; more would hold
/// memory for nothing, less would make groups that hold a handful of cells.
const GROUP_SECONDS: u64 = 10;

/// Segments built anew at most each time something is forgotten, so that giving memory back never
/// keeps a batch waiting for long.
const RENEWED_AT_ONCE: usize = 64;

/// What readers hold of the cells. A clone shares the table.
#[derive(Clone, Default)]
pub(super) struct Cells {
    table: Table,
    /// The first group in force; cells of earlier ones are forgotten.
    first_group: u64,
    counts: Counts,
}

/// How many cells are in force.
#[derive(Clone, Copy, Default)]
struct Counts {
    cells: usize,
    without_until: usize,
    groups: usize,
}

impl Cells {
    /// Whether something may be in force against one of these targets.
    #[inline]
    pub(super) fn may_hold_any<'t>(&self, targets: impl Iterator<Item = &'t TargetHash>) -> bool {
        self.table.may_hold_any(targets.map(Key::of))
    }

    /// What is in force against a target.
    #[inline]
    pub(super) fn get(&self, target: &TargetHash) -> Option<Cell> {
        self.table.get(Key::of(target)).filter(|cell| in_force_from(self.first_group, cell))
    }

    pub(super) fn len(&self) -> usize {
        self.counts.cells
    }

    pub(super) fn without_until(&self) -> usize {
        self.counts.without_until
    }

    pub(super) fn groups(&self) -> usize {
        self.counts.groups
    }

    /// Every cell, in the order of hashes; for the writer, see [`Table::iter`].
    pub(super) fn iter(&self) -> impl Iterator<Item = HashedCell> {
        let in_force = self.table.iter().filter(|(_, _, cell)| in_force_from(self.first_group, cell));
        in_force.map(|(key, kind, cell)| HashedCell { target: key.target(), kind, cell: Some(cell) })
    }
}

fn in_force_from(first_group: u64, cell: &Cell) -> bool {
    group_of(cell.until).is_none_or(|group| group >= first_group)
}

/// What only the writer knows: how many cells each group has, and where it left off giving memory
/// back.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    groups: BTreeMap<u64, usize>,
    renew_next: usize,
}

impl Ledger {
    fn moved(&mut self, counts: &mut Counts, before: Option<&Cell>, after: Option<&Cell>) {
        if let Some(before) = before {
            counts.cells -= 1;
            match group_of(before.until) {
                None => counts.without_until -= 1,
                Some(group) => self.left(group),
            }
        }
        if let Some(after) = after {
            counts.cells += 1;
            match group_of(after.until) {
                None => counts.without_until += 1,
                Some(group) => *self.groups.entry(group).or_default() += 1,
            }
        }
        counts.groups = self.groups.len();
    }

    fn left(&mut self, group: u64) {
        if let Some(cells) = self.groups.get_mut(&group) {
            *cells -= 1;
            if *cells == 0 {
                self.groups.remove(&group);
            }
        }
    }
}

/// A target hash is keyed and uniform already: hashing it again would cost and add nothing.
#[derive(Default)]
struct TargetHasher(u64);

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

/// What a batch makes of the cells, worked out before anything is written: a batch that turns out
/// not to apply leaves nothing behind.
pub(super) struct Batch<'c> {
    cells: &'c Cells,
    changes: HashMap<TargetHash, Change, BuildHasherDefault<TargetHasher>>,
    counts: Counts,
}

struct Change {
    kind: TargetKind,
    before: Option<Cell>,
    after: Option<Cell>,
}

impl Change {
    /// Whether everything that was in force before is in force after.
    fn strengthens(&self) -> Option<&Cell> {
        let after = self.after.as_ref()?;
        self.before.is_none_or(|before| before.absorb(*after) == *after).then_some(after)
    }
}

impl<'c> Batch<'c> {
    pub(super) fn on(cells: &'c Cells) -> Self {
        Self { cells, changes: HashMap::default(), counts: cells.counts }
    }

    /// Adds to what is in force against `target`.
    pub(super) fn absorb(&mut self, target: TargetHash, kind: TargetKind, cell: Cell) {
        self.change(target, kind, |held| Some(held.map_or(cell, |held| held.absorb(cell))));
    }

    /// Makes `hashed` all that is in force against its target: what a lift leaves.
    pub(super) fn replace(&mut self, hashed: &HashedCell) {
        self.change(hashed.target, hashed.kind, |_| hashed.cell);
    }

    pub(super) fn len(&self) -> usize {
        self.counts.cells
    }

    pub(super) fn without_until(&self) -> usize {
        self.counts.without_until
    }

    fn change(&mut self, target: TargetHash, kind: TargetKind, change: impl FnOnce(Option<Cell>) -> Option<Cell>) {
        let entry = self.changes.entry(target).or_insert_with(|| {
            let held = self.cells.get(&target);
            Change { kind, before: held, after: held }
        });
        let held = entry.after;
        entry.after = change(held);
        entry.kind = kind;
        let never = |cell: Option<Cell>| usize::from(cell.is_some_and(|cell| cell.until == Until::Never));
        self.counts.cells = self.counts.cells + usize::from(entry.after.is_some()) - usize::from(held.is_some());
        self.counts.without_until = self.counts.without_until + never(entry.after) - never(held);
    }

    /// Writes the batch. What becomes stronger can be seen at once by whoever reads the cells before;
    /// the rest with the cells that this returns.
    pub(super) fn write(self, ledger: &mut Ledger) -> Cells {
        let mut next = self.cells.clone();
        let mut draft = Draft::of(&next.table);
        // Entries that arrive late may lie in a group that was passed. It becomes the first again, once
        // what was forgotten of it, and of those after it, is gone.
        let first = self.changes.values().filter_map(|change| group_of(change.after?.until)).min();
        if first.is_some_and(|first| first < next.first_group) {
            let first_group = std::mem::take(&mut next.first_group);
            (0..SEGMENTS).for_each(|index| draft.renew(index, |cell| in_force_from(first_group, cell)));
        }
        let stays = |cell: &Cell| in_force_from(next.first_group, cell);
        for (target, change) in &self.changes {
            ledger.moved(&mut next.counts, change.before.as_ref(), change.after.as_ref());
            match change.strengthens() {
                Some(after) => draft.strengthen(Key::of(target), change.kind, after, stays),
                None if change.before == change.after => {}
                None => draft.replace(Key::of(target), change.kind, change.after.as_ref(), stays),
            }
        }
        next.table = draft.finish();
        next
    }
}

impl Cells {
    /// Cells that nobody has seen yet, and the ledger that belongs to them. Listed in the order of hashes they
    /// are written to memory from front to back. `within` is asked of so many cells, of which so many without until, first
    /// of their number, before any memory is taken for them.
    pub(super) fn of(
        listed: impl ExactSizeIterator<Item = HashedCell>,
        within: impl Fn(usize, usize) -> Result<(), super::Halt>,
    ) -> Result<(Self, Ledger), super::Halt> {
        within(listed.len(), 0)?;
        let (mut cells, mut ledger) = (Self::default(), Ledger::default());
        let mut draft = Draft::with_room(listed.len());
        for hashed in listed {
            let before = draft.exchange(Key::of(&hashed.target), hashed.kind, hashed.cell.as_ref());
            ledger.moved(&mut cells.counts, before.as_ref(), hashed.cell.as_ref());
            within(cells.len(), cells.without_until())?;
        }
        cells.table = draft.finish();
        Ok((cells, ledger))
    }

    /// Forgets every group whose last second is strictly past (I16). Says up to which second untils
    /// were forgotten, if any were.
    pub(super) fn expire(&mut self, ledger: &mut Ledger, now: UnixSeconds) -> Option<UnixSeconds> {
        let mut forgotten = None;
        while let Some((&group, &cells)) = ledger.groups.first_key_value()
            && Until::At(last_second(group)).is_over(now)
        {
            ledger.groups.remove(&group);
            self.counts.cells -= cells;
            self.first_group = group + 1;
            forgotten = Some(last_second(group));
        }
        self.counts.groups = ledger.groups.len();
        self.give_back(ledger);
        forgotten
    }

    /// Builds some segments anew while more than a quarter of the slots in use belong to what was
    /// forgotten or lifted.
    fn give_back(&mut self, ledger: &mut Ledger) {
        let mut draft = Draft::of(&self.table);
        for _ in 0..RENEWED_AT_ONCE {
            if draft.used() <= self.counts.cells + self.counts.cells / 3 {
                break;
            }
            draft.renew(ledger.renew_next, |cell| in_force_from(self.first_group, cell));
            ledger.renew_next = (ledger.renew_next + 1) % SEGMENTS;
        }
        self.table = draft.finish();
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

    #[derive(Default)]
    struct Held {
        cells: Cells,
        ledger: Ledger,
    }

    impl Held {
        fn change(&mut self, change: impl FnOnce(&mut Batch<'_>)) {
            let mut batch = Batch::on(&self.cells);
            change(&mut batch);
            let counted = (batch.len(), batch.without_until());
            let next = batch.write(&mut self.ledger);
            assert_eq!(counted, (next.len(), next.without_until()), "what was worked out is what was written");
            assert_eq!(next.iter().count(), next.len());
            self.cells = next;
        }

        fn put(&mut self, byte: u8, until: Until) {
            self.change(|batch| batch.absorb(target(byte), TargetKind::Subject, cell(1, until)));
        }

        fn replace(&mut self, byte: u8, cell: Option<Cell>) {
            self.change(|batch| batch.replace(&HashedCell { target: target(byte), kind: TargetKind::Subject, cell }));
        }

        fn expire(&mut self, second: u64) -> Option<UnixSeconds> {
            self.cells.expire(&mut self.ledger, UnixSeconds(second))
        }

        fn counts(&self) -> (usize, usize, usize) {
            (self.cells.len(), self.cells.groups(), self.cells.without_until())
        }

        fn has(&self, byte: u8) -> bool {
            self.cells.get(&target(byte)).is_some()
        }
    }

    fn cell(seq: u64, until: Until) -> Cell {
        Cell { always: None, position: Some(Position::new(1, seq)), time: None, until }
    }

    fn target(byte: u8) -> TargetHash {
        TargetHash([byte; 16])
    }

    const fn at(second: u64) -> Until {
        Until::At(UnixSeconds(second))
    }

    #[test]
    fn i16_a_group_goes_only_when_its_last_second_is_strictly_past() {
        let mut held = Held::default();
        held.put(1, at(120));
        held.put(2, at(129));
        held.put(3, at(130));
        held.put(4, Until::Never);
        assert_eq!(held.expire(129), None);
        assert_eq!(held.counts(), (4, 2, 1));
        assert_eq!(held.expire(130), Some(UnixSeconds(129)));
        assert_eq!(held.counts(), (2, 1, 1));
        assert!(!held.has(1) && held.has(3));
    }

    #[test]
    fn a_later_until_moves_the_cell_to_its_new_group() {
        let mut held = Held::default();
        held.put(1, at(10));
        held.put(1, at(500));
        assert_eq!(held.cells.groups(), 1);
        held.expire(400);
        assert!(held.has(1));
        held.put(1, Until::Never);
        assert_eq!((held.cells.groups(), held.cells.without_until()), (0, 1));
    }

    #[test]
    fn a_lift_replaces_the_cell_with_an_earlier_until_too() {
        let mut held = Held::default();
        held.put(1, Until::Never);
        held.replace(1, Some(cell(1, at(70))));
        assert_eq!((held.cells.groups(), held.cells.without_until()), (1, 0));
        held.replace(1, None);
        assert_eq!(held.counts(), (0, 0, 0));
    }

    #[test]
    fn a_clone_keeps_what_it_had() {
        let mut held = Held::default();
        held.put(1, at(10));
        held.put(2, Until::Never);
        let reader = held.cells.clone();
        held.expire(1_000);
        held.replace(2, None);
        assert!(!held.has(1) && !held.has(2));
        assert!(reader.get(&target(1)).is_some() && reader.get(&target(2)).is_some());
    }

    #[test]
    fn i16_what_comes_for_a_group_that_was_passed_is_in_force_and_revives_nothing() {
        let mut held = Held::default();
        held.put(1, at(100));
        held.put(2, at(200));
        assert_eq!(held.expire(150), Some(UnixSeconds(109)));
        held.put(3, at(90));
        assert!(held.has(3) && held.has(2) && !held.has(1));
        held.put(1, at(105));
        assert_eq!(held.cells.get(&target(1)), Some(cell(1, at(105))));
        assert_eq!(held.expire(150), Some(UnixSeconds(109)));
        assert_eq!(held.counts(), (1, 1, 0));
    }

    #[test]
    fn what_was_forgotten_does_not_come_back_with_a_new_entry() {
        let mut held = Held::default();
        held.change(|batch| batch.absorb(target(1), TargetKind::Subject, cell(7, at(100))));
        held.expire(150);
        held.change(|batch| batch.absorb(target(1), TargetKind::Subject, cell(3, at(300))));
        assert_eq!(held.cells.get(&target(1)), Some(cell(3, at(300))));
    }

    #[test]
    fn memory_returns_when_groups_are_forgotten() {
        let mut held = Held::default();
        let hash = |number: u32| TargetHash(*blake3::hash(&number.to_le_bytes()).as_bytes().first_chunk().unwrap());
        held.change(|batch| {
            (0..20_000).for_each(|number| {
                let until = at(if number < 1_000 { 5_000 } else { 50 });
                batch.absorb(hash(number), TargetKind::Token, cell(1, until));
            });
        });
        let slots = |held: &Held| Draft::of(&held.cells.table).used();
        assert_eq!(slots(&held), 20_000);
        (0..4).for_each(|_| {
            held.expire(100);
        });
        assert!(slots(&held) < 1_500, "{}", slots(&held));
        assert_eq!(held.cells.iter().count(), 1_000);
    }

    #[test]
    fn targets_that_differ_in_their_last_byte_only_are_two() {
        let mut held = Held::default();
        let (mut first, mut second) = ([9; 16], [9; 16]);
        (first[15], second[15]) = (1, 2);
        held.change(|batch| batch.absorb(TargetHash(first), TargetKind::Token, cell(1, Until::Never)));
        assert!(held.cells.get(&TargetHash(second)).is_none());
    }
}
