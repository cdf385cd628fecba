//! Refresh: what a session's credential gives, to whom, and what its reuse ends.

use std::time::Duration;

use annul_authority::authority::{Caller, RefreshSetup, Setup, TokenKey};
use annul_authority::error::VerbError;
use annul_authority::model::{ProofKey, Seen};
use annul_authority::secrets::secret::Secret;
use annul_authority::verbs::accounts::{AccountRequest, LoginRequest};
use annul_authority::verbs::audit::AuditQuery;
use annul_authority::verbs::credentials::OwnPasswordRequest;
use annul_authority::verbs::keys::RotateRequest;
use annul_authority::verbs::refresh::{ProofBinds, RefreshOutcome, RefreshRequest, Refreshed};
use annul_authority::verbs::revocations::{CutoffText, LiftRequest};
use annul_authority::verbs::sessions::{OpenSession, SessionState, TokenAnswer};
use annul_authority::verbs::subjects::SubjectClaims;
use annul_core::algebra::Reach;
use annul_core::token::UnverifiedToken;
use serde_json::{Value, json};

use crate::world::{AUDIENCE, ISSUER, World, claims, code, login, revocation, target};

const CLIENT: &str = "app-of-alice";

#[tokio::test]
async fn te_5_a_refresh_token_gives_the_next_tokens_of_its_session() {
    let mut world = World::new().await;
    let first = open(&world, "alice").await;
    let logged_in = world.now();
    assert_eq!(first.refresh_token_expires_in, Some(14 * 24 * 3600), "the idle limit comes first");
    world.advance(200);
    let next = refresh(&world, &token(&first)).await.unwrap();
    assert_eq!((next.outcome, next.token_type, next.expires_in), (RefreshOutcome::Rotated, "Bearer", 300));
    assert_eq!((next.sid.as_str(), next.scope.as_deref()), (first.sid.as_str(), Some("read write")));
    world.assert_active(&next.access_token, "the next access token").await;
    world.assert_active(&first.access_token, "the one before lives out its minutes").await;
    assert_eq!(claim(&next.access_token, "auth_time"), json!(logged_in), "a refresh is no login");
    assert_eq!(claim(&next.access_token, "iat"), json!(logged_in + 200));
    for same in ["sub", "sid", "client_id", "scope", "tenant", "device_id"] {
        assert_eq!(claim(&next.access_token, same), claim(&first.access_token, same), "{same}");
    }
    assert_ne!(claim(&next.access_token, "jti"), claim(&first.access_token, "jti"));
    assert_eq!(code(refresh(&world, &Secret::new("annul_rt_".to_owned())).await), "refresh_token_unknown");
}

#[tokio::test]
async fn te_5_scope_narrows_for_one_answer_and_never_widens() {
    let world = World::new().await;
    let first = open(&world, "alice").await;
    let asked = |scope: &str, token: Secret| RefreshRequest { scope: Some(scope.to_owned()), ..request(token) };
    assert_eq!(code(send(&world, asked("read admin", token(&first))).await), "invalid_scope");
    let narrow = send(&world, asked("read", token(&first))).await.unwrap();
    assert_eq!(narrow.scope.as_deref(), Some("read"));
    assert_eq!(claim(&narrow.access_token, "scope"), json!("read"));
    let wide = refresh(&world, &next(&narrow)).await.unwrap();
    assert_eq!(wide.scope.as_deref(), Some("read write"), "the refresh token kept its scope");
}

#[tokio::test]
async fn rt_2_a_lost_answer_is_had_again_and_leads_on() {
    let mut world = World::new().await;
    let first = open(&world, "alice").await;
    let lost = refresh(&world, &token(&first)).await.unwrap();
    world.advance(14);
    let again = refresh(&world, &token(&first)).await.unwrap();
    assert_eq!(again.outcome, RefreshOutcome::Repeated);
    assert_eq!(next(&again), next(&lost), "the same successor");
    world.assert_active(&again.access_token, "its access token").await;
    world.assert_active(&refresh(&world, &next(&again)).await.unwrap().access_token, "and so on").await;
    assert_eq!(code(refresh(&world, &token(&first)).await), "refresh_token_reused", "its successor was used");
}

