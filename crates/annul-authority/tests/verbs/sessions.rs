//! Sessions: opened, used, replaced, given other claims, blocked.

use std::time::Duration;

use annul_authority::authority::Setup;
use annul_authority::verbs::revocations::LiftRequest;
use annul_authority::verbs::sessions::{OpenSession, SessionState};
use annul_authority::verbs::subjects::{SubjectBlock, SubjectClaims};
use annul_core::token::UnverifiedToken;
use serde_json::json;

use crate::world::{AUDIENCE, ISSUER, World, claims, code, login, target};

#[tokio::test]
async fn at_2_a_token_carries_what_the_profile_asks_for_and_its_position() {
    let world = World::new().await;
    let answer = world.open("alice", "phone").await;
    let token = UnverifiedToken::parse(answer.access_token.expose()).unwrap();
    assert_eq!(token.header().typ(), Some("at+jwt"));
    assert!(token.header().kid().is_some());
    let said = token.claims();
    for (name, expected) in [
        ("iss", json!(ISSUER)),
        ("sub", json!("alice")),
        ("aud", json!(AUDIENCE)),
        ("client_id", json!("app-of-alice")),
        ("sid", json!(answer.sid)),
        ("device_id", json!("phone")),
        ("jti", json!(answer.jti)),
        ("scope", json!("read write")),
        ("roles", json!(["editor"])),
        ("tenant", json!("tenant-of-alice")),
        ("iat", json!(world.now())),
        ("exp", json!(world.now() + 300)),
        ("auth_time", json!(world.now())),
        ("lpos", json!(answer.position.to_string())),
    ] {
        assert_eq!(said.get(name), Some(&expected), "{name}");
    }
    assert_eq!((answer.expires_in, answer.expires_at), (300, world.now() + 300));
}

#[tokio::test]
async fn auth_time_stays_when_the_token_is_renewed() {
    let world = World::new().await;
    let first = world.open("alice", "phone").await;
    let login_time = world.now();
    world.advance(200);
    let next = world.next(&first.sid).await;
    let token = UnverifiedToken::parse(next.access_token.expose()).unwrap();
    assert_eq!(token.claims().auth_time().unwrap().0, login_time);
    assert_eq!(token.claims().iat().unwrap().0, login_time + 200);
    assert_ne!(next.jti, first.jti);
}

#[tokio::test]
async fn a_role_change_needs_no_login() {
    let mut world = World::new().await;
    let phone = world.open("alice", "phone").await;
    let laptop = world.open("alice", "laptop").await;
    let bob = world.open("bob", "phone").await;
    let change = SubjectClaims { claims: claims(json!({ "roles": ["reader"] })), ..SubjectClaims::default() };
    let revoked = world.authority.set_subject_claims(&world.caller, "alice", change).await.unwrap();
    assert_eq!(revoked.sessions, 0, "sessions live on");
    for old in [&phone, &laptop] {
        world.assert_revoked(&old.access_token, "the old roles").await;
        let next = world.next(&old.sid).await;
        world.assert_active(&next.access_token, "the new roles").await;
        let token = UnverifiedToken::parse(next.access_token.expose()).unwrap();
        assert_eq!(token.claims().get("roles"), Some(&json!(["reader"])));
    }
    world.assert_active(&bob.access_token, "somebody else").await;
    let later = world.try_open(OpenSession { subject: "alice".to_owned(), ..OpenSession::default() }).await.unwrap();
    let token = UnverifiedToken::parse(later.access_token.expose()).unwrap();
    assert_eq!(token.claims().get("roles"), Some(&json!(["reader"])), "a later login has them too");
}

#[tokio::test]
async fn a_role_change_does_not_bring_a_revoked_session_back() {
    let mut world = World::new().await;
    let phone = world.open("alice", "phone").await;
    world.revoke(target("claim:roles=editor")).await;
    let change = SubjectClaims { claims: claims(json!({ "roles": ["reader"] })), ..SubjectClaims::default() };
    world.authority.set_subject_claims(&world.caller, "alice", change).await.unwrap();
    assert_eq!(world.next_code(&phone.sid).await, "session_revoked");
    world.assert_revoked(&phone.access_token, "the token").await;
    assert_eq!(world.authority.session(&phone.sid).await.unwrap().status, SessionState::Ended);
}

#[tokio::test]
async fn a_revoked_claim_that_the_session_gave_up_does_not_stand_against_it() {
    let mut world = World::new().await;
    let phone = world.open("alice", "phone").await;
    let change = SubjectClaims { claims: claims(json!({ "roles": ["reader"] })), ..SubjectClaims::default() };
    world.authority.set_subject_claims(&world.caller, "alice", change).await.unwrap();
    world.revoke(target("claim:roles=editor")).await;
    let next = world.next(&phone.sid).await;
    world.assert_active(&next.access_token, "it is no editor any more").await;
}

