//! When to try again: full jitter, so that ten thousand followers of one authority do not.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::time::Monotonic;

/// The first wait is drawn from up to this.
const BASE: Duration = Duration::from_millis(200);

/// The longest a server may send a follower away for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(120);

/// Counts failures in a row and spaces the attempts.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    not_before: Monotonic,
}

impl Backoff {
    pub(super) fn failed(&mut self, cap: Duration, retry_after: Option<Duration>, draw: &mut Draw, now: Monotonic) {
        let ceiling = BASE.saturating_mul(1 << self.failures.min(16)).min(cap);
        self.failures = self.failures.saturating_add(1);
        let asked_for = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
        self.not_before = now.plus(asked_for + draw.up_to(ceiling));
    }

    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Nothing before `moment`, whatever the failures say.
    pub(super) fn hold(&mut self, moment: Monotonic) {
        self.not_before = self.not_before.max(moment);
    }

    pub(super) const fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) const fn not_before(&self) -> Monotonic {
        self.not_before
    }
}

/// Draws from the seed the shell gave. Nonces are unguessable as far as the seed is.
#[derive(Debug)]
pub(super) struct Draw {
    key: [u8; 32],
    drawn: u64,
}

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Self { key: blake3::derive_key("annul follower draws v0", &seed.to_le_bytes()), drawn: 0 }
    }

    pub(super) fn nonce(&mut self) -> String {
        URL_SAFE_NO_PAD.encode(&self.next()[..16])
    }

    fn up_to(&mut self, ceiling: Duration) -> Duration {
        let bytes = self.next();
        let share = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        ceiling.mul_f64(f64::from(share) / f64::from(u32::MAX))
    }

    fn next(&mut self) -> [u8; 32] {
        self.drawn += 1;
        *blake3::keyed_hash(&self.key, &self.drawn.to_le_bytes()).as_bytes()
    }
}
