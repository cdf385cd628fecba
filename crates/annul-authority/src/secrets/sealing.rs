//! The master key, and what is sealed under it: signing keys, the feed key, the hash key.
//!
//! ```text
//! sealed = 0x00 | id of the master key (8) | nonce (12) | AES-256-GCM(secret, aad = purpose) | tag (16)
//! ```
//!
//! The id is public. It makes a wrong master key a named error instead of a failed decryption, and
//! the error loses nothing: what is sealed stays as it is, to be opened with the right key.

use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::secrets::private_file;

const FORMAT: u8 = 0;
const ID_BYTES: usize = 8;
const NONCE_BYTES: usize = 12;
const HEADER_BYTES: usize = 1 + ID_BYTES + NONCE_BYTES;
/// Bytes read from a master key file: the key in base64 and a newline need 44.
const MAX_FILE: u64 = 256;

/// The key that everything secret in the store is sealed under. It is held elsewhere than the store
/// when an operator says where; a key made beside the data protects nothing but looks.
#[derive(Clone)]
pub struct MasterKey {
    bytes: Zeroizing<[u8; 32]>,
    id: [u8; ID_BYTES],
}

impl MasterKey {
    /// The key with these bytes, which must come from a cryptographic source.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let digest = blake3::derive_key("annul master key id v0", &bytes);
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&digest[..ID_BYTES]);
        Self { bytes: Zeroizing::new(bytes), id }
    }

    /// A new random key.
    pub fn generate() -> Result<Self, SealError> {
        let mut bytes = [0; 32];
        rand::fill(&mut bytes).map_err(|_| SealError::NoRandomness)?;
        Ok(Self::from_bytes(bytes))
    }

    /// Reads the key from `path`: 32 bytes in base64, padded or not, or 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`SealError::Missing`] when there is no such file: nothing is created, for a new key would
    /// not open what the lost one sealed.
    pub fn load(path: &Path) -> Result<Self, SealError> {
        let file = fs::File::open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => SealError::Missing { path: path.to_owned() },
            _ => SealError::Unreadable { path: path.to_owned(), error },
        })?;
        let mut text = Zeroizing::new(String::new());
        file.take(MAX_FILE)
            .read_to_string(&mut text)
            .map_err(|error| SealError::Unreadable { path: path.to_owned(), error })?;
        decode_key(text.trim()).map(Self::from_bytes).ok_or_else(|| SealError::Malformed { path: path.to_owned() })
    }

    /// Makes a new key and writes it to a file at `path` that only its owner can read. The file and
    /// its directory are on disk when this returns. Never overwrites a file.
    pub fn create(path: &Path) -> Result<Self, SealError> {
        let key = Self::generate()?;
        let failed = |error| SealError::Unwritable { path: path.to_owned(), error };
        let text = Zeroizing::new(format!("{}\n", URL_SAFE_NO_PAD.encode(*key.bytes)));
        private_file::create(path, text.as_bytes()).map_err(failed)?;
        Ok(key)
    }

    /// The key's public name.
    #[must_use]
    pub fn id(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.id)
    }

    /// Seals `secret` for one purpose. What is sealed for one purpose cannot be opened for another,
    /// so two rows of the store cannot be swapped.
    pub fn seal(&self, purpose: &str, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut text = Zeroizing::new(secret.to_vec());
        // Room for the tag, so that appending it leaves no copy of the secret behind.
        text.reserve_exact(AES_256_GCM.tag_len());
        let nonce = self
            .cipher()
            .seal_in_place_append_tag(Aad::from(purpose.as_bytes()), &mut *text)
            .map_err(|_| SealError::NoRandomness)?;
        let mut sealed = Vec::with_capacity(HEADER_BYTES + text.len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(&self.id);
        sealed.extend_from_slice(nonce.as_ref());
        sealed.extend_from_slice(&text);
        Ok(sealed)
    }

    /// Opens what [`seal`](Self::seal) sealed for the same purpose.
    ///
    /// # Errors
    /// [`SealError::WrongMasterKey`] when it was sealed under another key, [`SealError::Damaged`]
    /// when the bytes are not what was sealed.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let damaged = || SealError::Damaged { purpose: purpose.to_owned() };
        let (header, body) = sealed.split_at_checked(HEADER_BYTES).ok_or_else(damaged)?;
        let Some((&FORMAT, names)) = header.split_first() else { return Err(damaged()) };
        let (id, nonce) = names.split_at_checked(ID_BYTES).ok_or_else(damaged)?;
        if id != self.id {
            return Err(SealError::WrongMasterKey { sealed_under: URL_SAFE_NO_PAD.encode(id), given: self.id() });
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| damaged())?;
        let mut text = Zeroizing::new(body.to_vec());
        let length =
            self.cipher().open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut text).map_err(|_| damaged())?.len();
        text.truncate(length);
        Ok(text)
    }

    /// A hash of `bytes` that only the holder of the master key can compute. What it is of cannot be
    /// found by trying, also where that is short, such as a password.
    #[must_use]
    pub fn fingerprint(&self, bytes: &[u8]) -> [u8; 32] {
        let key = Zeroizing::new(blake3::derive_key("annul request fingerprint v0", &*self.bytes));
        *blake3::keyed_hash(&key, bytes).as_bytes()
    }

    /// What stands in tokens for a subject's credential: the same for the same credential, and of no
    /// use to whoever reads it. 128 bits as base64url.
    #[must_use]
    pub fn credential_fingerprint(&self, subject: &str, credential: &str) -> String {
        let key = Zeroizing::new(blake3::derive_key("annul credential fingerprint v0", &*self.bytes));
        let mut hasher = blake3::Hasher::new_keyed(&key);
        hasher.update(&(subject.len() as u64).to_le_bytes()).update(subject.as_bytes()).update(credential.as_bytes());
        URL_SAFE_NO_PAD.encode(&hasher.finalize().as_bytes()[..16])
    }

    /// A key for one purpose, which tells nothing of this one or of another purpose's.
    pub(super) fn derived(&self, purpose: &'static str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(blake3::derive_key(purpose, &*self.bytes))
    }

    fn cipher(&self) -> RandomizedNonceKey {
        RandomizedNonceKey::new(&AES_256_GCM, &*self.bytes).expect("AES-256 takes the 32 bytes a master key has")
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.id())
    }
}

