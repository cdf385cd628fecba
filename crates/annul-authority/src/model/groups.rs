//! Groups of subjects: what verifiers hold a watermark of in place of an entry for every user.

use std::num::NonZeroU32;

use annul_core::target::TargetHash;
use annul_core::time::UnixMillis;
use serde::{Deserialize, Serialize};

/// The claim in which a token carries the group of its subject.
pub const GROUP_CLAIM: &str = "grp";

/// Groups a log may have. A verifier holds one entry for each; with more, entries per user are as good.
pub const MAX_GROUPS: u32 = 1 << 20;

/// Into how many groups subjects fall, and since when every token that lives says into which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Groups {
    /// How many there are.
    pub count: NonZeroU32,
    /// From this moment on no token is accepted anywhere that lacks its group, or has one of an
    /// earlier count. Until then entries travel as they would without groups.
    pub since: UnixMillis,
}

impl Groups {
    /// The group of a subject, given as its target's hash. Keyed as that hash is, it cannot be chosen.
    #[must_use]
    pub fn of(&self, subject: &TargetHash) -> u64 {
        let group = u128::from_le_bytes(subject.0) % u128::from(self.count.get());
        u64::try_from(group).expect("a remainder is below its divisor")
    }
}
