//! Probes of the view, beside the best general concurrent maps, with two readers: one at a time, and eight
//! together, which is how a token is checked.

use std::hint::black_box;
use std::thread;

use annul_core::target::TargetHash;
use anyhow::{Result, anyhow, ensure};

use crate::measure::{Contestant, Form, Sheet, Unit, clock, pin, side_by_side};
use crate::peers::maps::{self, Map};
use crate::world::cells;
use crate::world::random::Random;
use crate::world::view::{SEED, holding};

/// Readers, one per core.
const READERS: usize = 2;
/// Probes made together: the targets of a session's token.
const TOGETHER: usize = 8;
/// Entries drawn for hits: every n-th.
const EVERY: usize = 10;

/// Measures the subject.
pub(super) fn measure(form: Form) -> Result<Sheet> {
    let mut sheet = Sheet::default();
    let count = form.of(10_000_000, 100_000);
    sheet.fact("entries", count);
    let (view, _writer) = holding(count)?;
    let maps = maps::all(count);
    let mut present = Vec::with_capacity(count / EVERY);
    for (index, hashed) in cells::random(count, SEED).enumerate() {
        for map in &maps {
            map.insert(hashed.target.0, (1, 2));
        }
        if index % EVERY == 0 {
            present.push(hashed.target.0);
        }
    }
    let mut random = Random(SEED + 1);
    for index in (1..present.len()).rev() {
        present.swap(index, random.below(index + 1));
    }

    let probes = form.of(2_000_000, 100_000);
    let in_view = |key: &maps::Key| view.cell(&TargetHash(*key)).is_some();
    let mut contestants = vec![
        Contestant::new("view, miss", Unit::CpuNanos, || misses(probes, in_view)),
        Contestant::new("view, miss, eight at once", Unit::CpuNanos, || {
            misses_together(probes, |keys| view.holds_any(&keys.map(TargetHash)))
        }),
        Contestant::new("view, hit", Unit::CpuNanos, || hits(&present, probes, in_view)),
    ];
    for map in &maps {
        let map: &dyn Map = map.as_ref();
        let found = move |key: &maps::Key| map.get(key).is_some();
        contestants
            .push(Contestant::new(format!("{}, miss", map.name()), Unit::CpuNanos, move || misses(probes, found)));
        contestants.push(Contestant::new(format!("{}, miss, eight at once", map.name()), Unit::CpuNanos, move || {
            misses_together(probes, move |keys| map.holds_any(keys))
        }));
        let present = &present;
        let hit = move || hits(present, probes, found);
        contestants.push(Contestant::new(format!("{}, hit", map.name()), Unit::CpuNanos, hit));
    }
    side_by_side(&mut sheet, form.rounds(), &mut contestants)?;
    Ok(sheet)
}

/// Nanoseconds of CPU per probe for what is not there; the key's making is in it, the same for all.
fn misses(probes: usize, found: impl Fn(&maps::Key) -> bool + Copy + Send + Sync) -> Result<f64> {
    readers(|reader| {
        let mut random = Random(SEED + 100 + reader as u64);
        let mut hits = 0;
        let nanos = clock::cpu_nanos_each(probes, || {
            for _ in 0..probes {
                hits += usize::from(black_box(found(black_box(&random.hash()))));
            }
        });
        ensure!(hits == 0, "{hits} probes found what is not there");
        Ok(nanos)
    })
}

/// The same where each answer is about several keys; still for one of them.
fn misses_together(probes: usize, found: impl Fn(&[maps::Key; TOGETHER]) -> bool + Copy + Send + Sync) -> Result<f64> {
    readers(|reader| {
        let mut random = Random(SEED + 200 + reader as u64);
        let mut hits = 0;
        let nanos = clock::cpu_nanos_each(probes, || {
            for _ in 0..probes / TOGETHER {
                let keys = std::array::from_fn(|_| random.hash());
                hits += usize::from(black_box(found(black_box(&keys))));
            }
        });
        ensure!(hits == 0, "{hits} probes found what is not there");
        Ok(nanos)
    })
}

/// The same for what is there.
fn hits(present: &[maps::Key], probes: usize, found: impl Fn(&maps::Key) -> bool + Copy + Send + Sync) -> Result<f64> {
    readers(|reader| {
        let from = reader * present.len() / READERS;
        let keys = present[from..].iter().chain(present).cycle().take(probes);
        let mut hits = 0;
        let nanos = clock::cpu_nanos_each(probes, || {
            for key in keys {
                hits += usize::from(black_box(found(black_box(key))));
            }
        });
        ensure!(hits == probes, "{} probes missed what is there", probes - hits);
        Ok(nanos)
    })
}

/// The mean of what all readers measured at the same time, each on a core of its own.
fn readers(read: impl Fn(usize) -> Result<f64> + Copy + Send + Sync) -> Result<f64> {
    thread::scope(|scope| {
        let started: Vec<_> = (0..READERS)
            .map(|reader| {
                scope.spawn(move || {
                    pin::this_thread(reader)?;
                    read(reader)
                })
            })
            .collect();
        let mut sum = 0.0;
        for reader in started {
            sum += reader.join().map_err(|_| anyhow!("a reader panicked"))??;
        }
        Ok(sum / f64::from(u32::try_from(READERS)?))
    })
}
