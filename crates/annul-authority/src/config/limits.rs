//! `[limits]`: what is bounded, and by how much.

use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::error::refused;
use crate::span::Span;

/// The smallest `limits.body` with which the protocol itself still works.
const MIN_BODY: u32 = 4096;

/// `[limits]`: bytes, and requests per second. Each scope is a lane of its own for each client, so
/// a client that floods one lane can still use the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Bytes a request body may have.
    pub body: u32,
    /// How long a request body may take to arrive.
    pub request: Span,
    /// Connections that may be open at once.
    pub connections: u32,
    /// `annul.issue` requests of one client per second.
    pub issue: u32,
    /// `annul.revoke` requests of one client per second.
    pub revoke: u32,
    /// `annul.read` requests of one client per second.
    pub read: u32,
    /// `annul.follow` requests of one client per second.
    pub follow: u32,
    /// `annul.admin` requests of one client per second.
    pub admin: u32,
    /// Logins from one address per second, and half as many for one username.
    pub login: u32,
    /// Other requests without a valid credential from one address per second.
    pub anonymous: u32,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            body: 64 * 1024,
            request: Span::seconds(30),
            connections: 20_000,
            issue: 5000,
            revoke: 2000,
            read: 5000,
            follow: 2000,
            admin: 50,
            login: 10,
            anonymous: 200,
        }
    }
}

impl LimitsConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.body < MIN_BODY {
            return refused("limits.body", "a report or a key set needs at least 4096 bytes");
        }
        Ok(())
    }
}
