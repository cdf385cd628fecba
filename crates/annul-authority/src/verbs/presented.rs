//! Whether who presents a token of ours here is whom it is bound to (RFC 9449 §7, RFC 8705 §3), as every
//! verifier judges it:
//!
//! | the token's `cnf` | as `Bearer` | as `DPoP`, with a proof |
//! |---|---|---|
//! | none | let in | refused |
//! | `jkt` | refused | needs that key |
//! | `x5t#S256` | needs that certificate on the connection | refused |

use annul_core::policy::SenderError;
use annul_core::token::{Binding, Claims, ProofError};

use crate::model::ProofKey;
use crate::secrets::secret::Secret;

/// An access token, and what its sender showed to hold.
#[derive(Clone, Debug)]
pub struct PresentedToken {
    /// The token, still unread.
    pub token: Secret,
    /// The key of a proof for this request and this token, where it came as `DPoP`.
    pub proof: Option<ProofKey>,
    /// The certificate of the connection, where it had one.
    pub certificate: Option<ProofKey>,
}

impl PresentedToken {
    /// As `Bearer`, on a connection without a certificate.
    #[must_use]
    pub fn bearer(token: impl Into<String>) -> Self {
        Self { token: Secret::new(token.into()), proof: None, certificate: None }
    }

    /// Whether the sender is whom these claims, the token's own, are bound to.
    pub(crate) fn judge_sender(&self, claims: &Claims) -> Result<(), SenderError> {
        let Binding { key, certificate } = claims.binding();
        match (certificate, &self.certificate) {
            (Some(_), None) => return Err(SenderError::CertificateNeeded),
            (Some(bound), Some(shown)) if shown.thumbprint() != bound => return Err(SenderError::OtherCertificate),
            _ => {}
        }
        match (key, &self.proof) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(SenderError::NotBound),
            (Some(_), None) => Err(SenderError::ProofNeeded),
            (Some(bound), Some(shown)) if shown.thumbprint() != bound => Err(SenderError::Proof(ProofError::OtherKey)),
            (Some(_), Some(_)) => Ok(()),
        }
    }
}
