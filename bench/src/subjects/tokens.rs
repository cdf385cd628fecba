//! A token seen before, seen for the first time, revoked, evicted: beside `jsonwebtoken`, which knows
//! of no revocation.

use std::hint::black_box;

use annul::Route;
use anyhow::{Result, ensure};

use super::seen::{self, World};
use crate::measure::{Contestant, Form, Sheet, Unit, clock, side_by_side};
use crate::peers::jwt::Decoder;
use crate::world::keys::Signing;
use crate::world::random::Random;
use crate::world::tokens;

const REVOCATIONS: usize = 1_000_000;
/// Room for every token that is drawn here.
const AMPLE_CACHE: u64 = 1 << 30;
/// What a verifier takes when nothing is said.
const DEFAULT_CACHE: u64 = 64 << 20;
/// Live tokens that fit the core's own caches, and such that do not.
const FEW: usize = 1000;
const MANY: usize = 100_000;

/// Measures the subject.
pub(super) fn measure(form: Form) -> Result<Sheet> {
    let mut sheet = Sheet::default();
    let world = World::new(form.of(REVOCATIONS, 50_000))?;
    sheet.fact("revocations", form.of(REVOCATIONS, 50_000));
    live(&world, form, &mut sheet)?;
    first_seen(&world, form, &mut sheet)?;
    churn(&world, form, &mut sheet)?;
    Ok(sheet)
}

/// Tokens that were seen before, drawn at random out of few and many.
fn live(world: &World, form: Form, sheet: &mut Sheet) -> Result<()> {
    let route = world.route(AMPLE_CACHE)?;
    let operations = form.of(300_000, 20_000);
    let many = form.of(MANY, 5000);
    for signing in Signing::ALL {
        let name = signing.name();
        let signer = world.signer(signing);
        let wide = matches!(signing, Signing::EdDsa | Signing::Hs256);
        let live = tokens::make(signer, 0, if wide { many } else { FEW })?;
        let revoked = tokens::make(signer, seen::FIRST_REVOKED, FEW / 10)?;
        sheet.fact(&format!("token bytes {name}"), live[0].len());
        seen::show(&route, &live)?;

        let mut tenth_revoked = live[..FEW - revoked.len()].to_vec();
        let good = tenth_revoked.len();
        tenth_revoked.extend(revoked);

        let decoder = Decoder::new(signer)?;
        let decodes = form.of(if signing == Signing::Hs256 { 20_000 } else { 1500 }, 200);
        let series = |what: &str| format!("annul, {what}, {name}");
        let drawn = |seed: u64, tokens: Vec<String>, good: usize| {
            let mut random = Random(seed);
            let route = route.clone();
            move || seen::round(&route, &tokens, good, &mut random, operations)
        };
        let few = live[..FEW].to_vec();
        let mut contestants = vec![
            Contestant::new(series("1 live"), Unit::CpuNanos, drawn(1, few[..1].to_vec(), 1)),
            Contestant::new(series("1k live"), Unit::CpuNanos, drawn(2, few.clone(), FEW)),
            Contestant::new(format!("jsonwebtoken, {name}"), Unit::CpuNanos, decoding(decoder, few, decodes)),
        ];
        // Revocations are named under our own issuer, whose tokens these are.
        if signing != Signing::Hs256 {
            let revoked = drawn(3, tenth_revoked, good);
            contestants.push(Contestant::new(series("1k live, a tenth revoked"), Unit::CpuNanos, revoked));
        }
        if wide {
            let count = live.len();
            contestants.push(Contestant::new(series("100k live"), Unit::CpuNanos, drawn(4, live, count)));
        }
        side_by_side(sheet, form.rounds(), &mut contestants)?;
    }
    Ok(())
}

