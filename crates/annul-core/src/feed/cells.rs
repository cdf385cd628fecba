//! The cells of a snapshot or a stored state, packed.
//!
//! ```text
//! cell       tag | hash | always | position | time | time_at | until
//! tag        the kind's wire tag (low four bits) + 16 with always + 32 with position + 64 with time
//!            and time_at + 128 with until; without it the cell has none
//! hash       varint of the first eight bytes, big endian, less those of the cell before; the other eight
//! always     position of the entry, as position and time_at are
//!            varint 2n: n below the snapshot's own sequence, in its epoch
//!            varint 2e + 1, varint s: sequence s of epoch e
//! time       varint of the seconds since `base`, as until is
//! varint     seven bits to a byte, the lowest first, the high bit set in all but the last byte
//! ```
//!
//! Cells stand in the order of their hashes, each once. `base` is the earliest second that any of them
//! names; it stands in the header, beside their number. What is alike between neighbours, or between a cell and the whole, is
//! thereby not written: hashes are random, so little more can be saved.

use serde::{Deserialize, Serialize};

use crate::algebra::{Cell, TimeCutoff, Until};
use crate::feed::FeedError;
use crate::position::Position;
use crate::record::HashedCell;
use crate::target::{TargetHash, TargetKind};
use crate::time::UnixSeconds;

const KIND: u8 = 0x0f;
const ALWAYS: u8 = 0x10;
const POSITION: u8 = 0x20;
const TIME: u8 = 0x40;
const UNTIL: u8 = 0x80;

/// Bytes of the shortest cell: tag, hash and one position. It bounds what a count can make a reader
/// reserve.
const SHORTEST: usize = 1 + 1 + 8 + 1;
/// Bytes of the longest varint.
const LONGEST_VARINT: usize = 10;

/// How cells are packed, as it stands in the header before them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Packing {
    /// How many they are.
    cells: u64,
    /// The earliest second that any of them names.
    base: UnixSeconds,
}

impl Packing {
    /// How these cells are packed. One with nothing in force is left out: there is nothing to say of it.
    pub(super) fn of(cells: &[HashedCell]) -> Self {
        let in_force = || cells.iter().filter_map(|hashed| hashed.cell);
        let seconds = in_force().flat_map(|cell| [time(&cell), until(&cell)]);
        Self { cells: in_force().count() as u64, base: seconds.flatten().min().unwrap_or_default() }
    }

    /// The bytes of the cells that this is the packing of, in the snapshot of `at`.
    pub(super) fn pack(self, at: Position, cells: &[HashedCell]) -> Vec<u8> {
        let mut order: Vec<(&HashedCell, &Cell)> =
            cells.iter().filter_map(|hashed| Some((hashed, hashed.cell.as_ref()?))).collect();
        order.sort_unstable_by_key(|(hashed, _)| hashed.target);
        let bytes = Vec::with_capacity(order.len() * 2 * SHORTEST);
        let mut packed = Packed { bytes, at, base: self.base, last: 0 };
        for (hashed, cell) in order {
            packed.push(hashed.target, hashed.kind, cell);
        }
        packed.bytes
    }

    /// Reads the cells, in the order of their hashes, and says what stands behind them.
    ///
    /// # Errors
    /// [`FeedError::Contents`] for anything that [`pack`](Self::pack) does not write.
    pub(super) fn unpack(self, at: Position, bytes: &[u8]) -> Result<(Vec<HashedCell>, &[u8]), FeedError> {
        let count = usize::try_from(self.cells).map_err(|_| FeedError::Contents)?;
        let mut cells = Vec::with_capacity(count.min(bytes.len() / SHORTEST));
        let mut unpacked = Unpacked { rest: bytes, at, base: self.base, last: None };
        for _ in 0..count {
            cells.push(unpacked.next().ok_or(FeedError::Contents)?);
        }
        Ok((cells, unpacked.rest))
    }
}

fn time(cell: &Cell) -> Option<UnixSeconds> {
    cell.time.map(|cutoff| cutoff.time)
}

fn until(cell: &Cell) -> Option<UnixSeconds> {
    match cell.until {
        Until::At(second) => Some(second),
        Until::Never => None,
    }
}

