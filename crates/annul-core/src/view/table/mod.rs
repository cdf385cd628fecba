//! The table of cells: written by one thread, read by all without a lock, a wait or a retry.
//!
//! ```text
//! Table --Arc--> Directory  256 segments by the top byte of the hash, their filters, origins
//!                   segment  filter, buckets, wide cells
//! ```
//!
//! A table is part of an immutable state of the view, and yet it grows: the states that follow each
//! other share segments, and the writer adds to them in place. What keeps that sound is one rule:
//!
//! **In place, cells only become stronger. Whatever weakens one (a lift, forgetting, a snapshot) is
//! written into copies of the segments concerned, which are swapped in with the next state.**
//!
//! So whoever holds a state at position p finds everything that is in force at p, and perhaps some
//! of what came later, which can only refuse more: "active as of p" is true, a revocation seen early
//! is a committed one, and no lift is seen without all that precedes it.
//!
//! Segments grow and shrink one at a time, so the writer never stops for the whole table and never
//! holds it twice.

mod atomic;
mod segment;
mod value;

use std::sync::Arc;

pub(super) use segment::Key;
use segment::{Filter, NoRoom, Segment};
use value::{Form, Origins};

use crate::algebra::Cell;
use crate::target::TargetKind;

/// One for each value of a hash's top byte: enough that building one anew is a matter of
/// milliseconds at ten million cells, few enough that the directory stays in the nearest cache.
pub(super) const SEGMENTS: usize = 256;

/// What readers hold. A clone shares everything.
#[derive(Clone, Debug)]
pub(super) struct Table {
    directory: Arc<Directory>,
}

#[derive(Clone, Debug)]
struct Directory {
    segments: Box<[Arc<Segment>]>,
    /// Those of the segments, side by side: all that is read of most of them.
    filters: Box<[Filter]>,
    origins: Arc<Origins>,
}

impl Default for Table {
    fn default() -> Self {
        let empty = Arc::new(Segment::empty());
        Self { directory: Arc::new(Directory::of((0..SEGMENTS).map(|_| Arc::clone(&empty)))) }
    }
}

impl Table {
    /// Whether there may be something against one of these keys. Every key is looked up, whatever
    /// came of the one before, so that the processor fetches their lines side by side.
    #[inline]
    pub(super) fn may_hold_any(&self, keys: impl Iterator<Item = Key>) -> bool {
        keys.fold(false, |any, key| any | self.directory.filters[key.segment()].may_hold(key))
    }

    /// The cell of a key.
    #[inline]
    pub(super) fn get(&self, key: Key) -> Option<Cell> {
        if !self.directory.filters[key.segment()].may_hold(key) {
            return None;
        }
        let segment = &self.directory.segments[key.segment()];
        segment.find(key).and_then(|word| self.directory.cell(segment, word))
    }

    /// Every key with its kind and cell, in the order of keys. Only the writer, while it writes
    /// nothing, gets those of one position.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, TargetKind, Cell)> {
        self.directory.segments.iter().flat_map(|segment| self.directory.ordered(segment))
    }
}

impl Directory {
    fn of(segments: impl Iterator<Item = Arc<Segment>>) -> Self {
        let segments: Box<[_]> = segments.collect();
        let filters = segments.iter().map(|segment| segment.filter().clone()).collect();
        Self { segments, filters, origins: Arc::default() }
    }

    #[inline]
    fn cell(&self, segment: &Segment, word: u64) -> Option<Cell> {
        match self.origins.decode(word) {
            Form::Nothing => None,
            Form::Compact(cell) => Some(cell),
            Form::Wide(index) => segment.wide(index),
        }
    }

    fn cells<'s>(&'s self, segment: &'s Segment) -> impl Iterator<Item = (Key, TargetKind, Cell)> + 's {
        segment.entries().filter_map(|(key, word)| Some((key, value::kind(word), self.cell(segment, word)?)))
    }

    /// Those of one segment lie nearly in order, each not far from where its key would have it.
    fn ordered<'s>(&'s self, segment: &'s Segment) -> impl Iterator<Item = (Key, TargetKind, Cell)> + 's {
        let mut entries: Vec<_> = segment.entries().collect();
        entries.sort_unstable_by_key(|(key, _)| *key);
        entries.into_iter().filter_map(|(key, word)| Some((key, value::kind(word), self.cell(segment, word)?)))
    }
}

