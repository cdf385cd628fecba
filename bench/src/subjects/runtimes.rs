//! A token seen before, beside what Node and Python applications use. Their rounds stand between ours.

use std::cell::RefCell;

use anyhow::Result;

use super::seen::{self, World};
use crate::measure::{Contestant, Form, Sheet, Unit, side_by_side};
use crate::peers::redis::Server;
use crate::peers::runtimes::{self, Peer};
use crate::world::keys::{Signer, Signing};
use crate::world::random::Random;
use crate::world::tokens;

const LIVE: usize = 1000;

/// Measures the subject.
pub(super) fn measure(form: Form) -> Result<Sheet> {
    let mut sheet = Sheet::default();
    let entries = form.of(1_000_000, 20_000);
    let world = World::new(entries)?;
    sheet.fact("revocations", entries);
    let dir = tempfile::tempdir()?;
    let redis = Server::start(dir.path())?;
    let signed = Signing::ALL
        .into_iter()
        .map(|signing| Ok((world.signer(signing), tokens::make(world.signer(signing), 0, LIVE)?)))
        .collect::<Result<Vec<(&Signer, Vec<String>)>>>()?;
    let described: Vec<(&Signer, &[String])> = signed.iter().map(|(signer, tokens)| (*signer, &tokens[..])).collect();
    let path = runtimes::write_tokens(dir.path(), &described)?;
    let node = RefCell::new(runtimes::node(&path, redis.port())?);
    let python = RefCell::new(runtimes::python(&path)?);
    let (node_version, python_version) = runtimes::versions();
    sheet.fact("node", node_version);
    sheet.fact("python", python_version);

    let route = world.route(64 << 20)?;
    for (signer, tokens) in &signed {
        let name = signer.signing().name();
        seen::show(&route, tokens)?;
        let mut random = Random(31);
        let asked = |peer: &'_ RefCell<Peer>, work: &'static str, operations: usize| {
            peer.borrow_mut().round(work, name, operations)
        };
        let of = |full, quick| form.of(full, quick);
        let mut contestants = vec![
            Contestant::new(format!("annul, 1k live, {name}"), Unit::CpuNanos, || {
                seen::round(&route, tokens, LIVE, &mut random, of(200_000, 20_000))
            }),
            Contestant::new(format!("fast-jwt, cache hit, {name}"), Unit::Nanos, || {
                asked(&node, "fast-jwt-hit", of(20_000, 2000))
            }),
            Contestant::new(format!("fast-jwt, cache off, {name}"), Unit::Nanos, || {
                asked(&node, "fast-jwt-off", of(2000, 200))
            }),
            Contestant::new(format!("jose, {name}"), Unit::Nanos, || asked(&node, "jose", of(1000, 100))),
            Contestant::new(format!("PyJWT, {name}"), Unit::Nanos, || asked(&python, "pyjwt", of(1000, 100))),
        ];
        if signer.signing() == Signing::Hs256 {
            contestants.push(Contestant::new("jwt-redis, HS256, registered tokens", Unit::Nanos, || {
                asked(&node, "jwt-redis", of(1000, 100))
            }));
        }
        side_by_side(&mut sheet, form.rounds(), &mut contestants)?;
    }
    Ok(sheet)
}
