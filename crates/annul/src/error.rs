//! What can go wrong before a verifier runs, each case by name, with what to do about it.

use std::fmt;
use std::path::PathBuf;

use annul_core::feed::follower::Fault;

use crate::client::ClientError;

/// The configuration cannot work. Nothing was started and nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// No issuer was given.
    MissingIssuer,
    /// No audience was given.
    MissingAudience,
    /// No authority was given.
    MissingAuthority,
    /// The address of the authority is not an absolute `http` or `https` URL.
    Address(String),
    /// The address is plain `http` and not on loopback.
    PlainHttp(String),
    /// The client id or secret is empty, or the id holds a colon.
    Credential,
    /// A TLS root is not a PEM certificate.
    TlsRoot,
    /// The platform's TLS certificates could not be loaded.
    Tls(String),
    /// A name or instance is empty, too long, or has characters that a path cannot carry.
    Name(String),
    /// No staleness was given, or it is zero.
    Staleness,
    /// The directory for the state cannot be used.
    StateDir {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// There is no tokio runtime in this context.
    NoRuntime,
    /// A key for DPoP proofs could not be read, or is not one for ES256.
    ProofKey,
}

impl ConfigError {
    /// A stable name for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::MissingIssuer => "issuer_missing",
            Self::MissingAudience => "audience_missing",
            Self::MissingAuthority => "authority_missing",
            Self::Address(_) => "authority_address_invalid",
            Self::PlainHttp(_) => "plain_http_refused",
            Self::Credential => "credential_invalid",
            Self::TlsRoot => "tls_root_invalid",
            Self::Tls(_) => "tls_unavailable",
            Self::Name(_) => "name_invalid",
            Self::Staleness => "max_staleness_missing",
            Self::StateDir { .. } => "state_dir_unusable",
            Self::NoRuntime => "runtime_missing",
            Self::ProofKey => "proof_key_invalid",
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingIssuer => f.write_str("no issuer is configured; give the exact `iss` of the tokens to accept"),
            Self::MissingAudience => {
                f.write_str("no audience is configured; give the `aud` that names this service, or tokens meant for others would pass")
            }
            Self::MissingAuthority => f.write_str("no authority is configured; give its URL and a client with the scope annul.follow"),
            Self::Address(url) => write!(f, "{url:?} is not an absolute http or https URL"),
            Self::PlainHttp(host) => {
                write!(f, "plain http to {host} would carry credentials and tokens in the clear; use https, or loopback")
            }
            Self::Credential => f.write_str("a client id and a secret are needed, neither empty, the id without a colon"),
            Self::TlsRoot => f.write_str("a TLS root is not a certificate in PEM form"),
            Self::Tls(cause) => write!(f, "TLS cannot be set up: {cause}; give a root certificate if the system has none"),
            Self::Name(name) => write!(
                f,
                "{name:?} cannot name a verifier: use 1 to 64 of the characters a-z, A-Z, 0-9, `.`, `_` and `-`"
            ),
            Self::Staleness => f.write_str("max_staleness must be chosen and longer than zero"),
            Self::StateDir { path, cause } => {
                write!(f, "the state directory {} cannot be used: {cause}; make it writable or leave it out", path.display())
            }
            Self::NoRuntime => f.write_str("annul runs on tokio; build it inside a runtime that lives as long"),
            Self::ProofKey => {
                f.write_str("the key for DPoP proofs is not a P-256 key in PKCS#8; generate one and keep what it gives")
            }
        }
    }
}

impl std::error::Error for ConfigError {}

/// Why a verifier did not start. Nothing keeps running after it, and the stored state is as it was.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// The configuration cannot work.
    Config(ConfigError),
    /// The authority answered, and it and this configuration do not belong together: another
    /// issuer or feed key, a leeway beyond the log's settings, a credential without `annul.follow`.
    Feed(Fault),
}

impl BuildError {
    /// A stable name for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Config(error) => error.code(),
            Self::Feed(fault) => fault.code(),
        }
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Feed(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(error) => Some(error),
            Self::Feed(fault) => Some(fault),
        }
    }
}

impl From<ConfigError> for BuildError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<ConfigError> for ClientError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}
