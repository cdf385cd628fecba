//! `[feed]`: how the feed is served, and how fresh keys are.

use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::error::refused;
use crate::span::Span;

/// `[feed]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeedConfig {
    /// How often an open stream shows that it is alive.
    pub heartbeat: Span,
    /// How long a signing key is published before its first use, unless every counted verifier has
    /// it earlier.
    pub key_lead: Span,
    /// How many of the newest records are served from memory.
    pub ring: u32,
    /// How many streams may be open at once.
    pub streams: u32,
    /// How many snapshots may be in flight at once.
    pub snapshots: u32,
    /// How often the keys of a foreign issuer given by URL are fetched.
    pub jwks_refresh: Span,
}

impl Default for FeedConfig {
    fn default() -> Self {
        Self {
            heartbeat: Span::seconds(1),
            key_lead: Span::seconds(600),
            ring: 100_000,
            streams: 10_000,
            snapshots: 32,
            jwks_refresh: Span::seconds(300),
        }
    }
}

impl FeedConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.heartbeat.0.is_zero() {
            return refused("feed.heartbeat", "it is at least a millisecond");
        }
        Ok(())
    }
}
