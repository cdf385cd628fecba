//! Why there is no configuration.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why there is no configuration to start with. Nothing was started.
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
    /// Unknown keys, and values that do not read.
    Invalid {
        /// What was found and what was expected.
        detail: String,
    },
    /// A value that contradicts another or cannot work.
    Refused {
        /// `section.key`.
        key: &'static str,
        /// Why.
        why: &'static str,
    },
    /// Plain HTTP on an address that others can reach.
    PlainBeyondLoopback {
        /// The address.
        listen: SocketAddr,
    },
}

impl ConfigError {
    /// The error's stable name.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "config_unreadable",
            Self::Invalid { .. } => "config_invalid",
            Self::Refused { .. } => "config_refused",
            Self::PlainBeyondLoopback { .. } => "plain_http_refused",
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, detail } => write!(f, "{} cannot be read: {detail}", path.display()),
            Self::Invalid { detail } => write!(f, "the configuration does not read: {detail}"),
            Self::Refused { key, why } => write!(f, "{key} is refused: {why}"),
            Self::PlainBeyondLoopback { listen } => write!(
                f,
                "refusing to serve plain HTTP on {listen}: tokens would travel unprotected; give gateway.tls_cert and \
                 gateway.tls_key, or set gateway.allow_insecure on a network that only the proxy shares"
            ),
        }
    }
}

impl std::error::Error for ConfigError {}