#[tokio::test]
async fn a_block_stands_until_it_is_ended_and_its_end_revives_nothing() {
    let mut world = World::new().await;
    let phone = world.open("alice", "phone").await;
    let bob = world.open("bob", "phone").await;
    let blocked = world.authority.block_subject(&world.caller, "alice", SubjectBlock::default()).await.unwrap();
    world.assert_revoked(&phone.access_token, "blocked").await;
    assert_eq!(code(world.try_open(login("alice", "phone")).await), "subject_blocked");
    world.assert_active(&bob.access_token, "somebody else").await;
    let again = world.authority.block_subject(&world.caller, "alice", SubjectBlock::default()).await.unwrap();
    assert_eq!(again.position, world.head().await);
    assert_eq!(again.revocations[0].position, blocked.revocations[0].position, "blocking again changes nothing");
    let lift = LiftRequest { positions: vec![blocked.revocations[0].position], ..LiftRequest::default() };
    assert_eq!(code(world.authority.lift(&world.caller, lift).await), "emitted_by_state");

    world.authority.unblock_subject(&world.caller, "alice", SubjectBlock::default()).await.unwrap();
    world.assert_revoked(&phone.access_token, "unblocking revives nothing").await;
    assert_eq!(world.next_code(&phone.sid).await, "session_revoked");
    let new = world.open("alice", "phone").await;
    world.assert_active(&new.access_token, "a new login").await;
}

#[tokio::test]
async fn a_session_that_is_replaced_ends_with_the_new_login() {
    let mut world = World::new().await;
    let old = world.open("alice", "phone").await;
    let request = OpenSession { replaces: Some(old.sid.clone()), ..login("alice", "phone") };
    let new = world.try_open(request).await.unwrap();
    world.assert_revoked(&old.access_token, "replaced").await;
    world.assert_active(&new.access_token, "the replacement").await;
}

#[tokio::test]
async fn sessions_are_listed_with_what_became_of_them() {
    let world = World::new().await;
    let ended = world.open("alice", "phone").await;
    world.authority.end_session(&world.caller, &ended.sid, Some("lost".to_owned())).await.unwrap();
    world.advance(1);
    let revoked = world.open("alice", "tablet").await;
    world.revoke(target("device:alice/tablet")).await;
    world.advance(1);
    let live = world.open("alice", "laptop").await;
    world.advance(30);
    world.next(&live.sid).await;
    let list = world.authority.sessions_of("alice").await.unwrap().sessions;
    let found: Vec<_> = list.iter().map(|session| (session.sid.as_str(), session.status)).collect();
    let expected = [
        (live.sid.as_str(), SessionState::Live),
        (revoked.sid.as_str(), SessionState::Revoked),
        (ended.sid.as_str(), SessionState::Ended),
    ];
    assert_eq!(found, expected, "newest first");
    assert_eq!(list[0].last_used, world.now(), "a use that is not written yet is shown");
    assert_eq!(list[2].reason.as_deref(), Some("lost"));
    assert!(world.authority.sessions_of("bob").await.unwrap().sessions.is_empty());
}

#[tokio::test]
async fn a_session_that_is_used_does_not_become_idle_and_one_that_is_not_does() {
    let idle = Duration::from_secs(600);
    let world = World::with(Setup { session_idle: idle, ..Setup::new(ISSUER, AUDIENCE) }).await;
    let used = world.open("alice", "phone").await;
    let unused = world.open("alice", "laptop").await;
    for _ in 0..10 {
        world.advance(120);
        world.next(&used.sid).await;
    }
    assert_eq!(world.next_code(&unused.sid).await, "session_expired");
    assert_eq!(world.authority.session(&unused.sid).await.unwrap().status, SessionState::Expired);
}

#[tokio::test]
async fn no_token_outlives_its_session() {
    let longest = Duration::from_secs(400);
    let world = World::with(Setup { session_longest: longest, ..Setup::new(ISSUER, AUDIENCE) }).await;
    let session = world.open("alice", "phone").await;
    let opened = world.now();
    world.advance(200);
    assert_eq!(world.next(&session.sid).await.expires_at, opened + 400);
    world.advance(200);
    assert_eq!(world.next_code(&session.sid).await, "session_expired");
}

#[tokio::test]
async fn bad_logins_are_refused_by_name_and_open_nothing() {
    let world = World::new().await;
    let base = || login("alice", "phone");
    let now = world.now();
    for (request, expected) in [
        (OpenSession { subject: String::new(), ..base() }, "request_invalid"),
        (OpenSession { subject: "x".repeat(600), ..base() }, "request_invalid"),
        (OpenSession { subject: "admin".to_owned(), ..base() }, "name_taken"),
        (OpenSession { auth_time: Some(now + 1), ..base() }, "auth_time_out_of_range"),
        (OpenSession { claims: claims(json!({ "sub": "bob" })), ..base() }, "claim_reserved"),
        (OpenSession { claims: claims(json!({ "lpos": "9:9" })), ..base() }, "claim_reserved"),
        (OpenSession { claims: claims(json!({ "note": "x".repeat(5000) })), ..base() }, "request_invalid"),
        (OpenSession { roles: Some((0..80).map(|n| format!("r{n}")).collect()), ..base() }, "too_many_targets"),
        (OpenSession { scope: Some("a\"b".to_owned()), ..base() }, "request_invalid"),
        (OpenSession { device: Some(Default::default()), ..base() }, "request_invalid"),
    ] {
        assert_eq!(code(world.try_open(request).await), expected);
    }
    assert!(world.authority.sessions_of("alice").await.unwrap().sessions.is_empty());
    assert_eq!(world.next_code("nobody").await, "session_unknown");
}
