//! Signing keys of ours, and the issuers whose keys are accepted.

use annul_core::settings::IssuerRecord;
use annul_core::time::UnixMillis;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A signing key of the authority.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// The key's id in headers and JWKS.
    pub kid: String,
    /// Its RFC 7638 thumbprint: what the `key` target is made of.
    pub thumbprint: String,
    /// The algorithm it signs with.
    pub algorithm: String,
    /// The public key as a JWK.
    pub public: Value,
    /// The private key, sealed under the master key. Emptied when the key is killed or retired.
    pub sealed: Vec<u8>,
    /// What it is used for now.
    pub state: KeyState,
    /// When it was made.
    pub created: UnixMillis,
    /// When it was first published, that is, stood in a committed record.
    #[serde(default)]
    pub published: Option<UnixMillis>,
    /// When its state last changed.
    pub changed: UnixMillis,
}

/// What a signing key is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Published, not yet used.
    Reserve,
    /// Signs.
    Active,
    /// Signs no more; tokens it signed still verify.
    Retired,
    /// Nothing it signed counts any more. Final.
    Killed,
}

impl KeyState {
    /// Whether verifiers are given the public key.
    #[must_use]
    pub const fn is_published(self) -> bool {
        !matches!(self, Self::Killed)
    }
}

/// One change to the signing keys.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyChange {
    /// A new key, in reserve or active.
    Add(KeyRecord),
    /// The key signs from here on; the key that signed until now is retired.
    Activate {
        /// The key's id.
        kid: String,
    },
    /// The key is no longer given to verifiers and is forgotten; only a retired key, and only once
    /// no token it signed can be accepted any more.
    Forget {
        /// The key's id.
        kid: String,
    },
}

/// A foreign issuer whose tokens are accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IssuerConfig {
    /// What verifiers are told of it.
    pub record: IssuerRecord,
    /// Where its keys come from.
    pub source: KeySource,
    /// Seconds one of its sessions lives at most; without it a revoked foreign session is kept
    /// until it is lifted.
    #[serde(default)]
    pub longest_session: Option<u64>,
    /// Whether its tokens open sessions here, and for whom.
    #[serde(default)]
    pub subjects: Option<SubjectNames>,
}

/// For whom a foreign issuer's token opens a session here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubjectNames {
    /// Its `sub` names our own subject: the issuer is trusted to log in whomever it likes.
    Shared,
    /// Its subjects are kept apart from ours and from those of every other issuer: each goes by the
    /// issuer's name and its own.
    Apart,
}

impl SubjectNames {
    /// What a subject of an issuer is called here. Two subjects never have one name: an issuer's bar is
    /// escaped, so the first bar divides.
    #[must_use]
    pub fn of(self, issuer: &str, subject: &str) -> String {
        match self {
            Self::Shared => subject.to_owned(),
            Self::Apart => format!("{}|{subject}", issuer.replace('%', "%25").replace('|', "%7C")),
        }
    }
}

/// Where a foreign issuer's keys come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeySource {
    /// The operator handed in the key set.
    Given,
    /// The authority fetches it.
    Uri(String),
}

/// The secret that keys of subjects are derived from. Only one is in use; a new one has the next
/// generation, which is part of the name under which its tokens are revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSecret {
    /// Counts the secrets, from 1.
    pub generation: u32,
    /// The secret, sealed under the master key.
    pub sealed: Vec<u8>,
}

impl SealedSecret {
    /// What it is called as a `key` target.
    #[must_use]
    pub fn name(&self) -> String {
        format!("subject-secret-{}", self.generation)
    }
}
