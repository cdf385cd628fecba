//! Connections that stay.

use std::future::IntoFuture as _;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use annul::WatchEvent;
use annul::policy::{Authorized, Decision, DenyReason, OnStale, Policy};
use annul::target::TargetKind;
use annul::{Route, Verifier};
use serde_json::json;

use crate::stub::{SHORT, STALENESS, Stub, Token, eventually, within};

async fn let_in(route: &Route, token: &str) -> Authorized {
    match route.decide(token).await {
        Decision::Allow(authorized) => authorized,
        other => panic!("not let in: {other:?}"),
    }
}

async fn short(stub: &Stub, staleness: Duration) -> Verifier {
    let verifier = stub.builder().max_staleness(staleness).leeway(Duration::ZERO).build().await.unwrap();
    verifier.ready().await;
    verifier
}

#[tokio::test]
async fn a_revocation_closes_the_connection_it_concerns() {
    let stub = Stub::start().await;
    let route = stub.verifier().await.route(Policy::check(STALENESS));
    let alice = let_in(&route, &stub.token(&Token::default())).await;
    let bob = let_in(&route, &stub.token(&Token { subject: "bob", jti: "t2", ..Token::default() })).await;
    let (of_alice, mut of_bob) = (route.watch(&alice), route.watch(&bob));
    let at = stub.revoke_subject("alice");
    match within(of_alice.close()).await {
        WatchEvent::Revoked(refusal) => assert_eq!((refusal.kind, refusal.at), (TargetKind::Subject, at)),
        other => panic!("{other:?}"),
    }
    let nothing = tokio::time::timeout(Duration::from_millis(100), of_bob.event()).await;
    assert!(nothing.is_err(), "{nothing:?}");
}

#[tokio::test]
async fn a_connection_let_in_by_its_youth_ends_with_it() {
    let stub = Stub::start().await;
    let policy = Policy::check(STALENESS).check_after(Duration::from_secs(10));
    let route = stub.verifier().await.route(policy);
    let token = stub.token(&Token::default());
    let watch = route.watch(&let_in(&route, &token).await);
    let at = stub.revoke_subject("alice");
    eventually("the revocation is applied", || route.verifier().view().position() >= Some(at)).await;
    assert!(matches!(route.decide(&token).await, Decision::Allow(_)), "the window passes a position cutoff over");
    assert!(matches!(within(watch.close()).await, WatchEvent::Revoked(refusal) if refusal.at == at));
}

#[tokio::test]
async fn the_application_closes_a_connection_when_it_has_reconsidered() {
    let stub = Stub::start().await;
    let refuses = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&refuses);
    let builder = stub.builder().refuse_when(move |_| asked.load(Ordering::SeqCst));
    let verifier = builder.build().await.unwrap();
    within(verifier.ready()).await;
    for policy in [Policy::check(STALENESS), Policy::verify_only(), Policy::ask()] {
        refuses.store(false, Ordering::SeqCst);
        let route = verifier.route(policy);
        let watch = route.watch(&let_in(&route, &stub.token(&Token::default())).await);
        refuses.store(true, Ordering::SeqCst);
        verifier.reconsider();
        assert_eq!(within(watch.close()).await, WatchEvent::Refused(DenyReason::RefusedByApplication));
    }
}

#[tokio::test]
async fn a_connection_is_asked_about_where_its_token_is_known_and_goes_on_with_the_new_one() {
    let stub = Stub::start().await;
    let verifier = stub.verifier().await;
    let route = verifier.route(Policy::check(STALENESS));
    let token = stub.token(&Token::default());
    let (mut asking, mut mute) = {
        let authorized = let_in(&route, &token).await;
        (route.watch(&authorized).asking(&token), route.watch(&authorized))
    };
    let at = stub.revoke_group();
    let restamped = stub.token(&Token::default());
    stub.answer_asks(json!({"verdict": "active", "position": at.to_string(), "access_token": restamped}));
    assert_eq!(within(mute.event()).await, WatchEvent::Unvouched, "it has no text to ask about");
    {
        let mut event = pin!(asking.event());
        tokio::select! {
            event = &mut event => panic!("{event:?}"),
            () = eventually("the authority is asked", || stub.asks() > 0) => {}
        }
        let nothing = tokio::time::timeout(Duration::from_millis(300), event).await;
        assert!(nothing.is_err(), "{nothing:?}");
    }
    assert_eq!(stub.asks(), 1, "the new token is not asked about again");

    stub.answer_asks(json!({"verdict": "revoked"}));
    stub.revoke_group();
    assert_eq!(within(asking.event()).await, WatchEvent::Refused(DenyReason::Revoked(None)));
}

