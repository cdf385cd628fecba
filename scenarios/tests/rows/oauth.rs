//! The endpoints that other people's clients speak: what they take back, services refuse.

use futures::future::join_all;
use scenarios::{Answer, Authority, Client, Service};
use serde_json::{Value, json};

const REVOKE: &str = "/oauth2/revoke";

/// A session of this client's with a refresh token.
pub(crate) async fn open(authority: &Authority, client: &Client, subject: &str, device: &str) -> Answer {
    let session =
        json!({"subject": subject, "client_id": client.id(), "device": {"id": device}, "refresh_token": true});
    authority.open(session).await
}

/// What every service has to say of a token that was revoked.
pub(crate) async fn all_refuse(services: &[Service], token: &str) {
    join_all(services.iter().map(|service| service.refuses_as_revoked(token))).await;
}

pub(crate) async fn all_accept(services: &[Service], token: &str) {
    join_all(services.iter().map(|service| service.accepts(token))).await;
}

#[tokio::test]
async fn rfc7009_reaches_resource_servers() {
    let mut authority = Authority::start();
    let services = [Service::start(&authority, "api").await, Service::start(&authority, "worker").await];
    let shop = authority.client("shop", &[]).await;
    let cart = authority.client("cart", &[]).await;
    let phone = open(&authority, &shop, "alice", "phone").await;
    let laptop = open(&authority, &shop, "alice", "laptop").await;
    let tablet = open(&authority, &shop, "alice", "tablet").await;
    let (bob, hers) = (open(&authority, &shop, "bob", "phone").await, open(&authority, &cart, "alice", "phone").await);
    let second = shop.renew(&phone).await;
    for token in [&phone, &second, &laptop, &tablet, &bob, &hers] {
        all_accept(&services, token.token()).await;
    }

    // An access token: that one is refused everywhere, and its session goes on.
    answered_nothing(&shop.revoke_token(phone.token()).await);
    all_refuse(&services, phone.token()).await;
    all_accept(&services, second.token()).await;
    let third = shop.renew(&second).await;
    all_accept(&services, third.token()).await;

    // A refresh token: it and every access token of its session, also where the hint is wrong.
    let hinted = [("token", third.refresh_token()), ("token_type_hint", "access_token")];
    answered_nothing(&shop.post_form(REVOKE, &hinted).await);
    for token in [&second, &third] {
        all_refuse(&services, token.token()).await;
    }
    shop.cannot_renew(&third).await;

    // The answer was sent when it was on disk: also when nothing else is done after it.
    answered_nothing(&shop.revoke_token(laptop.refresh_token()).await);
    authority.kill();
    authority.restart();
    join_all(services.iter().map(Service::ready)).await;
    let (shop, cart) = (again(&authority, &shop), again(&authority, &cart));
    all_refuse(&services, laptop.token()).await;
    shop.cannot_renew(&laptop).await;

    nothing_to_do_is_answered_alike(&authority, &shop, &[phone.token(), third.refresh_token(), tablet.token()]).await;
    only_its_own_client_revokes(&authority, &shop, &hers).await;

    // Her other sessions, other clients' and other users' never noticed.
    for (client, token) in [(&shop, &tablet), (&shop, &bob), (&cart, &hers)] {
        all_accept(&services, token.token()).await;
        all_accept(&services, client.renew(token).await.token()).await;
    }
    an_access_token_may_stand_for_its_session(&authority, &services).await;
    a_refresh_token_may_stand_for_its_user().await;
}

/// The same client on connections to the authority that runs now.
fn again(authority: &Authority, client: &Client) -> Client {
    Client::new(authority.url(), client.id(), client.secret())
}

#[track_caller]
fn answered_nothing(answer: &Answer) {
    assert_eq!((answer.status, &answer.body), (200, &Value::Null));
}

/// Unknown, forged and revoked already: 200 for all of them, and no entry for any. `dead` and, last, one alive.
async fn nothing_to_do_is_answered_alike(authority: &Authority, client: &Client, tokens: &[&str]) {
    let before = authority.position().await;
    let (alive, dead) = tokens.split_last().expect("one is alive");
    let forged = format!("{}{}", &alive[..alive.len() - 4], "AAAA");
    let unknown = ["x", "a.b.c", "annul_rt_x", "annul_at_x", &forged];
    for token in unknown.iter().chain(dead) {
        answered_nothing(&client.revoke_token(token).await);
    }
    assert_eq!(authority.position().await, before, "a revocation of nothing left an entry");
}

/// A token of another client's is refused and stays as it is; whoever names no client is told so.
async fn only_its_own_client_revokes(authority: &Authority, client: &Client, others: &Answer) {
    let before = authority.position().await;
    for token in [others.token(), others.refresh_token()] {
        client.revoke_token(token).await.expect_invalid_grant("token_of_another_client");
        let stranger = Client::new(authority.url(), client.id(), "a guess").revoke_token(token).await;
        assert_eq!((stranger.status, &stranger.body["error"]), (401, &json!("invalid_client")));
    }
    assert_eq!(authority.position().await, before);
    assert_eq!(authority.audited("token.revoke.other_client").await.len(), 2);
}

/// For a client that was registered so, its session goes with it, and no other.
async fn an_access_token_may_stand_for_its_session(authority: &Authority, services: &[Service]) {
    let desk = json!({"client_id": "desk", "scopes": [], "revoke_session_with_access_token": true});
    let desk = authority.register(desk).await;
    let (phone, laptop) =
        (open(authority, &desk, "alice", "phone").await, open(authority, &desk, "alice", "laptop").await);
    let next = desk.renew(&phone).await;
    answered_nothing(&desk.revoke_token(phone.token()).await);
    all_refuse(services, next.token()).await;
    desk.cannot_renew(&next).await;
    all_accept(services, desk.renew(&laptop).await.token()).await;
}

/// Where it is configured so, all that the user has goes with it, and nothing of anybody else.
async fn a_refresh_token_may_stand_for_its_user() {
    let authority = Authority::start_with("[sessions]\nrefresh_revocation = \"subject\"");
    let services = [Service::start(&authority, "api").await];
    let shop = authority.client("shop", &[]).await;
    let (phone, laptop) =
        (open(&authority, &shop, "alice", "phone").await, open(&authority, &shop, "alice", "laptop").await);
    let bob = open(&authority, &shop, "bob", "phone").await;
    answered_nothing(&shop.revoke_token(phone.refresh_token()).await);
    for token in [&phone, &laptop] {
        all_refuse(&services, token.token()).await;
        shop.cannot_renew(token).await;
    }
    let back = open(&authority, &shop, "alice", "phone").await;
    answered_nothing(&shop.revoke_token(phone.refresh_token()).await);
    all_accept(&services, back.token()).await;
    all_accept(&services, shop.renew(&bob).await.token()).await;
}