/// A hash as its two halves, in the order of hashes.
fn halves(hash: TargetHash) -> (u64, u64) {
    let whole = u128::from_be_bytes(hash.0);
    ((whole >> 64) as u64, whole as u64)
}

struct Packed {
    bytes: Vec<u8>,
    at: Position,
    base: UnixSeconds,
    /// The first half of the last hash.
    last: u64,
}

impl Packed {
    fn push(&mut self, target: TargetHash, kind: TargetKind, cell: &Cell) {
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        self.bytes.push(
            kind.tag()
                | flag(cell.always.is_some(), ALWAYS)
                | flag(cell.position.is_some(), POSITION)
                | flag(cell.time.is_some(), TIME)
                | flag(until(cell).is_some(), UNTIL),
        );
        let (first, second) = halves(target);
        self.varint(first - self.last);
        self.bytes.extend_from_slice(&second.to_be_bytes());
        self.last = first;
        for at in [cell.always, cell.position].into_iter().flatten() {
            self.position(at);
        }
        if let Some(cutoff) = cell.time {
            self.second(cutoff.time);
            self.position(cutoff.at);
        }
        if let Some(second) = until(cell) {
            self.second(second);
        }
    }

    fn position(&mut self, at: Position) {
        let behind = self.at.seq.checked_sub(at.seq).filter(|_| at.epoch == self.at.epoch);
        match behind.and_then(|behind| behind.checked_mul(2)) {
            Some(twice) => self.varint(twice),
            None => {
                self.varint(u64::from(at.epoch) * 2 + 1);
                self.varint(at.seq);
            }
        }
    }

    fn second(&mut self, second: UnixSeconds) {
        self.varint(second.0 - self.base.0);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

struct Unpacked<'b> {
    rest: &'b [u8],
    at: Position,
    base: UnixSeconds,
    last: Option<(u64, u64)>,
}

impl Unpacked<'_> {
    fn next(&mut self) -> Option<HashedCell> {
        let tag = self.byte()?;
        let kind = TargetKind::of_tag(tag & KIND)?;
        let target = self.hash()?;
        let named = |flag: u8| tag & flag != 0;
        let always = if named(ALWAYS) { Some(self.position()?) } else { None };
        let position = if named(POSITION) { Some(self.position()?) } else { None };
        let time = if named(TIME) { Some(TimeCutoff { time: self.second()?, at: self.position()? }) } else { None };
        let until = if named(UNTIL) { Until::At(self.second()?) } else { Until::Never };
        if always.is_none() && position.is_none() && time.is_none() {
            return None;
        }
        Some(HashedCell { target, kind, cell: Some(Cell { always, position, time, until }) })
    }

