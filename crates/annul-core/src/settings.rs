//! What every verifier of a log must agree on, and therefore travels in the feed.

use serde::{Deserialize, Serialize};

use crate::time::UnixSeconds;

/// The settings of a log. A change is a critical record with the next revision; cached facts of an
/// older revision are computed again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Counts the changes, from 1.
    pub revision: u32,
    /// The log's own issuer: the `iss` of the authority's tokens.
    pub issuer: String,
    /// The longest life of any own token, in seconds. A verifier refuses a longer one.
    pub longest_life: u64,
    /// The largest leeway any verifier may grant, in seconds. A verifier configured beyond it
    /// refuses to start.
    pub max_leeway: u64,
    /// By how many seconds any two clocks of the deployment may differ.
    pub clock_skew: u64,
    /// The claims that are targets, besides the registered names.
    pub claims: Vec<String>,
    /// Those of `claims` on which an entry makes every route ask instead of refusing.
    pub ask_on: Vec<String>,
    /// The public name of the key that hashes targets ([`HashKey::id`](crate::target::HashKey::id)).
    pub hash_key: String,
}

impl Settings {
    /// Until when an entry must be kept whose last matching token expires at `exp`: longer by the
    /// largest leeway and the clocks' skew, or a revoked token would revive inside the leeway.
    #[must_use]
    pub const fn until(&self, exp: UnixSeconds) -> UnixSeconds {
        exp.plus(self.max_leeway).plus(self.clock_skew)
    }
}

/// An issuer whose tokens verifiers accept, as it travels in the feed. A newer record of the same
/// issuer replaces the older one whole; keys that were killed stay dead by their `key` entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerRecord {
    /// The exact `iss`.
    pub issuer: String,
    /// Its public keys as JWKs (RFC 7517), private members never among them.
    pub keys: Vec<serde_json::Value>,
    /// The longest life of its tokens, in seconds; for our own issuer, that of the settings.
    pub longest_life: u64,
    /// By how many seconds its clock may run ahead of ours. 0 for our own issuer.
    pub skew: u64,
    /// Whether a token without `jti` is refused. Always true for our own issuer.
    pub requires_jti: bool,
    /// Which claims carry session, device and client.
    #[serde(default)]
    pub claims: ClaimNames,
    /// When its keys should have been fetched again; past it an unknown `kid` means "cannot tell".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys_due: Option<UnixSeconds>,
    /// Whether the authority stopped accepting this issuer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub removed: bool,
}

/// The names under which an issuer's tokens carry what targets are made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClaimNames {
    /// The session's id.
    pub session: String,
    /// The device's id.
    pub device: String,
    /// The client, tried in this order.
    pub client: Vec<String>,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            session: "sid".to_owned(),
            device: "device_id".to_owned(),
            client: vec!["client_id".to_owned(), "azp".to_owned()],
        }
    }
}

/// Targets a token may have. One with more is refused, never cut.
pub const MAX_TARGETS: usize = 64;
