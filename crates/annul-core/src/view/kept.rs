//! What a view holds beyond the log that it follows: what lies above a fork.
//!
//! A later epoch may fork off below what a view has applied. The entries above the fork were acknowledged, or may
//! have been, and the new log does not know them. So they stay in force, apart from the log's own cells, where
//! none of its lifts, snapshots or replacements reaches them: only their until ends them (I12).
//!
//! A cell that would be forgotten too early, because the wall clock ran ahead, could not be fetched again either.
//! So the second up to which something was forgotten here stays for good.

use super::cells::{Cells, Ledger};
use super::{Halt, KeptContents};
use crate::algebra::Cell;
use crate::record::HashedCell;
use crate::target::TargetHash;
use crate::time::UnixSeconds;

/// What readers hold of it. Mostly nothing, which costs a look-up one comparison.
#[derive(Clone, Default)]
pub(super) struct Kept {
    cells: Option<Cells>,
    /// The second up to which cells were dropped that no snapshot restores.
    pub(super) forgotten: UnixSeconds,
}

impl Kept {
    /// Exactly `contents`, and the ledger that belongs to it.
    pub(super) fn of(
        contents: &KeptContents,
        within: impl Fn(usize, usize) -> Result<(), Halt>,
    ) -> Result<(Self, Ledger), Halt> {
        if contents.cells.is_empty() {
            return Ok((Self { cells: None, forgotten: contents.forgotten }, Ledger::default()));
        }
        let (cells, ledger) = Cells::of(contents.cells.iter().copied(), within)?;
        Ok((Self { cells: Some(cells), forgotten: contents.forgotten }, ledger))
    }

    pub(super) fn contents(&self) -> KeptContents {
        KeptContents { cells: self.iter().collect(), forgotten: self.forgotten }
    }

    /// Whether something may be in force against one of these targets.
    #[inline]
    pub(super) fn may_hold_any<'t>(&self, targets: impl Iterator<Item = &'t TargetHash>) -> bool {
        self.cells.as_ref().is_some_and(|cells| cells.may_hold_any(targets))
    }

    /// What is in force against a target.
    #[inline]
    pub(super) fn get(&self, target: &TargetHash) -> Option<Cell> {
        self.cells.as_ref()?.get(target)
    }

    pub(super) fn len(&self) -> usize {
        self.cells.as_ref().map_or(0, Cells::len)
    }

    pub(super) fn without_until(&self) -> usize {
        self.cells.as_ref().map_or(0, Cells::without_until)
    }

    /// Every cell, in the order of hashes; for the writer.
    pub(super) fn iter(&self) -> impl Iterator<Item = HashedCell> {
        self.cells.iter().flat_map(Cells::iter)
    }

    /// Forgets every group whose last second is strictly past (I16).
    pub(super) fn expire(&mut self, ledger: &mut Ledger, now: UnixSeconds) {
        let Some(cells) = &mut self.cells else { return };
        if let Some(forgotten) = cells.expire(ledger, now) {
            self.forgotten = self.forgotten.max(forgotten);
        }
        if cells.len() == 0 {
            self.cells = None;
        }
    }
}
