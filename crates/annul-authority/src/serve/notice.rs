//! What an operator is told at the start.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::secrets::secret::Secret;

/// Something an operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// Where the server is reached.
    Listening {
        /// The address as a URL.
        url: String,
    },
    /// The first start wrote the administrator's credential.
    CredentialWritten {
        /// The file, readable by this user only.
        path: PathBuf,
    },
    /// The first start made a credential and keeps no data: it is shown here and nowhere else.
    CredentialInMemory {
        /// The administrator's client id.
        client_id: String,
        /// Its secret.
        client_secret: Secret,
    },
    /// The master key lies beside what it encrypts.
    MasterKeyBesideData {
        /// The file.
        path: PathBuf,
    },
    /// Plain HTTP beyond loopback, as configured.
    PlainHttp {
        /// The address.
        listen: SocketAddr,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening { url } => write!(f, "listening {url}"),
            Self::CredentialWritten { path } => {
                write!(f, "first start: the administrator's credential is in {} (mode 0600)", path.display())
            }
            Self::CredentialInMemory { client_id, client_secret } => {
                write!(f, "memory store: the administrator is {client_id} with the secret {}", client_secret.expose())
            }
            Self::MasterKeyBesideData { path } => write!(
                f,
                "the master key {} lies beside the data it encrypts and so protects nothing: whoever can read one can \
                 read both; move it elsewhere and name it in keys.master_key",
                path.display()
            ),
            Self::PlainHttp { listen } => {
                write!(f, "serving plain HTTP on {listen}, as server.allow_insecure says: TLS must end in front of it")
            }
        }
    }
}
