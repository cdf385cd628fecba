//! Foreign issuers: accepted by their keys, revoked by the same verbs.

use annul_authority::authority::{IssuerSecret, Setup};
use annul_authority::secrets::secret::Secret;
use annul_authority::secrets::signing::{SigningAlgorithm, SigningKey};
use annul_authority::verbs::issuers::IssuerRequest;
use annul_authority::verbs::keys::KillRequest;
use annul_authority::verbs::revocations::{CutoffText, RevokeRequest};
use annul_authority::verbs::subjects::SubjectBlock;
use annul_core::algebra::Reach;
use annul_core::token::{Algorithm, Key};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::idp::Idp;
use crate::world::{AUDIENCE, FOREIGN, ISSUER, World, claims, code, revocation, target};

/// Where the foreign issuer publishes its keys.
const KEYS: &str = "https://idp.example/jwks";

async fn accepting(idp: &Idp) -> World {
    let world = World::new().await;
    world.authority.add_issuer(&world.caller, idp.request(), None).await.unwrap();
    world
}

fn of_idp(text: &str) -> RevokeRequest {
    RevokeRequest { issuer: Some(FOREIGN.to_owned()), ..target(text) }
}

#[tokio::test]
async fn a_foreign_token_is_accepted_once_its_issuer_is_and_no_longer() {
    let idp = Idp::new();
    let mut world = World::new().await;
    let token = idp.token(&world, "alice", json!({}));
    assert_eq!(world.check(token.expose()).await.code, Some("issuer_mismatch"));
    world.authority.add_issuer(&world.caller, idp.request(), None).await.unwrap();
    world.assert_active(&token, "accepted").await;
    world.authority.remove_issuer(&world.caller, FOREIGN).await.unwrap();
    world.assert_refused(token.expose(), "issuer_mismatch", "removed").await;
    assert_eq!(code(world.authority.remove_issuer(&world.caller, FOREIGN).await), "issuer_unknown");
}

#[tokio::test]
async fn a_foreign_now_reaches_what_was_issued_up_to_it_and_a_second_later_all_is_well() {
    for text in [
        "subject:alice",
        "client:shop",
        "subject_client:alice/shop",
        "device:alice/phone",
        "claim:tenant=acme",
        "issuer",
    ] {
        let idp = Idp::new();
        let mut world = accepting(&idp).await;
        let more = || json!({ "azp": "shop", "device_id": "phone", "tenant": "acme" });
        let own = world.open("alice", "phone").await;
        let old = idp.token(&world, "alice", more());
        let bob = idp.token(&world, "bob", json!({}));
        world.revoke(of_idp(text)).await;
        world.assert_revoked(&old, text).await;
        world.assert_active(&own.access_token, &format!("{text}: alice as we know her")).await;
        if text != "issuer" {
            world.assert_active(&bob, &format!("{text}: somebody else")).await;
        }
        world.advance(1);
        let new = idp.token(&world, "alice", more());
        world.assert_active(&new, &format!("{text}: issued in the next second")).await;
    }
}

#[tokio::test]
async fn a_foreign_token_is_revoked_by_itself_with_and_without_jti() {
    let idp = Idp::new();
    let mut world = accepting(&idp).await;
    for more in [json!({ "jti": "one" }), json!({})] {
        let token = idp.token(&world, "alice", more.clone());
        let other = idp.token(&world, "alice", json!({ "nonce": 1 }));
        let request = RevokeRequest { token: Some(token.clone()), ..RevokeRequest::default() };
        let revoked = world.revoke(request).await;
        let kind = if more.get("jti").is_some() { "token:" } else { "token_hash:" };
        assert!(revoked.revocations[0].target.contains(kind), "{}", revoked.revocations[0].target);
        world.assert_revoked(&token, kind).await;
        world.assert_active(&other, "another token of alice").await;
    }
}

