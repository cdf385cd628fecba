//! A view that holds as many entries as it is told, and a writer that goes on writing to it.

use annul_core::algebra::{CutoffFields, Until};
use annul_core::packed::PackedCells;
use annul_core::position::Position;
use annul_core::record::{Entry, Record, RecordBody};
use annul_core::target::{TargetHash, TargetKind};
use annul_core::time::UnixSeconds;
use annul_core::view::{KeptContents, View, ViewContents, ViewWriter};
use anyhow::{Result, anyhow};

use super::random::Random;
use super::{cells, standin, unix};

/// How long an entry lives that is written here.
const LIFE: u64 = 2;
/// What the entries of [`holding`] are made from.
pub const SEED: u64 = 41;

/// A view that holds so many random entries.
///
/// # Errors
/// When it does not take them.
pub fn holding(count: usize) -> Result<(View, ViewWriter)> {
    let (view, mut writer) = View::new();
    writer.set_hash_key(standin::hash_key());
    let position = Position::new(1, count as u64 + 1);
    let contents = ViewContents {
        position,
        settings: standin::settings(),
        issuers: Vec::new(),
        cells: PackedCells::of(position, cells::random(count, SEED).collect()),
        kept: KeptContents::default(),
        forgotten: UnixSeconds(0),
    };
    writer.replace(contents).map_err(|error| anyhow!("{error}"))?;
    Ok((view, writer))
}

/// A writer whose entries expire soon after they were written.
pub struct Writing {
    view: View,
    writer: ViewWriter,
    random: Random,
    position: Position,
}

impl Writing {
    /// On a view that holds so many entries.
    ///
    /// # Errors
    /// When the view does not take them.
    pub fn on(count: usize) -> Result<Self> {
        let (view, writer) = holding(count)?;
        Ok(Self { view, writer, random: Random(52), position: Position::new(1, count as u64 + 1) })
    }

    /// The view that is written to.
    #[must_use]
    pub fn view(&self) -> View {
        self.view.clone()
    }

    /// The next so many entries, which nobody has seen.
    pub fn records(&mut self, count: usize) -> Vec<Record> {
        let until = Until::At(UnixSeconds(unix() + LIFE));
        (0..count).map(|_| self.next(until)).collect()
    }

    /// Applies what [`records`](Self::records) gave last.
    ///
    /// # Errors
    /// When the view does not take it.
    pub fn apply_records(&mut self, records: &[Record]) -> Result<()> {
        self.writer.apply(records).map_err(|error| anyhow!("{error}"))
    }

    /// Makes and applies the next so many entries.
    ///
    /// # Errors
    /// When the view does not take them.
    pub fn apply(&mut self, count: usize) -> Result<()> {
        let records = self.records(count);
        self.apply_records(&records)
    }

    /// Drops the groups that have expired.
    pub fn expire(&mut self) {
        self.writer.expire(UnixSeconds(unix()));
    }

    fn next(&mut self, until: Until) -> Record {
        self.position = self.position.next();
        let fields = CutoffFields { now: true, ..CutoffFields::default() };
        let entry = Entry { target: TargetHash(self.random.hash()), kind: TargetKind::Subject, fields, until };
        Record { at: self.position, body: RecordBody::Revoke(entry) }
    }
}