/// Why a master key cannot be used, or something sealed cannot be opened. None of them changes
/// anything on disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// There is no file at the configured path.
    #[error("there is no master key at {}", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("the master key at {} cannot be read: {error}", path.display())]
    Unreadable {
        /// Where it lies.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file cannot be written.
    #[error("the master key cannot be written to {}: {error}", path.display())]
    Unwritable {
        /// Where it should lie.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file holds something else than 32 bytes in base64 or hexadecimal.
    #[error("{} is not a master key: it must hold 32 bytes in base64 or hexadecimal", path.display())]
    Malformed {
        /// Where it lies.
        path: PathBuf,
    },
    /// The data was sealed under another master key.
    #[error("this is the wrong master key: the data is sealed under {sealed_under}, the key given is {given}")]
    WrongMasterKey {
        /// The public name of the key that is needed.
        sealed_under: String,
        /// The public name of the key at hand.
        given: String,
    },
    /// The sealed bytes are not what was sealed.
    #[error("the sealed {purpose} is damaged")]
    Damaged {
        /// What it was sealed for.
        purpose: String,
    },
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    NoRandomness,
}

impl SealError {
    /// The error's stable name.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "master_key_missing",
            Self::Unreadable { .. } => "master_key_unreadable",
            Self::Unwritable { .. } => "master_key_unwritable",
            Self::Malformed { .. } => "master_key_malformed",
            Self::WrongMasterKey { .. } => "wrong_master_key",
            Self::Damaged { .. } => "sealed_data_damaged",
            Self::NoRandomness => "no_randomness",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Missing { .. } => {
                "put back the key this data was sealed under; a new one would not open it. Nothing was changed"
            }
            Self::Unreadable { .. } => "give the authority's user the right to read the file",
            Self::Unwritable { .. } => {
                "give the authority's user a directory it can write to, or configure another path"
            }
            Self::Malformed { .. } => "configure the path of the right file, or restore it. Nothing was changed",
            Self::WrongMasterKey { .. } => {
                "configure the key with the first name; the data is unharmed and was left as it is"
            }
            Self::Damaged { .. } => "restore the data from a backup; the damaged data was left as it is",
            Self::NoRandomness => "check the system's random number generator, then try again",
        }
    }
}

