//! The immutable state behind a view, and how one record leads from one state to the next.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cells::{Batch, Cells, Ledger};
use super::freshness::Freshness;
use super::ground::Ground;
use super::kept::Kept;
use super::{ApplyError, Halt, KeptContents, ViewContents, ViewLimits};
use crate::algebra::Cell;
use crate::packed::PackedCells;
use crate::position::Position;
use crate::record::{Entry, EpochStart, HashedCell, Record, RecordBody};
use crate::settings::Settings;
use crate::target::{HashKey, TargetHash};
use crate::time::UnixSeconds;

/// Everything a reader sees at once. Cloning shares all that is large.
#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) position: Option<Position>,
    pub(super) ground: Arc<Ground>,
    pub(super) cells: Cells,
    /// What is in force besides, from above a fork.
    pub(super) kept: Kept,
    pub(super) freshness: Freshness,
    /// The key that hashes targets, with its id, which settings name.
    pub(super) hash_key: Option<Arc<(HashKey, String)>>,
    /// Whether that is the key the settings name. Every request asks, so it is told once, when the state is
    /// [settled](Self::settled).
    can_hash: bool,
    pub(super) halted: Option<Halt>,
    /// The second up to which untils were dropped. A token that could only be accepted until then
    /// may have lost the entry against it: it matters when the wall clock steps back.
    pub(super) forgotten: UnixSeconds,
}

/// What the writer counts: the log's cells, and those kept besides.
#[derive(Debug, Default)]
pub(super) struct Ledgers {
    pub(super) cells: Ledger,
    kept: Ledger,
}

