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

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::algebra::{Cell, TimeCutoff, Until};
use crate::position::Position;
use crate::record::HashedCell;
use crate::target::{TargetHash, TargetKind};
use crate::time::UnixSeconds;

const KIND: u8 = 0x0f;
const ALWAYS: u8 = 0x10;
const POSITION: u8 = 0x20;
const TIME: u8 = 0x40;
const UNTIL: u8 = 0x80;

/// Bytes of the shortest cell: tag, hash and one position. Memory is taken by it where cells of our own are
/// packed; a reader takes none by a count that it is told.
const SHORTEST: usize = 1 + 1 + 8 + 1;
/// Bytes of the longest varint.
const LONGEST_VARINT: usize = 10;
/// The bit of each of eight bytes that is clear in the last byte of a varint.
const STOPS: u64 = 0x8080_8080_8080_8080;

/// Cells in the order of their hashes, each hash once and each with something in force, in about a sixth of the
/// memory that they take one by one. Whoever holds one can read all of them: bytes that can't be read make none.
#[derive(Clone, Default)]
pub struct PackedCells {
    packing: Packing,
    /// What positions are counted back from.
    at: Position,
    bytes: Vec<u8>,
}

impl PackedCells {
    /// Packs cells for a snapshot at `at`. Of several about one target the last one counts, and one with nothing
    /// in force is left out: there is nothing to say of it.
    #[must_use]
    pub fn of(at: Position, mut cells: Vec<HashedCell>) -> Self {
        cells.reverse();
        cells.sort_by_key(|hashed| hashed.target);
        cells.dedup_by_key(|hashed| hashed.target);
        Self::of_ordered(at, || cells.iter().copied())
    }

    /// Packs what comes in the order of hashes, each once. It is read twice.
    pub(crate) fn of_ordered<I: Iterator<Item = HashedCell>>(at: Position, cells: impl Fn() -> I) -> Self {
        let in_force = || cells().filter_map(|hashed| Some((hashed, hashed.cell?)));
        let mut packing = Packing { cells: 0, base: UnixSeconds(u64::MAX) };
        for (_, cell) in in_force() {
            packing.cells += 1;
            packing.base = [time(&cell), until(&cell)].into_iter().flatten().fold(packing.base, Ord::min);
        }
        if packing.base == UnixSeconds(u64::MAX) {
            packing.base = UnixSeconds(0);
        }
        let bytes = Vec::with_capacity(packing.cells as usize * 2 * SHORTEST);
        let mut packed = Packed { bytes, at, base: packing.base, last: 0 };
        in_force().for_each(|(hashed, cell)| packed.push(hashed.target, hashed.kind, &cell));
        Self { packing, at, bytes: packed.bytes }
    }

    /// Reads the cells that come first in `bytes`, as they are packed in the snapshot of `at`, and says what
    /// stands behind them; `None` for anything that is not written this way.
    pub(crate) fn read(packing: Packing, at: Position, bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut unpacked = Unpacked::of(packing, at, bytes);
        for _ in 0..packing.cells {
            unpacked.read()?;
        }
        let rest = unpacked.rest;
        let (packed, _) = bytes.split_at_checked(bytes.len() - rest.len())?;
        Some((Self { packing, at, bytes: packed.to_vec() }, rest))
    }

    /// How many they are.
    #[must_use]
    pub fn len(&self) -> usize {
        // Each of them stands in the bytes.
        self.packing.cells as usize
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packing.cells == 0
    }

    /// Every cell, in the order of their hashes.
    #[must_use]
    pub fn iter(&self) -> PackedIter<'_> {
        PackedIter { left: self.len(), unpacked: Unpacked::of(self.packing, self.at, &self.bytes) }
    }

    /// The same cells as they stand in a snapshot at `at`.
    pub(crate) fn counted_from(&self, at: Position) -> Cow<'_, Self> {
        if self.at == at { Cow::Borrowed(self) } else { Cow::Owned(Self::of_ordered(at, || self.iter())) }
    }

    /// What has to stand before the bytes, for them to be read.
    pub(crate) const fn packing(&self) -> Packing {
        self.packing
    }

    /// The cells.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl PartialEq for PackedCells {
    /// Whether they are the same cells, from wherever their positions are counted.
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for PackedCells {}

impl fmt::Debug for PackedCells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<'c> IntoIterator for &'c PackedCells {
    type Item = HashedCell;
    type IntoIter = PackedIter<'c>;

    fn into_iter(self) -> PackedIter<'c> {
        self.iter()
    }
}

/// The cells of [`PackedCells`], one after the other.
#[derive(Clone)]
pub struct PackedIter<'c> {
    left: usize,
    unpacked: Unpacked<'c>,
}

impl Iterator for PackedIter<'_> {
    type Item = HashedCell;

    #[inline]
    fn next(&mut self) -> Option<HashedCell> {
        self.left = self.left.checked_sub(1)?;
        self.unpacked.read()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for PackedIter<'_> {}

/// How cells are packed, as it stands in the header before them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Packing {
    /// How many they are.
    cells: u64,
    /// The earliest second that any of them names.
    base: UnixSeconds,
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

#[derive(Clone)]
struct Unpacked<'b> {
    rest: &'b [u8],
    at: Position,
    base: UnixSeconds,
    last: Option<(u64, u64)>,
}

impl<'b> Unpacked<'b> {
    const fn of(packing: Packing, at: Position, bytes: &'b [u8]) -> Self {
        Self { rest: bytes, at, base: packing.base, last: None }
    }

    /// The next cell; `None` for what no cell is packed as.
    #[inline]
    fn read(&mut self) -> Option<HashedCell> {
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

    #[inline]
    fn varint(&mut self) -> Option<u64> {
        match self.rest.first_chunk() {
            Some(bytes) if !u64::from_le_bytes(*bytes) & STOPS != 0 => self.short_varint(u64::from_le_bytes(*bytes)),
            _ => self.long_varint(),
        }
    }

    /// A varint that ends in `word`, the next eight bytes: all of its bytes at once, for nearly all are such.
    #[inline]
    fn short_varint(&mut self, word: u64) -> Option<u64> {
        let length = (!word & STOPS).trailing_zeros() / 8 + 1;
        let septets = word << (64 - 8 * length) >> (64 - 8 * length) & !STOPS;
        let pairs = septets & 0x007f_007f_007f_007f | (septets & 0x7f00_7f00_7f00_7f00) >> 1;
        let fours = pairs & 0x0000_3fff_0000_3fff | (pairs & 0x3fff_0000_3fff_0000) >> 2;
        let value = fours & 0x0fff_ffff | (fours & 0x0fff_ffff_0000_0000) >> 4;
        self.rest = self.rest.get(length as usize..)?;
        // A last byte of nothing but zeros would be a second way to write the same.
        (length == 1 || septets >> (8 * (length - 1)) != 0).then_some(value)
    }

    /// A varint of any length, byte by byte.
    fn long_varint(&mut self) -> Option<u64> {
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
mod tests;
