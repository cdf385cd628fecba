//! I1: what was acknowledged as revoked is not accepted.

use super::{Promise, Report};
use crate::history::{Check, History, Micros, Request};
use crate::world::{Entry, World};

pub(super) fn check(history: &History, world: &World<'_>, report: &mut Report) {
    for check in &history.checks {
        let Some(token) = world.tokens.get(check.what.jti.as_str()) else { continue };
        for entry in world.revoking(token) {
            for promise in due(check, entry, history.max_staleness) {
                match check.status {
                    Some(401) => report.kept(promise),
                    Some(200) => report.broken(
                        promise,
                        format!("{}: {} accepted a token that {} revokes", check.id, check.what.verifier, entry.at),
                    ),
                    // Not to know is not to accept; it shows little about the promise either.
                    _ => {}
                }
            }
        }
    }
}

/// By which promises this check must not accept.
fn due(check: &Request<Check>, entry: &Entry, max_staleness: Micros) -> Vec<Promise> {
    let mut promises = Vec::new();
    if check.sent > max_staleness && entry.surely_holds(check.sent - max_staleness, check.ended) {
        promises.push(Promise::I1);
    }
    let confirmed = entry.confirmed.iter().any(|(name, at)| *name == check.what.verifier && *at < check.sent);
    if confirmed && entry.surely_holds(check.sent, check.ended) {
        promises.push(Promise::I1Confirmed);
    }
    promises
}