#[tokio::test]
async fn rt_1_reuse_ends_the_session_its_access_tokens_and_nothing_else() {
    let mut world = World::new().await;
    let stolen = open(&world, "alice").await;
    let other = open(&world, "alice").await;
    let owners = refresh(&world, &token(&stolen)).await.unwrap();
    world.advance(16);
    assert_eq!(code(refresh(&world, &token(&stolen)).await), "refresh_token_reused");
    world.assert_revoked(&owners.access_token, "whoever refreshed").await;
    world.assert_revoked(&stolen.access_token, "whoever logged in").await;
    assert_eq!(code(refresh(&world, &next(&owners)).await), "session_revoked");
    let session = world.authority.session(&stolen.sid).await.unwrap();
    assert_eq!((session.status, session.ended_by), (SessionState::Ended, session.ended_by));
    assert!(session.ended_by.is_some());
    world.assert_active(&other.access_token, "the user's other session").await;
    assert!(refresh(&world, &token(&other)).await.is_ok());
    let alarm = events(&world, "refresh.reuse").await;
    assert_eq!(alarm, [(CLIENT.to_owned(), Some(format!("session:{}", stolen.sid)))]);
}

/// The bound is one of the grace's own, whatever a configuration says of others.
#[tokio::test]
async fn rt_2_grace_60_holds_for_a_minute_and_not_longer() {
    let refresh_setup = RefreshSetup { grace: Duration::from_secs(60), ..RefreshSetup::default() };
    let world = World::with(Setup { refresh: refresh_setup, ..Setup::new(ISSUER, AUDIENCE) }).await;
    let first = open(&world, "alice").await;
    refresh(&world, &token(&first)).await.unwrap();
    world.advance(59);
    assert_eq!(refresh(&world, &token(&first)).await.unwrap().outcome, RefreshOutcome::Repeated);
    world.advance(1);
    assert_eq!(code(refresh(&world, &token(&first)).await), "refresh_token_reused");
}

#[tokio::test]
async fn rt_6_a_forged_token_touches_no_store_and_ends_nothing() {
    let world = World::new().await;
    let first = open(&world, "alice").await;
    let text = token(&first).expose().to_owned();
    let before = world.authority.audit(AuditQuery::default()).await.unwrap().events.len();
    let mut committed = world.store.committed();
    committed.mark_unchanged();
    for at in [9, 20, 32, 40, 80, 98, 105] {
        let mut forged = text.clone().into_bytes();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        let forged = Secret::new(String::from_utf8(forged).unwrap());
        assert_eq!(code(refresh(&world, &forged).await), "refresh_token_unknown");
    }
    assert!(!committed.has_changed().unwrap());
    assert_eq!(world.authority.audit(AuditQuery::default()).await.unwrap().events.len(), before);
    assert!(refresh(&world, &token(&first)).await.is_ok(), "the genuine one is as good as before");
}

#[tokio::test]
async fn te_5_a_refresh_token_is_its_clients_and_its_keys() {
    let mut world = World::new().await;
    let key = ProofKey::Jwk("A".repeat(43));
    let bound = OpenSession { confirmation: Some(key.clone()), ..with_token("alice") };
    let bound = world.try_open(bound).await.unwrap();
    assert_eq!(bound.token_type, "DPoP");
    let other_client = RefreshRequest { client_id: "app-of-bob".to_owned(), ..request(token(&bound)) };
    assert_eq!(code(send(&world, other_client).await), "refresh_token_other_client");
    assert_eq!(code(refresh(&world, &token(&bound)).await), "refresh_token_other_key");
    let proven = |token, key: &ProofKey| RefreshRequest { proof: Some(key.clone()), ..request(token) };
    let his = ProofKey::Jwk("B".repeat(43));
    assert_eq!(code(send(&world, proven(token(&bound), &his)).await), "refresh_token_other_key");
    let hers = send(&world, proven(token(&bound), &key)).await.unwrap();
    assert_eq!((hers.token_type, claim(&hers.access_token, "cnf")), ("DPoP", json!({ "jkt": "A".repeat(43) })));
    world.assert_active(&hers.access_token, "nothing was ended").await;
    for action in ["refresh.other_client", "refresh.other_key"] {
        assert!(!events(&world, action).await.is_empty(), "{action}");
    }
    // A session that is bound to no key binds only the access token of the answer.
    let free = open(&world, "alice").await;
    let once = send(&world, proven(token(&free), &his)).await.unwrap();
    assert_eq!((once.token_type, claim(&once.access_token, "cnf")), ("DPoP", json!({ "jkt": "B".repeat(43) })));
    let without = refresh(&world, &next(&once)).await.unwrap();
    assert_eq!((without.token_type, claim(&without.access_token, "cnf")), ("Bearer", Value::Null));
}