    /// The next hash, which lies above the last one.
    fn hash(&mut self) -> Option<TargetHash> {
        let above = self.varint()?;
        let (second, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        let first = self.last.map_or(0, |(first, _)| first).checked_add(above)?;
        let hash = (first, u64::from_be_bytes(*second));
        if self.last.is_some_and(|last| hash <= last) {
            return None;
        }
        self.last = Some(hash);
        Some(TargetHash((u128::from(hash.0) << 64 | u128::from(hash.1)).to_be_bytes()))
    }

    fn position(&mut self) -> Option<Position> {
        let value = self.varint()?;
        if value % 2 == 0 {
            return Some(Position::new(self.at.epoch, self.at.seq.checked_sub(value / 2)?));
        }
        let epoch = u32::try_from(value / 2).ok()?;
        let seq = self.varint().filter(|seq| *seq <= Position::MAX_SEQ)?;
        Some(Position::new(epoch, seq))
    }

    fn second(&mut self) -> Option<UnixSeconds> {
        self.base.0.checked_add(self.varint()?).map(UnixSeconds)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for index in 0..LONGEST_VARINT {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let shifted = bits << (7 * index);
            if shifted >> (7 * index) != bits {
                return None;
            }
            value |= shifted;
            if byte & 0x80 == 0 {
                // A last byte of nothing but zeros would be a second way to write the same.
                return (byte != 0 || index == 0).then_some(value);
            }
        }
        None
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn position() -> impl Strategy<Value = Position> {
        let seq = prop_oneof![0..2000_u64, 0..=Position::MAX_SEQ];
        (prop_oneof![Just(7), any::<u32>()], seq).prop_map(|(epoch, seq)| Position::new(epoch, seq))
    }

    fn second() -> impl Strategy<Value = UnixSeconds> {
        prop_oneof![1_800_000_000..1_800_090_000_u64, any::<u64>()].prop_map(UnixSeconds)
    }

    fn hashed() -> impl Strategy<Value = HashedCell> {
        let cutoffs = (
            proptest::option::of(position()),
            proptest::option::of(position()),
            proptest::option::of((second(), position())),
        );
        let until = prop_oneof![Just(Until::Never), second().prop_map(Until::At)];
        let target = prop_oneof![
            any::<[u8; 16]>(),
            any::<u8>().prop_map(|byte| [&[0; 15][..], &[byte]].concat().try_into().unwrap())
        ];
        (target, 0..TargetKind::ALL.len(), cutoffs, until)
            .prop_filter("something is in force", |(_, _, (always, position, time), _)| {
                always.is_some() || position.is_some() || time.is_some()
            })
            .prop_map(|(target, kind, (always, position, time), until)| {
                let time = time.map(|(time, at)| TimeCutoff { time, at });
                let cell = Some(Cell { always, position, time, until });
                HashedCell { target: TargetHash(target), kind: TargetKind::ALL[kind], cell }
            })
    }

    fn cells() -> impl Strategy<Value = Vec<HashedCell>> {
        proptest::collection::vec(hashed(), 0..40).prop_map(|mut cells| {
            cells.sort_unstable_by_key(|hashed| hashed.target);
            cells.dedup_by_key(|hashed| hashed.target);
            cells
        })
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked_in_the_order_of_hashes(cells in cells(), at in position(), reverse in any::<bool>()) {
            let mut given = cells.clone();
            if reverse {
                given.reverse();
            }
            let packing = Packing::of(&given);
            let bytes = [packing.pack(at, &given), b"behind".to_vec()].concat();
            prop_assert_eq!(packing.unpack(at, &bytes).unwrap(), (cells, &b"behind"[..]));
        }

        #[test]
        fn i15_bytes_read_in_one_way_only(bytes in proptest::collection::vec(any::<u8>(), 0..120), at in position()) {
            for cells in 0..8 {
                let packing = Packing { cells, base: UnixSeconds(0) };
                if let Ok((cells, _)) = packing.unpack(at, &bytes) {
                    prop_assert_eq!(packing.unpack(at, &packing.pack(at, &cells)).unwrap().0, cells);
                }
            }
        }
    }

    fn golden(position: u64) -> HashedCell {
        let cell = Cell { always: None, position: Some(Position::new(1, position)), time: None, until: Until::Never };
        HashedCell { target: TargetHash([position as u8; 16]), kind: TargetKind::Subject, cell: Some(cell) }
    }

    const AT: Position = Position { epoch: 1, seq: 9 };

    fn packing(cells: u64) -> Packing {
        Packing { cells, base: UnixSeconds(0) }
    }

    #[test]
    fn one_cell_takes_the_bytes_that_are_written_down() {
        assert_eq!(packing(1).pack(AT, &[golden(0)]), [0x22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 18]);
    }

    #[test]
    fn i15_wrong_counts_orders_and_spellings_are_refused() {
        let two = packing(2).pack(AT, &[golden(1), golden(2)]);
        assert_eq!(packing(2).unpack(AT, &two).unwrap().0.len(), 2);
        for count in [3, u64::MAX] {
            assert_eq!(packing(count).unpack(AT, &two), Err(FeedError::Contents), "{count} cells");
        }
        let one = packing(1).pack(AT, &[golden(0)]);
        assert_eq!(packing(2).unpack(AT, &[&one[..], &one[..]].concat()), Err(FeedError::Contents), "a hash twice");
        let cases: [(&str, &[u8]); 6] = [
            ("no kind", &[0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 18]),
            ("an unknown kind", &[0x2f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 18]),
            ("nothing in force", &[0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            ("a longer spelling", &[0x22, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 18]),
            ("a sequence below zero", &[0x22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20]),
            (
                "a number too large",
                &[0x22, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 18],
            ),
        ];
        for (what, bytes) in cases {
            assert_eq!(packing(1).unpack(AT, bytes), Err(FeedError::Contents), "{what}");
        }
    }
}
