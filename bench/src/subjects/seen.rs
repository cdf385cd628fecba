//! A verifier full of revocations and the tokens it is asked about. Used by all that time a check.

use std::hint::black_box;

use annul::Route;
use annul::{Decision, Outcome, Policy, Verifier};
use annul_core::record::HashedCell;
use annul_core::target::{Target, TargetKind};
use anyhow::{Result, anyhow, ensure};
use serde_json::Value;
use std::time::Duration;
use tokio::runtime::Runtime;

use crate::measure::clock;
use crate::world::keys::{Signer, Signing};
use crate::world::random::Random;
use crate::world::standin::{self, Standin};
use crate::world::{ISSUER, cells, tokens, unix};

/// A check of a route: at most this old.
const MAX_STALENESS: Duration = Duration::from_secs(60);
/// The subjects whose number is at least this are revoked, as many as [`REVOKED`].
pub const FIRST_REVOKED: usize = 90_000_000;
/// How many are.
pub const REVOKED: usize = 1000;

/// Keys, a served log, a verifier that follows it.
pub struct World {
    signers: Vec<Signer>,
    standin: Standin,
    runtime: Runtime,
}

impl World {
    /// A world with so many revocations, among them those of the revoked subjects, and a key of every
    /// algorithm.
    ///
    /// # Errors
    /// When no port is free.
    pub fn new(revocations: usize) -> Result<Self> {
        Self::signing(&Signing::ALL, revocations)
    }

    /// The same with keys of these algorithms only, at least one.
    ///
    /// # Errors
    /// When no port is free.
    pub fn signing(algorithms: &[Signing], revocations: usize) -> Result<Self> {
        let signers = algorithms.iter().copied().map(Signer::generate).collect::<Result<Vec<_>>>()?;
        let keys: Vec<Value> = signers.iter().filter_map(Signer::public_jwk).collect();
        let revoked = (0..REVOKED.min(revocations / 2)).map(revocation_of);
        let revoked = revoked.collect::<Result<Vec<HashedCell>>>()?;
        let others = cells::random(revocations - revoked.len(), 1);
        let all = revoked.into_iter().chain(others).collect();
        Ok(Self { signers, standin: Standin::start(keys, all)?, runtime: standin::runtime()? })
    }

    /// The signer of one algorithm.
    #[must_use]
    pub fn signer(&self, signing: Signing) -> &Signer {
        self.signers.iter().find(|signer| signer.signing() == signing).unwrap_or(&self.signers[0])
    }

    /// The log's stand-in.
    #[must_use]
    pub const fn standin(&self) -> &Standin {
        &self.standin
    }

    /// A verifier that is ready, with a cache of so many bytes.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn verifier(&self, cache_bytes: u64) -> Result<Verifier> {
        self.standin.verifier(&self.runtime, cache_bytes)
    }

    /// A route of a verifier that is ready.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn route(&self, cache_bytes: u64) -> Result<Route> {
        Ok(self.verifier(cache_bytes)?.route(Policy::check(MAX_STALENESS)))
    }
}

fn revocation_of(number: usize) -> Result<HashedCell> {
    let subject = tokens::subject(FIRST_REVOKED + number);
    let target = Target::one(ISSUER, TargetKind::Subject, subject).map_err(|error| anyhow!("{error}"))?;
    Ok(cells::cell(target.hash(&standin::hash_key()), TargetKind::Subject, 2, unix() + 4 * 3600))
}

/// Whether the route lets the token in.
#[must_use]
pub fn is_let_in(route: &Route, token: &str) -> bool {
    matches!(black_box(route.check(black_box(token))), Outcome::Decided(Decision::Allow(_)))
}

/// Nanoseconds of CPU per token: verify, check and decide, `operations` tokens drawn at random.
///
/// # Errors
/// When not exactly the tokens below `good` were let in.
pub fn round(route: &Route, tokens: &[String], good: usize, random: &mut Random, operations: usize) -> Result<f64> {
    let draws = random.draws(operations, tokens.len());
    let expected = draws.iter().filter(|draw| **draw < good).count();
    let mut let_in = 0;
    let nanos = clock::cpu_nanos_each(operations, || {
        for &draw in &draws {
            let_in += usize::from(is_let_in(route, &tokens[draw]));
        }
    });
    ensure!(let_in == expected, "{let_in} of {operations} tokens were let in instead of {expected}");
    Ok(nanos)
}

/// Lets the route see every token once.
///
/// # Errors
/// When it refuses one.
pub fn show(route: &Route, tokens: &[String]) -> Result<()> {
    let let_in = tokens.iter().filter(|token| is_let_in(route, token)).count();
    ensure!(let_in == tokens.len(), "{} of {} tokens were refused", tokens.len() - let_in, tokens.len());
    Ok(())
}
