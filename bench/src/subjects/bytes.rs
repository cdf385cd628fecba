//! What a revocation takes in memory: the growth of a process that applies nothing else, so that
//! slack, arenas and whatever confirms a match are in it.

use annul_core::algebra::{CutoffFields, Until};
use annul_core::position::Position;
use annul_core::record::{Entry, Record, RecordBody};
use anyhow::{Context as _, Result, anyhow, ensure};

use crate::measure::{Form, Sheet, Unit, resident};
use crate::world::cells;
use crate::world::process::{Talker, myself};
use crate::world::view::holding;

/// Records that a follower applies at once.
const BATCH: usize = 1000;
/// A memory figure is a count: it needs no more rounds to be steady.
const ROUNDS: usize = 3;

/// Measures the subject.
pub(super) fn measure(form: Form) -> Result<Sheet> {
    let mut sheet = Sheet::default();
    let sizes = [("1M entries", form.of(1_000_000, 20_000)), ("10M entries", form.of(10_000_000, 50_000))];
    for (name, count) in sizes {
        for _ in 0..form.of(ROUNDS, 1) {
            let mut holder = Talker::start(&mut myself(&["floor", "view", &count.to_string()])?)?;
            sheet.round(&format!("view, bytes per entry, {name}"), Unit::Bytes, holder.hear()?.parse()?);
        }
    }
    Ok(sheet)
}

/// Applies as many entries as it is told, and prints by how much each made the process grow.
///
/// # Errors
/// When the view does not take them.
pub(super) fn hold(arguments: &[String]) -> Result<()> {
    let count: usize = arguments.first().context("how many entries")?.parse()?;
    let (view, mut writer) = holding(0)?;
    let before = resident::bytes(std::process::id())?;
    let mut batch = Vec::with_capacity(BATCH);
    let mut at = Position::new(1, 1);
    for hashed in cells::random(count, 61) {
        at = at.next();
        let until = hashed.cell.map_or(Until::Never, |cell| cell.until);
        let fields = CutoffFields { now: true, ..CutoffFields::default() };
        let entry = Entry { target: hashed.target, kind: hashed.kind, fields, until };
        batch.push(Record { at, body: RecordBody::Revoke(entry) });
        if batch.len() == BATCH {
            writer.apply(&batch).map_err(|error| anyhow!("{error}"))?;
            batch.clear();
        }
    }
    ensure!(view.position() == Some(at), "the view stands at {:?} instead of {at}", view.position());
    let grown = resident::bytes(std::process::id())?.saturating_sub(before);
    #[expect(clippy::cast_precision_loss, reason = "a figure of a benchmark")]
    let each = grown as f64 / count as f64;
    println!("{each}");
    Ok(())
}
