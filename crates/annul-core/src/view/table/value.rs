//! A cell in one word.
//!
//! ```text
//! 63        36 35       11 10     6 5    4 3    0
//! sequence     until       origin   form   kind
//! index of a wide cell              form   kind
//! ```
//!
//! Nearly every cell holds `always` or a position, and nothing else: the entry's own position and an
//! until. Sequence and until are counted from an *origin*, of which a table has up to 32; whatever
//! fits none, and every cell with a time or with two cutoffs, is kept wide. A word never changes its
//! meaning, for an origin is written once.

use std::sync::OnceLock;

use crate::algebra::{Cell, Until};
use crate::position::Position;
use crate::target::TargetKind;
use crate::time::UnixSeconds;

const ORIGINS: usize = 32;
const SEQ_BITS: u32 = 28;
const UNTIL_BITS: u32 = 25;
const KIND_BITS: u32 = 4;
const FORM_BITS: u32 = 2;
const INDEX_SHIFT: u32 = KIND_BITS + FORM_BITS;
const UNTIL_SHIFT: u32 = INDEX_SHIFT + 5;
const SEQ_SHIFT: u32 = UNTIL_SHIFT + UNTIL_BITS;
/// The until of a cell that only a lift ends.
const NEVER: u64 = low_bits(UNTIL_BITS);

/// What a word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing is in force: what a lift left.
    Nothing,
    /// The cell is kept wide, at this index.
    Wide(usize),
    /// The cell.
    Compact(Cell),
}

/// From where a word counts. Origins lie on a grid whose steps are half of what a word can count, so
/// that neighbours in time share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Origin {
    at: Position,
    until: u64,
}

impl Origin {
    fn of(at: Position, until: Until) -> Self {
        let until = match until {
            Until::At(until) => on_grid(until.0, UNTIL_BITS),
            Until::Never => 0,
        };
        Self { at: Position::new(at.epoch, on_grid(at.seq, SEQ_BITS)), until }
    }

    fn offsets(self, at: Position, until: Until) -> Option<(u64, u64)> {
        let seq = at.seq.checked_sub(self.at.seq).filter(|seq| *seq <= low_bits(SEQ_BITS))?;
        let until = match until {
            Until::At(until) => until.0.checked_sub(self.until).filter(|until| *until < NEVER)?,
            Until::Never => NEVER,
        };
        (self.at.epoch == at.epoch).then_some((seq, until))
    }
}

const fn low_bits(bits: u32) -> u64 {
    (1 << bits) - 1
}

const fn on_grid(value: u64, bits: u32) -> u64 {
    value & !low_bits(bits - 1)
}

/// The origins of one table, filled from the front by the one writer.
#[derive(Debug, Default)]
pub(super) struct Origins {
    all: [OnceLock<Origin>; ORIGINS],
}

impl Origins {
    /// The cell as a word; `None` when it has to be kept wide.
    pub(super) fn encode(&self, kind: TargetKind, cell: &Cell) -> Option<u64> {
        let (form, at) = match cell {
            Cell { always: Some(at), position: None, time: None, .. } => (2, *at),
            Cell { always: None, position: Some(at), time: None, .. } => (3, *at),
            _ => return None,
        };
        let (origin, (seq, until)) = self.counted(at, cell.until)?;
        Some(head(kind, form) | (origin as u64) << INDEX_SHIFT | until << UNTIL_SHIFT | seq << SEQ_SHIFT)
    }

    fn counted(&self, at: Position, until: Until) -> Option<(usize, (u64, u64))> {
        for (index, place) in self.all.iter().enumerate() {
            let origin = place.get_or_init(|| Origin::of(at, until));
            if let Some(offsets) = origin.offsets(at, until) {
                return Some((index, offsets));
            }
        }
        None
    }