#[tokio::test]
async fn rt_4_a_refused_refresh_ends_nothing_and_a_lift_revives() {
    let mut world = World::new().await;
    let first = open(&world, "alice").await;
    let stop = world.revoke(target("subject:alice")).await;
    assert_eq!(code(refresh(&world, &token(&first)).await), "session_revoked");
    let lift = LiftRequest { positions: vec![stop.position], ..LiftRequest::default() };
    world.authority.lift(&world.caller, lift).await.unwrap();
    let revived = refresh(&world, &token(&first)).await.unwrap();
    world.assert_active(&revived.access_token, "revived").await;
    world.revoke(target("subject:alice")).await;
    assert_eq!(code(refresh(&world, &token(&first)).await), "session_revoked", "no successor out of the grace");
    assert_eq!(code(refresh(&world, &next(&revived)).await), "session_revoked");
}

#[tokio::test]
async fn a_role_change_needs_a_refresh_and_no_login() {
    let mut world = World::new().await;
    let first = open(&world, "alice").await;
    let change = SubjectClaims { claims: claims(json!({ "roles": ["reader"] })), ..SubjectClaims::default() };
    world.authority.set_subject_claims(&world.caller, "alice", change).await.unwrap();
    world.assert_revoked(&first.access_token, "the old role").await;
    let answer = refresh(&world, &token(&first)).await.unwrap();
    world.assert_active(&answer.access_token, "the new role").await;
    assert_eq!(claim(&answer.access_token, "roles"), json!(["reader"]));
    let logout = revocation("subject:alice", CutoffText::Now, Reach::Sessions);
    world.revoke(logout).await;
    world.assert_active(&answer.access_token, "the cheap mode lets it live out its minutes").await;
    assert_eq!(code(refresh(&world, next(&answer)).await), "session_revoked");
}

#[tokio::test]
async fn the_session_kept_through_a_password_change_keeps_its_family() {
    let mut world = World::new().await;
    let secret = |text: &str| Secret::new(text.to_owned());
    let account = AccountRequest { username: "erin".to_owned(), password: secret("correct horse") };
    world.authority.create_account(&world.caller, account).await.unwrap();
    let log_in = async || {
        let body = json!({ "username": "erin", "password": "correct horse", "refresh_token": true });
        let request: LoginRequest = serde_json::from_value(body).unwrap();
        world.authority.login(request).await.unwrap()
    };
    let (phone, laptop) = (log_in().await, log_in().await);
    let change = json!({ "current": "correct horse", "password": "battery staple", "keep": phone.sid });
    let change: OwnPasswordRequest = serde_json::from_value(change).unwrap();
    world.authority.change_password(Caller::account("erin"), "erin", change).await.unwrap();
    let as_login =
        |answer: &TokenAnswer| RefreshRequest { client_id: "annul.login".to_owned(), ..request(token(answer)) };
    let kept = send(&world, as_login(&phone)).await.unwrap();
    assert_eq!(code(send(&world, as_login(&laptop)).await), "session_revoked");
    world.assert_active(&kept.access_token, "the kept device").await;
}

/// Refreshing is using: the idle limit ends a session that is not refreshed, and no other.
#[tokio::test]
async fn rt_6_idle_and_absolute_limits_end_what_is_not_used() {
    let day = 24 * 3600;
    let setup = Setup {
        session_idle: Duration::from_secs(2 * day),
        session_longest: Duration::from_secs(5 * day),
        ..Setup::new(ISSUER, AUDIENCE)
    };
    let world = World::with(setup).await;
    let (used, idle) = (open(&world, "alice").await, open(&world, "alice").await);
    let mut newest = token(&used);
    let mut left = Vec::new();
    for _ in 0..4 {
        world.advance(day);
        let answer = refresh(&world, &newest).await.unwrap();
        left.push(answer.refresh_token_expires_in.unwrap());
        newest = next(&answer);
    }
    assert_eq!(left, [2 * day, 2 * day, 2 * day, day], "the absolute limit comes nearer");
    assert_eq!(code(refresh(&world, &token(&idle)).await), "session_expired");
    world.advance(day);
    assert_eq!(code(refresh(&world, &newest).await), "session_expired");
}