/// The next table, while the writer makes it. Nobody has seen the segments that it renewed; the
/// others are shared with the states before.
#[derive(Debug)]
pub(super) struct Draft {
    table: Table,
    renewed: [bool; SEGMENTS],
}

impl Draft {
    /// The table that follows `table`.
    pub(super) fn of(table: &Table) -> Self {
        Self { table: table.clone(), renewed: [false; SEGMENTS] }
    }

    /// An empty table with room for so many cells.
    pub(super) fn with_room(cells: usize) -> Self {
        // Hashes do not spread quite equally; a segment keeps some room beyond what it is asked for.
        let room = cells.div_ceil(SEGMENTS);
        let directory = Directory::of((0..SEGMENTS).map(|_| Arc::new(Segment::with_room(room, 0))));
        Self { table: Table { directory: Arc::new(directory) }, renewed: [true; SEGMENTS] }
    }

    /// Makes `cell`, or nothing, all that is in force against a key, in a table that is only being filled; what
    /// was before. A key that is not there yet, as nearly all are, is looked for once.
    pub(super) fn exchange(&mut self, key: Key, kind: TargetKind, cell: Option<&Cell>) -> Option<Cell> {
        let segment = self.segment(key.segment());
        if let Some(cell) = cell
            && segment.locate(key).is_none()
            && let Ok(word) = self.table.directory.word(segment, kind, cell)
            && segment.insert(key, word).is_ok()
        {
            return None;
        }
        let before = self.table.get(key);
        self.replace(key, kind, cell, |_| true);
        before
    }

    /// The table, to be put into the next state.
    pub(super) fn finish(self) -> Table {
        self.table
    }

    /// Makes `cell`, which is at least as strong as what is there, the cell of a key. Readers of the
    /// states before may find it at once.
    pub(super) fn strengthen(&mut self, key: Key, kind: TargetKind, cell: &Cell, stays: impl Fn(&Cell) -> bool) {
        if self.put(key, kind, cell).is_err() {
            self.renew(key.segment(), stays);
            self.put(key, kind, cell).expect("a renewed segment has room");
        }
    }

    /// Makes `cell`, or nothing, all that is in force against a key, unseen by anybody who holds a
    /// state from before.
    pub(super) fn replace(&mut self, key: Key, kind: TargetKind, cell: Option<&Cell>, stays: impl Fn(&Cell) -> bool) {
        if !self.renewed[key.segment()] {
            self.renew(key.segment(), &stays);
        }
        match cell {
            Some(cell) => self.strengthen(key, kind, cell, stays),
            None => {
                let segment = self.segment(key.segment());
                if let Some(slot) = segment.locate(key) {
                    segment.set(slot, value::nothing(kind));
                }
            }
        }
    }

    /// Builds a segment anew, aside, with those of its cells that stay and room for more.
    pub(super) fn renew(&mut self, index: usize, stays: impl Fn(&Cell) -> bool) {
        let old = Arc::clone(&self.table.directory.segments[index]);
        let directory = Arc::make_mut(&mut self.table.directory);
        let staying = || directory.cells(&old).filter(|(_, _, cell)| stays(cell));
        let (mut count, mut wide) = (0, 0);
        for (_, kind, cell) in staying() {
            count += 1;
            wide += usize::from(directory.origins.encode(kind, &cell).is_none());
        }
        let new = Segment::with_room(count + 1, wide + wide / 4 + WIDE_ROOM);
        for (key, kind, cell) in staying() {
            let word = directory.word(&new, kind, &cell);
            word.and_then(|word| new.insert(key, word)).expect("the segment was made with room for these");
        }
        directory.filters[index] = new.filter().clone();
        directory.segments[index] = Arc::new(new);
        self.renewed[index] = true;
    }

    /// Slots in use, those of forgotten cells included.
    pub(super) fn used(&self) -> usize {
        self.table.directory.segments.iter().map(|segment| segment.used()).sum()
    }

    fn put(&self, key: Key, kind: TargetKind, cell: &Cell) -> Result<(), NoRoom> {
        let segment = self.segment(key.segment());
        let word = self.table.directory.word(segment, kind, cell)?;
        match segment.locate(key) {
            Some(slot) => segment.set(slot, word),
            None => segment.insert(key, word)?,
        }
        Ok(())
    }

    fn segment(&self, index: usize) -> &Segment {
        &self.table.directory.segments[index]
    }
}