    /// What a word of this table says.
    #[inline]
    pub(super) fn decode(&self, word: u64) -> Form {
        let form = word >> KIND_BITS & low_bits(FORM_BITS);
        if form == 1 {
            return Form::Wide((word >> INDEX_SHIFT) as usize);
        }
        let index = (word >> INDEX_SHIFT & low_bits(UNTIL_SHIFT - INDEX_SHIFT)) as usize;
        let (true, Some(origin)) = (form != 0, self.all[index].get()) else { return Form::Nothing };
        let at = Position::new(origin.at.epoch, origin.at.seq + (word >> SEQ_SHIFT));
        let until = match word >> UNTIL_SHIFT & NEVER {
            NEVER => Until::Never,
            offset => Until::At(UnixSeconds(origin.until + offset)),
        };
        let (always, position) = if form == 2 { (Some(at), None) } else { (None, Some(at)) };
        Form::Compact(Cell { always, position, time: None, until })
    }
}

/// The word of a cell that is kept wide.
pub(super) fn wide(kind: TargetKind, index: usize) -> u64 {
    head(kind, 1) | (index as u64) << INDEX_SHIFT
}

/// The word of a target against which nothing is in force any more.
pub(super) fn nothing(kind: TargetKind) -> u64 {
    head(kind, 0)
}

/// The kind of the target that a word is about.
pub(super) fn kind(word: u64) -> TargetKind {
    TargetKind::ALL[(word & low_bits(KIND_BITS)) as usize % TargetKind::ALL.len()]
}

fn head(kind: TargetKind, form: u64) -> u64 {
    kind as u64 | form << KIND_BITS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algebra::TimeCutoff;

    fn cell(always: bool, at: Position, until: Until) -> Cell {
        let (always, position) = if always { (Some(at), None) } else { (None, Some(at)) };
        Cell { always, position, time: None, until }
    }

    #[test]
    fn a_word_says_what_was_put_into_it() {
        let origins = Origins::default();
        let untils = [Until::At(UnixSeconds(1_795_305_600)), Until::At(UnixSeconds(1_795_305_601)), Until::Never];
        for seq in [1, 2, 100_000_000, Position::MAX_SEQ] {
            for epoch in [1, 7, u32::MAX] {
                for (kind, until) in TargetKind::ALL.into_iter().zip(untils.into_iter().cycle()) {
                    for always in [true, false] {
                        let cell = cell(always, Position::new(epoch, seq), until);
                        let word = origins.encode(kind, &cell).unwrap();
                        assert_eq!(origins.decode(word), Form::Compact(cell));
                        assert_eq!(super::kind(word), kind);
                    }
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_kept_wide_and_never_cut() {
        let origins = Origins::default();
        let at = Position::new(1, 1);
        let time = Some(TimeCutoff { time: UnixSeconds(5), at });
        let two = Cell { always: Some(at), ..cell(false, at, Until::Never) };
        assert_eq!(origins.encode(TargetKind::Subject, &Cell { time, ..cell(false, at, Until::Never) }), None);
        assert_eq!(origins.encode(TargetKind::Subject, &two), None);
        for epoch in 1..=ORIGINS as u32 {
            assert!(origins.encode(TargetKind::Subject, &cell(true, Position::new(epoch, 1), Until::Never)).is_some());
        }
        let one_too_many = cell(true, Position::new(ORIGINS as u32 + 1, 1), Until::Never);
        assert_eq!(origins.encode(TargetKind::Subject, &one_too_many), None);
        assert_eq!(origins.decode(wide(TargetKind::Claim, 77)), Form::Wide(77));
        assert_eq!(origins.decode(nothing(TargetKind::Claim)), Form::Nothing);
    }

    #[test]
    fn a_century_of_untils_and_a_billion_positions_share_few_origins() {
        let origins = Origins::default();
        for step in 0..100 {
            let until = Until::At(UnixSeconds(1_700_000_000 + step * 3_600));
            let cell = cell(false, Position::new(1, 1 + step * 10_000_000), until);
            assert!(origins.encode(TargetKind::Token, &cell).is_some());
        }
        assert!(origins.all.iter().filter(|origin| origin.get().is_some()).count() <= 12);
    }
}
