//! What the cache of facts promises, also to many threads at once.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use annul_core::position::Position;
use annul_core::record::{Record, RecordBody};
use annul_core::settings::{ClaimNames, IssuerRecord};
use annul_core::time::UnixSeconds;
use annul_core::token::FactsCache;
use annul_core::trust::Trust;
use annul_core::view::{View, ViewWriter};
use annul_core::{Algorithm, Expect, Key, VerifiedToken};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const SECRET: &[u8; 32] = b"thirty-two bytes of test secret!";
const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

struct World {
    view: View,
    writer: ViewWriter,
    trust: Trust,
    cache: FactsCache,
}

impl World {
    fn with_bytes(bytes: u64) -> Self {
        let (view, mut writer) = View::new();
        writer.apply(&[issuer(1, "i")]).unwrap();
        let secret = Key::secret("test", Algorithm::Hs256, SECRET).unwrap();
        let trust = Trust::new("own", "a").with_foreign(Expect::foreign("i", "a")).with_secret("i", secret);
        Self { view, writer, trust, cache: FactsCache::new(bytes, 1) }
    }

    fn token(&self, number: u32) -> (String, VerifiedToken) {
        let exp = NOW.0 + 100;
        let claims = format!(r#"{{"iss":"i","aud":"a","sub":"s{number}","exp":{exp}}}"#);
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#), URL_SAFE_NO_PAD.encode(claims));
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET);
        let signature = URL_SAFE_NO_PAD.encode(aws_lc_rs::hmac::sign(&key, signed.as_bytes()));
        let text = format!("{signed}.{signature}");
        let token = self.trust.verify(&self.view, &text, NOW).unwrap();
        (text, token)
    }

    fn keep(&self, token: &VerifiedToken) {
        self.cache.keep(token, self.view.look().ground_number(), NOW);
    }

    fn find(&self, text: &str, now: UnixSeconds) -> Option<VerifiedToken> {
        self.cache.find(text, self.view.look().ground_number(), now, |token| token.stands_on(&self.view.ground()))
    }
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
fn the_bytes_are_bounded_whatever_comes() {
    let world = World::with_bytes(64 * 1024);
    (0..500).for_each(|number| world.keep(&world.token(number).1));
    assert!(world.cache.bytes() <= 64 * 1024, "{} bytes", world.cache.bytes());
    assert!(world.cache.entries() > 5, "{} entries", world.cache.entries());
}

#[test]
fn a_token_is_found_by_all_its_bytes_until_it_expires() {
    let world = World::with_bytes(1 << 20);
    let (text, token) = world.token(1);
    world.keep(&token);
    assert!(world.find(&text, NOW).is_some());
    assert!(world.find(&text[..text.len() - 1], NOW).is_none());
    assert!(world.find(&world.token(2).0, NOW).is_none());
    let exp = token.expires();
    assert!(world.find(&text, exp).is_none(), "past exp the leeway decides, not the cache");
    world.cache.sweep(exp);
    assert_eq!(world.cache.entries(), 0);
}

#[test]
fn what_is_kept_found_and_dropped_at_once_from_many_threads_stays_in_its_bounds() {
    let world = World::with_bytes(64 * 1024);
    let tokens: Vec<_> = (0..100).map(|number| world.token(number)).collect();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (world, tokens) = (&world, &tokens);
            scope.spawn(move || {
                for (text, token) in tokens.iter().cycle().skip(thread * 25).take(1_000) {
                    if let Some(found) = world.find(text, NOW) {
                        assert_eq!(found.subject(), token.subject(), "another token's facts");
                    } else {
                        world.keep(token);
                    }
                }
            });
        }
    });
    let cache = &world.cache;
    assert!(cache.entries() > 5 && cache.bytes() <= 64 * 1024, "{} entries", cache.entries());
    cache.sweep(NOW.plus(1_000));
    assert_eq!((cache.entries(), cache.bytes()), (0, 0), "every byte that was counted was given back");
}

#[test]
fn what_is_looked_up_stays_when_others_come_and_go() {
    let world = World::with_bytes(256 * 1024);
    let (text, token) = world.token(0);
    world.keep(&token);
    for number in 1..1_000 {
        assert!(world.find(&text, NOW).is_some(), "gone after {number}");
        world.keep(&world.token(number).1);
    }
}

#[test]
fn a_token_verified_by_what_has_changed_since_is_not_found() {
    let mut world = World::with_bytes(1 << 20);
    let (text, token) = world.token(1);
    world.keep(&token);
    world.writer.apply(&[issuer(2, "another")]).unwrap();
    assert!(world.find(&text, NOW).is_some(), "another issuer's record changes nothing here");
    let before = world.view.look().ground_number();
    world.writer.apply(&[issuer(3, "i")]).unwrap();
    assert!(world.find(&text, NOW).is_none());
    world.cache.keep(&token, before, NOW);
    assert!(world.find(&text, NOW).is_none(), "verified before the record came");
    world.cache.keep(&world.token(1).1, before, NOW);
    assert!(world.find(&text, NOW).is_some(), "verified after it came, whatever was read before");
}

#[test]
fn a_cache_of_no_bytes_keeps_nothing() {
    let world = World::with_bytes(0);
    let (text, token) = world.token(1);
    world.keep(&token);
    assert!(world.find(&text, NOW).is_none());
}
