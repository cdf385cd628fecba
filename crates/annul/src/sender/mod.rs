//! Whether who presents a token is whom it is bound to: a key (RFC 9449) or a certificate (RFC 8705).
//!
//! | the token's `cnf` | `Bearer`  | `DPoP`                                  |
//! |-------------------|-----------|-----------------------------------------|
//! | none              | let in    | refused                                 |
//! | `jkt`             | refused   | needs a proof by that key, used once    |
//! | `x5t#S256`        | needs that certificate on the connection | refused |
//! | both              | refused   | needs both                              |
//!
//! It is asked after the view: what is known to be revoked is refused as that, and costs no proof. A proof
//! is spent only on a token that would be let in, so that nobody fills the memory of proofs without one.

use annul_core::policy::SenderError;
use annul_core::time::UnixSeconds;
use annul_core::token::{Binding, Claims, HttpUri, Nonce, PROOF_ALGORITHMS, Proof, ProofExpect, ProofsSeen, Seen};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, Method};
use reqwest::Url;

use crate::error::ConfigError;
use crate::http::{CredentialError, Scheme, credential};

/// The header of a proof (RFC 9449 §4.1).
const DPOP: HeaderName = HeaderName::from_static("dpop");

/// A token, and what came with it to show whose it is.
#[derive(Clone, Copy)]
pub struct Presented<'r> {
    token: &'r str,
    way: Way<'r>,
    certificate: Option<&'r PeerCertificate>,
}

#[derive(Clone, Copy)]
enum Way<'r> {
    /// As `Bearer`.
    Bearer,
    /// As `DPoP`, on a request that the proof has to be for.
    WithProof { method: &'r Method, path: &'r str, headers: &'r HeaderMap },
    /// To somebody else, who sees to what it is bound to.
    Elsewhere,
}

impl<'r> Presented<'r> {
    /// As `Bearer`, on a connection without a certificate.
    #[must_use]
    pub const fn bearer(token: &'r str) -> Self {
        Self { token, way: Way::Bearer, certificate: None }
    }

    /// The one token in the headers of a request of `method` to `path`, which is the path that the client
    /// named, as far as it follows the [public URL](crate::VerifierBuilder::public_url).
    ///
    /// # Errors
    /// When there is not exactly one token.
    pub fn in_request(method: &'r Method, path: &'r str, headers: &'r HeaderMap) -> Result<Self, CredentialError> {
        let (scheme, token) = credential(headers)?;
        let way = match scheme {
            Scheme::Bearer => Way::Bearer,
            Scheme::DPoP => Way::WithProof { method, path, headers },
        };
        Ok(Self { token, way, certificate: None })
    }

    /// To somebody else, who sees to what the token is bound to: introspection for a service behind this
    /// one, or a token that was let in before.
    #[must_use]
    pub const fn elsewhere(token: &'r str) -> Self {
        Self { token, way: Way::Elsewhere, certificate: None }
    }

    /// With the certificate that the client proved on its connection, if it did.
    #[must_use]
    pub const fn with_certificate(self, certificate: Option<&'r PeerCertificate>) -> Self {
        Self { certificate, ..self }
    }

    /// The same for later, when the request is gone.
    pub(crate) fn until_answered(&self) -> Presentation {
        let way = match self.way {
            Way::Bearer => KeptWay::Bearer,
            Way::Elsewhere => KeptWay::Elsewhere,
            Way::WithProof { method, path, headers } => {
                let proofs = headers.get_all(DPOP).iter().map(|proof| (DPOP, proof.clone())).collect();
                KeptWay::WithProof { method: method.clone(), path: path.into(), proofs }
            }
        };
        Presentation { token: self.token.into(), way, certificate: self.certificate.cloned() }
    }

    /// The token, still unread.
    #[must_use]
    pub const fn token(&self) -> &'r str {
        self.token
    }

    /// How it is challenged when it is refused.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        match self.way {
            Way::Bearer | Way::Elsewhere => Scheme::Bearer,
            Way::WithProof { .. } => Scheme::DPoP,
        }
    }
}

/// What was [`Presented`], kept while the authority is asked.
pub(crate) struct Presentation {
    token: Box<str>,
    way: KeptWay,
    certificate: Option<PeerCertificate>,
}

enum KeptWay {
    Bearer,
    WithProof { method: Method, path: Box<str>, proofs: HeaderMap },
    Elsewhere,
}

impl Presentation {
    pub(crate) fn presented(&self) -> Presented<'_> {
        let way = match &self.way {
            KeptWay::Bearer => Way::Bearer,
            KeptWay::Elsewhere => Way::Elsewhere,
            KeptWay::WithProof { method, path, proofs } => Way::WithProof { method, path, headers: proofs },
        };
        Presented { token: &self.token, way, certificate: self.certificate.as_ref() }
    }
}

