//! The certificate a client made its TLS connection with, as far as anything here depends on it.
//!
//! Whether it is by a trusted authority was found out where the connection ended: by this server's own
//! TLS, or by a proxy that is trusted to say so. Here it is only read.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::CertificateDer;

use crate::distinguished_name::DistinguishedName;
use crate::model::{ClientMetadata, ProofKey};

/// A client's certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCertificate(Arc<Read>);

#[derive(PartialEq, Eq)]
struct Read {
    thumbprint: String,
    subject: Option<DistinguishedName>,
    dns_names: Vec<String>,
}

impl ClientCertificate {
    /// Reads a certificate in DER; `None` for what is none.
    #[must_use]
    pub fn from_der(der: &[u8]) -> Option<Self> {
        let owned = CertificateDer::from(der);
        let certificate = webpki::EndEntityCert::try_from(&owned).ok()?;
        Some(Self(Arc::new(Read {
            thumbprint: URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, der)),
            subject: DistinguishedName::from_der(certificate.subject()),
            dns_names: certificate.valid_dns_names().map(str::to_owned).collect(),
        })))
    }

    /// What a token bound to it is bound to: the SHA-256 of its DER (RFC 8705 §3.1).
    #[must_use]
    pub fn proof_key(&self) -> ProofKey {
        ProofKey::Certificate(self.0.thumbprint.clone())
    }

    /// Whether it is the one that a client of the method `tls_client_auth` registered (RFC 8705 §2.1).
    #[must_use]
    pub fn is_of(&self, client: &ClientMetadata) -> bool {
        let by_subject = client
            .tls_client_auth_subject_dn
            .as_deref()
            .is_some_and(|expected| self.0.subject.is_some() && DistinguishedName::parse(expected) == self.0.subject);
        let by_name = client
            .tls_client_auth_san_dns
            .as_deref()
            .is_some_and(|expected| self.0.dns_names.iter().any(|name| name.eq_ignore_ascii_case(expected)));
        by_subject || by_name
    }
}

/// Shows the thumbprint only: names in certificates are about people.
impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientCertificate({})", self.0.thumbprint)
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn certificate(names: &[&str], common_name: &str) -> (Vec<u8>, ClientCertificate) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
        let read = ClientCertificate::from_der(&der).unwrap();
        (der, read)
    }

    fn by_subject(dn: &str) -> ClientMetadata {
        ClientMetadata { tls_client_auth_subject_dn: Some(dn.to_owned()), ..ClientMetadata::default() }
    }

    fn by_name(name: &str) -> ClientMetadata {
        ClientMetadata { tls_client_auth_san_dns: Some(name.to_owned()), ..ClientMetadata::default() }
    }

    #[test]
    fn mt_1_a_certificate_is_bound_to_by_the_hash_of_its_der() {
        let (der, read) = certificate(&[], "shop");
        let expected = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, &der));
        assert_eq!(read.proof_key(), ProofKey::Certificate(expected));
        assert_eq!(ClientCertificate::from_der(&der[..der.len() - 1]), None);
        assert_eq!(ClientCertificate::from_der(b"certificate"), None);
    }

    #[test]
    fn mt_2_a_certificate_is_its_clients_by_the_name_that_was_registered() {
        let (_, read) = certificate(&["shop.example", "*.shop.example"], "shop");
        assert!(read.is_of(&by_subject("CN=shop")));
        assert!(read.is_of(&by_name("Shop.Example")));
        for other in [
            by_subject("CN=other"),
            by_name("other.example"),
            by_name("a.shop.example"),
            by_name("shop"),
            ClientMetadata::default(),
        ] {
            assert!(!read.is_of(&other), "{other:?}");
        }
    }
}
