//! The DPoP proofs of this minute, so that none is taken twice (RFC 9449 §11.1).
//!
//! In the memory of one process: of several beside each other, or when it is started again, each takes a
//! proof once. Whoever would use that needs, within a minute, the proof and all that its request carried:
//! the token that is bound to its key, or the client's own credential. A nonce shortens that further.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};

use super::http_uri::HttpUri;
use crate::time::UnixSeconds;

/// Proofs remembered at once. A proof is remembered for at most 71 seconds, so this is 14,000 in each
/// second without end, as many as one core verifies.
pub const MAX_PROOFS: usize = 1_000_000;

/// Names forgotten in one call: more than one, so that there is room while any are over, and few, so that
/// no request pays for a minute of others.
const FORGET_STEP: usize = 64;

/// What one [`Proof`](super::Proof) is told from all others by.
#[derive(Clone, Copy, Debug)]
pub struct ProofName<'a> {
    /// The thumbprint of its key.
    pub key: &'a str,
    /// The address it is for.
    pub uri: &'a HttpUri,
    /// What its maker calls it.
    pub jti: &'a str,
    /// The last second in which it could be accepted.
    pub last_second: UnixSeconds,
}

/// What was found out about a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is new, and remembered from here on.
    New,
    /// It was seen before.
    Before,
    /// It is not remembered: as many are as may be.
    Full,
}

/// The proofs that could still be accepted and were.
#[derive(Debug)]
pub struct ProofsSeen {
    most: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Hashes of 128 bits: nobody can make two proofs of one by trying.
    names: HashSet<[u8; 16]>,
    /// The same by the last second in which they could be accepted.
    by_end: BTreeMap<UnixSeconds, Vec<[u8; 16]>>,
}

impl Default for ProofsSeen {
    fn default() -> Self {
        Self::bounded(MAX_PROOFS)
    }
}

impl ProofsSeen {
    /// Remembers at most `most` proofs.
    #[must_use]
    pub fn bounded(most: usize) -> Self {
        Self { most, kept: Mutex::default() }
    }

    /// Whether the proof is the first of its key, address and `jti`; if so it is remembered. Of two at once
    /// one is. Nothing is forgotten before its last second is over, so that no old one passes for new.
    pub fn first_use(&self, proof: ProofName<'_>, now: UnixSeconds) -> Seen {
        let name = proof.hash();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.forget(now, FORGET_STEP);
        if kept.names.contains(&name) {
            return Seen::Before;
        }
        if kept.names.len() >= self.most {
            return Seen::Full;
        }
        kept.names.insert(name);
        kept.by_end.entry(proof.last_second).or_default().push(name);
        Seen::New
    }
}

impl Kept {
    /// Forgets up to `step` of those that cannot be accepted any more.
    fn forget(&mut self, now: UnixSeconds, step: usize) {
        let mut left = step;
        while left > 0
            && let Some(mut oldest) = self.by_end.first_entry()
            && *oldest.key() < now
        {
            let names = oldest.get_mut();
            for name in names.drain(names.len().saturating_sub(left)..) {
                self.names.remove(&name);
                left -= 1;
            }
            if names.is_empty() {
                oldest.remove();
            }
        }
    }
}

impl ProofName<'_> {
    /// The key is in it, so nobody can use up a name that another's proof will have.
    fn hash(&self) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_derive_key("annul DPoP proof v0");
        for part in [self.key, self.uri.as_str(), self.jti] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        let mut name = [0; 16];
        hasher.finalize_xof().fill(&mut name);
        name
    }
}