fn decode_key(text: &str) -> Option<[u8; 32]> {
    if text.len() == 64 {
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(text.as_bytes().as_chunks().0) {
            let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        return Some(bytes);
    }
    let unpadded = text.trim_end_matches('=').replace('+', "-").replace('/', "_");
    URL_SAFE_NO_PAD.decode(unpadded).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened_for_its_purpose_only() {
        let key = MasterKey::from_bytes([7; 32]);
        let sealed = key.seal("signing key a", b"secret").unwrap();
        assert_eq!(&**key.open("signing key a", &sealed).unwrap(), b"secret");
        assert!(matches!(key.open("signing key b", &sealed), Err(SealError::Damaged { .. })));
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
    }

    #[test]
    fn a_wrong_master_key_is_named_and_loses_nothing() {
        let right = MasterKey::from_bytes([7; 32]);
        let wrong = MasterKey::from_bytes([8; 32]);
        let sealed = right.seal("feed key", b"secret").unwrap();
        let error = wrong.open("feed key", &sealed).unwrap_err();
        assert_eq!(error.code(), "wrong_master_key");
        assert!(error.to_string().contains(&right.id()) && error.to_string().contains(&wrong.id()));
        assert_eq!(&**right.open("feed key", &sealed).unwrap(), b"secret");
    }

    #[test]
    fn any_damage_to_a_sealed_secret_is_noticed() {
        let key = MasterKey::from_bytes([7; 32]);
        let sealed = key.seal("feed key", b"secret").unwrap();
        for index in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[index] ^= 1;
            assert!(key.open("feed key", &damaged).is_err(), "byte {index} may be changed unnoticed");
            assert!(key.open("feed key", &sealed[..index]).is_err(), "a cut to {index} bytes goes unnoticed");
        }
    }

    #[test]
    fn a_key_file_is_private_and_never_overwritten() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        assert!(matches!(MasterKey::load(&path), Err(SealError::Missing { .. })));
        let made = MasterKey::create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(MasterKey::load(&path).unwrap().id(), made.id());
        assert!(matches!(MasterKey::create(&path), Err(SealError::Unwritable { .. })));
        assert_eq!(MasterKey::load(&path).unwrap().id(), made.id());
    }

    #[test]
    fn a_key_is_read_in_every_usual_spelling() {
        let bytes: [u8; 32] = std::array::from_fn(|index| u8::try_from(index * 7 % 256).unwrap());
        let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        for text in [hex, URL_SAFE_NO_PAD.encode(bytes), base64::engine::general_purpose::STANDARD.encode(bytes)] {
            assert_eq!(decode_key(&text), Some(bytes), "{text}");
        }
        assert_eq!(decode_key("short"), None);
    }

    #[test]
    fn a_fingerprint_depends_on_the_master_key() {
        let key = MasterKey::from_bytes([7; 32]);
        assert_eq!(key.fingerprint(b"password"), key.fingerprint(b"password"));
        assert_ne!(key.fingerprint(b"password"), key.fingerprint(b"passwore"));
        assert_ne!(key.fingerprint(b"password"), MasterKey::from_bytes([8; 32]).fingerprint(b"password"));
    }

    #[test]
    fn a_credential_fingerprint_tells_subject_credential_and_master_key_apart() {
        let key = MasterKey::from_bytes([7; 32]);
        let of = |subject, credential| key.credential_fingerprint(subject, credential);
        assert_eq!(of("alice", "$argon2id$x"), of("alice", "$argon2id$x"));
        assert_eq!(of("alice", "$argon2id$x").len(), 22);
        let other_key = MasterKey::from_bytes([8; 32]).credential_fingerprint("alice", "$argon2id$x");
        for other in [of("alice", "$argon2id$y"), of("bob", "$argon2id$x"), of("alice$", "argon2id$x"), other_key] {
            assert_ne!(of("alice", "$argon2id$x"), other);
        }
    }

    #[test]
    fn a_master_key_does_not_show_in_debug_output() {
        assert_eq!(format!("{:?}", MasterKey::from_bytes([65; 32])).find("AAAA"), None);
    }
}
