//! What is kept of a subject apart from its sessions, and how that changes.
//!
//! ```text
//! SubjectChange -> state after it, and `subject now` from it: one transaction
//! SubjectState  -> the claims that every token of its sessions carries
//! ```
//!
//! So a token says which state it was issued under, and none outlives a change of that state. The
//! verifier compares positions, never versions or times: setting a version back revives nothing.

use annul_core::algebra::Reach;
use annul_core::position::Position;
use annul_core::time::UnixSeconds;
use serde::{Deserialize, Serialize};

use super::{Claims, GROUP_CLAIM};

/// The greatest version: the largest integer that every JSON reader holds exactly (RFC 8259 §6).
pub const MAX_VERSION: u64 = (1 << 53) - 1;

/// The claim in which a token carries its subject's version.
pub const VERSION_CLAIM: &str = "ver";
/// The claim in which a token carries when its subject's record last changed.
pub const RECORD_CLAIM: &str = "updated_at";

/// Claims that each token gets at its issue and that no session has: they change under it, so an entry on
/// one of their values reaches access only. A session that it ended would come back with the next value.
pub const CLAIMS_OF_TOKENS: [&str; 3] = [VERSION_CLAIM, RECORD_CLAIM, GROUP_CLAIM];

/// What the authority holds about a subject apart from its sessions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SubjectState {
    /// The entry that blocked it, while it is blocked.
    #[serde(default)]
    pub blocked: Option<Position>,
    /// The claims every session of the subject carries unless it has its own.
    #[serde(default)]
    pub claims: Claims,
    /// Its version, once one was set.
    #[serde(default)]
    pub version: Option<u64>,
    /// When its user record last changed, once a change was reported.
    #[serde(default)]
    pub updated_at: Option<UnixSeconds>,
    /// Stands for the credential it logs in with, or for a random field: the claim `cfp` of every
    /// token from here on. Never the credential itself.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// The entry that retired this id, once the subject goes by another: nothing is opened for it.
    #[serde(default)]
    pub retired: Option<Position>,
    /// The string that its key is derived from, where tokens are signed with a key per subject.
    #[serde(default)]
    pub key: String,
}

impl SubjectState {
    /// What the state adds to every token of the subject's sessions: `ver` and `updated_at`, each
    /// only once there is one.
    #[must_use]
    pub fn token_claims(&self) -> Claims {
        let version = self.version.map(|version| (VERSION_CLAIM.to_owned(), version.into()));
        let updated = self.updated_at.map(|updated| (RECORD_CLAIM.to_owned(), updated.0.into()));
        version.into_iter().chain(updated).collect()
    }

    /// What is left of the state when the account or client that it was is removed: what forbids, and
    /// the string of its key, without which signatures that a new string voided would count again.
    #[must_use]
    pub fn left_behind(&self) -> Self {
        Self { blocked: self.blocked, retired: self.retired, key: self.key.clone(), ..Self::default() }
    }

    /// The state after something changed at `now` that is part of every user record. Only a record
    /// whose changes are reported has a time that could move.
    #[must_use]
    pub fn touched(self, now: UnixSeconds) -> Self {
        if self.updated_at.is_some() { self.after(SubjectPart::Record, now) } else { self }
    }

    /// The state after `part` changed at `now`.
    #[must_use]
    pub fn after(self, part: SubjectPart, now: UnixSeconds) -> Self {
        match part {
            SubjectPart::Version(version) => Self { version: Some(version), ..self },
            SubjectPart::NextVersion => {
                // After the greatest comes the first: a logout must not fail for want of numbers, and
                // no old token comes back by it.
                let next = self.version.filter(|version| *version < MAX_VERSION).map_or(1, |version| version + 1);
                Self { version: Some(next), ..self }
            }
            // Never back, whatever the clock does. Two changes in one second share it: what tells
            // their tokens apart is the position.
            SubjectPart::Record => Self { updated_at: self.updated_at.max(Some(now)), ..self },
        }
    }
}

/// A change of a subject's state. What was issued before it is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectChange {
    /// What changes, in order.
    pub parts: Vec<SubjectPart>,
    /// What its entry reaches: access, and sessions live on; or both. Never sessions alone, for a
    /// token with the old state would pass.
    pub reach: Reach,
}

/// One thing that changes in a subject's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectPart {
    /// The version becomes this one, up or down.
    Version(u64),
    /// The version becomes the next one; the first is 1.
    NextVersion,
    /// The user record was changed: `updated_at` becomes the time of the commit.
    Record,
}

/// Sessions of the subject for which a change means something else than for the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// This session lives on, dated at the change, if it was usable before.
    Stays(String),
    /// This session ends by its own entry.
    Ends(String),
    /// What is on this device ends by an entry of the device's.
    DeviceEnds(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_goes_up_down_and_round() {
        let after = |state: SubjectState, part| state.after(part, UnixSeconds(7));
        let version = |state: &SubjectState| state.version.unwrap();
        let state = after(SubjectState::default(), SubjectPart::NextVersion);
        assert_eq!(version(&state), 1);
        let state = after(after(state, SubjectPart::Version(7)), SubjectPart::NextVersion);
        assert_eq!(version(&state), 8);
        let state = after(state, SubjectPart::Version(MAX_VERSION));
        assert_eq!(version(&after(state, SubjectPart::NextVersion)), 1);
    }

    #[test]
    fn a_record_never_grows_older() {
        let state = SubjectState::default().after(SubjectPart::Record, UnixSeconds(100));
        let state = state.after(SubjectPart::Record, UnixSeconds(90));
        assert_eq!(state.updated_at, Some(UnixSeconds(100)));
        assert_eq!(state.touched(UnixSeconds(101)).updated_at, Some(UnixSeconds(101)));
        assert_eq!(SubjectState::default().touched(UnixSeconds(101)), SubjectState::default(), "nobody reports it");
    }

    #[test]
    fn a_token_says_only_what_was_set() {
        assert!(SubjectState::default().token_claims().is_empty());
        let state = SubjectState { version: Some(3), updated_at: Some(UnixSeconds(100)), ..SubjectState::default() };
        assert_eq!(serde_json::Value::from(state.token_claims()), serde_json::json!({"ver": 3, "updated_at": 100}));
    }
}
