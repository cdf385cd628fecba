//! Why a server does not run.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::authority::StartError;
use crate::feed::FeedStartError;
use crate::jwks_fetch::FetchError;
use crate::secrets::sealing::SealError;
use crate::store::OpenError;

/// Why the server does not run, or ran no longer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Another process listens there.
    #[error("{listen} is in use by another process; nothing was started and no data was touched")]
    PortInUse {
        /// The address.
        listen: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {listen}: {error}; nothing was started and no data was touched")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error("{} cannot be used for TLS: {detail}; nothing was started and no data was touched", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The algorithm cannot sign here.
    #[error("tokens.algorithm {name:?} cannot sign; nothing was started")]
    Algorithm {
        /// What was configured.
        name: String,
    },
    /// A secret of a foreign issuer cannot be used.
    #[error("the secret {name:?} of {issuer:?} in issuers.secrets cannot be used: {detail}; nothing was started")]
    IssuerSecret {
        /// The issuer.
        issuer: String,
        /// What the secret is called.
        name: String,
        /// What is wrong with it, without the secret.
        detail: String,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The master key cannot be read or made.
    #[error(transparent)]
    Master(#[from] SealError),
    /// The authority cannot start on this store.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The feed cannot start on this store.
    #[error(transparent)]
    Feed(#[from] FeedStartError),
    /// No client for key sets can be made.
    #[error(transparent)]
    Fetcher(#[from] FetchError),
    /// The administrator's credential cannot be written or read.
    #[error("the administrator's credential cannot be kept in {}: {error}; no log was created", path.display())]
    Credential {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// There is a file in the place of the credential, beside a store without a log, and it is none.
    #[error("{} is no administrator's credential and lies where a new one would be written; no log was created", path.display())]
    CredentialMalformed {
        /// The file.
        path: PathBuf,
    },
    /// Connections are no longer accepted.
    #[error("no more connections are accepted: {error}; what was acknowledged is on disk")]
    Accept {
        /// What the system said.
        error: io::Error,
    },
    /// The server ended by itself.
    #[error("the server ended unexpectedly; what was acknowledged is on disk")]
    Stopped,
}

impl ServeError {
    /// The error's stable name.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::PortInUse { .. } => "port_in_use",
            Self::Listen { .. } => "cannot_listen",
            Self::Tls { .. } => "tls_unusable",
            Self::Algorithm { .. } => "algorithm_unknown",
            Self::IssuerSecret { .. } => "issuer_secret_unusable",
            Self::Open(error) => error.code(),
            Self::Master(error) => error.code(),
            Self::Start(error) => error.code(),
            Self::Feed(_) => "feed_failed",
            Self::Fetcher(_) => "tls_roots_unusable",
            Self::Credential { .. } => "credential_unwritable",
            Self::CredentialMalformed { .. } => "credential_malformed",
            Self::Accept { .. } => "accept_failed",
            Self::Stopped => "server_stopped",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::PortInUse { .. } => "stop the other process, or choose another address with server.listen",
            Self::Listen { .. } => "choose an address of this machine with server.listen",
            Self::Tls { .. } => "give the certificate chain and its private key as PEM files that this user can read",
            Self::Algorithm { .. } => "configure ES256, EdDSA, RS256 or PS256",
            Self::IssuerSecret { .. } => {
                "correct its section in the configuration; a secret has at least as many bytes as its hash"
            }
            Self::Open(OpenError::Locked { .. }) => "stop the other authority, or choose another data directory",
            Self::Open(_) => "see the detail; the data was left as it is",
            Self::Master(error) => error.hint(),
            Self::Start(error) => error.hint(),
            Self::Feed(_) | Self::Accept { .. } | Self::Stopped => "see the log, then start again",
            Self::Fetcher(_) => "check the system's certificate store",
            Self::Credential { .. } => "check the directory's owner, mode and free space",
            Self::CredentialMalformed { .. } => "move the file away and start again; the store is empty",
        }
    }
}