impl State {
    /// Whether something may be in force against one of these targets.
    #[inline]
    pub(super) fn may_hold_any<'t>(&self, targets: impl Iterator<Item = &'t TargetHash> + Clone) -> bool {
        self.cells.may_hold_any(targets.clone()) || self.kept.may_hold_any(targets)
    }

    /// What is in force against a target, by the log and by what is kept besides.
    #[inline]
    pub(super) fn in_force(&self, target: &TargetHash) -> Option<Cell> {
        match (self.cells.get(target), self.kept.get(target)) {
            (Some(cell), Some(kept)) => Some(cell.absorb(kept)),
            (cell, kept) => cell.or(kept),
        }
    }

    /// The state after `records`, which follow this one without a gap, and what they make of its
    /// cells, which is still to be written.
    pub(super) fn after(&self, records: &[Record], limits: &ViewLimits) -> Result<(Self, Batch<'_>), ApplyError> {
        if let Some(halt) = self.halted {
            return Err(ApplyError::Halted(halt));
        }
        let mut next = self.clone();
        let mut batch = Batch::on(&self.cells);
        for record in records {
            next.apply(record, &mut batch)?;
            let (cells, without_until) =
                (batch.len() + self.kept.len(), batch.without_until() + self.kept.without_until());
            limits.admit(cells, without_until).map_err(ApplyError::Full)?;
        }
        next.freshness.applied(next.position);
        Ok((next, batch))
    }

    fn apply(&mut self, record: &Record, cells: &mut Batch<'_>) -> Result<(), ApplyError> {
        self.expect_next(record)?;
        match &record.body {
            RecordBody::Noop | RecordBody::Epoch(_) => {}
            RecordBody::Revoke(Entry { target, kind, fields, until }) => {
                cells.absorb(*target, *kind, Cell::of(*fields, record.at, *until));
            }
            RecordBody::Lift(lifted) => lifted.iter().for_each(|hashed| cells.replace(hashed)),
            RecordBody::Settings(settings) => self.set_settings(settings, record.at)?,
            RecordBody::Issuer(issuer) => Arc::make_mut(&mut self.ground).set_issuer(issuer.clone()),
        }
        self.position = Some(record.at);
        Ok(())
    }

    /// The next position or nothing: a repeated, skipped or older record is refused (I3).
    fn expect_next(&self, record: &Record) -> Result<(), ApplyError> {
        let expected = self.position.map_or(FIRST, Position::next);
        match &record.body {
            RecordBody::Epoch(start) if record.at.epoch != expected.epoch => self.expect_epoch(record.at, start),
            RecordBody::Epoch(_) if record.at != FIRST => Err(ApplyError::Epoch { at: record.at }),
            _ if record.at == expected => Ok(()),
            _ => Err(ApplyError::NotNext { expected, got: record.at }),
        }
    }

    /// A newer epoch begins here if it continues exactly what the view holds. A view that had gone past the
    /// fork holds records that the new epoch does not know, lifts and settings among them: it takes the
    /// snapshot.
    fn expect_epoch(&self, at: Position, start: &EpochStart) -> Result<(), ApplyError> {
        let Some(held) = self.position else {
            return Err(ApplyError::NotNext { expected: FIRST, got: at });
        };
        if at.epoch < held.epoch || at.seq != 1 || start.fork < held {
            return Err(ApplyError::NotNext { expected: held.next(), got: at });
        }
        if start.fork > held {
            return Err(ApplyError::NotNext { expected: held.next(), got: start.fork.next() });
        }
        Ok(())
    }

    fn set_settings(&mut self, settings: &Settings, at: Position) -> Result<(), ApplyError> {
        if self.ground.settings().is_some_and(|held| settings.revision <= held.revision) {
            return Err(ApplyError::Revision { at, revision: settings.revision });
        }
        Arc::make_mut(&mut self.ground).set_settings(settings.clone());
        Ok(())
    }

    /// The state that holds exactly `contents`, built aside, with this one's hash key.
    pub(super) fn of_contents(&self, contents: ViewContents, limits: &ViewLimits) -> Result<(Self, Ledgers), Halt> {
        let (cells, ledger) =
            Cells::of(contents.cells.iter(), |entries, without_until| limits.admit(entries, without_until))?;
        let (kept, kept_ledger) = Kept::of(&contents.kept, |entries, without_until| {
            limits.admit(cells.len() + entries, cells.without_until() + without_until)
        })?;
        let next = Self {
            position: Some(contents.position),
            ground: Arc::new(self.ground.replaced_by(contents.settings, contents.issuers)),
            cells,
            kept,
            hash_key: self.hash_key.clone(),
            halted: self.halted,
            forgotten: contents.forgotten,
            ..Self::default()
        };
        Ok((next, Ledgers { cells: ledger, kept: kept_ledger }))
    }

    pub(super) fn contents(&self) -> Option<ViewContents> {
        let position = self.position?;
        Some(ViewContents {
            position,
            settings: self.ground.settings()?.as_ref().clone(),
            issuers: self.ground.issuers().map(|issuer| issuer.record.clone()).collect(),
            cells: PackedCells::of_ordered(position, || self.cells.iter()),
            kept: self.kept.contents(),
            forgotten: self.forgotten,
        })
    }

    /// This state, ready for readers.
    pub(super) fn settled(mut self) -> Self {
        let (named, given) = (self.ground.settings(), self.hash_key.as_deref());
        self.can_hash = named.zip(given).is_some_and(|(settings, (_, id))| *id == settings.hash_key);
        self
    }

    /// The settings with the hash key they name, if the view was given it.
    #[inline]
    pub(super) fn hashing(&self) -> Option<(&Settings, &HashKey)> {
        let (settings, hash_key) = (self.ground.settings()?, self.hash_key.as_deref()?);
        self.can_hash.then_some((settings, &hash_key.0))
    }

    /// Drops what no acceptable token can match any more. The wall clock may run ahead of the
    /// authority's by the skew, so it is set back by as much; without settings nothing is dropped.
    pub(super) fn expire(&mut self, ledgers: &mut Ledgers, wall: UnixSeconds) {
        let Some(settings) = self.ground.settings() else { return };
        let now = wall.minus(settings.clock_skew);
        if let Some(forgotten) = self.cells.expire(&mut ledgers.cells, now) {
            self.forgotten = self.forgotten.max(forgotten);
        }
        self.kept.expire(&mut ledgers.kept, now);
    }

    /// What is in force by entries at places that are not `known`, a cell's fields each by its own.
    pub(super) fn beyond(&self, known: impl Fn(Position) -> bool) -> KeptContents {
        let mut by_target = BTreeMap::new();
        for HashedCell { target, kind, cell } in self.cells.iter().chain(self.kept.iter()) {
            let Some(cell) = cell.and_then(|cell| cell.only(|at| !known(at))) else { continue };
            let held = by_target.entry(target).or_insert((kind, cell));
            held.1 = held.1.absorb(cell);
        }
        let cells = by_target.into_iter().map(|(target, (kind, cell))| HashedCell { target, kind, cell: Some(cell) });
        // What was dropped too early is restored by a log that continues all that was held, and by no other.
        let is_continued = self.position.is_none_or(&known);
        let forgotten = if is_continued { self.kept.forgotten } else { self.kept.forgotten.max(self.forgotten) };
        KeptContents { cells: cells.collect(), forgotten }
    }
}

/// Where a view without a snapshot begins.
const FIRST: Position = Position::new(1, 1);
