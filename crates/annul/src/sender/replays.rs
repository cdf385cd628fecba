//! The proofs that were used, for as long as they could be used again.
//!
//! It is the memory of one process: of several instances of a service, each takes a proof once.

use std::collections::{BTreeMap, HashSet};
use std::sync::PoisonError;

use annul_core::policy::SenderError;
use annul_core::time::UnixSeconds;
use annul_core::token::Proof;
use aws_lc_rs::digest::{Context, SHA256};

use crate::sync::Mutex;

/// Proofs that are remembered. Each stands for 70 s at most, so this is room for 14,000 requests a second,
/// as many as one core verifies; full, it takes some 40 MB.
pub(super) const MOST_PROOFS: usize = 1_000_000;

/// A proof's name, by its key: 128 bits that nobody can choose.
type Name = [u8; 16];

/// Names by the last second in which their proofs are good. A second goes at once when it is over.
pub(super) struct Replays {
    most: usize,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    by_last_second: BTreeMap<UnixSeconds, HashSet<Name>>,
    count: usize,
}

impl Replays {
    pub(super) fn new(most: usize) -> Self {
        Self { most, used: Mutex::default() }
    }

    /// Uses `proof` up. Of callers at once with the same proof, one succeeds. When the memory is full
    /// nothing is forgotten for it: the proof is refused, and may be tried again.
    pub(super) fn spend(&self, proof: &Proof, now: UnixSeconds) -> Result<(), SenderError> {
        let name = name(proof);
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.forget_before(now);
        if used.count >= self.most {
            return Err(SenderError::ProofMemoryFull);
        }
        if !used.by_last_second.entry(proof.last_second()).or_default().insert(name) {
            return Err(SenderError::ProofRepeated);
        }
        used.count += 1;
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.used.lock().unwrap().count
    }
}

impl Used {
    fn forget_before(&mut self, now: UnixSeconds) {
        while let Some(oldest) = self.by_last_second.first_entry().filter(|oldest| *oldest.key() < now) {
            self.count -= oldest.remove().len();
        }
    }
}

/// Of the key and its proof's `jti`, so that nobody can use up another's.
fn name(proof: &Proof) -> Name {
    let mut hash = Context::new(&SHA256);
    // A thumbprint has one length, so no two pairs read alike.
    hash.update(proof.thumbprint().as_bytes());
    hash.update(proof.jti().as_bytes());
    let mut name = Name::default();
    name.iter_mut().zip(hash.finish().as_ref()).for_each(|(byte, of_hash)| *byte = *of_hash);
    name
}