/// Tokens that nobody has seen: every round takes new ones, and the cache takes them in and, once it
/// is full, others out.
fn first_seen(world: &World, form: Form, sheet: &mut Sheet) -> Result<()> {
    let route = world.route(DEFAULT_CACHE)?;
    let rounds = form.rounds() + 1;
    for signing in [Signing::Hs256, Signing::EdDsa, Signing::Rs256] {
        let name = signing.name();
        let fresh = form.of(if signing == Signing::Hs256 { 10_000 } else { 1000 }, 100);
        let tokens = tokens::make(world.signer(signing), 1_000_000, fresh * rounds)?;
        let mut ours = tokens.chunks(fresh);
        let mut theirs = tokens.chunks(fresh);
        let decoder = Decoder::new(world.signer(signing))?;
        let mut contestants = [
            Contestant::new(format!("annul, first seen, {name}"), Unit::CpuNanos, || {
                all(&route, ours.next().unwrap_or_default())
            }),
            Contestant::new(format!("jsonwebtoken, first seen, {name}"), Unit::CpuNanos, || {
                decode_all(&decoder, theirs.next().unwrap_or_default())
            }),
        ];
        side_by_side(sheet, form.rounds(), &mut contestants)?;
    }
    Ok(())
}

/// More live tokens than the cache holds: hits, misses, insertions and evictions in one stream.
fn churn(world: &World, form: Form, sheet: &mut Sheet) -> Result<()> {
    let route = world.route(form.of(DEFAULT_CACHE, 4 << 20))?;
    sheet.fact("churn: cache bytes", form.of(DEFAULT_CACHE, 4 << 20));
    sheet.fact("churn: live tokens", form.of(MANY, 5000));
    for signing in [Signing::EdDsa, Signing::Hs256] {
        let name = signing.name();
        let tokens = tokens::make(world.signer(signing), 0, form.of(MANY, 5000))?;
        seen::show(&route, &tokens)?;
        let mut random = Random(5);
        let decoder = Decoder::new(world.signer(signing))?;
        let few = tokens[..FEW].to_vec();
        let mut contestants = [
            Contestant::new(format!("annul, 100k live in a cache for a quarter, {name}"), Unit::CpuNanos, || {
                seen::round(&route, &tokens, tokens.len(), &mut random, form.of(10_000, 1000))
            }),
            Contestant::new(
                format!("jsonwebtoken beside the churn, {name}"),
                Unit::CpuNanos,
                decoding(decoder, few, 1500),
            ),
        ];
        side_by_side(sheet, form.rounds(), &mut contestants)?;
    }
    Ok(())
}

fn decoding(decoder: Decoder, tokens: Vec<String>, operations: usize) -> impl FnMut() -> Result<f64> {
    let mut random = Random(9);
    move || {
        let draws = random.draws(operations, tokens.len());
        let mut decoded = 0;
        let nanos = clock::cpu_nanos_each(operations, || {
            for &draw in &draws {
                decoded += usize::from(black_box(decoder.decode(black_box(&tokens[draw]))).is_some());
            }
        });
        ensure!(decoded == operations, "jsonwebtoken refused {} tokens", operations - decoded);
        Ok(nanos)
    }
}

fn all(route: &Route, tokens: &[String]) -> Result<f64> {
    let mut let_in = 0;
    let nanos = clock::cpu_nanos_each(tokens.len(), || {
        for token in tokens {
            let_in += usize::from(seen::is_let_in(route, token));
        }
    });
    ensure!(let_in == tokens.len(), "{let_in} of {} new tokens were let in", tokens.len());
    Ok(nanos)
}

fn decode_all(decoder: &Decoder, tokens: &[String]) -> Result<f64> {
    let mut decoded = 0;
    let nanos = clock::cpu_nanos_each(tokens.len(), || {
        for token in tokens {
            decoded += usize::from(black_box(decoder.decode(black_box(token))).is_some());
        }
    });
    ensure!(decoded == tokens.len(), "jsonwebtoken refused {} tokens", tokens.len() - decoded);
    Ok(nanos)
}
