//! Readers of the view while a hundred thousand entries per second are applied to it and as many
//! expire.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use annul_core::target::TargetHash;
use annul_core::view::View;
use anyhow::{Result, anyhow, ensure};
use std::hint::black_box;

use crate::measure::{Contestant, Form, Sheet, Unit, clock, pin, side_by_side};
use crate::world::random::Random;
use crate::world::view::Writing;

/// A batch every millisecond makes a hundred thousand per second.
const BATCH: usize = 100;
const EVERY: Duration = Duration::from_millis(1);
/// After so many batches the expired are dropped.
const SWEEP: u64 = 250;

/// Measures the subject.
pub(super) fn measure(form: Form) -> Result<Sheet> {
    let mut sheet = Sheet::default();
    let count = form.of(1_000_000, 50_000);
    sheet.fact("entries", count);
    sheet.fact("entries asked to be applied per second", 100_000);
    let mut writing = Writing::on(count)?;
    let view = writing.view();
    let probes = form.of(10_000_000, 500_000);
    let mut random = Random(51);
    let mut rates = Vec::new();
    let mut costs = Vec::new();
    let mut quiet_random = random.clone();
    side_by_side(
        &mut sheet,
        form.rounds(),
        &mut [
            Contestant::new("reader, nothing written", Unit::CpuNanos, || {
                pin::this_thread(0)?;
                read(&view, &mut quiet_random, probes)
            }),
            Contestant::new("reader, 100k entries/s applied", Unit::CpuNanos, || {
                pin::this_thread(0)?;
                let round = beside_a_writer(&view, &mut writing, &mut random, probes)?;
                rates.push(round.applied_per_second);
                costs.push(round.nanos_per_entry);
                Ok(round.reader_nanos)
            }),
        ],
    )?;
    // The first is that of the warm-up.
    for (rate, cost) in rates.into_iter().zip(costs).skip(1) {
        sheet.round("writer, entries applied", Unit::PerSecond, rate);
        sheet.round("writer, CPU per entry", Unit::CpuNanos, cost);
    }
    Ok(sheet)
}

fn read(view: &View, random: &mut Random, probes: usize) -> Result<f64> {
    let mut hits = 0;
    let nanos = clock::cpu_nanos_each(probes, || {
        for _ in 0..probes {
            hits += usize::from(black_box(view.cell(&TargetHash(random.hash()))).is_some());
        }
    });
    ensure!(hits == 0, "{hits} probes found what is not there");
    Ok(nanos)
}

struct Round {
    reader_nanos: f64,
    applied_per_second: f64,
    nanos_per_entry: f64,
}

fn beside_a_writer(view: &View, writing: &mut Writing, random: &mut Random, probes: usize) -> Result<Round> {
    let ended = AtomicBool::new(false);
    let applied = AtomicU64::new(0);
    let started = Instant::now();
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            pin::this_thread(1)?;
            write(writing, &ended, &applied)
        });
        let reader_nanos = read(view, random, probes);
        let elapsed = started.elapsed();
        let count = applied.load(Ordering::Relaxed);
        ended.store(true, Ordering::Relaxed);
        let cpu = writer.join().map_err(|_| anyhow!("the writer panicked"))??;
        let all = applied.load(Ordering::Relaxed);
        Ok(Round {
            reader_nanos: reader_nanos?,
            applied_per_second: 1e9 / clock::nanos_each(elapsed, usize::try_from(count)?),
            nanos_per_entry: clock::nanos_each(cpu, usize::try_from(all)?),
        })
    })
}

/// Applies batch after batch, each at its time or as soon as it can; the CPU time that applying and
/// expiring took.
fn write(writing: &mut Writing, ended: &AtomicBool, applied: &AtomicU64) -> Result<Duration> {
    let mut cpu = Duration::ZERO;
    let mut due = Instant::now();
    for batch in 0_u64.. {
        if ended.load(Ordering::Relaxed) {
            break;
        }
        let records = writing.records(BATCH);
        let before = clock::thread_cpu();
        writing.apply_records(&records)?;
        if batch.is_multiple_of(SWEEP) {
            writing.expire();
        }
        cpu += clock::thread_cpu() - before;
        applied.fetch_add(BATCH as u64, Ordering::Relaxed);
        due += EVERY;
        // The writer has the core to itself, and a millisecond is too short to be woken after.
        while Instant::now() < due && !ended.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
    }
    Ok(cpu)
}
