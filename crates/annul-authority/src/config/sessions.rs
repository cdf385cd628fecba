//! `[sessions]` and `[subjects]`: how long sessions live, and what ends them or renews their tokens.

use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::error::refused;
use crate::model::{MAX_GRACE, RecordFields};
use crate::span::Span;
use crate::verbs::refresh::RefreshRevocation;

/// Bytes a cookie's name may have.
const MAX_COOKIE_NAME: usize = 128;

/// `[sessions]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionsConfig {
    /// How long a session may stay unused.
    pub idle: Span,
    /// How long a session may live at all.
    pub absolute: Span,
    /// How long a refresh that is repeated gets the same answer, in whole seconds.
    pub rotation_grace: Span,
    /// How long before the last access token expires a refresh token may be used at the earliest, and
    /// then until `exchange_after` past it; any time unless given.
    pub refresh_window: Option<Span>,
    /// How long before it expires an access token that is its own refresh credential may be exchanged.
    pub exchange_before: Span,
    /// How long after it has expired it still may.
    pub exchange_after: Span,
    /// What revoking a refresh token ends: its `session`, or all that its `subject` holds.
    pub refresh_revocation: RefreshRevocation,
    /// The cookies that a logout through a browser deletes, by name.
    pub logout_cookies: Vec<String>,
}

impl Default for SessionsConfig {
    fn default() -> Self {
        Self {
            idle: Span::seconds(14 * 86_400),
            absolute: Span::seconds(90 * 86_400),
            rotation_grace: Span::seconds(15),
            refresh_window: None,
            exchange_before: Span::seconds(600),
            exchange_after: Span::seconds(0),
            refresh_revocation: RefreshRevocation::default(),
            logout_cookies: Vec::new(),
        }
    }
}

impl SessionsConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.idle.as_secs() == 0 || self.absolute < self.idle {
            return refused("sessions.idle", "it is at least a second and at most sessions.absolute");
        }
        if self.rotation_grace > Span::seconds(MAX_GRACE) {
            return refused(
                "sessions.rotation_grace",
                "it is at most 60s: that long a spent refresh token is worth a new one",
            );
        }
        if self.refresh_window.is_some_and(|window| window.as_secs() == 0) {
            return refused("sessions.refresh_window", "it is at least a second; leave it out to refresh at any time");
        }
        if !self.logout_cookies.iter().all(|name| is_cookie_name(name)) {
            return refused("sessions.logout_cookies", "each is the name of a cookie: letters, digits, -, _ and .");
        }
        Ok(())
    }
}

/// Whether a text can stand in a `Set-Cookie` header as a name. RFC 6265 allows a few characters more,
/// which nobody uses.
fn is_cookie_name(name: &str) -> bool {
    (1..=MAX_COOKIE_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// `[subjects]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SubjectsConfig {
    /// Whether every logout sets the user's next version, so that it means everywhere.
    pub logout_sets_version: bool,
    /// The fields of a user record, as `name=access` (its change renews tokens, sessions go on) or
    /// `name=both` (the user logs in again). Those named `login` and `logout` change by themselves.
    pub record_fields: RecordFields,
}
