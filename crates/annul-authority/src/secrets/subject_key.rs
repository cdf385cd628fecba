//! Keys of subjects: derived from one secret of the log and a string of each subject's own.
//!
//! ```text
//! key = HMAC-SHA256(secret, "annul subject key v1" | length, issuer | length, subject | length, string)
//! ```
//!
//! Another string is another key for one subject, another secret for all. Both stay at the authority:
//! whoever can verify by such a key can sign with it, so no verifier has it. The string need not be
//! secret, for without the secret it gives no key.

use std::fmt;

use annul_core::token::{Algorithm, JwkError, Key};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::error::VerbError;
use crate::model::SealedSecret;
use crate::secrets::random;
use crate::secrets::sealing::{MasterKey, SealError};
use crate::secrets::signing::{SigningError, SignsTokens};

/// Keeps these keys apart from whatever else could be derived from the same secret.
const DOMAIN: &[u8] = b"annul subject key v1";

/// The secret in use, opened. Debug output shows its name only.
pub(crate) struct SubjectSecret {
    name: String,
    generation: u32,
    key: hmac::Key,
}

impl SubjectSecret {
    /// A new random secret of this generation, sealed.
    pub(crate) fn generate(master: &MasterKey, generation: u32) -> Result<SealedSecret, VerbError> {
        let bytes = Zeroizing::new(random::bytes::<32>()?);
        Ok(SealedSecret { generation, sealed: master.seal(&purpose(generation), &*bytes)? })
    }

    /// Opens what [`generate`](Self::generate) sealed.
    pub(crate) fn open(master: &MasterKey, sealed: &SealedSecret) -> Result<Self, SealError> {
        let bytes = master.open(&purpose(sealed.generation), &sealed.sealed)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
        Ok(Self { name: sealed.name(), generation: sealed.generation, key })
    }

    /// What it is called as a `key` target.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Which of the log's secrets it is.
    pub(crate) const fn generation(&self) -> u32 {
        self.generation
    }

    /// The key of a subject that has this string.
    pub(crate) fn key_of(&self, issuer: &str, subject: &str, string: &str) -> SubjectKey {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(DOMAIN);
        for part in [issuer, subject, string] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut bytes = Zeroizing::new([0; 32]);
        bytes.copy_from_slice(context.sign().as_ref());
        SubjectKey { name: self.name.clone(), bytes }
    }
}

impl fmt::Debug for SubjectSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SubjectSecret({})", self.name)
    }
}

/// One subject's key. Debug output shows the name of the secret only.
pub(crate) struct SubjectKey {
    name: String,
    bytes: Zeroizing<[u8; 32]>,
}

impl SubjectKey {
    /// The key as what verifies by it, under the name of the secret.
    pub(crate) fn verifier(&self) -> Result<Key, JwkError> {
        Key::secret(&self.name, Algorithm::Hs256, &*self.bytes)
    }
}

impl SignsTokens for SubjectKey {
    /// The header names no key: there is one that fits, which its subject and the authority's secret say.
    fn sign_token(&self, typ: &str, claims: &Map<String, Value>) -> Result<String, SigningError> {
        let header = json!({ "alg": Algorithm::Hs256.name(), "typ": typ });
        let claims = serde_json::to_string(claims).map_err(|_| SigningError::Signature)?;
        let mut token = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims));
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &*self.bytes), token.as_bytes());
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(signature));
        Ok(token)
    }
}

impl fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SubjectKey({})", self.name)
    }
}

fn purpose(generation: u32) -> String {
    format!("subject secret {generation}")
}

#[cfg(test)]
mod tests {
    use annul_core::token::{KeySet, TokenError, verify_jws};

    use super::*;

    fn secret(byte: u8) -> SubjectSecret {
        SubjectSecret {
            name: "subject-secret-1".to_owned(),
            generation: 1,
            key: hmac::Key::new(hmac::HMAC_SHA256, &[byte; 32]),
        }
    }

    #[test]
    fn a_signature_holds_for_one_secret_issuer_subject_and_string_and_no_other() {
        let claims = Map::new();
        let token = secret(1).key_of("https://a", "alice", "s").sign_token("at+jwt", &claims).unwrap();
        let by = |key: SubjectKey| verify_jws(&token, &KeySet::from_iter([key.verifier().unwrap()])).map(drop);
        assert_eq!(by(secret(1).key_of("https://a", "alice", "s")), Ok(()));
        for other in [
            secret(2).key_of("https://a", "alice", "s"),
            secret(1).key_of("https://b", "alice", "s"),
            secret(1).key_of("https://a", "bob", "s"),
            secret(1).key_of("https://a", "alice", ""),
            // The same bytes, divided otherwise.
            secret(1).key_of("https://a", "alic", "es"),
        ] {
            assert_eq!(by(other), Err(TokenError::SignatureInvalid));
        }
    }

    #[test]
    fn a_secret_survives_sealing_and_opens_for_its_own_generation_only() {
        let master = MasterKey::from_bytes([5; 32]);
        let sealed = SubjectSecret::generate(&master, 3).unwrap();
        let opened = SubjectSecret::open(&master, &sealed).unwrap();
        assert_eq!((opened.name(), opened.generation()), ("subject-secret-3", 3));
        let moved = SealedSecret { generation: 4, ..sealed };
        assert_eq!(SubjectSecret::open(&master, &moved).unwrap_err().code(), "sealed_data_damaged");
        assert_eq!(format!("{opened:?}"), "SubjectSecret(subject-secret-3)");
    }
}
