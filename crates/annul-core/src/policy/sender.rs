//! Why who presents a token is not taken for whom it is bound to (RFC 9449 §7, RFC 8705 §3).

use std::fmt;

use crate::token::ProofError;

/// The sender of a token did not show to be the one it is bound to. Nothing is known against the token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SenderError {
    /// The token is bound to a key and came as `Bearer`, without a proof.
    ProofNeeded,
    /// The token came as `DPoP` and is bound to no key.
    NotBound,
    /// The proof is not one for this request and token.
    Proof(ProofError),
    /// The proof was used before.
    ProofRepeated,
    /// The service takes no proofs: it does not know the address that clients call it by.
    ProofsNotTaken,
    /// The memory of used proofs is full, so that a repeated one could not be told.
    ProofMemoryFull,
    /// The token is bound to a certificate and the connection had none.
    CertificateNeeded,
    /// The certificate is not the one that the token is bound to.
    OtherCertificate,
}

impl SenderError {
    /// The reason's stable name, for answers and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ProofNeeded => "proof_needed",
            Self::NotBound => "token_not_bound",
            Self::Proof(error) => error.code(),
            Self::ProofRepeated => "proof_repeated",
            Self::ProofsNotTaken => "proofs_not_taken",
            Self::ProofMemoryFull => "proof_memory_full",
            Self::CertificateNeeded => "certificate_needed",
            Self::OtherCertificate => "certificate_mismatch",
        }
    }

    /// The `error` that a client reads (RFC 6750 §3.1, RFC 9449 §7.1).
    #[must_use]
    pub const fn error(&self) -> &'static str {
        match self {
            Self::Proof(error) => error.code(),
            Self::ProofRepeated => "invalid_dpop_proof",
            Self::ProofMemoryFull => "temporarily_unavailable",
            _ => "invalid_token",
        }
    }

    /// Whether a proof is what would have been right, so that the challenge is for `DPoP`.
    #[must_use]
    pub const fn is_about_proofs(&self) -> bool {
        matches!(self, Self::ProofNeeded | Self::NotBound | Self::Proof(_) | Self::ProofRepeated)
    }
}

impl fmt::Display for SenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProofNeeded => f.write_str("the token is bound to a key and came without a proof of it"),
            Self::NotBound => f.write_str("the token came with a proof and is bound to no key"),
            Self::Proof(error) => error.fmt(f),
            Self::ProofRepeated => f.write_str("the proof was used before"),
            Self::ProofsNotTaken => f.write_str("this service takes no proofs; configure its public URL"),
            Self::ProofMemoryFull => f.write_str("more proofs came than this service remembers; try again"),
            Self::CertificateNeeded => f.write_str("the token is bound to a certificate and the connection had none"),
            Self::OtherCertificate => f.write_str("the token is bound to another certificate"),
        }
    }
}

impl std::error::Error for SenderError {}
