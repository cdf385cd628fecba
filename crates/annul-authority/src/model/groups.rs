//! Groups of subjects: what verifiers hold a watermark of in place of an entry for every user.

use std::iter::once;
use std::num::NonZeroU32;

use annul_core::target::{HashKey, Target, TargetHash, TargetKind};
use annul_core::time::UnixMillis;
use serde::{Deserialize, Serialize};

use super::Session;

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
    /// Set when they end: entries travel again at once, and until this moment tokens may be accepted
    /// that only their group's watermark refuses.
    #[serde(default)]
    pub until: Option<UnixMillis>,
}

impl Groups {
    /// How many subjects fall into from here on; `None` once the groups have ended.
    #[must_use]
    pub fn in_use(&self) -> Option<NonZeroU32> {
        self.until.is_none().then_some(self.count)
    }

    /// Whether an entry about one user stays at the authority at `now`.
    #[must_use]
    pub fn hold_back(&self, now: UnixMillis) -> bool {
        self.until.is_none() && now >= self.since
    }

    /// Whether a watermark may stand for an entry that stayed at the authority, so that verifiers
    /// still have to know the claim.
    #[must_use]
    pub fn need_claim(&self, now: UnixMillis) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// The groups that a session's tokens name, its subject's first. What ends an ancestor's session stays
    /// at the authority like what ends the session itself, so verifiers have to ask about the groups of
    /// both users.
    #[must_use]
    pub fn of_session(&self, session: &Session, issuer: &str, key: &HashKey) -> Vec<u64> {
        let others = session.ancestors.iter().filter(|ancestor| ancestor.issuer == issuer && ancestor.sid.is_some());
        let users = once(&session.subject).chain(others.filter_map(|ancestor| ancestor.sub.as_ref()));
        let mut found = Vec::new();
        for subject in users.filter_map(|user| Target::one(issuer, TargetKind::Subject, user).ok()) {
            let group = self.of(&subject.hash(key));
            if !found.contains(&group) {
                found.push(group);
            }
        }
        found
    }

    /// The group of a subject, given as its target's hash. Keyed as that hash is, it cannot be chosen.
    #[must_use]
    pub fn of(&self, subject: &TargetHash) -> u64 {
        let group = u128::from_le_bytes(subject.0) % u128::from(self.count.get());
        u64::try_from(group).expect("a remainder is below its divisor")
    }
}
