//! Tokens at the authority: checked, re-stamped, introspected, issued to machines, logged out with.

use annul_authority::authority::Setup;
use annul_authority::secrets::secret::Secret;
use annul_authority::verbs::clients::ClientRequest;
use annul_authority::verbs::keys::KillRequest;
use annul_authority::verbs::logout::{LogoutRequest, LogoutScope};
use annul_authority::verbs::presented::PresentedToken;
use annul_authority::verbs::revocations::RevokeRequest;
use annul_authority::verbs::sessions::TokenAnswer;
use annul_authority::verbs::tokens::{CheckRequest, CheckVerdict};
use annul_core::algebra::Reach;
use annul_core::token::UnverifiedToken;
use serde_json::{Value, json};

use crate::world::{AUDIENCE, ISSUER, World, code, target};

async fn restamped(world: &World, token: &Secret) -> Option<Secret> {
    let request = CheckRequest { token: token.clone(), restamp: true };
    world.authority.check_token(request).await.unwrap().access_token
}

async fn log_out(
    world: &World,
    token: &TokenAnswer,
    scope: LogoutScope,
) -> annul_authority::verbs::revocations::Revoked {
    world
        .authority
        .logout(PresentedToken::bearer(token.access_token.expose()), LogoutRequest { scope, wait: None })
        .await
        .unwrap()
}

#[tokio::test]
async fn a_restamped_token_is_the_same_token_with_a_new_position() {
    let mut world = World::new().await;
    let old = world.open("alice", "phone").await;
    world.revoke(target("subject:bob")).await;
    world.advance(30);
    let new = restamped(&world, &old.access_token).await.unwrap();
    let (was, is) = (
        UnverifiedToken::parse(old.access_token.expose()).unwrap().claims().map().clone(),
        UnverifiedToken::parse(new.expose()).unwrap().claims().map().clone(),
    );
    for (name, value) in &was {
        let expected = match name.as_str() {
            "iat" => json!(world.now()),
            "lpos" => json!(world.head().await.to_string()),
            _ => value.clone(),
        };
        assert_eq!(is.get(name), Some(&expected), "{name}");
    }
    assert_eq!(was.len(), is.len());
    world.assert_active(&new, "re-stamped").await;
    world.revoke(target(format!("token:{}", old.jti))).await;
    world.assert_revoked(&new, "it is the same token").await;
}

#[tokio::test]
async fn a_token_that_was_introspected_before_is_judged_anew() {
    let world = World::new().await;
    let (alice, bob) = (world.open("alice", "phone").await, world.open("bob", "phone").await);
    let active = async |answer: &TokenAnswer| {
        let token = answer.access_token.expose();
        world.authority.introspect(token).await.unwrap().is_active()
    };
    for _ in 0..2 {
        assert!(active(&alice).await && active(&bob).await);
    }
    world.revoke(target("subject:alice")).await;
    assert!(!active(&alice).await, "revoked since");
    assert!(active(&bob).await);
    world.advance(3600);
    assert!(!active(&bob).await, "expired since");
    let carol = world.open("carol", "phone").await;
    assert!(active(&carol).await);
    let kid = UnverifiedToken::parse(carol.access_token.expose()).unwrap().header().kid().unwrap().to_owned();
    world.authority.kill_key(&world.caller, &kid, KillRequest::default()).await.unwrap();
    assert!(!active(&carol).await, "its key was killed since");
}

#[tokio::test]
async fn nothing_revoked_is_restamped() {
    let world = World::new().await;
    let old = world.open("alice", "phone").await;
    world.revoke(RevokeRequest { reach: Some(Reach::Sessions), ..target("subject:alice") }).await;
    let request = CheckRequest { token: old.access_token.clone(), restamp: true };
    let answer = world.authority.check_token(request).await.unwrap();
    assert_eq!(answer.verdict, CheckVerdict::Active, "the access token lives to its end");
    assert!(answer.access_token.is_none(), "its session is over, so no new one is signed");

    let other = world.open("bob", "phone").await;
    world.revoke(target("subject:bob")).await;
    assert!(restamped(&world, &other.access_token).await.is_none());
}

