//! Facts of tokens seen before: what cannot change, kept; what can, never.
//!
//! A verified signature and its claims are immutable, so a token that comes again need not be
//! verified again. The verdict is not here: the view is read on every request. An entry is found by
//! all bytes of the token, is made only after a valid signature, and counts only while the issuer's
//! record and the settings are the very ones it was verified under.
//!
//! Eight places make a set, and a token's hash chooses the set. Whoever looks a token up takes no
//! lock and changes nothing that others read, except the mark that keeps it from being displaced.

#[allow(
    clippy::indexing_slicing,
    reason = "its indices are ways of a set and hashes reduced to their number, never bytes from outside"
)]
mod places;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use annul_core::VerifiedToken;
use annul_core::settings::Settings;
use annul_core::time::UnixSeconds;
use annul_core::view::{Ground, IssuerView, View};

use self::places::Places;
use crate::metrics;

/// The bytes an entry takes beyond the token's text and the decoded copy of it: the list of claims,
/// names, target hashes and the allocations' own.
const ENTRY_OVERHEAD: u64 = 2_000;
/// The token's text, and its claims decoded.
const COPIES: u64 = 2;
/// What an ordinary entry weighs, to size the table.
const ORDINARY_ENTRY: u64 = 3_200;

/// The cache, bounded by an estimate of its bytes. Zero bytes mean no cache.
pub(crate) struct FactsCache {
    places: Option<Places>,
}

/// What a token was verified under. The weak pointers keep their allocations from being reused, so
/// the same address means the same record.
struct Generation {
    issuer: Option<Weak<IssuerView>>,
    settings: Option<Weak<Settings>>,
    /// The last ground at which the two were found to be the same: mostly that of now.
    ground: AtomicU64,
}

struct Entry {
    text: Box<str>,
    token: VerifiedToken,
    generation: Generation,
}

impl FactsCache {
    pub(crate) fn new(bytes: u64) -> Self {
        Self { places: (bytes > 0).then(|| Places::new(bytes, bytes / ORDINARY_ENTRY)) }
    }

    /// The token verified before, if it would be verified the same way now. One that is past its
    /// `exp` is left to verification, which knows the leeway.
    pub(crate) fn find(&self, token: &str, view: &View, now: UnixSeconds) -> Option<VerifiedToken> {
        let places = self.places.as_ref()?;
        let found = places.find(token, |entry| entry.expires() > now && entry.is_current(view));
        match found {
            Some(_) => metrics::cache_hit(),
            None => metrics::cache_miss(),
        }
        found
    }

    /// Keeps a token that was verified after the view's ground was `before`. If it has changed since,
    /// the token may have been verified under what no longer holds, and is not kept.
    pub(crate) fn keep(&self, text: &str, token: &VerifiedToken, view: &View, before: Ground, now: UnixSeconds) {
        let Some(places) = &self.places else { return };
        let generation = Generation::read(view, token.issuer(), before);
        if token.expires() > now && view.ground() == before {
            places.keep(Arc::new(Entry { text: text.into(), token: token.clone(), generation }), now);
        }
    }

    /// Drops what has expired.
    pub(crate) fn sweep(&self, now: UnixSeconds) {
        if let Some(places) = &self.places {
            places.sweep(now);
        }
    }

    pub(crate) fn entries(&self) -> u64 {
        self.places.as_ref().map_or(0, Places::entries)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.places.as_ref().map_or(0, Places::bytes)
    }
}

impl Entry {
    fn expires(&self) -> UnixSeconds {
        self.token.expires()
    }

    fn is_current(&self, view: &View) -> bool {
        self.generation.is_current(view, self.token.issuer())
    }

    fn weight(&self) -> u64 {
        ENTRY_OVERHEAD + COPIES * self.text.len() as u64
    }
}

impl Generation {
    fn read(view: &View, issuer: &str, ground: Ground) -> Self {
        let issuer = view.issuer(issuer).map(|issuer| Arc::downgrade(&issuer));
        let settings = view.settings().map(|settings| Arc::downgrade(&settings));
        Self { issuer, settings, ground: AtomicU64::new(ground.number()) }
    }

    /// A ground that changed may have changed for others only: then it is noted, and the next look
    /// is short again.
    fn is_current(&self, view: &View, issuer: &str) -> bool {
        let ground = view.ground().number();
        if self.ground.load(Ordering::Relaxed) == ground {
            return true;
        }
        let current = same(self.issuer.as_ref(), view.issuer(issuer).as_ref())
            && same(self.settings.as_ref(), view.settings().as_ref());
        if current {
            self.ground.store(ground, Ordering::Relaxed);
        }
        current
    }
}

