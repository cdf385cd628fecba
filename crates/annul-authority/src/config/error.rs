//! Why there is no configuration.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why there is no configuration to start with. Nothing was started or written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file could not be read.
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// The file is not TOML.
    NotToml {
        /// Which file.
        path: PathBuf,
        /// Where and what.
        detail: String,
    },
    /// A section or key that nobody knows.
    UnknownKey {
        /// The section or `section.key`.
        key: String,
        /// The file, variable or flag it came from.
        source: String,
        /// The known key that is written most alike.
        nearest: String,
    },
    /// A section given as if it were a key.
    Section {
        /// The section.
        section: String,
        /// The file or flag it came from.
        source: String,
        /// A key of it.
        key: String,
    },
    /// A value that cannot be read as what its key takes.
    Value {
        /// `section.key`.
        key: String,
        /// The file, variable or flag it came from.
        source: String,
        /// What the key takes.
        takes: &'static str,
    },
    /// A value of the wrong type or form.
    Invalid {
        /// What was expected.
        detail: String,
    },
    /// A value that contradicts another or cannot work.
    Refused {
        /// `section.key`.
        key: &'static str,
        /// Why.
        why: &'static str,
    },
    /// `tokens.ask_on` names a claim that is no target.
    AskOnUnknown {
        /// The claim.
        claim: String,
    },
    /// Plain HTTP on an address that others can reach.
    PlainBeyondLoopback {
        /// The address.
        listen: SocketAddr,
    },
}

/// Refuses a value that contradicts another or cannot work.
pub(super) const fn refused(key: &'static str, why: &'static str) -> Result<(), ConfigError> {
    Err(ConfigError::Refused { key, why })
}

impl ConfigError {
    /// The error's stable name.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "config_unreadable",
            Self::NotToml { .. } | Self::Invalid { .. } => "config_invalid",
            Self::UnknownKey { .. } => "config_unknown_key",
            Self::Section { .. } | Self::Value { .. } => "config_value_invalid",
            Self::Refused { .. } | Self::AskOnUnknown { .. } => "config_refused",
            Self::PlainBeyondLoopback { .. } => "plain_http_refused",
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, detail } => write!(f, "{} cannot be read: {detail}", path.display()),
            Self::NotToml { path, detail } => write!(f, "{} is not TOML: {detail}", path.display()),
            Self::UnknownKey { key, source, nearest } => {
                write!(f, "unknown key {key} ({source}); the nearest known key is {nearest}")
            }
            Self::Section { section, source, key } => {
                write!(f, "{section} ({source}) is a section, no value and no list; set its keys, such as {key}")
            }
            Self::Value { key, source, takes } => write!(f, "{key} ({source}) takes {takes}"),
            Self::Invalid { detail } => write!(f, "the configuration does not read: {detail}"),
            Self::Refused { key, why } => write!(f, "{key} is refused: {why}"),
            Self::AskOnUnknown { claim } => {
                write!(f, "tokens.ask_on names {claim}, which tokens.claims does not; add it there first")
            }
            Self::PlainBeyondLoopback { listen } => write!(
                f,
                "refusing to serve plain HTTP on {listen}: the feed and every credential would travel unprotected; \
                 give server.tls_cert and server.tls_key, or set server.allow_insecure when TLS ends in front of it"
            ),
        }
    }
}

impl std::error::Error for ConfigError {}