impl Directory {
    /// The cell as a word of `segment`, which keeps it wide if need be.
    fn word(&self, segment: &Segment, kind: TargetKind, cell: &Cell) -> Result<u64, NoRoom> {
        match self.origins.encode(kind, cell) {
            Some(word) => Ok(word),
            None => segment.add_wide(*cell).map(|index| value::wide(kind, index)),
        }
    }
}

/// Room for wide cells in a segment that has none: few, for most tables never hold one.
const WIDE_ROOM: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algebra::{TimeCutoff, Until};
    use crate::position::Position;
    use crate::target::TargetHash;
    use crate::time::UnixSeconds;

    fn key(number: u64) -> Key {
        let hash = blake3::hash(&number.to_le_bytes());
        Key::of(&TargetHash(*hash.as_bytes().first_chunk().unwrap()))
    }

    fn cell(seq: u64) -> Cell {
        let until = Until::At(UnixSeconds(1_800_000_000 + seq % 900));
        Cell { always: None, position: Some(Position::new(1, seq)), time: None, until }
    }

    fn wide_cell(seq: u64) -> Cell {
        Cell { time: Some(TimeCutoff { time: UnixSeconds(seq), at: Position::new(1, seq) }), ..cell(seq) }
    }

    fn filled(numbers: std::ops::Range<u64>) -> Table {
        let mut draft = Draft::of(&Table::default());
        numbers.for_each(|number| draft.strengthen(key(number), TargetKind::Token, &cell(number), |_| true));
        draft.finish()
    }

    #[test]
    fn everything_put_in_is_found_while_the_table_grows_and_nothing_else() {
        let table = filled(0..50_000);
        assert!((0..50_000).all(|number| table.get(key(number)) == Some(cell(number))));
        assert!((50_000..100_000).all(|number| table.get(key(number)).is_none()));
        assert_eq!(table.iter().count(), 50_000);
    }

    #[test]
    fn a_miss_seldom_passes_the_filter() {
        let table = filled(0..50_000);
        let passed = (50_000..150_000).filter(|&number| table.may_hold_any([key(number)].into_iter())).count();
        assert!(passed < 1_500, "{passed} of 100,000");
    }

    #[test]
    fn a_lift_is_unseen_by_holders_of_the_state_before() {
        let before = filled(0..1_000);
        let mut draft = Draft::of(&before);
        draft.replace(key(1), TargetKind::Token, None, |_| true);
        draft.replace(key(2), TargetKind::Token, Some(&cell(1)), |_| true);
        let after = draft.finish();
        assert_eq!((before.get(key(1)), before.get(key(2))), (Some(cell(1)), Some(cell(2))));
        assert_eq!((after.get(key(1)), after.get(key(2))), (None, Some(cell(1))));
        assert_eq!(after.iter().count(), 999);
    }

    #[test]
    fn wide_cells_are_kept_whole_and_their_room_grows() {
        let mut draft = Draft::of(&Table::default());
        for number in 0..5_000 {
            draft.strengthen(key(number), TargetKind::Subject, &wide_cell(number), |_| true);
            draft.strengthen(key(number), TargetKind::Subject, &wide_cell(number + 1), |_| true);
        }
        let table = draft.finish();
        assert!((0..5_000).all(|number| table.get(key(number)) == Some(wide_cell(number + 1))));
    }

    #[test]
    fn renewing_drops_what_does_not_stay_and_gives_its_room_back() {
        let table = filled(0..20_000);
        let mut draft = Draft::of(&table);
        assert_eq!(draft.used(), 20_000);
        (0..SEGMENTS).for_each(|index| draft.renew(index, |cell| cell.position.unwrap().seq < 100));
        assert_eq!(draft.used(), 100);
        let table = draft.finish();
        assert!((0..100).all(|number| table.get(key(number)).is_some()));
        assert!(table.get(key(100)).is_none());
    }

    #[test]
    fn a_table_made_for_its_cells_is_not_built_twice() {
        let mut draft = Draft::with_room(100_000);
        let segments = draft.table.directory.segments.clone();
        (0..100_000).for_each(|number| draft.strengthen(key(number), TargetKind::Token, &cell(number), |_| true));
        let same = segments.iter().zip(&draft.table.directory.segments).filter(|(old, new)| Arc::ptr_eq(old, new));
        assert!(same.count() >= SEGMENTS - 10);
    }
}