fn same<T>(then: Option<&Weak<T>>, now: Option<&Arc<T>>) -> bool {
    then.map(Weak::as_ptr) == now.map(Arc::as_ptr)
}

#[cfg(test)]
mod tests {
    use annul_core::position::Position;
    use annul_core::record::{Record, RecordBody};
    use annul_core::settings::{ClaimNames, IssuerRecord};
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
            cache.keep(&text, &verified, &view, view.ground(), NOW);
        }
        assert!(cache.bytes() <= 64 * 1024, "{} bytes", cache.bytes());
        assert!(cache.entries() > 5, "{} entries", cache.entries());
    }

    #[test]
    fn an_entry_is_found_by_all_its_bytes_until_it_expires() {
        let view = View::new().0;
        let cache = FactsCache::new(1 << 20);
        let (text, verified) = token(1);
        cache.keep(&text, &verified, &view, view.ground(), NOW);
        assert!(cache.find(&text, &view, NOW).is_some());
        assert!(cache.find(&text[..text.len() - 1], &view, NOW).is_none());
        assert!(cache.find(&token(2).0, &view, NOW).is_none());
        let exp = verified.expires();
        assert!(cache.find(&text, &view, exp).is_none(), "past exp the leeway decides, not the cache");
        cache.sweep(exp);
        assert_eq!(cache.entries(), 0);
    }

    #[test]
    fn what_is_kept_found_and_dropped_at_once_from_many_threads_stays_in_its_bounds() {
        let view = View::new().0;
        let cache = FactsCache::new(64 * 1024);
        let tokens: Vec<_> = (0..100).map(token).collect();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (cache, view, tokens) = (&cache, &view, &tokens);
                scope.spawn(move || {
                    for (text, verified) in tokens.iter().cycle().skip(thread * 25).take(1_000) {
                        if let Some(found) = cache.find(text, view, NOW) {
                            assert_eq!(found.subject(), verified.subject(), "another token's facts");
                        } else {
                            cache.keep(text, verified, view, view.ground(), NOW);
                        }
                    }
                });
            }
        });
        assert!(cache.entries() > 5 && cache.bytes() <= 64 * 1024, "{} entries", cache.entries());
        cache.sweep(NOW.plus(1_000));
        assert_eq!((cache.entries(), cache.bytes()), (0, 0), "every byte that was counted was given back");
    }

    #[test]
    fn what_is_looked_up_stays_when_others_come_and_go() {
        let view = View::new().0;
        let cache = FactsCache::new(256 * 1024);
        let (text, verified) = token(0);
        cache.keep(&text, &verified, &view, view.ground(), NOW);
        for number in 1..1_000 {
            assert!(cache.find(&text, &view, NOW).is_some(), "gone after {number}");
            let (text, verified) = token(number);
            cache.keep(&text, &verified, &view, view.ground(), NOW);
        }
    }

    #[test]
    fn a_token_verified_under_what_has_changed_since_is_neither_kept_nor_found() {
        let (view, mut writer) = View::new();
        let cache = FactsCache::new(1 << 20);
        let (text, verified) = token(1);
        let before = view.ground();
        cache.keep(&text, &verified, &view, before, NOW);
        writer.apply(&[issuer(1, "another")]).unwrap();
        assert!(cache.find(&text, &view, NOW).is_some(), "another issuer's record changes nothing here");
        writer.apply(&[issuer(2, "i")]).unwrap();
        assert!(cache.find(&text, &view, NOW).is_none());
        cache.keep(&text, &verified, &view, before, NOW);
        assert!(cache.find(&text, &view, NOW).is_none(), "verified before the record came");
        cache.keep(&text, &verified, &view, view.ground(), NOW);
        assert!(cache.find(&text, &view, NOW).is_some());
    }

    fn issuer(seq: u64, name: &str) -> Record {
        let issuer = IssuerRecord {
            issuer: name.to_owned(),
            keys: Vec::new(),
            longest_life: 900,
            skew: 0,
            requires_jti: false,
            claims: ClaimNames::default(),
            keys_due: None,
            removed: false,
        };
        Record { at: Position::new(1, seq), body: RecordBody::Issuer(issuer) }
    }

    #[test]
    fn a_cache_of_no_bytes_keeps_nothing() {
        let view = View::new().0;
        let cache = FactsCache::new(0);
        let (text, verified) = token(1);
        cache.keep(&text, &verified, &view, view.ground(), NOW);
        assert!(cache.find(&text, &view, NOW).is_none());
    }
}
