//! Cutoff: everything issued before a moment is dead.

use scenarios::{Answer, Authority, Cli, Client, ForeignIssuer, Service, now};
use serde_json::json;

#[tokio::test]
async fn subject_issued_before() {
    let authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let client = authority.admin();
    let phone = authority.login_to_refresh("alice", "phone").await;
    let laptop = authority.login_to_refresh("alice", "laptop").await;
    let bob = authority.login_to_refresh("bob", "phone").await;
    let laptop = client.renew(&laptop).await;
    for token in [&phone, &laptop, &bob] {
        service.accepts(token.token()).await;
    }

    // For now: every device dies, sessions too; a login right after it lives, in the same second.
    authority.revoke(json!({"targets": ["subject:alice"], "reason": "log out everywhere"})).await;
    let again = authority.login_to_refresh("alice", "phone").await;
    service.refuses_as_revoked(phone.token()).await;
    service.refuses_as_revoked(laptop.token()).await;
    service.accepts(again.token()).await;
    service.accepts(bob.token()).await;
    for dead in [&phone, &laptop] {
        client.cannot_renew(dead).await;
    }
    authority.next_token(phone.sid()).await.expect_refusal(403, "session_revoked");
    for live in [&again, &bob] {
        service.accepts(client.renew(live).await.token()).await;
    }
    service.accepts(authority.next_token(again.sid()).await.expect_status(200).token()).await;

    // Again and again: whatever comes from before dies, whatever comes after lives.
    for _ in 0..50 {
        let before = authority.login_to_refresh("mallory", "phone").await;
        let cut = authority.revoke(json!({"targets": ["subject:mallory"]})).await;
        let after = authority.login_to_refresh("mallory", "phone").await;
        service.accepts(after.token()).await;
        service.has_applied(cut.text("position")).await;
        assert_eq!(service.call(before.token()).await.status, 401);
        client.cannot_renew(&before).await;
        service.accepts(client.renew(&after).await.token()).await;
    }

    // For a stated past moment: by the login, so a token that a thief refreshed later dies too.
    let since = |auth_time: u64| json!({"subject": "carol", "auth_time": auth_time, "refresh_token": true});
    let (old, recent) = (authority.open(since(now() - 3600)).await, authority.open(since(now() - 60)).await);
    let refreshed = client.renew(&old).await;
    service.accepts(refreshed.token()).await;
    authority.revoke(json!({"targets": ["subject:carol"], "cutoff": {"before": now() - 600}})).await;
    service.refuses_as_revoked(old.token()).await;
    service.refuses_as_revoked(refreshed.token()).await;
    service.accepts(recent.token()).await;
    client.cannot_renew(&refreshed).await;
    service.accepts(client.renew(&recent).await.token()).await;

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
    let service = Service::start_accepting(&authority, "api", &issuer).await;
    let client = authority.admin();
    let phone = authority.login_to_refresh("alice", "phone").await;
    let laptop = authority.login_to_refresh("alice", "laptop").await;
    let namesake = authority.login_to_refresh("bob", "phone").await;

    // The device logs itself out with its own token: both of its tokens are dead, the other devices' live.
    authority.logout(phone.token(), json!({"scope": "local"})).await.expect_status(200);
    service.refuses_as_revoked(phone.token()).await;
    client.cannot_renew(&phone).await;
    authority.next_token(phone.sid()).await.expect_status(403);
    service.accepts(laptop.token()).await;
    let laptop = client.renew(&laptop).await;
    service.accepts(laptop.token()).await;

    // An administrator logs out the other one; the namesake's phone is another device.
    authority.revoke(json!({"targets": ["device:alice/laptop"]})).await;
    service.refuses_as_revoked(laptop.token()).await;
    client.cannot_renew(&laptop).await;
    service.accepts(namesake.token()).await;
    service.accepts(client.renew(&namesake).await.token()).await;
    let again = authority.login_to_refresh("alice", "laptop").await;
    service.accepts(again.token()).await;
    // The deleted copies of both tokens, put back.
    for copy in [&phone, &laptop] {
        assert_eq!(service.call(copy.token()).await.status, 401);
        client.cannot_renew(copy).await;
    }
    service.accepts(client.renew(&again).await.token()).await;

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

/// A machine's own token.
async fn machine_token(client: &Client) -> Answer {
    let request = reqwest::Client::new().post(format!("{}/oauth2/token", client.url()));
    let request = request.basic_auth(client.id(), Some(client.secret()));
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let answer = request.body("grant_type=client_credentials").send().await.expect("the authority answers");
    Answer::of(answer).await.expect_status(200)
}

#[tokio::test]
async fn global_cutoff() {
    let authority = Authority::start();
    let issuer = ForeignIssuer::register(&authority).await;
    let service = Service::start_accepting(&authority, "api", &issuer).await;
    let cli = Cli::of(authority.admin());
    let job = authority.client("job", &["jobs.run"]).await;
    let client = authority.admin();
    let (alice, bob) =
        (authority.login_to_refresh("alice", "phone").await, authority.login_to_refresh("bob", "tv").await);
    let (bob, machine) = (client.renew(&bob).await, machine_token(&job).await);
    let theirs = issuer.token("carol", 5, json!({}));
    service.accepts_soon(&theirs).await;

    // So wide a call asks first, and does nothing where nobody can answer.
    cli.run(&["revoke", "issuer"]).await.expect_code(2);
    let dry = cli.run(&["revoke", "issuer", "--dry-run", "--json"]).await.expect_code(0).json();
    assert_eq!(dry["sessions"], 2, "{dry}");
    service.accepts(alice.token()).await;

    // One call: every token and session, the machine's too. A login right after it lives.
    let cut = cli.run(&["revoke", "issuer", "--yes", "--reason", "breach", "--json"]).await.expect_code(0).json();
    let again = authority.login_to_refresh("alice", "phone").await;
    assert_eq!(cut["revocations"].as_array().map(Vec::len), Some(1), "{cut}");
    for dead in [&alice, &bob, &machine] {
        service.refuses_as_revoked(dead.token()).await;
    }
    for dead in [&alice, &bob] {
        client.cannot_renew(dead).await;
    }
    authority.next_token(alice.sid()).await.expect_refusal(403, "session_revoked");
    service.accepts(again.token()).await;
    service.accepts(client.renew(&again).await.token()).await;
    service.accepts(machine_token(&job).await.token()).await;
    // Whoever administers and whoever follows has no token of the log: both go on.
    for _ in 0..20 {
        let before = authority.login_to_refresh("mallory", "phone").await;
        let cut = authority.revoke(json!({"targets": ["issuer"]})).await;
        let after = authority.login_to_refresh("mallory", "phone").await;
        service.has_applied(cut.text("position")).await;
        assert_eq!(service.call(before.token()).await.status, 401);
        client.cannot_renew(&before).await;
        service.accepts(client.renew(&after).await.token()).await;
    }
    let late = Service::start_accepting(&authority, "late", &issuer).await;
    late.refuses_as_revoked(bob.token()).await;
    late.accepts_soon(&theirs).await;
    service.accepts(&theirs).await;

    // Before a stated past moment: by the login, whenever the token was issued.
    let since = |auth_time: u64| json!({"subject": "dave", "auth_time": auth_time, "refresh_token": true});
    let (old, recent) = (authority.open(since(now() - 3600)).await, authority.open(since(now() - 60)).await);
    let refreshed = client.renew(&old).await;
    let before = format!("before:{}", now() - 600);
    cli.run(&["revoke", "issuer", "--cutoff", &before, "--yes"]).await.expect_code(0);
    service.refuses_as_revoked(old.token()).await;
    service.refuses_as_revoked(refreshed.token()).await;
    client.cannot_renew(&refreshed).await;
    service.accepts(recent.token()).await;
    service.accepts(client.renew(&recent).await.token()).await;

    // A foreign issuer: all of its tokens, none of ours; what it issues from the next second on lives.
    let cut = authority.revoke(json!({"targets": ["issuer"], "issuer": issuer.name()})).await;
    service.refuses_as_revoked(&theirs).await;
    let next_second = cut.number("acknowledged_at") / 1000 + 1;
    service.accepts(&issuer.token("carol", 0, json!({"iat": next_second, "exp": next_second + 600}))).await;
    service.accepts(recent.token()).await;
}
