//! Access tokens that are their own refresh credential: what takes them back, takes their next ones too.

use annul_authority::authority::{Caller, RefreshSetup, Setup};
use annul_authority::error::VerbError;
use annul_authority::model::Seen;
use annul_authority::secrets::secret::Secret;
use annul_authority::store::RefreshWindow;
use annul_authority::verbs::refresh::{ProofBinds, RefreshRequest, RefreshRevocation, Refreshed};
use annul_authority::verbs::revocations::{CutoffText, LiftRequest, RevokeRequest};
use annul_authority::verbs::revoke_token::TokenRevocation;
use annul_authority::verbs::sessions::{OpenSession, SessionState, TokenAnswer};
use annul_core::algebra::Reach;

use crate::exchange::client;
use crate::world::{AUDIENCE, ISSUER, World, code, login, revocation, target};

const CLIENT: &str = "app-of-alice";
const DAY: u64 = 24 * 3600;
/// Past the expiry of a token, and past every leeway and skew.
const LONG_EXPIRED: u64 = 2 * 3600;

/// An authority that exchanges a token for a week after its end.
async fn world(revocation: RefreshRevocation) -> World {
    exchanging_from(600, revocation).await
}

/// One that exchanges a token from so many seconds before its end on.
async fn exchanging_from(before: u64, revocation: RefreshRevocation) -> World {
    let exchange = RefreshWindow { before, after: 7 * DAY };
    let refresh = RefreshSetup { exchange, revocation, ..RefreshSetup::default() };
    World::with(Setup { refresh, ..Setup::new(ISSUER, AUDIENCE) }).await
}

async fn open(world: &World) -> TokenAnswer {
    world.try_open(OpenSession { exchange: true, ..login("alice", "phone") }).await.unwrap()
}

async fn exchange(world: &World, token: &Secret) -> Result<Refreshed, VerbError> {
    let (client_id, token) = (CLIENT.to_owned(), token.clone());
    let request = RefreshRequest {
        token,
        client_id,
        proof: None,
        binds: ProofBinds::default(),
        scope: None,
        seen: Seen::default(),
    };
    world.authority.exchange_access_token(&Caller::client(CLIENT), request).await
}

async fn take_back(world: &World, token: &Secret) -> TokenRevocation {
    let (caller, client) = (Caller::client(CLIENT), client(CLIENT));
    world.authority.revoke_token(&caller, &client, token.expose()).await.unwrap()
}

#[tokio::test]
async fn i14_a_token_that_is_refused_already_takes_its_session_along_when_it_is_revoked() {
    let world = world(RefreshRevocation::Session).await;
    let opened = open(&world).await;
    world.revoke(revocation("subject:alice", CutoffText::Now, Reach::Access)).await;
    assert_eq!(take_back(&world, &opened.access_token).await, TokenRevocation::Revoked);
    assert_eq!(code(exchange(&world, &opened.access_token).await), "session_revoked");
    assert_eq!(world.authority.session(&opened.sid).await.unwrap().status, SessionState::Ended);
    let head = world.head().await;
    assert_eq!(take_back(&world, &opened.access_token).await, TokenRevocation::Nothing);
    assert_eq!(world.head().await, head, "once is enough");
}

#[tokio::test]
async fn i14_a_token_that_has_expired_takes_its_session_along_when_it_is_revoked() {
    let world = world(RefreshRevocation::Session).await;
    let (opened, other) = (open(&world).await, open(&world).await);
    world.advance(LONG_EXPIRED);
    assert_eq!(take_back(&world, &opened.access_token).await, TokenRevocation::Revoked);
    assert_eq!(code(exchange(&world, &opened.access_token).await), "session_revoked");
    exchange(&world, &other.access_token).await.unwrap();

    let plain = world.open("alice", "laptop").await;
    world.advance(LONG_EXPIRED);
    assert_eq!(take_back(&world, &plain.access_token).await, TokenRevocation::Nothing, "it renews nothing");
    assert_eq!(world.authority.session(&plain.sid).await.unwrap().status, SessionState::Live);
}

#[tokio::test]
async fn i14_a_token_revoked_by_its_id_is_not_exchanged_after_its_expiry_either() {
    let by_token =
        |token: &TokenAnswer| RevokeRequest { token: Some(token.access_token.clone()), ..Default::default() };
    let by_name = |token: &TokenAnswer| target(format!("token:{}", token.jti));
    let world = world(RefreshRevocation::Session).await;
    let (first, second, spared) = (open(&world).await, open(&world).await, open(&world).await);
    world.revoke(by_token(&first)).await;
    world.revoke(by_name(&second)).await;
    for passed in [LONG_EXPIRED, 6 * DAY] {
        world.advance(passed);
        world.authority.housekeep().await.unwrap();
        for token in [&first, &second] {
            assert_eq!(code(exchange(&world, &token.access_token).await), "session_revoked", "after {passed} s");
        }
    }
    exchange(&world, &spared.access_token).await.unwrap();
}

#[tokio::test]
async fn i14_revoked_with_all_that_its_user_has_it_stays_so_and_takes_no_later_login_along() {
    let mut world = world(RefreshRevocation::Subject).await;
    let opened = open(&world).await;
    let all = world.head().await.next();
    assert_eq!(take_back(&world, &opened.access_token).await, TokenRevocation::Revoked);
    let later = open(&world).await;
    take_back(&world, &opened.access_token).await;
    world.assert_active(&later.access_token, "a login of after").await;
    let lift = LiftRequest { positions: vec![all], ..LiftRequest::default() };
    world.authority.lift(&world.caller, lift).await.unwrap();
    assert_eq!(code(exchange(&world, &opened.access_token).await), "session_revoked", "no lift revives it");
}

#[tokio::test]
async fn an_old_token_ends_no_more_than_the_session_it_can_renew() {
    let world = world(RefreshRevocation::Subject).await;
    let (old, later) = (open(&world).await, open(&world).await);
    world.advance(LONG_EXPIRED);
    assert_eq!(take_back(&world, &old.access_token).await, TokenRevocation::Revoked);
    assert_eq!(world.authority.session(&old.sid).await.unwrap().status, SessionState::Ended);
    assert_eq!(world.authority.session(&later.sid).await.unwrap().status, SessionState::Live);
    world.advance(8 * DAY);
    assert_eq!(take_back(&world, &later.access_token).await, TokenRevocation::Nothing, "nobody exchanges it now");
    assert_eq!(world.authority.session(&later.sid).await.unwrap().status, SessionState::Live);
}

#[tokio::test]
async fn i14_a_token_that_is_refused_before_it_may_be_exchanged_takes_its_session_along() {
    let world = exchanging_from(10, RefreshRevocation::Session).await;
    let opened = open(&world).await;
    world.revoke(revocation("subject:alice", CutoffText::Now, Reach::Access)).await;
    assert_eq!(code(exchange(&world, &opened.access_token).await), "refresh_outside_window");
    assert_eq!(take_back(&world, &opened.access_token).await, TokenRevocation::Revoked);
    world.advance(LONG_EXPIRED);
    assert_eq!(code(exchange(&world, &opened.access_token).await), "session_revoked");
}