#[tokio::test]
async fn rt_2_a_thief_who_repeats_inside_every_grace_is_reported_each_time() {
    let world = World::new().await;
    let mut newest = token(&open(&world, "alice").await);
    for _ in 0..20 {
        let owner = refresh(&world, &newest).await.unwrap();
        let from = Seen { address: Some("203.0.113.9".to_owned()), agent: Some("app/1".to_owned()) };
        let thief = send(&world, RefreshRequest { seen: from, ..request(newest) }).await.unwrap();
        assert_eq!(next(&thief), next(&owner));
        newest = next(&owner);
        world.advance(60);
    }
    assert_eq!(events(&world, "refresh.repeat_elsewhere").await.len(), 20);
    assert!(events(&world, "refresh.repeat").await.is_empty());
}

#[tokio::test]
async fn refresh_window_refuses_what_comes_too_early_or_too_late_and_ends_nothing() {
    let window = Some(annul_authority::store::RefreshWindow { before: 60, after: 30 });
    let setup = RefreshSetup { window, ..RefreshSetup::default() };
    let world = World::with(Setup { refresh: setup, ..Setup::new(ISSUER, AUDIENCE) }).await;
    let first = open(&world, "alice").await;
    world.advance(239);
    assert_eq!(code(refresh(&world, &token(&first)).await), "refresh_outside_window");
    world.advance(1);
    let answer = refresh(&world, &token(&first)).await.unwrap();
    world.advance(330);
    assert_eq!(code(refresh(&world, &next(&answer)).await), "refresh_outside_window");
    assert_eq!(events(&world, "refresh.outside_window").await.len(), 2);
    assert_eq!(world.authority.session(&first.sid).await.unwrap().status, SessionState::Live);
    assert_eq!(code(refresh(&world, &token(&first)).await), "refresh_token_reused", "outside of the window too");
    assert_eq!(world.authority.session(&first.sid).await.unwrap().status, SessionState::Ended);
}

#[tokio::test]
async fn an_access_token_is_exchanged_for_the_next_one_once() {
    let exchange = annul_authority::store::RefreshWindow { before: 100, after: 50 };
    for token_key in [TokenKey::Signing, TokenKey::PerSubject] {
        let refresh = RefreshSetup { exchange, ..RefreshSetup::default() };
        let world = World::with(Setup { refresh, token_key, ..Setup::new(ISSUER, AUDIENCE) }).await;
        let first = world.try_open(OpenSession { exchange: true, ..login("alice", "phone") }).await.unwrap();
        assert!(first.refresh_token.is_none() && first.refresh_token_expires_in.is_none());
        assert_eq!(world.next(&first.sid).await.jti, first.jti, "the session has one token, whoever asks for it");
        assert_eq!(code(exchange_as(&world, &first.access_token).await), "refresh_outside_window");
        world.advance(349);
        let next = exchange_as(&world, &first.access_token).await.unwrap();
        assert!(next.refresh_token.is_none(), "the access token is the credential, and it may have expired");
        assert_eq!(claim(&next.access_token, "auth_time"), claim(&first.access_token, "auth_time"));
        let again = exchange_as(&world, &first.access_token).await.unwrap();
        assert_eq!(claim(&again.access_token, "jti"), claim(&next.access_token, "jti"), "the same token again");
        world.advance(349);
        assert_eq!(code(exchange_as(&world, &first.access_token).await), "refresh_token_reused");
        assert_eq!(code(exchange_as(&world, &next.access_token).await), "session_revoked");
        assert_eq!(events(&world, "refresh.outside_window").await.len(), 1);
    }
}

