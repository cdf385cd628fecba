//! Facts of tokens seen before: what cannot change, kept; what can, never.
//!
//! A verified signature and its claims are immutable, so a token that comes again need not be
//! verified again. The verdict is not here: the view is read on every request. An entry is found by
//! all bytes of the token, is made only after a valid signature, and counts only while the issuer's
//! record and the settings are the very ones it was verified under.

use std::sync::{Arc, Weak};

use annul_core::VerifiedToken;
use annul_core::position::Position;
use annul_core::settings::Settings;
use annul_core::time::UnixSeconds;
use annul_core::view::{IssuerView, View};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::metrics;

/// The bytes an entry takes beyond the token's own text and what its claims make of it.
const ENTRY_OVERHEAD: u64 = 640;
/// Claims as a tree, target hashes and the key's text take about twice the token's length.
const CLAIMS_PER_TOKEN_BYTE: u64 = 2;
/// What an ordinary entry weighs, to size the table.
const ORDINARY_ENTRY: u64 = 2400;

/// The cache, bounded by an estimate of its bytes. Zero bytes mean no cache.
pub(crate) struct FactsCache {
    cache: Option<Cache<Box<str>, Arc<Entry>, Weight>>,
}

/// What a token was verified under. The weak pointers keep their allocations from being reused, so
/// the same address means the same record.
struct Generation {
    issuer: Option<Weak<IssuerView>>,
    settings: Option<Weak<Settings>>,
}

struct Entry {
    token: VerifiedToken,
    generation: Generation,
}

impl FactsCache {
    pub(crate) fn new(bytes: u64) -> Self {
        let items = usize::try_from(bytes / ORDINARY_ENTRY).unwrap_or(usize::MAX).max(1);
        Self { cache: (bytes > 0).then(|| Cache::with_weighter(items, bytes, Weight)) }
    }

    /// The token verified before, if it would be verified the same way now. One that is past its
    /// `exp` is left to verification, which knows the leeway.
    pub(crate) fn find(&self, token: &str, view: &View, now: UnixSeconds) -> Option<VerifiedToken> {
        let cache = self.cache.as_ref()?;
        let found = cache
            .get(token)
            .filter(|entry| entry.token.expires() > now && entry.generation.is_current(view, entry.token.issuer()));
        match found {
            Some(entry) => {
                metrics::cache_hit();
                Some(entry.token.clone())
            }
            None => {
                metrics::cache_miss();
                None
            }
        }
    }

    /// Keeps a token that was verified after the view was read at `before`. If the view has moved on
    /// since, the token may have been verified under what no longer holds, and is not kept.
    pub(crate) fn keep(
        &self,
        text: &str,
        token: &VerifiedToken,
        view: &View,
        before: Option<Position>,
        now: UnixSeconds,
    ) {
        let Some(cache) = &self.cache else { return };
        let generation = Generation::read(view, token.issuer());
        if token.expires() > now && view.position() == before {
            cache.insert(text.into(), Arc::new(Entry { token: token.clone(), generation }));
        }
    }

    /// Drops what has expired.
    pub(crate) fn sweep(&self, now: UnixSeconds) {
        if let Some(cache) = &self.cache {
            cache.retain(|_, entry| entry.token.expires() > now);
        }
    }

    pub(crate) fn entries(&self) -> u64 {
        self.cache.as_ref().map_or(0, |cache| cache.len() as u64)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.cache.as_ref().map_or(0, Cache::weight)
    }
}

impl Generation {
    fn read(view: &View, issuer: &str) -> Self {
        let issuer = view.issuer(issuer).map(|issuer| Arc::downgrade(&issuer));
        let settings = view.settings().map(|settings| Arc::downgrade(&settings));
        Self { issuer, settings }
    }

    fn is_current(&self, view: &View, issuer: &str) -> bool {
        let same_issuer = same(self.issuer.as_ref(), view.issuer(issuer).as_ref());
        same_issuer && same(self.settings.as_ref(), view.settings().as_ref())
    }
}

fn same<T>(then: Option<&Weak<T>>, now: Option<&Arc<T>>) -> bool {
    then.map(Weak::as_ptr) == now.map(Arc::as_ptr)
}

#[derive(Clone)]
struct Weight;

impl Weighter<Box<str>, Arc<Entry>> for Weight {
    fn weight(&self, token: &Box<str>, _: &Arc<Entry>) -> u64 {
        let length = token.len() as u64;
        ENTRY_OVERHEAD + length + length * CLAIMS_PER_TOKEN_BYTE
    }
}

#[cfg(test)]
mod tests {
    use annul_core::{Algorithm, Expect, Key, KeySet, UnverifiedToken};
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    const SECRET: &[u8; 32] = b"thirty-two bytes of test secret!";
    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

    fn token(number: u32) -> (String, VerifiedToken) {
        let exp = NOW.0 + 100;
        let claims = format!(r#"{{"iss":"i","aud":"a","sub":"s{number}","exp":{exp}}}"#);
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#), URL_SAFE_NO_PAD.encode(claims));
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET);
        let signature = URL_SAFE_NO_PAD.encode(aws_lc_rs::hmac::sign(&key, signed.as_bytes()));
        let text = format!("{signed}.{signature}");
        let keys: KeySet = [Key::secret("test", Algorithm::Hs256, SECRET).unwrap()].into_iter().collect();
        let verified = UnverifiedToken::parse(&text).unwrap().verify(&keys, &Expect::foreign("i", "a"), NOW).unwrap();
        (text, verified)
    }

    #[test]
    fn the_bytes_are_bounded_whatever_comes() {
        let view = View::new().0;
        let cache = FactsCache::new(64 * 1024);
        for number in 0..500 {
            let (text, verified) = token(number);
            cache.keep(&text, &verified, &view, None, NOW);
        }
        assert!(cache.bytes() <= 64 * 1024, "{} bytes", cache.bytes());
        assert!(cache.entries() > 5, "{} entries", cache.entries());
    }

    #[test]
    fn an_entry_is_found_by_all_its_bytes_until_it_expires() {
        let view = View::new().0;
        let cache = FactsCache::new(1 << 20);
        let (text, verified) = token(1);
        cache.keep(&text, &verified, &view, None, NOW);
        assert!(cache.find(&text, &view, NOW).is_some());
        assert!(cache.find(&text[..text.len() - 1], &view, NOW).is_none());
        assert!(cache.find(&token(2).0, &view, NOW).is_none());
        let exp = verified.expires();
        assert!(cache.find(&text, &view, exp).is_none(), "past exp the leeway decides, not the cache");
        cache.sweep(exp);
        assert_eq!(cache.entries(), 0);
    }

    #[test]
    fn a_cache_of_no_bytes_keeps_nothing() {
        let view = View::new().0;
        let cache = FactsCache::new(0);
        let (text, verified) = token(1);
        cache.keep(&text, &verified, &view, None, NOW);
        assert!(cache.find(&text, &view, NOW).is_none());
    }
}
