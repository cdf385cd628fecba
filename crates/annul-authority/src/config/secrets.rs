//! `[[issuers.secrets]]`: the secrets that foreign issuers share with those who verify their tokens.
//!
//! They stand here and in each verifier's own configuration, and travel nowhere: not into the store,
//! the feed, a log line or an answer.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use annul_core::token::{Algorithm, Key};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::secrets::secret::Secret;

/// `[issuers]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IssuersConfig {
    /// The secrets of issuers that sign by HMAC. The issuers themselves are added by `/v1/issuers`.
    pub secrets: Vec<SecretConfig>,
}

/// `[[issuers.secrets]]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretConfig {
    /// The exact `iss`.
    pub issuer: String,
    /// What the secret is called: the `kid` in its tokens' headers, where they have one, and the name
    /// by which `key:NAME` kills it.
    pub name: String,
    /// `HS256`, `HS384` or `HS512`.
    pub algorithm: String,
    /// The secret.
    #[serde(default)]
    pub secret: Option<Secret>,
    /// The file that holds it, in place of `secret`. A line break at its end is not part of it.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// How the secret is written.
    #[serde(default)]
    pub encoding: Encoding,
}

/// How a secret is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// As it is, byte by byte.
    #[default]
    Text,
    /// In base64 of either alphabet, padded or not.
    Base64,
}

/// Bytes of a secret's file that are read: no hash uses more than a few hundred.
const MAX_FILE: u64 = 4096;

impl SecretConfig {
    /// A section with every key, for the table of known ones.
    pub(super) fn sample() -> Self {
        Self {
            issuer: String::new(),
            name: String::new(),
            algorithm: String::new(),
            secret: None,
            secret_file: None,
            encoding: Encoding::Text,
        }
    }

    /// The key, or what is wrong with it. The secret is in neither.
    pub(crate) fn key(&self) -> Result<Key, String> {
        let algorithm = Algorithm::from_name(&self.algorithm).filter(|algorithm| algorithm.is_symmetric());
        let algorithm = algorithm.ok_or("its algorithm is none of HS256, HS384 and HS512")?;
        let written = match (&self.secret, &self.secret_file) {
            (Some(secret), None) => Zeroizing::new(secret.expose().as_bytes().to_vec()),
            (None, Some(path)) => {
                let mut bytes = Zeroizing::new(Vec::new());
                let read = File::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut bytes));
                read.map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
                let end = bytes.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
                bytes.truncate(end);
                bytes
            }
            _ => return Err("it takes secret or secret_file, and not both".to_owned()),
        };
        let bytes = match self.encoding {
            Encoding::Text => written,
            Encoding::Base64 => decoded(&written).ok_or("it is not base64")?,
        };
        Key::secret(&self.name, algorithm, &bytes).map_err(|error| error.to_string())
    }
}

fn decoded(written: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut text = written;
    while let Some(unpadded) = text.strip_suffix(b"=") {
        text = unpadded;
    }
    URL_SAFE_NO_PAD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a secret of at least 32 bytes, as HS256 wants";

    fn section(secret: Option<&str>) -> SecretConfig {
        SecretConfig {
            issuer: "https://idp.example".to_owned(),
            name: "shared".to_owned(),
            algorithm: "HS256".to_owned(),
            secret: secret.map(|secret| Secret::new(secret.to_owned())),
            ..SecretConfig::sample()
        }
    }

    #[test]
    fn a_secret_is_read_from_the_section_or_from_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, format!("{TEXT}\r\n")).unwrap();
        let from_file = SecretConfig { secret_file: Some(path), ..section(None) };
        let encoded = URL_SAFE_NO_PAD.encode(TEXT);
        let padded = base64::engine::general_purpose::STANDARD.encode(TEXT);
        for config in [
            section(Some(TEXT)),
            from_file,
            SecretConfig { encoding: Encoding::Base64, ..section(Some(&encoded)) },
            SecretConfig { encoding: Encoding::Base64, ..section(Some(&padded)) },
        ] {
            let key = config.key().unwrap();
            assert!(key.is_secret() && key.id() == "shared");
            assert!(!format!("{config:?} {key:?}").contains("a secret of"));
        }
    }

    #[test]
    fn a_secret_that_cannot_be_used_is_refused_without_showing_it() {
        let both = SecretConfig { secret_file: Some(PathBuf::from("x")), ..section(Some(TEXT)) };
        let gone = SecretConfig { secret_file: Some(PathBuf::from("/nonexistent/secret")), ..section(None) };
        for config in [
            section(None),
            both,
            gone,
            section(Some("hunter2 is too short")),
            SecretConfig { algorithm: "ES256".to_owned(), ..section(Some(TEXT)) },
            SecretConfig { encoding: Encoding::Base64, ..section(Some(TEXT)) },
            SecretConfig { name: String::new(), ..section(Some(TEXT)) },
        ] {
            let error = config.key().unwrap_err();
            assert!(!error.is_empty() && !error.contains("hunter2") && !error.contains(TEXT), "{error}");
        }
    }
}