#[tokio::test]
async fn a_foreign_session_is_revoked_for_as_long_as_it_can_live() {
    let idp = Idp::new();
    let mut world = World::new().await;
    let request = IssuerRequest { longest_session: Some(86_400), ..idp.request() };
    world.authority.add_issuer(&world.caller, request, None).await.unwrap();
    let token = idp.token(&world, "alice", json!({ "sid": "s1" }));
    let other = idp.token(&world, "alice", json!({ "sid": "s2" }));
    let revoked = world.revoke(of_idp("session:s1")).await;
    assert!(revoked.revocations[0].until.unwrap() >= world.now() + 86_400);
    world.assert_revoked(&token, "its session").await;
    world.assert_active(&other, "another session").await;
    let later = idp.token(&world, "alice", json!({ "sid": "s1", "iat": world.now() + 30 }));
    world.assert_revoked(&later, "a later token of the session").await;
    assert_eq!(
        code(world.try_revoke(RevokeRequest { reach: Some(Reach::Sessions), ..of_idp("session:s1") }).await),
        "reach_not_allowed"
    );
}

#[tokio::test]
async fn a_blocked_foreign_subject_stays_out_and_comes_back_with_a_new_login() {
    let idp = Idp::new();
    let mut world = accepting(&idp).await;
    let block = || SubjectBlock { issuer: Some(FOREIGN.to_owned()), ..SubjectBlock::default() };
    let old = idp.token(&world, "alice", json!({}));
    world.authority.block_subject(&world.caller, "alice", block()).await.unwrap();
    world.advance(5);
    let during = idp.token(&world, "alice", json!({}));
    world.assert_revoked(&during, "issued while blocked").await;
    world.authority.unblock_subject(&world.caller, "alice", block()).await.unwrap();
    world.assert_revoked(&old, "unblocking revives nothing").await;
    world.assert_revoked(&during, "unblocking revives nothing").await;
    world.advance(1);
    let new = idp.token(&world, "alice", json!({}));
    world.assert_active(&new, "a new login").await;
}

#[tokio::test]
async fn a_killed_foreign_key_stays_dead_however_often_it_is_published() {
    let idp = Idp::new();
    let other = SigningKey::generate(SigningAlgorithm::Es256).unwrap();
    let both = json!({ "keys": [idp.key.public_jwk(), other.public_jwk()] });
    let mut world = World::new().await;
    let request = IssuerRequest { jwks: None, jwks_uri: Some(KEYS.to_owned()), ..idp.request() };
    world.authority.add_issuer(&world.caller, request, Some(both.to_string().into_bytes())).await.unwrap();
    let token = idp.token(&world, "alice", json!({}));
    world.assert_active(&token, "before the kill").await;

    let kill = || world.authority.kill_key(&world.caller, idp.key.kid(), KillRequest::default());
    let first = kill().await.unwrap();
    let again = kill().await.unwrap();
    assert_eq!(again.position, first.position, "killing it again changes nothing");
    let forged = idp.token(&world, "alice", json!({ "iat": world.now() + 20 }));
    world.assert_revoked(&token, "the killed key").await;
    world.assert_revoked(&forged, "a forgery after the kill").await;

    let answer = world.authority.refresh_issuer(FOREIGN, KEYS, both.to_string().into_bytes()).await.unwrap();
    assert_eq!(answer.keys, [other.kid().to_owned()]);
    assert_eq!(answer.left_out.len(), 1);
    assert_ne!(world.check(forged.expose()).await.code, None, "fetched again, and still dead");
    let survivor = Idp { key: other };
    let good = survivor.token(&world, "alice", json!({}));
    world.assert_active(&good, "the issuer's other key").await;
}

#[tokio::test]
async fn a_kill_is_answered_again_when_its_issuer_is_gone() {
    let idp = Idp::new();
    let world = World::new().await;
    world.authority.add_issuer(&world.caller, idp.request(), None).await.unwrap();
    let caller = world.caller.clone().with_idempotency("attempt-1", [1; 32]);
    let kill = || world.authority.kill_key(&caller, idp.key.kid(), KillRequest::default());
    let first = kill().await.unwrap();
    world.authority.remove_issuer(&world.caller, FOREIGN).await.unwrap();
    let again = kill().await.unwrap();
    assert_eq!((again.position, again.repeated), (first.position, true));
    let unasked = world.authority.kill_key(&world.caller, idp.key.kid(), KillRequest::default()).await;
    assert_eq!(code(unasked), "key_unknown");
}

