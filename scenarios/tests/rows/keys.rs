//! Keys: make the signature itself fail.

use scenarios::{Authority, ForeignIssuer, Service};
use serde_json::{Value, json};

fn key_ids(keys: &Value) -> Vec<String> {
    keys["keys"]
        .as_array()
        .expect("a key set")
        .iter()
        .filter_map(|key| key["kid"].as_str().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn signing_key_rotation() {
    let authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let before = authority.login("alice", "phone").await;
    service.accepts(before.token()).await;
    let old = before.key_id();
    let published = key_ids(&authority.admin().get("/.well-known/jwks.json").await.body);
    assert!(published.len() >= 2, "a key is published before its first use: {published:?}");

    // A reserve key may sign once every verifier is known to hold it.
    let known = authority.revoke(json!({"targets": ["subject:nobody"], "wait": "10s"})).await;
    assert_eq!(known.body["confirmation"]["confirmed"], true, "{}", known.body);
    authority.admin().post("/v1/keys/rotate", json!({})).await.expect_status(200);
    let after = authority.next_token(before.sid()).await.expect_status(200);
    let new = after.key_id();
    assert_ne!(old, new);
    assert!(published.contains(&new), "the new key had been published before");
    // Nobody is logged out: tokens of both keys pass, also at a service that starts now.
    service.accepts(before.token()).await;
    service.accepts(after.token()).await;
    let late = Service::start(&authority, "late").await;
    late.accepts(before.token()).await;
    late.accepts(after.token()).await;
    let published = key_ids(&authority.admin().get("/.well-known/jwks.json").await.body);
    assert!(published.contains(&old) && published.contains(&new), "{published:?}");
}

#[tokio::test]
async fn signing_key_killed() {
    let authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let client = authority.admin();
    let alice = authority.login_to_refresh("alice", "phone").await;
    let bob = authority.login_to_refresh("bob", "phone").await;
    let single = authority.login_to_exchange("carol", "phone").await;
    service.accepts(alice.token()).await;
    let killed = alice.key_id();

    authority.admin().post(&format!("/v1/keys/{killed}/kill"), json!({"reason": "leaked"})).await.expect_status(200);
    service.refuses_as_revoked(alice.token()).await;
    service.refuses_as_revoked(bob.token()).await;
    let late = Service::start(&authority, "late").await;
    late.refuses_as_revoked(alice.token()).await;

    // Sessions refresh onto the new key, nobody logs in again.
    let next = client.renew(&alice).await;
    assert_ne!(next.key_id(), killed);
    service.accepts_soon(next.token()).await;
    let bob = client.renew(&bob).await;
    service.accepts(bob.token()).await;
    // A token that is its own refresh token has only that key to vouch for it.
    let refused = client.exchange(single.token()).await.expect_status(400);
    assert!(refused.body["access_token"].is_null(), "{}", refused.body);
    let published = key_ids(&authority.admin().get("/.well-known/jwks.json").await.body);
    assert!(!published.contains(&killed), "{published:?}");

    // The switch: everybody must log in again.
    let current = next.key_id();
    authority.admin().post(&format!("/v1/keys/{current}/kill"), json!({"end_sessions": true})).await.expect_status(200);
    for dead in [&next, &bob] {
        service.refuses_as_revoked(dead.token()).await;
        client.cannot_renew(dead).await;
    }
    authority.next_token(alice.sid()).await.expect_status(403);
    let again = authority.login_to_refresh("alice", "phone").await;
    service.accepts_soon(again.token()).await;
    service.accepts(client.renew(&again).await.token()).await;
    assert!(!key_ids(&authority.admin().get("/.well-known/jwks.json").await.body).contains(&current));

    // One secret shared by everybody, and tokens that name no key: killed by its configured name.
    let secret = "a-shared-secret-of-more-than-32-bytes";
    let issuer = ForeignIssuer::register_with_secret(&authority, secret).await;
    let shared = Service::start_with(&authority, "shared", |options| {
        options.foreign_issuer = Some(issuer.name().to_owned());
        options.foreign_secret = Some(("legacy".to_owned(), secret.to_owned()));
    })
    .await;
    let (eve, later) = (issuer.token("eve", 5, json!({})), issuer.token("eve", 0, json!({})));
    shared.accepts_soon(&eve).await;
    authority.revoke(json!({"targets": ["key:legacy"], "issuer": issuer.name(), "cutoff": "always"})).await;
    shared.refuses_as_revoked(&eve).await;
    shared.refuses_as_revoked(&later).await;
    shared.accepts(again.token()).await;
}
