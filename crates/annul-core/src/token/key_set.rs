//! The keys of one issuer, and the rule by which a token's header finds one of them.

use serde_json::Value;

use super::error::TokenError;
use super::header::Header;
use super::json;
use super::jwk::JwkError;
use super::key::Key;

/// Keys an issuer may publish. The largest providers publish about a dozen.
pub const MAX_KEYS: usize = 128;

/// Bytes a key set may have; they must fit a line of the log.
pub const MAX_JWKS: usize = 192 * 1024;

/// The keys of **one** issuer. There is no set of all keys, so a key of one issuer never verifies a
/// token of another.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
}

/// A key that was left out of a set, which is otherwise usable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedKey {
    /// Its place in the set, from 0.
    pub index: usize,
    /// Its `kid`, if that could be read.
    pub kid: Option<String>,
    /// Why it was left out.
    pub reason: JwkError,
}

impl KeySet {
    /// The set without keys, which verifies nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Reads a JWK set that configuration names, such as a local file: secrets (`oct`) are taken, and
    /// a key without `alg` is good for every algorithm of its type. A key that cannot be used is
    /// skipped and reported, and does not spoil the others.
    pub fn from_jwks(json: &[u8]) -> Result<(Self, Vec<SkippedKey>), JwkError> {
        let values = Self::values(json)?;
        Ok(Self::load(&values, Key::from_jwk))
    }

    /// Reads the public keys among `values`; a secret among them is skipped. This is the way for
    /// keys that came over a network. Each is good for exactly one algorithm (RFC 8725 §3.1): an RSA
    /// key without `alg` for `RS256`.
    #[must_use]
    pub fn from_values(values: &[Value]) -> (Self, Vec<SkippedKey>) {
        Self::load(values, |value| match Key::from_jwk(value)? {
            key if key.is_secret() => Err(JwkError::Secret),
            key => Ok(key.for_one_algorithm()),
        })
    }

    /// The JWKs in a JWK set, not yet looked at, for [`from_values`](Self::from_values).
    pub fn values(json: &[u8]) -> Result<Vec<Value>, JwkError> {
        if json.len() > MAX_JWKS {
            return Err(JwkError::Set);
        }
        let mut set = json::read_object(json).map_err(JwkError::Malformed)?;
        match set.remove("keys") {
            Some(Value::Array(values)) if values.len() <= MAX_KEYS => Ok(values),
            _ => Err(JwkError::Set),
        }
    }

    fn load(values: &[Value], read: impl Fn(&Value) -> Result<Key, JwkError>) -> (Self, Vec<SkippedKey>) {
        let mut set = Self::empty();
        let mut skipped = Vec::new();
        for (index, value) in values.iter().enumerate() {
            match read(value) {
                Ok(key) => set.insert(key),
                Err(reason) => {
                    let kid = value.get("kid").and_then(Value::as_str).map(str::to_owned);
                    skipped.push(SkippedKey { index, kid, reason });
                }
            }
        }
        (set, skipped)
    }

    /// Adds a key. The same key under the same `kid` is held once.
    pub fn insert(&mut self, key: Key) {
        self.keys.retain(|held| (held.id(), held.kid()) != (key.id(), key.kid()));
        self.keys.push(key);
    }

    /// The keys, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter()
    }

    /// The keys under this `kid`.
    pub fn with_kid(&self, kid: &str) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(move |key| key.kid() == Some(kid))
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key whose signature this is. `kid` finds it; without one, there must be one key that fits
    /// the algorithm, or only secrets, which are tried in turn.
    pub(super) fn verify(&self, header: &Header, message: &[u8], signature: &[u8]) -> Result<&Key, TokenError> {
        let (alg, kid) = (header.alg(), header.kid());
        let named = || self.keys.iter().filter(|key| kid.is_none() || key.kid() == kid);
        let fitting = || named().filter(|key| key.fits(alg));
        let mut candidates = fitting();
        match (candidates.next(), candidates.next()) {
            (None, _) if named().next().is_none() => Err(TokenError::KeyUnknown),
            (None, _) => Err(TokenError::AlgNotAllowed),
            (Some(key), None) => key.verify(alg, message, signature).map(|()| key),
            (Some(_), Some(_)) if alg.is_symmetric() && kid.is_none() => {
                fitting().find(|key| key.verify(alg, message, signature).is_ok()).ok_or(TokenError::SignatureInvalid)
            }
            (Some(_), Some(_)) => Err(TokenError::KeyAmbiguous),
        }
    }
}

impl FromIterator<Key> for KeySet {
    fn from_iter<I: IntoIterator<Item = Key>>(keys: I) -> Self {
        let mut set = Self::empty();
        keys.into_iter().for_each(|key| set.insert(key));
        set
    }
}
