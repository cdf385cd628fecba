//! Signing keys: published ahead, rotated, killed.

use annul_authority::authority::Setup;
use annul_authority::model::{Act, KeyChange, KeyRecord, KeyState};
use annul_authority::secrets::signing::SigningAlgorithm;
use annul_authority::verbs::keys::{KillRequest, RotateRequest};
use annul_authority::verbs::revocations::{CutoffText, LiftRequest, RevokeRequest};
use annul_authority::verbs::settings::{MAX_LIFE, SettingsRequest};
use annul_core::algebra::Reach;
use annul_core::token::UnverifiedToken;

use crate::world::{AUDIENCE, ISSUER, World, code, revocation, target};

fn kid_of(token: &str) -> String {
    UnverifiedToken::parse(token).unwrap().header().kid().unwrap().to_owned()
}

async fn in_state(world: &World, state: &str) -> Vec<String> {
    let list = world.authority.list_keys().await.unwrap();
    list.keys.into_iter().filter(|key| key.state == state).filter_map(|key| key.kid).collect()
}

fn published(world: &World) -> Vec<String> {
    let jwks = world.authority.jwks();
    let keys = jwks["keys"].as_array().unwrap();
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_rotation_promotes_what_was_published_and_old_tokens_go_on() {
    let mut world = World::new().await;
    let old = world.open("alice", "phone").await;
    let reserve = in_state(&world, "reserve").await.remove(0);
    assert!(published(&world).contains(&reserve), "the reserve is published ahead");

    let rotate = || RotateRequest::default();
    assert_eq!(code(world.authority.rotate_key(&world.caller, rotate(), None).await), "reserve_not_ready");
    world.advance(601);
    let rotated = world.authority.rotate_key(&world.caller, rotate(), None).await.unwrap();
    assert!(rotated.promoted);
    assert_eq!(rotated.active, reserve);
    assert_ne!(rotated.reserve, reserve);
    let fresh = world.open("alice", "phone").await;
    assert_eq!(kid_of(fresh.access_token.expose()), reserve);
    world.assert_active(&fresh.access_token, "signed by the promoted key").await;
    assert!(published(&world).contains(&kid_of(old.access_token.expose())), "the retired key still verifies");
}

#[tokio::test]
async fn a_reserve_that_every_verifier_has_needs_no_lead() {
    let mut world = World::new().await;
    let old = world.open("alice", "phone").await;
    let head = world.head().await;
    let rotated = world.authority.rotate_key(&world.caller, RotateRequest::default(), Some(head)).await.unwrap();
    assert!(rotated.promoted);
    world.assert_active(&old.access_token, "signed by the retired key").await;
    let behind = Some(head);
    let again = world.authority.rotate_key(&world.caller, RotateRequest::default(), behind).await;
    assert_eq!(code(again), "reserve_not_ready", "nobody has the new reserve yet");
}

#[tokio::test]
async fn another_algorithm_is_published_first_and_signs_with_the_next_rotation() {
    for algorithm in [SigningAlgorithm::EdDsa, SigningAlgorithm::Rs256, SigningAlgorithm::Ps256] {
        let mut world = World::new().await;
        let rotate = || RotateRequest { algorithm: Some(algorithm), reason: None };
        let head = world.head().await;
        let first = world.authority.rotate_key(&world.caller, rotate(), Some(head)).await.unwrap();
        assert!(!first.promoted);
        let head = world.head().await;
        let second = world.authority.rotate_key(&world.caller, rotate(), Some(head)).await.unwrap();
        assert!(second.promoted);
        assert_eq!(second.active, first.reserve);
        let token = world.open("alice", "phone").await;
        let header = UnverifiedToken::parse(token.access_token.expose()).unwrap().header().alg();
        assert_eq!(header.name(), algorithm.name());
        world.assert_active(&token.access_token, algorithm.name()).await;
        assert_eq!(in_state(&world, "reserve").await, [second.reserve], "no reserve of the old algorithm is left");
    }
}

#[tokio::test]
async fn a_rotation_that_names_no_algorithm_keeps_to_the_one_last_asked_for() {
    let mut world = World::new().await;
    // Often, for until the next rotation there are two reserves, and either could be taken for the one.
    for round in 0..16 {
        let algorithm = if round % 2 == 0 { SigningAlgorithm::EdDsa } else { SigningAlgorithm::Es256 };
        let asked = RotateRequest { algorithm: Some(algorithm), reason: None };
        let first = world.authority.rotate_key(&world.caller, asked, Some(world.head().await)).await.unwrap();
        assert!(!first.promoted);
        let head = world.head().await;
        let next = world.authority.rotate_key(&world.caller, RotateRequest::default(), Some(head)).await.unwrap();
        assert_eq!((next.promoted, next.active), (true, first.reserve), "round {round}");
    }
    let token = world.open("alice", "phone").await;
    world.assert_active(&token.access_token, "signed by the last").await;
}

#[tokio::test]
async fn a_repeated_rotation_is_answered_with_what_the_first_one_did() {
    let world = World::new().await;
    let rotate = async |key: &str, algorithm: Option<SigningAlgorithm>| {
        let caller = world.caller.clone().with_idempotency(key, [1; 32]);
        let rotated = world.authority.rotate_key(&caller, RotateRequest { algorithm, reason: None }, None).await;
        serde_json::to_value(rotated.unwrap()).unwrap()
    };
    let switched = rotate("switch", Some(SigningAlgorithm::EdDsa)).await;
    assert_eq!(switched["promoted"], false);
    assert_eq!(rotate("switch", Some(SigningAlgorithm::EdDsa)).await, switched, "its own reserve is not judged");
    world.advance(601);
    assert_eq!(rotate("switch", Some(SigningAlgorithm::EdDsa)).await, switched, "nor promoted");
    assert_eq!(in_state(&world, "active").await, [switched["active"].as_str().unwrap()]);

    let promoted = rotate("promote", Some(SigningAlgorithm::EdDsa)).await;
    assert_eq!((&promoted["promoted"], &promoted["active"]), (&true.into(), &switched["reserve"]));
    world.advance(601);
    rotate("once more", Some(SigningAlgorithm::EdDsa)).await;
    let head = world.head().await;
    assert_eq!(rotate("promote", Some(SigningAlgorithm::EdDsa)).await, promoted, "as the keys were then");
    assert_eq!(world.head().await, head);
}

#[tokio::test]
async fn a_killed_key_is_dead_at_once_and_its_successor_signs() {
    let mut world = World::new().await;
    let old = world.open("alice", "phone").await;
    let kid = kid_of(old.access_token.expose());
    let reserve = in_state(&world, "reserve").await.remove(0);
    let revoked = world.authority.kill_key(&world.caller, &kid, KillRequest::default()).await.unwrap();
    assert_eq!(revoked.revocations[0].target, format!("key:{kid}"));
    assert_eq!(revoked.revocations[0].until, None, "a killed key never comes back");
    assert_eq!(revoked.sessions, 0);
    assert!(!published(&world).contains(&kid));
    assert_eq!(world.check(old.access_token.expose()).await.code, Some("key_killed"));

    let next = world.next(&old.sid).await;
    assert_eq!(kid_of(next.access_token.expose()), reserve, "the reserve took over");
    world.assert_active(&next.access_token, "the session lives on").await;
    assert_eq!(in_state(&world, "reserve").await.len(), 1, "there is a new reserve");
}

#[tokio::test]
async fn a_killed_key_never_comes_back() {
    let world = World::new().await;
    let kid = in_state(&world, "active").await.remove(0);
    let first = world.authority.kill_key(&world.caller, &kid, KillRequest::default()).await.unwrap();
    let head = world.head().await;
    let again = world.authority.kill_key(&world.caller, &kid, KillRequest::default()).await.unwrap();
    assert_eq!(again.revocations[0].position, first.revocations[0].position);
    assert_eq!(world.head().await, head, "killing it again changes nothing");
    let lift = LiftRequest { positions: vec![first.revocations[0].position], ..LiftRequest::default() };
    assert_eq!(code(world.authority.lift(&world.caller, lift).await), "lifts_killed_key");
    world.advance(1000);
    world.authority.rotate_key(&world.caller, RotateRequest::default(), None).await.unwrap();
    world.authority.reload().await.unwrap();
    world.authority.housekeep().await.unwrap();
    assert!(!published(&world).contains(&kid));
    assert_eq!(in_state(&world, "killed").await, [kid]);
}

#[tokio::test]
async fn a_key_named_as_a_target_is_killed_like_any_other() {
    let mut world = World::new().await;
    let old = world.open("alice", "phone").await;
    let kid = kid_of(old.access_token.expose());
    let both = RevokeRequest { targets: vec![format!("key:{kid}"), "subject:bob".to_owned()], ..target("") };
    let dry = world.rehearse(both.clone()).await;
    assert_eq!(dry.targets, [format!("key:{kid}"), "subject:bob".to_owned()]);
    assert_eq!(in_state(&world, "active").await.first(), Some(&kid), "a dry run kills nothing");
    world.revoke(both).await;
    assert_eq!(in_state(&world, "killed").await.first(), Some(&kid));
    let next = world.next(&old.sid).await;
    world.assert_active(&next.access_token, "alice's session").await;
    let reserve = in_state(&world, "reserve").await.remove(0);
    let active = in_state(&world, "active").await.remove(0);
    let two = RevokeRequest { targets: vec![format!("key:{active}"), format!("key:{reserve}")], ..target("") };
    assert_eq!(code(world.try_revoke(two).await), "one_key_at_a_time");
    assert_eq!(code(world.try_revoke(target("key:nobody")).await), "key_unknown");
}

#[tokio::test]
async fn a_kill_can_end_every_session_with_it() {
    let mut world = World::new().await;
    let old = world.open("alice", "phone").await;
    let kid = kid_of(old.access_token.expose());
    let kill = KillRequest { end_sessions: true, ..KillRequest::default() };
    let revoked = world.authority.kill_key(&world.caller, &kid, kill).await.unwrap();
    assert_eq!((revoked.revocations.len(), revoked.sessions), (2, 1));
    assert_eq!(world.next_code(&old.sid).await, "session_revoked");
    let new = world.open("alice", "phone").await;
    world.assert_active(&new.access_token, "a new login").await;
}

#[tokio::test]
async fn reserve_and_retired_keys_can_be_killed_too() {
    let mut world = World::new().await;
    let before = world.open("alice", "phone").await;
    let reserve = in_state(&world, "reserve").await.remove(0);
    world.authority.kill_key(&world.caller, &reserve, KillRequest::default()).await.unwrap();
    world.assert_active(&before.access_token, "the active key is another").await;
    let successor = in_state(&world, "reserve").await;
    assert!(successor.len() == 1 && successor[0] != reserve);

    let head = world.head().await;
    world.authority.rotate_key(&world.caller, RotateRequest::default(), Some(head)).await.unwrap();
    let retired = kid_of(before.access_token.expose());
    let after = world.open("alice", "laptop").await;
    world.authority.kill_key(&world.caller, &retired, KillRequest::default()).await.unwrap();
    assert_eq!(world.check(before.access_token.expose()).await.code, Some("key_killed"));
    world.assert_active(&after.access_token, "signed by the active key").await;
    assert_eq!(code(world.authority.kill_key(&world.caller, "nobody", KillRequest::default()).await), "key_unknown");
}

#[tokio::test]
async fn a_retired_key_is_forgotten_once_its_tokens_are_gone() {
    let world = World::new().await;
    let retired = in_state(&world, "active").await.remove(0);
    let head = world.head().await;
    world.authority.rotate_key(&world.caller, RotateRequest::default(), Some(head)).await.unwrap();
    world.advance(600);
    world.authority.housekeep().await.unwrap();
    assert!(published(&world).contains(&retired), "a token of its may still live");
    world.advance(900);
    world.authority.housekeep().await.unwrap();
    assert!(!published(&world).contains(&retired));
}

#[tokio::test]
async fn a_retired_key_waits_for_tokens_from_when_lives_were_longer() {
    let world = World::new().await;
    let lives = |seconds| SettingsRequest { longest_life: Some(seconds), ..SettingsRequest::default() };
    let before = world.authority.settings().longest_life;
    world.authority.change_settings(&world.caller, lives(MAX_LIFE)).await.unwrap();
    let retired = in_state(&world, "active").await.remove(0);
    let head = world.head().await;
    world.authority.rotate_key(&world.caller, RotateRequest::default(), Some(head)).await.unwrap();
    world.authority.change_settings(&world.caller, lives(before)).await.unwrap();
    world.advance(MAX_LIFE / 2);
    let head = world.head().await;
    world.authority.housekeep().await.unwrap();
    assert_eq!(world.head().await, head, "nothing is done, and nothing said, until it can be");
    assert!(published(&world).contains(&retired), "a token that lives a day may be accepted yet");
    world.advance(MAX_LIFE);
    world.authority.housekeep().await.unwrap();
    assert!(!published(&world).contains(&retired));
}

#[tokio::test]
async fn a_chore_that_fails_keeps_no_other_from_being_done() {
    let world = World::new().await;
    let session = world.open("alice", "phone").await;
    let spent = world.revoke(revocation("token:x", CutoffText::Always, Reach::Access)).await.revocations[0].position;
    let head = world.head().await;
    world.authority.rotate_key(&world.caller, RotateRequest::default(), Some(head)).await.unwrap();
    // A key that the master key does not open: nothing that reads the keys succeeds from here on.
    let reserve = world.store.keys().await.unwrap().into_iter().find(|key| key.state == KeyState::Reserve).unwrap();
    let foreign = KeyRecord { kid: "f".to_owned(), thumbprint: "f".to_owned(), sealed: vec![1; 64], ..reserve };
    world.store.change_keys(Act::new("tester", "test"), vec![KeyChange::Add(foreign)]).await.unwrap();

    world.advance(5);
    let now = world.authority.clock().millis();
    world.next(&session.sid).await;
    world.advance(MAX_LIFE);
    let failed = world.authority.housekeep().await.unwrap_err();
    assert_eq!(failed.code(), "sealed_data_damaged");
    assert_eq!(world.store.revocation(spent).await.unwrap(), None, "what is over is removed");
    let noted = world.store.session(&session.sid).await.unwrap().unwrap().session.last_used;
    assert_eq!(noted, now, "what was noted is written down");
}

#[tokio::test]
async fn every_algorithm_can_be_the_first() {
    for algorithm in SigningAlgorithm::ALL {
        let mut world = World::with(Setup { algorithm, ..Setup::new(ISSUER, AUDIENCE) }).await;
        let token = world.open("alice", "phone").await;
        world.assert_active(&token.access_token, algorithm.name()).await;
    }
}