#[tokio::test]
async fn r7662_2_an_inactive_token_says_nothing_else() {
    let world = World::new().await;
    let token = world.open("alice", "phone").await;
    let answer = world.authority.introspect(token.access_token.expose()).await.unwrap();
    let members: Value = serde_json::from_str(&answer.to_json()).unwrap();
    assert_eq!(members["active"], true);
    assert_eq!(members["sub"], "alice");
    assert_eq!(members["exp"], token.expires_at);
    world.revoke(target("subject:alice")).await;
    for text in [token.access_token.expose(), "", "x.y.z", "opaque"] {
        let answer = world.authority.introspect(text).await.unwrap();
        assert_eq!(answer.to_json(), r#"{"active":false}"#);
    }
    let late = world.open("bob", "phone").await;
    world.advance(400);
    assert!(!world.authority.introspect(late.access_token.expose()).await.unwrap().is_active(), "expired");
}

#[tokio::test]
async fn junk_is_refused_without_a_position() {
    let world = World::new().await;
    for junk in ["", "a", "a.b.c", &"x".repeat(20_000)] {
        let answer = world.check(junk).await;
        assert_eq!(answer.verdict, CheckVerdict::Refused);
        assert!(answer.code.is_some() && answer.position.is_none());
    }
}

#[tokio::test]
async fn an_entry_on_an_ask_on_claim_is_answered_by_the_session() {
    let mut setup = Setup::new(ISSUER, AUDIENCE);
    setup.settings.ask_on = vec!["tenant".to_owned()];
    let world = World::with(setup).await;
    let alice = world.open("alice", "phone").await;
    let ended = world.open("alice", "laptop").await;
    let revoke = |reach| RevokeRequest { reach: Some(reach), ..target("claim:tenant=tenant-of-alice") };
    world.revoke(revoke(Reach::Access)).await;
    assert_eq!(world.check(alice.access_token.expose()).await.verdict, CheckVerdict::Active, "its session lives");
    world.authority.end_session(&world.caller, &ended.sid, None).await.unwrap();
    assert_eq!(world.check(ended.access_token.expose()).await.verdict, CheckVerdict::Revoked);
    world.revoke(revoke(Reach::Both)).await;
    assert_eq!(world.check(alice.access_token.expose()).await.verdict, CheckVerdict::Revoked, "its session is over");
}

#[tokio::test]
async fn a_machine_gets_tokens_for_its_own_scopes_and_loses_them_with_its_client() {
    let mut world = World::new().await;
    let scopes = ["orders.read", "orders.write", "annul.read"].map(str::to_owned).to_vec();
    let request = ClientRequest { client_id: "shop".to_owned(), scopes, ..ClientRequest::default() };
    let made = world.authority.create_client(&world.caller, request).await.unwrap();
    let client = world.proven("shop", &made).await.unwrap();
    let all = world.authority.client_credentials(&client, None, Vec::new()).await.unwrap();
    assert_eq!(all.scope.as_deref(), Some("orders.read orders.write"), "our own scopes are in no token");
    let some = world.authority.client_credentials(&client, Some("orders.read"), Vec::new()).await.unwrap();
    let token = UnverifiedToken::parse(some.access_token.expose()).unwrap();
    assert_eq!((token.claims().sub(), token.claims().client_id()), (Some("shop"), Some("shop")));
    assert_eq!(token.claims().sid(), None);
    world.assert_active(&some.access_token, "a machine's token").await;
    for scope in ["orders.delete", "annul.read"] {
        let refused = world.authority.client_credentials(&client, Some(scope), Vec::new()).await;
        assert_eq!(code(refused), "invalid_scope");
    }
    world.authority.delete_client(&world.caller, "shop").await.unwrap();
    world.assert_revoked(&some.access_token, "the client is gone").await;
    let gone = world.proven("shop", &made).await;
    assert_eq!(code(gone), "invalid_client");
}

#[tokio::test]
async fn a_revoked_machine_gets_no_token() {
    let world = World::new().await;
    let request = ClientRequest { client_id: "shop".to_owned(), ..ClientRequest::default() };
    let made = world.authority.create_client(&world.caller, request).await.unwrap();
    let client = world.proven("shop", &made).await.unwrap();
    let always = RevokeRequest {
        cutoff: Some(annul_authority::verbs::revocations::CutoffText::Always),
        ..target("client:shop")
    };
    world.revoke(always).await;
    assert_eq!(code(world.authority.client_credentials(&client, None, Vec::new()).await), "session_revoked");
}

#[tokio::test]
async fn logging_out_reaches_this_session_the_others_or_all() {
    let mut world = World::new().await;
    let phone = world.open("alice", "phone").await;
    let laptop = world.open("alice", "laptop").await;
    let bob = world.open("bob", "phone").await;
    log_out(&world, &laptop, LogoutScope::Local).await;
    world.assert_revoked(&laptop.access_token, "logged out").await;
    world.assert_active(&phone.access_token, "the other device").await;
    let repeated = log_out(&world, &laptop, LogoutScope::Local).await;
    assert_eq!(repeated.position, world.head().await, "logging out again is no error");

    let tablet = world.open("alice", "tablet").await;
    let others = log_out(&world, &phone, LogoutScope::Others).await;
    world.assert_revoked(&tablet.access_token, "another device").await;
    let fresh = others.access_token.unwrap();
    world.assert_active(&fresh, "this session goes on").await;
    world.next(&phone.sid).await;

    world
        .authority
        .logout(PresentedToken::bearer(fresh.expose()), LogoutRequest { scope: LogoutScope::Global, wait: None })
        .await
        .unwrap();
    let back = world.open("alice", "phone").await;
    assert_eq!(world.next_code(&phone.sid).await, "session_revoked");
    world.assert_active(&back.access_token, "a login right after it").await;
    world.assert_active(&bob.access_token, "somebody else").await;
    for scope in [LogoutScope::Others, LogoutScope::Global] {
        let dead = world
            .authority
            .logout(PresentedToken::bearer(tablet.access_token.expose()), LogoutRequest { scope, wait: None })
            .await;
        assert_eq!(code(dead), "token_revoked", "a revoked token proves nothing");
    }
    let junk = world.authority.logout(PresentedToken::bearer("junk"), LogoutRequest::default()).await.unwrap_err();
    assert_eq!(junk.kind(), annul_authority::error::ErrorKind::Unauthorised);
}

#[tokio::test]
async fn a_canary_is_active_until_it_is_revoked() {
    let mut world = World::new().await;
    let canary = world.authority.canary_token("canary-1", vec![AUDIENCE.to_owned()]).await.unwrap();
    let other = world.authority.canary_token("canary-2", Vec::new()).await.unwrap();
    world.assert_active(&canary, "before").await;
    world.authority.revoke_canary(&world.caller, "canary-1").await.unwrap();
    world.assert_revoked(&canary, "after").await;
    world.assert_active(&other, "another canary").await;
}