/// A route that asks about every request does no less for the connection that one of them became.
#[tokio::test]
async fn an_entry_to_be_asked_about_reaches_connections_of_routes_that_always_ask() {
    let stub = Stub::start().await;
    let verifier = stub.verifier().await;
    for policy in [Policy::ask(), Policy::introspect()] {
        stub.answer_asks(json!({"verdict": "active", "position": "1:2"}));
        let route = verifier.route(policy);
        let token = stub.token(&Token::default());
        let authorized = let_in(&route, &token).await;
        let (mut mute, asking) = (route.watch(&authorized), route.watch(&authorized).asking(&token));
        stub.answer_asks(json!({"verdict": "revoked"}));
        stub.revoke_group();
        assert_eq!(within(mute.event()).await, WatchEvent::Unvouched, "it has no text to ask about");
        assert_eq!(within(asking.close()).await, WatchEvent::Refused(DenyReason::Revoked(None)));
    }
}

/// I1: an answer is worth no more than a view of its age.
#[tokio::test]
async fn a_connection_on_the_authoritys_word_is_asked_about_again_while_the_view_is_stale() {
    let stub = Stub::start().await;
    let verifier = short(&stub, SHORT).await;
    let route = verifier.route(Policy::check(SHORT).on_stale(OnStale::Ask));
    let token = stub.token(&Token::default());
    let authorized = let_in(&route, &token).await;
    let watch = tokio::spawn(route.watch(&authorized).asking(&token).close());
    stub.cut_feed();
    eventually("the authority has vouched for it", || stub.asks() >= 1).await;
    stub.answer_asks(json!({"verdict": "revoked"}));
    let closed = within(watch).await.expect("a watch does not panic");
    assert_eq!(closed, WatchEvent::Refused(DenyReason::Revoked(None)));
}

/// I1: between two questions the view stands in for the authority, and only while it would show a revocation.
#[tokio::test]
async fn a_connection_of_a_route_that_always_asks_is_asked_about_once_the_view_is_stale() {
    for policy in [Policy::ask(), Policy::introspect()] {
        let stub = Stub::start().await;
        let verifier = short(&stub, SHORT).await;
        let route = verifier.route(policy);
        let token = stub.token(&Token::default());
        let authorized = let_in(&route, &token).await;
        let (mut mute, asking) = (route.watch(&authorized), route.watch(&authorized).asking(&token));
        stub.cut_feed();
        stub.answer_asks(json!({"verdict": "revoked"}));
        assert_eq!(within(mute.event()).await, WatchEvent::Unvouched, "it has no text to ask about");
        assert_eq!(within(asking.close()).await, WatchEvent::Refused(DenyReason::Revoked(None)));
    }
}

/// Nothing wakes a watch when its token turns too old for the route, but the watch itself.
#[tokio::test]
async fn a_connection_is_looked_at_when_its_token_comes_of_the_age_that_the_route_names() {
    let stub = Stub::start().await;
    let verifier = stub.verifier().await;
    let age = Duration::from_secs(4);
    let token = stub.token(&Token::default());
    let by_login = verifier.route(Policy::check(STALENESS).max_auth_age(age));
    let by_window = verifier.route(Policy::check(STALENESS).ask_after(age));
    let (login, window) = (let_in(&by_login, &token).await, let_in(&by_window, &token).await);
    let closing = by_login.watch(&login);
    let (mut mute, asking) = (by_window.watch(&window), by_window.watch(&window).asking(&token));
    stub.answer_asks(json!({"verdict": "revoked"}));
    assert_eq!(within(closing.close()).await, WatchEvent::Expired);
    assert_eq!(within(mute.event()).await, WatchEvent::Unvouched, "it has no text to ask about");
    assert_eq!(within(asking.close()).await, WatchEvent::Refused(DenyReason::Revoked(None)));
}

#[tokio::test]
async fn an_expired_token_ends_its_connection() {
    let stub = Stub::start().await;
    let route = short(&stub, STALENESS).await.route(Policy::check(STALENESS));
    let alice = let_in(&route, &stub.token(&Token { life: 4, ..Token::default() })).await;
    assert_eq!(within(route.watch(&alice).into_future()).await, WatchEvent::Expired);
}

#[tokio::test]
async fn a_stale_view_closes_connections_on_closed_routes_only() {
    let stub = Stub::start().await;
    let verifier = short(&stub, SHORT).await;
    let closed = verifier.route(Policy::check(SHORT));
    let open = verifier.route(Policy::check(SHORT).on_stale(OnStale::Open { max_age: SHORT * 2 }));
    let token = stub.token(&Token::default());
    let (on_closed, on_open) = (let_in(&closed, &token).await, let_in(&open, &token).await);
    let (mut told, closing) = (open.watch(&on_open), open.watch(&on_open));
    let closing_closed = closed.watch(&on_closed);
    stub.set_down(true);
    assert_eq!(within(closing_closed.close()).await, WatchEvent::Unvouched);
    assert_eq!(within(told.event()).await, WatchEvent::Unvouched, "it is told, whatever the route");
    let still_open = tokio::time::timeout(SHORT * 2, closing.close()).await;
    assert!(still_open.is_err(), "an open route closes nothing: {still_open:?}");
    stub.set_down(false);
    let at = stub.revoke_subject("alice");
    assert!(
        matches!(within(told.event()).await, WatchEvent::Revoked(refusal) if refusal.at == at),
        "a watch goes on after it was unvouched"
    );
}
