//! Cutoff: everything issued before a moment is dead.

use scenarios::{Authority, ForeignIssuer, Service, now};
use serde_json::json;

#[tokio::test]
async fn subject_issued_before() {
    let authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let phone = authority.login("alice", "phone").await;
    let laptop = authority.login("alice", "laptop").await;
    let bob = authority.login("bob", "phone").await;
    for token in [&phone, &laptop, &bob] {
        service.accepts(token.token()).await;
    }

    // For now: every device dies, sessions too; a login right after it lives, in the same second.
    authority.revoke(json!({"targets": ["subject:alice"], "reason": "log out everywhere"})).await;
    let again = authority.login("alice", "phone").await;
    service.refuses_as_revoked(phone.token()).await;
    service.refuses_as_revoked(laptop.token()).await;
    service.accepts(again.token()).await;
    service.accepts(bob.token()).await;
    for dead in [&phone, &laptop] {
        let refused = authority.next_token(dead.sid()).await.expect_status(403);
        assert_eq!(refused.text("code"), "session_revoked");
    }
    let next = authority.next_token(again.sid()).await.expect_status(200);
    service.accepts(next.token()).await;

    // Again and again: whatever comes from before dies, whatever comes after lives.
    for _ in 0..50 {
        let before = authority.login("mallory", "phone").await;
        let cut = authority.revoke(json!({"targets": ["subject:mallory"]})).await;
        let after = authority.login("mallory", "phone").await;
        service.accepts(after.token()).await;
        service.has_applied(cut.text("position")).await;
        assert_eq!(service.call(before.token()).await.status, 401);
        service.accepts(after.token()).await;
    }

    // For a stated past moment: by the login, so a token that a thief refreshed later dies too.
    let old = authority.open(json!({"subject": "carol", "auth_time": now() - 3600})).await;
    let recent = authority.open(json!({"subject": "carol", "auth_time": now() - 60})).await;
    let refreshed = authority.next_token(old.sid()).await.expect_status(200);
    authority.revoke(json!({"targets": ["subject:carol"], "cutoff": {"before": now() - 600}})).await;
    service.refuses_as_revoked(old.token()).await;
    service.refuses_as_revoked(refreshed.token()).await;
    service.accepts(recent.token()).await;
    authority.next_token(old.sid()).await.expect_status(403);
    authority.next_token(recent.sid()).await.expect_status(200);

    // A moment that has not come would refuse tokens not yet issued.
    let future = authority
        .admin()
        .post("/v1/revocations", json!({"targets": ["subject:carol"], "cutoff": {"before": now() + 60}}))
        .await;
    assert_eq!(future.status, 400, "{}", future.body);
}

#[tokio::test]
async fn admin_logout() {
    let authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let phone = authority.login("alice", "phone").await;
    let second = authority.login("alice", "phone").await;
    let laptop = authority.login("alice", "laptop").await;
    let bob = authority.login("bob", "laptop").await;

    let listed = authority.admin().get("/v1/sessions?subject=alice").await.expect_status(200);
    assert_eq!(listed.body["sessions"].as_array().map(Vec::len), Some(3), "{}", listed.body);

    // One session.
    authority.admin().delete(&format!("/v1/sessions/{}?reason=reported", phone.sid())).await.expect_status(200);
    service.refuses_as_revoked(phone.token()).await;
    service.accepts(second.token()).await;
    authority.next_token(phone.sid()).await.expect_status(403);

    // One device: the other session on it.
    authority.revoke(json!({"targets": ["device:alice/phone"]})).await;
    service.refuses_as_revoked(second.token()).await;
    service.accepts(laptop.token()).await;

    // All of the user's; nobody else's.
    authority.revoke(json!({"targets": ["subject:alice"]})).await;
    service.refuses_as_revoked(laptop.token()).await;
    service.accepts(bob.token()).await;

    // An ended session stays ended: its entry cannot be lifted.
    let revocations = authority.admin().get("/v1/revocations?limit=100").await.expect_status(200);
    let ended = revocations.body["revocations"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|entry| entry["target"] == format!("session:{}", phone.sid()))
        .expect("the entry is listed")
        .clone();
    let lift = authority.admin().post("/v1/revocations/lift", json!({"positions": [ended["position"]]})).await;
    assert_eq!(lift.status, 409, "{}", lift.body);
    assert_eq!(service.call(phone.token()).await.status, 401);

    // Who did it, and why, is in the audit and nowhere else.
    let audit = authority.admin().get("/v1/audit?limit=100").await.expect_status(200);
    let told = audit.body["events"].as_array().expect("events").iter().any(|event| {
        event["reason"] == "reported" && event["actor"].as_str().is_some_and(|actor| actor.contains("admin"))
    });
    assert!(told, "{}", audit.body);

    // A caller without the scope ends nothing.
    let reader = authority.client("reader", &["annul.read"]).await;
    assert_eq!(reader.post("/v1/revocations", json!({"targets": ["subject:bob"]})).await.status, 403);
    service.accepts(bob.token()).await;
}

