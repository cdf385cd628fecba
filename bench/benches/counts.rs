//! Instructions of the hot paths, counted by valgrind. `bench/run --counts` holds them against
//! `bench/counts.toml`. What is counted is the function alone; its argument is made before.
#![allow(missing_docs, unused_qualifications, reason = "in what gungraun's macros expand to")]

use std::hint::black_box;

use annul::Route;
use annul_bench::subjects::seen::{self, World};
use annul_bench::world::keys::Signing;
use annul_bench::world::random::Random;
use annul_bench::world::tokens;
use annul_bench::world::view::{Writing, holding};
use annul_core::record::Record;
use annul_core::target::TargetHash;
use annul_core::view::View;
use gungraun::prelude::*;

const REVOCATIONS: usize = 10_000;
const CACHE: u64 = 8 << 20;
const TOKENS: usize = 64;
const BATCH: usize = 100;

/// A route whose verifier has lost its runtime: nothing else runs, so nothing else is counted, and for
/// the next minute its view is fresh enough.
fn route_and_tokens() -> (Route, Vec<String>) {
    let world = World::signing(&[Signing::Hs256], REVOCATIONS).expect("a world");
    let route = world.route(CACHE).expect("a verifier that is ready");
    let tokens = tokens::make(world.signer(Signing::Hs256), 0, TOKENS).expect("tokens");
    (route, tokens)
}

fn seen_tokens() -> (Route, Vec<String>) {
    let (route, tokens) = route_and_tokens();
    seen::show(&route, &tokens).expect("all tokens are good");
    (route, tokens)
}

fn view() -> (View, Vec<TargetHash>) {
    let mut random = Random(1);
    let targets = (0..TOKENS).map(|_| TargetHash(random.hash())).collect();
    (holding(REVOCATIONS).expect("a view").0, targets)
}

fn batch() -> (Writing, Vec<Record>) {
    let mut writing = Writing::on(REVOCATIONS).expect("a view");
    let records = writing.records(BATCH);
    (writing, records)
}

fn lines() -> Vec<String> {
    let records = Writing::on(1).expect("a view").records(BATCH);
    records.iter().map(Record::to_line).collect()
}

#[library_benchmark]
#[bench::tokens(seen_tokens())]
fn seen_before((route, tokens): (Route, Vec<String>)) -> (Route, Vec<String>) {
    for token in &tokens {
        assert!(seen::is_let_in(&route, token));
    }
    (route, tokens)
}

#[library_benchmark]
#[bench::tokens(route_and_tokens())]
fn first_seen((route, tokens): (Route, Vec<String>)) -> (Route, Vec<String>) {
    for token in &tokens {
        assert!(seen::is_let_in(&route, token));
    }
    (route, tokens)
}

#[library_benchmark]
#[bench::misses(view())]
fn view_probe((view, targets): (View, Vec<TargetHash>)) -> (View, Vec<TargetHash>) {
    for target in &targets {
        black_box(view.cell(black_box(target)));
    }
    (view, targets)
}

#[library_benchmark]
#[bench::batch(batch())]
fn view_apply((mut writing, records): (Writing, Vec<Record>)) -> (Writing, Vec<Record>) {
    writing.apply_records(black_box(&records)).expect("the records follow");
    (writing, records)
}

#[library_benchmark]
#[bench::lines(lines())]
fn record_parse(lines: Vec<String>) -> Vec<String> {
    for line in &lines {
        black_box(Record::from_line(black_box(line)).expect("a record"));
    }
    lines
}

library_benchmark_group!(
    name = hot_paths,
    benchmarks = [seen_before, first_seen, view_probe, view_apply, record_parse]
);
gungraun::main!(library_benchmark_groups = hot_paths);
