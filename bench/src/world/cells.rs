//! Revocations in force, as many as a subject asks for.

use annul_core::algebra::{Cell, Until};
use annul_core::position::Position;
use annul_core::record::HashedCell;
use annul_core::target::{TargetHash, TargetKind};
use annul_core::time::UnixSeconds;

use super::random::Random;
use super::unix;

/// The kinds that entries are mostly about.
const KINDS: [TargetKind; 4] = [TargetKind::Subject, TargetKind::Session, TargetKind::Token, TargetKind::Device];
/// Entries expire in one of this many seconds, as those of tokens do that live 15 minutes.
const LIVES: usize = 900;
/// None expires before a run has ended.
const EARLIEST: u64 = 3 * 3600;

/// `count` cells on random targets, the same in every run but for their untils.
pub fn random(count: usize, seed: u64) -> impl Iterator<Item = HashedCell> {
    let mut random = Random(seed);
    let earliest = unix() + EARLIEST;
    (0..count).map(move |index| {
        let target = TargetHash(random.hash());
        let until = earliest + random.below(LIVES) as u64;
        cell(target, KINDS[random.below(KINDS.len())], index as u64 + 2, until)
    })
}

/// The cell of one `now` at this sequence number.
#[must_use]
pub fn cell(target: TargetHash, kind: TargetKind, seq: u64, until: u64) -> HashedCell {
    let position = Some(Position::new(1, seq));
    let cell = Cell { always: None, position, time: None, until: Until::At(UnixSeconds(until)) };
    HashedCell { target, kind, cell: Some(cell) }
}
