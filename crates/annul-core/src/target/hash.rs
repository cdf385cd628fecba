//! The hash of a target: the only thing of it that travels in the feed and that a view looks up.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroize;

use super::TargetKind;

/// The hash of a target: 128 bits of keyed BLAKE3 over kind and parts, under a key that is the hash
/// key's keyed BLAKE3 of the issuer. Each part is prefixed with its length, so no two targets share an
/// input, and most fit one block of the hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetHash(pub [u8; 16]);

impl TargetHash {
    /// The hash of the target with these parts, without building a [`Target`](super::Target) first.
    #[must_use]
    pub fn of(key: &HashKey, issuer: &str, kind: TargetKind, parts: &[&str]) -> Self {
        IssuerKey::of(key, issuer).hash(kind, parts)
    }
}

/// The key under which the targets of one issuer are hashed.
struct IssuerKey([u8; 32]);

impl IssuerKey {
    fn of(key: &HashKey, issuer: &str) -> Self {
        Self(*blake3::keyed_hash(&key.0, issuer.as_bytes()).as_bytes())
    }

    #[expect(clippy::indexing_slicing, reason = "the input was made as long as what is written takes")]
    fn hash(&self, kind: TargetKind, parts: &[&str]) -> TargetHash {
        let needed = 1 + parts.iter().map(|part| LENGTH + part.len()).sum::<usize>();
        if needed <= HASHED {
            let mut input = [0; HASHED];
            write_parts(&mut input[..needed], kind, parts);
            self.of_input(&input[..needed])
        } else {
            let mut input = vec![0; needed];
            write_parts(&mut input, kind, parts);
            self.of_input(&input)
        }
    }

    fn of_input(&self, input: &[u8]) -> TargetHash {
        let mut hash = [0; 16];
        hash.copy_from_slice(&blake3::keyed_hash(&self.0, input).as_bytes()[..16]);
        TargetHash(hash)
    }
}

/// What the targets of one issuer have in common, worked out once.
pub(crate) struct IssuerTargets {
    key: IssuerKey,
    /// The target `issuer`, which every token has.
    issuer: TargetHash,
}

impl IssuerTargets {
    /// That of `issuer` under the log's hash key.
    pub(crate) fn of(key: &HashKey, issuer: &str) -> Self {
        let key = IssuerKey::of(key, issuer);
        Self { issuer: key.hash(TargetKind::Issuer, &[]), key }
    }

    /// The hash of the issuer's target of this kind with these parts.
    pub(crate) fn hash(&self, kind: TargetKind, parts: &[&str]) -> TargetHash {
        if kind == TargetKind::Issuer { self.issuer } else { self.key.hash(kind, parts) }
    }
}

impl fmt::Debug for IssuerTargets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuerTargets").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// Bytes of input that are put together on the stack: what the names in ordinary tokens make, with
/// their lengths.
const HASHED: usize = 128;
/// Bytes of a length in the input.
const LENGTH: usize = 8;

/// Fills `input`, which is as long as it takes.
#[expect(clippy::indexing_slicing, reason = "the input was made as long as what is written takes")]
fn write_parts(input: &mut [u8], kind: TargetKind, parts: &[&str]) {
    input[0] = kind.tag();
    parts.iter().fold(&mut input[1..], |rest, part| write_part(rest, part));
}

fn write_part<'i>(input: &'i mut [u8], part: &str) -> &'i mut [u8] {
    let (length, rest) = input.split_at_mut(LENGTH);
    length.copy_from_slice(&(part.len() as u64).to_le_bytes());
    let (bytes, rest) = rest.split_at_mut(part.len());
    bytes.copy_from_slice(part.as_bytes());
    rest
}

impl fmt::Display for TargetHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for TargetHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TargetHash({self})")
    }
}

impl Serialize for TargetHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TargetHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode(text.as_bytes()).map_err(serde::de::Error::custom)?;
        bytes.try_into().map(Self).map_err(|_| serde::de::Error::custom("a target hash has 16 bytes"))
    }
}

/// The key under which a log hashes its targets. Whoever does not hold it can neither read who was
/// revoked from the feed nor choose a name that collides with another's.
#[derive(Clone, PartialEq, Eq)]
pub struct HashKey([u8; 32]);

impl HashKey {
    /// The key with these bytes, which must come from a cryptographic source.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key's bytes, to hand to an authenticated follower or to seal at rest.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// A public name for the key: it tells two keys apart and reveals neither.
    #[must_use]
    pub fn id(&self) -> String {
        let digest = blake3::derive_key("annul hash key id v1", &self.0);
        URL_SAFE_NO_PAD.encode(&digest[..8])
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HashKey({})", self.id())
    }
}

impl Drop for IssuerKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Drop for HashKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