#[tokio::test]
async fn device_logout() {
    let authority = Authority::start();
    let issuer = ForeignIssuer::register(&authority).await;
    let service =
        Service::start_with(&authority, "api", |options| options.foreign_issuer = Some(issuer.name().to_owned())).await;
    let phone = authority.login("alice", "phone").await;
    let laptop = authority.login("alice", "laptop").await;
    let namesake = authority.login("bob", "phone").await;

    // The device logs itself out with its own token.
    authority.logout(phone.token(), json!({"scope": "local"})).await.expect_status(200);
    service.refuses_as_revoked(phone.token()).await;
    authority.next_token(phone.sid()).await.expect_status(403);
    service.accepts(laptop.token()).await;

    // An administrator logs out the other one; the namesake's phone is another device.
    authority.revoke(json!({"targets": ["device:alice/laptop"]})).await;
    service.refuses_as_revoked(laptop.token()).await;
    authority.next_token(laptop.sid()).await.expect_status(403);
    service.accepts(namesake.token()).await;
    let again = authority.login("alice", "laptop").await;
    service.accepts(again.token()).await;
    // The deleted copy, put back.
    assert_eq!(service.call(laptop.token()).await.status, 401);

    // A foreign issuer's device, where its tokens name one.
    let (theirs, other) =
        (issuer.token("eve", 5, json!({"device_id": "tv"})), issuer.token("eve", 5, json!({"device_id": "watch"})));
    service.accepts_soon(&theirs).await;
    authority.revoke(json!({"targets": ["device:eve/tv"], "issuer": issuer.name()})).await;
    service.refuses_as_revoked(&theirs).await;
    service.accepts(&other).await;
}

#[tokio::test]
async fn roles_changed() {
    let authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let alice = authority.open(json!({"subject": "alice", "roles": ["admin"]})).await;
    let bob = authority.open(json!({"subject": "bob", "roles": ["admin"]})).await;
    assert_eq!(service.answer("/admin", alice.token()).await.status, 200);

    authority
        .admin()
        .put("/v1/subjects/alice/claims", json!({"claims": {"roles": ["reader"]}}))
        .await
        .expect_status(200);
    service.refuses_as_revoked(alice.token()).await;
    service.accepts(bob.token()).await;

    // The session lives on, no login: its next token carries the new roles.
    let next = authority.next_token(alice.sid()).await.expect_status(200);
    let claims = service.answer("/check", next.token()).await.expect_status(200);
    assert_eq!(claims.body["roles"], json!(["reader"]));
    assert_eq!(claims.body["sid"], alice.sid());
    assert_eq!(service.answer("/admin", next.token()).await.status, 403);
    assert_eq!(service.answer("/admin", bob.token()).await.status, 200);
}