/// The certificate that a client proved to have when its TLS connection was made. Whoever ends the
/// connection puts it into the request's extensions: the server itself, or, from a header that nobody else
/// can set, a middleware behind a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    /// base64url of the SHA-256 of its DER form.
    thumbprint: String,
}

impl PeerCertificate {
    /// The certificate with this DER form.
    #[must_use]
    pub fn of_der(der: &[u8]) -> Self {
        Self::of_sha256(digest(&SHA256, der).as_ref())
    }

    /// The certificate whose DER form has this SHA-256.
    #[must_use]
    pub fn of_sha256(hash: &[u8]) -> Self {
        Self { thumbprint: URL_SAFE_NO_PAD.encode(hash) }
    }

    /// What tokens bound to it carry as `cnf.x5t#S256`.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }
}

/// What a verifier needs to judge senders.
pub(crate) struct Senders {
    /// The service's address as its clients know it, without the slash at its end.
    base: Option<String>,
    proofs: ProofsSeen,
}

/// A sender that is the one its token is bound to, and the proof that is yet to be spent on it.
#[must_use = "a proof that is not spent can be used again"]
pub(crate) struct Shown(Option<Box<Proof>>);

impl Shown {
    /// There is no proof to spend.
    pub(crate) const NOTHING: Self = Self(None);
}

impl Senders {
    pub(crate) fn new(base: Option<String>) -> Self {
        Self { base, proofs: ProofsSeen::default() }
    }

    /// Whether proofs are taken here.
    pub(crate) const fn take_proofs(&self) -> bool {
        self.base.is_some()
    }

    /// Whether the sender of a token with `claims` is whom they are bound to. Changes nothing: the proof is
    /// [spent](Self::spend) once the token would be let in.
    pub(crate) fn judge(
        &self,
        presented: &Presented<'_>,
        claims: &Claims,
        now: UnixSeconds,
    ) -> Result<Shown, SenderError> {
        let Binding { key, certificate } = claims.binding();
        if matches!(presented.way, Way::Elsewhere) {
            return Ok(Shown::NOTHING);
        }
        match (certificate, presented.certificate) {
            (Some(_), None) => return Err(SenderError::CertificateNeeded),
            (Some(bound), Some(proven)) if proven.thumbprint != bound => return Err(SenderError::OtherCertificate),
            _ => {}
        }
        match (presented.way, key) {
            (Way::Bearer | Way::Elsewhere, None) => Ok(Shown::NOTHING),
            (Way::Bearer | Way::Elsewhere, Some(_)) => Err(SenderError::ProofNeeded),
            (Way::WithProof { .. }, None) => Err(SenderError::NotBound),
            (Way::WithProof { method, path, headers }, Some(key)) => {
                let uri = self.uri(path).ok_or(SenderError::ProofsNotTaken)?;
                let expect = ProofExpect {
                    method: method.as_str(),
                    uri: &uri,
                    now,
                    algorithms: &PROOF_ALGORITHMS,
                    access_token: Some(presented.token),
                    key: Some(key),
                    nonce: Nonce::NotDemanded,
                };
                let values = headers.get_all(DPOP).iter().map(http::HeaderValue::as_bytes);
                Proof::verify(values, &expect).map(|proof| Shown(Some(Box::new(proof)))).map_err(SenderError::Proof)
            }
        }
    }

    /// Uses the proof up, so that nobody else can. When the memory of proofs is full nothing is forgotten
    /// for it: the proof is refused, and may be tried again.
    pub(crate) fn spend(&self, shown: Shown, now: UnixSeconds) -> Result<(), SenderError> {
        let Some(proof) = shown.0 else { return Ok(()) };
        match self.proofs.first_use(proof.name(), now) {
            Seen::New => Ok(()),
            Seen::Before => Err(SenderError::ProofRepeated),
            Seen::Full => Err(SenderError::ProofMemoryFull),
        }
    }

    fn uri(&self, path: &str) -> Option<HttpUri> {
        HttpUri::parse(&format!("{}{path}", self.base.as_deref()?))
    }
}

/// The base of a service's addresses, without the slash at its end: absolute, and nothing after its path.
pub(crate) fn base(public_url: &str) -> Result<String, ConfigError> {
    let refused = || ConfigError::Address(public_url.to_owned());
    let url = Url::parse(public_url).map_err(|_| refused())?;
    let is_plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    let base = url.as_str().trim_end_matches('/').to_owned();
    if is_plain && HttpUri::parse(&base).is_some() { Ok(base) } else { Err(refused()) }
}

#[cfg(test)]
mod tests;
