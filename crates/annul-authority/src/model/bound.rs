//! For how long verifiers may have accepted by an old view, as it changed over time.

use annul_core::time::UnixMillis;
use serde::{Deserialize, Serialize};

/// What bounded every counted verifier from a moment on, until the next of these. It says how long
/// after a revocation was acknowledged a request could still have been accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifierBound {
    /// From when on.
    pub since: UnixMillis,
    /// The greatest age, in seconds, at which any of their routes accepted.
    pub longest_age: u64,
    /// Whether some of their routes looked at the signature only.
    pub verify: bool,
    /// Whether some of their routes went on answering past the view's age.
    pub open: bool,
}

impl VerifierBound {
    /// When no counted verifier accepted any more what was revoked at `acknowledged`: what the answer
    /// to the call said then, or a little more. `bounds` are in the order of their times; where none
    /// reaches back that far, no verifier was known.
    #[must_use]
    pub fn enforced_by(bounds: &[Self], acknowledged: UnixMillis) -> UnixMillis {
        let held = bounds.iter().rev().find(|bound| bound.since <= acknowledged);
        let age = held.map_or(0, |bound| bound.longest_age);
        UnixMillis(acknowledged.0.saturating_add(age.saturating_mul(1000)))
    }
}