#[tokio::test]
async fn keys_are_given_or_fetched_and_weak_ones_are_refused_by_name() {
    let idp = Idp::new();
    let world = World::new().await;
    let add =
        |request: IssuerRequest, fetched: Option<Vec<u8>>| world.authority.add_issuer(&world.caller, request, fetched);
    let small = json!({ "kty": "RSA", "kid": "small", "n": "0".repeat(20), "e": "AQAB" });
    let with = |jwks: Value| IssuerRequest { jwks: Some(jwks), ..idp.request() };
    for (request, expected) in [
        (with(json!({ "keys": [small] })), "key_refused"),
        (
            with(json!({ "keys": [{ "kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MTI" }] })),
            "key_refused",
        ),
        (with(json!({ "keys": [{ "kty": "unheard-of" }] })), "no_usable_key"),
        (with(json!([])), "key_refused"),
        (IssuerRequest { jwks: None, ..idp.request() }, "request_invalid"),
        (IssuerRequest { longest_life: 0, ..idp.request() }, "request_invalid"),
        (IssuerRequest { issuer: ISSUER.to_owned(), ..idp.request() }, "own_issuer"),
    ] {
        assert_eq!(code(add(request, None).await), expected);
    }
    assert!(world.authority.list_issuers().await.unwrap().issuers.is_empty());

    let by_uri = IssuerRequest { jwks: None, jwks_uri: Some(KEYS.to_owned()), ..idp.request() };
    add(by_uri, Some(idp.jwks().to_string().into_bytes())).await.unwrap();
    assert!(world.authority.issuers_due().await.unwrap().is_empty());
    world.advance(301);
    assert_eq!(world.authority.issuers_due().await.unwrap().len(), 1);
    let broken = world.authority.refresh_issuer(FOREIGN, KEYS, b"<html>".to_vec()).await;
    assert_eq!(code(broken), "key_refused");
    let kept = world.authority.list_issuers().await.unwrap().issuers.remove(0);
    assert_eq!(kept.keys, [idp.key.kid().to_owned()], "a broken document leaves the keys that are known");
    world.authority.refresh_issuer(FOREIGN, KEYS, idp.jwks().to_string().into_bytes()).await.unwrap();
    assert!(world.authority.issuers_due().await.unwrap().is_empty());
}

#[tokio::test]
async fn cutoffs_on_a_foreign_issuer_are_compared_with_iat() {
    let idp = Idp::new();
    let mut world = accepting(&idp).await;
    let old = idp.token(&world, "alice", json!({}));
    world.advance(10);
    let time = world.now();
    let at = idp.token(&world, "alice", json!({}));
    let undated = {
        let mut members = claims(json!({ "iss": FOREIGN, "sub": "alice", "aud": AUDIENCE, "exp": time + 60 }));
        members.remove("iat");
        Secret::new(idp.key.sign_token("JWT", &members).unwrap())
    };
    world.revoke(RevokeRequest { cutoff: Some(CutoffText::Before(time)), ..of_idp("subject:alice") }).await;
    world.assert_revoked(&old, "before the time").await;
    world.assert_active(&at, "in that very second").await;
    world.assert_revoked(&undated, "without iat a token is older than every cutoff").await;
    let request =
        revocation(format!("issuer:{}/subject:bob", FOREIGN.replace('/', "%2F")), CutoffText::Always, Reach::Both);
    world.revoke(request).await;
    let bob = idp.token(&world, "bob", json!({}));
    world.assert_revoked(&bob, "always").await;
}

