//! A revocation check that asks Redis, beside one that asks memory. Both ends on one core, which is
//! Redis's best case where waking another core costs more than the question, and on two.

use annul_core::VerifiedToken;
use annul_core::time::UnixSeconds;
use annul_core::trust::Trust;
use annul_core::view::View;
use anyhow::{Result, anyhow, ensure};
use std::hint::black_box;

use super::seen::{self, World};
use crate::measure::{Contestant, Form, Sheet, Unit, clock, pin, side_by_side};
use crate::peers::jwt::Decoder;
use crate::peers::redis::{Connection, Server, key};
use crate::world::keys::Signing;
use crate::world::random::Random;
use crate::world::{AUDIENCE, ISSUER, tokens, unix};

const LIVE: usize = 1000;
/// Revoked ids have numbers from here on, live tokens lower ones.
const FIRST_REVOKED_ID: usize = 50_000_000;
/// A memory figure is a count: it needs no more rounds to be steady.
const MEMORY_ROUNDS: usize = 3;

/// Measures the subject.
pub(super) fn measure(form: Form) -> Result<Sheet> {
    let mut sheet = Sheet::default();
    let entries = form.of(1_000_000, 20_000);
    // All that is started from here on stays on this core; Redis is moved for the second placement.
    pin::this_thread(0)?;
    let world = World::new(entries)?;
    let dir = tempfile::tempdir()?;
    let server = Server::start(dir.path())?;
    let mut connection = server.connect()?;
    sheet.fact("redis", connection.version()?);
    sheet.fact("entries", entries);
    memory(&mut connection, entries, &mut sheet)?;
    check_alone(&world, &server, form, &mut sheet)?;
    for signing in [Signing::EdDsa, Signing::Rs256, Signing::Hs256] {
        verified(&world, &server, signing, form, &mut sheet)?;
    }
    Ok(sheet)
}

/// What Redis takes for an entry; leaves it full.
fn memory(connection: &mut Connection, entries: usize, sheet: &mut Sheet) -> Result<()> {
    for _ in 0..MEMORY_ROUNDS {
        connection.clear()?;
        let before = connection.used_memory()?;
        connection.load((0..entries).map(|number| tokens::jti(FIRST_REVOKED_ID + number)))?;
        let taken = connection.used_memory()?.saturating_sub(before);
        sheet.round("Redis, bytes per key", Unit::Bytes, figure(taken) / figure(entries as u64));
    }
    Ok(())
}

/// Eight targets of a token that is verified already, beside one key of Redis.
fn check_alone(world: &World, server: &Server, form: Form, sheet: &mut Sheet) -> Result<()> {
    let verifier = world.verifier(0)?;
    let view = verifier.view().clone();
    let signed = tokens::make(world.signer(Signing::EdDsa), 0, LIVE)?;
    let trust = Trust::new(ISSUER, AUDIENCE);
    let verified: Vec<VerifiedToken> = signed
        .iter()
        .map(|token| trust.verify(&view, token, UnixSeconds(unix())).map_err(|error| anyhow!("{error}")))
        .collect::<Result<_>>()?;
    let mut random = Random(21);
    let checks = form.of(300_000, 20_000);
    let lookups = form.of(5000, 200);
    let mut contestants = vec![Contestant::new("annul, check of 8 targets", Unit::Nanos, || {
        check_round(&view, &verified, &random.draws(checks, LIVE))
    })];
    for placement in Placement::ALL {
        let mut connection = server.connect()?;
        contestants.push(Contestant::new(format!("Redis EXISTS, {}", placement.name()), Unit::Nanos, move || {
            pin::process(server.pid(), placement.redis_core())?;
            exists_round(&mut connection, lookups)
        }));
    }
    side_by_side(sheet, form.rounds(), &mut contestants)
}

fn check_round(view: &View, verified: &[VerifiedToken], draws: &[usize]) -> Result<f64> {
    let mut active = 0;
    let nanos = clock::wall_nanos_each(draws.len(), || {
        for &draw in draws {
            let checked = black_box(view.check(verified[draw].clone()));
            active += usize::from(matches!(checked.verdict(), annul_core::verdict::Verdict::Active { .. }));
        }
    });
    ensure!(active == draws.len(), "{} tokens were found revoked", draws.len() - active);
    Ok(nanos)
}

/// Hits and misses in turn.
fn exists_round(connection: &mut Connection, lookups: usize) -> Result<f64> {
    let number = |index: usize| if index.is_multiple_of(2) { FIRST_REVOKED_ID + index } else { index };
    let keys: Vec<String> = (0..lookups).map(|index| key(&tokens::jti(number(index)))).collect();
    let mut found = 0;
    let mut outcome = Ok(());
    let nanos = clock::wall_nanos_each(lookups, || {
        outcome = keys.iter().try_for_each(|key| connection.exists(key).map(|is| found += usize::from(is)));
    });
    outcome?;
    ensure!(found == lookups.div_ceil(2), "Redis holds {found} of {lookups} keys");
    Ok(nanos)
}

/// The whole question: is this token good, and not revoked?
fn verified(world: &World, server: &Server, signing: Signing, form: Form, sheet: &mut Sheet) -> Result<()> {
    let name = signing.name();
    let signed = tokens::make(world.signer(signing), 0, LIVE)?;
    let route = world.route(64 << 20)?;
    seen::show(&route, &signed)?;
    let mut random = Random(22);
    let ours = signed.clone();
    let mut contestants = vec![Contestant::new(format!("annul, 1k live, {name}"), Unit::CpuNanos, move || {
        seen::round(&route, &ours, LIVE, &mut random, form.of(200_000, 20_000))
    })];
    for placement in Placement::ALL {
        let mut connection = server.connect()?;
        let decoder = Decoder::new(world.signer(signing))?;
        let signed = signed.clone();
        let mut random = Random(23);
        let title = format!("jsonwebtoken and Redis, {}, {name}", placement.name());
        contestants.push(Contestant::new(title, Unit::Nanos, move || {
            pin::process(server.pid(), placement.redis_core())?;
            decode_and_ask(&decoder, &mut connection, &signed, &random.draws(form.of(2000, 100), LIVE))
        }));
    }
    side_by_side(sheet, form.rounds(), &mut contestants)
}

fn decode_and_ask(decoder: &Decoder, redis: &mut Connection, tokens: &[String], draws: &[usize]) -> Result<f64> {
    let mut good = 0;
    let mut outcome = Ok(());
    let nanos = clock::wall_nanos_each(draws.len(), || {
        outcome = draws.iter().try_for_each(|&draw| {
            let Some(claims) = decoder.decode(&tokens[draw]) else { return Ok(()) };
            redis.exists(&key(claims.jti())).map(|revoked| good += usize::from(!revoked))
        });
    });
    outcome?;
    ensure!(good == draws.len(), "{} tokens were refused", draws.len() - good);
    Ok(nanos)
}

/// Where Redis runs; the caller is on core 0.
#[derive(Clone, Copy)]
enum Placement {
    OneCore,
    TwoCores,
}

impl Placement {
    const ALL: [Self; 2] = [Self::OneCore, Self::TwoCores];

    const fn name(self) -> &'static str {
        match self {
            Self::OneCore => "one core",
            Self::TwoCores => "two cores",
        }
    }

    const fn redis_core(self) -> usize {
        match self {
            Self::OneCore => 0,
            Self::TwoCores => 1,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure of a benchmark")]
const fn figure(count: u64) -> f64 {
    count as f64
}