#[tokio::test]
async fn a_retired_key_is_kept_while_its_tokens_can_be_exchanged() {
    const DAY: u64 = 24 * 3600;
    let exchange = annul_authority::store::RefreshWindow { before: 0, after: 7 * DAY };
    let refresh = RefreshSetup { exchange, ..RefreshSetup::default() };
    let mut world = World::with(Setup { refresh, ..Setup::new(ISSUER, AUDIENCE) }).await;
    let first = world.try_open(OpenSession { exchange: true, ..login("alice", "phone") }).await.unwrap();
    let head = world.head().await;
    world.authority.rotate_key(&world.caller, RotateRequest::default(), Some(head)).await.unwrap();
    world.assert_active(&first.access_token, "a rotation logs nobody out").await;
    let keys = world.authority.list_keys().await.unwrap().keys.len();
    world.advance(6 * DAY);
    world.authority.housekeep().await.unwrap();
    let next = exchange_as(&world, &first.access_token).await.unwrap();
    world.assert_active(&next.access_token, "signed by the key that is active now").await;
    world.advance(2 * DAY);
    world.authority.housekeep().await.unwrap();
    assert_eq!(world.authority.list_keys().await.unwrap().keys.len(), keys - 1);
}

#[tokio::test]
async fn what_is_no_exchangeable_token_exchanges_nothing() {
    let world = World::new().await;
    let first = world.try_open(OpenSession { exchange: true, ..login("alice", "phone") }).await.unwrap();
    let plain = world.open("alice", "laptop").await;
    assert_eq!(code(exchange_as(&world, &plain.access_token).await), "refresh_token_unknown");
    let forged = Secret::new(format!("{}AAAA", first.access_token.expose().split_at(200).0));
    assert!(matches!(exchange_as(&world, &forged).await, Err(VerbError::Token(_))));
    world.revoke(target(format!("token:{}", first.jti))).await;
    assert_eq!(code(exchange_as(&world, &first.access_token).await), "session_revoked", "it is itself revoked");
    let both = OpenSession { exchange: true, ..with_token("alice") };
    assert_eq!(code(world.try_open(both).await), "request_invalid");
}

#[tokio::test]
async fn i15_no_text_is_a_refresh_token_by_accident() {
    let world = World::new().await;
    for text in ["", "annul_rt_", "eyJhbGciOiJub25lIn0.e30.", &"a".repeat(106), &"é".repeat(53), &"x".repeat(100_000)]
    {
        assert_eq!(code(refresh(&world, Secret::new(text.to_owned())).await), "refresh_token_unknown");
    }
}

async fn open(world: &World, subject: &str) -> TokenAnswer {
    world.try_open(with_token(subject)).await.unwrap()
}

fn with_token(subject: &str) -> OpenSession {
    OpenSession { refresh_token: true, ..login(subject, "phone") }
}

fn token(answer: &TokenAnswer) -> Secret {
    answer.refresh_token.clone().unwrap()
}

fn next(answer: &Refreshed) -> Secret {
    answer.refresh_token.clone().unwrap()
}

fn request(token: Secret) -> RefreshRequest {
    let seen = Seen { address: Some("192.0.2.1".to_owned()), agent: Some("app/1".to_owned()) };
    RefreshRequest { token, client_id: CLIENT.to_owned(), proof: None, binds: ProofBinds::default(), scope: None, seen }
}

async fn refresh(world: &World, token: impl std::borrow::Borrow<Secret>) -> Result<Refreshed, VerbError> {
    send(world, request(token.borrow().clone())).await
}

async fn send(world: &World, request: RefreshRequest) -> Result<Refreshed, VerbError> {
    let caller = Caller::client(&request.client_id);
    world.authority.refresh(&caller, request).await
}

async fn exchange_as(world: &World, token: &Secret) -> Result<Refreshed, VerbError> {
    world.authority.exchange_access_token(&Caller::client(CLIENT), request(token.clone())).await
}

fn claim(token: &Secret, name: &str) -> Value {
    UnverifiedToken::parse(token.expose()).unwrap().claims().get(name).cloned().unwrap_or_default()
}

/// Who was written down for an action, and about what.
async fn events(world: &World, action: &str) -> Vec<(String, Option<String>)> {
    let query = AuditQuery { limit: Some(1000), ..AuditQuery::default() };
    let events = world.authority.audit(query).await.unwrap().events.into_iter();
    events.filter(|event| event.action == action).map(|event| (event.actor, event.target)).collect()
}