#[tokio::test]
async fn a_fetch_that_comes_late_brings_no_issuer_back() {
    let idp = Idp::new();
    let world = World::new().await;
    let fetched = || idp.jwks().to_string().into_bytes();
    let by_uri = |uri: &str| IssuerRequest { jwks: None, jwks_uri: Some(uri.to_owned()), ..idp.request() };
    world.authority.add_issuer(&world.caller, by_uri(KEYS), Some(fetched())).await.unwrap();
    world.authority.remove_issuer(&world.caller, FOREIGN).await.unwrap();
    assert_eq!(code(world.authority.refresh_issuer(FOREIGN, KEYS, fetched()).await), "issuer_unknown");
    assert!(world.authority.list_issuers().await.unwrap().issuers.is_empty());
    world.authority.add_issuer(&world.caller, by_uri("https://idp.example/moved"), Some(fetched())).await.unwrap();
    let of_the_old_place = world.authority.refresh_issuer(FOREIGN, KEYS, fetched()).await;
    assert_eq!(code(of_the_old_place), "issuer_unknown");
}

const SHARED: &[u8] = b"a secret of at least 32 bytes, as HS256 wants";

/// A token that the foreign issuer signed with its secret.
fn hmac_token(world: &World, jti: Option<&str>) -> Secret {
    let mut claims = json!({
        "iss": FOREIGN, "sub": "alice", "aud": AUDIENCE, "iat": world.now(), "exp": world.now() + 600,
    });
    if let Some(jti) = jti {
        claims["jti"] = jti.into();
    }
    let header = json!({ "alg": "HS256", "typ": "JWT", "kid": "shared" });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let input = format!("{}.{}", part(&header), part(&claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SHARED), input.as_bytes());
    Secret::new(format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag)))
}

fn sharing() -> Setup {
    let key = Key::secret("shared", Algorithm::Hs256, SHARED).unwrap();
    let secret = IssuerSecret { issuer: FOREIGN.to_owned(), key };
    Setup { secrets: vec![secret], ..Setup::new(ISSUER, AUDIENCE) }
}

#[tokio::test]
async fn a_token_signed_with_a_shared_secret_is_checked_and_revoked_by_itself() {
    for keys in [json!({ "keys": [] }), Idp::new().jwks()] {
        let mut world = World::with(sharing()).await;
        let request = IssuerRequest { jwks: Some(keys), ..Idp::new().request() };
        let unknown = hmac_token(&world, Some("a"));
        assert_eq!(world.check(unknown.expose()).await.code, Some("issuer_mismatch"), "a secret alone accepts nobody");
        world.authority.add_issuer(&world.caller, request, None).await.unwrap();
        let (named, nameless) = (hmac_token(&world, Some("a")), hmac_token(&world, None));
        for token in [&named, &nameless] {
            world.assert_active(token, "signed with the secret").await;
        }
        let by_token = |token: &Secret| RevokeRequest { token: Some(token.clone()), ..RevokeRequest::default() };
        world.revoke(by_token(&named)).await;
        world.assert_revoked(&named, "by its jti").await;
        world.assert_active(&nameless, "another token").await;
        world.revoke(by_token(&nameless)).await;
        world.assert_revoked(&nameless, "by its hash").await;
    }
}

#[tokio::test]
async fn a_shared_secret_is_listed_and_killed_by_its_name_and_shown_nowhere() {
    let idp = Idp::new();
    let mut world = World::with(sharing()).await;
    world.authority.add_issuer(&world.caller, idp.request(), None).await.unwrap();
    let (shared, signed) = (hmac_token(&world, Some("a")), idp.token(&world, "alice", json!({ "jti": "b" })));
    world.assert_active(&shared, "before").await;
    world.authority.kill_key(&world.caller, "shared", KillRequest::default()).await.unwrap();
    world.assert_revoked(&shared, "its secret was killed").await;
    world.assert_active(&signed, "the issuer's other keys stand").await;
    let listed = world.authority.list_keys().await.unwrap();
    let state = listed.keys.iter().find(|key| key.kid.as_deref() == Some("shared")).map(|key| key.state);
    assert_eq!(state, Some("killed"));
    let lines = world.store.lines_after(annul_core::position::Position::new(1, 0), 1000).await.unwrap();
    let shown = format!("{listed:?} {lines:?} {:?} {:?}", world.authority.setup(), world.store.issuers().await);
    let secret = std::str::from_utf8(SHARED).unwrap();
    assert!(!shown.contains(secret) && !shown.contains(&URL_SAFE_NO_PAD.encode(SHARED)));
}
