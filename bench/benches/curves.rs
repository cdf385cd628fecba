//! How the hot paths grow: with live tokens, with entries held. Each group's name stands in
//! `src/report/curves.rs` too, which reads what criterion leaves.
#![allow(missing_docs, reason = "in what criterion's macros expand to")]

use std::hint::black_box;
use std::time::Duration;

use annul_bench::subjects::seen::{self, World};
use annul_bench::world::keys::Signing;
use annul_bench::world::random::Random;
use annul_bench::world::tokens;
use annul_bench::world::view::{Writing, holding};
use annul_core::target::TargetHash;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

/// Enough to show where a size leaves the caches.
const LIVE: [usize; 6] = [1, 10, 100, 1000, 10_000, 100_000];
const HELD: [usize; 5] = [100, 1000, 10_000, 100_000, 1_000_000];
const REVOCATIONS: usize = 100_000;
const CACHE: u64 = 1 << 30;
const BATCH: usize = 100;

fn seen_tokens(criterion: &mut Criterion) {
    let world = World::new(REVOCATIONS).expect("a world");
    let route = world.route(CACHE).expect("a verifier that is ready");
    let all = tokens::make(world.signer(Signing::EdDsa), 0, LIVE[LIVE.len() - 1]).expect("tokens");
    seen::show(&route, &all).expect("all tokens are good");
    let mut group = criterion.benchmark_group("check of a seen token");
    for live in LIVE {
        let mut random = Random(1);
        group.bench_function(BenchmarkId::from_parameter(live), |bencher| {
            bencher.iter(|| assert!(seen::is_let_in(&route, &all[random.below(live)])));
        });
    }
}

fn probes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("view probe, miss");
    for held in HELD {
        let (view, _writer) = holding(held).expect("a view");
        let mut random = Random(2);
        group.bench_function(BenchmarkId::from_parameter(held), |bencher| {
            bencher.iter(|| black_box(view.cell(&TargetHash(random.hash()))));
        });
    }
}

fn applying(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("view apply, 100 entries");
    for held in HELD {
        let mut writing = Writing::on(held).expect("a view");
        group.bench_function(BenchmarkId::from_parameter(held), |bencher| {
            bencher.iter_batched(
                || (),
                |()| writing.apply(BATCH).expect("the records follow"),
                criterion::BatchSize::SmallInput,
            );
        });
    }
}

criterion_group! {
    name = curves;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(1));
    targets = seen_tokens, probes, applying
}
criterion_main!(curves);
