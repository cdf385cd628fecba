//! Sessions: where login and refresh are refused, what goes with a session, and who is registered.

use scenarios::{Authority, Seen, Service, now, now_millis};
use serde_json::json;

fn seen(status: u16, code: &str) -> Seen {
    Seen { status, code: code.to_owned() }
}

#[tokio::test]
async fn deny_at_refresh_only() {
    const LIFE: u64 = 3;
    const LONGEST: u64 = 6;
    let authority =
        Authority::start_with("life = \"3s\"\nlongest_life = \"3s\"\n[sessions]\nidle = \"6s\"\nabsolute = \"6s\"");
    let service = Service::start_punctual(&authority, "api").await;
    let client = authority.admin();
    let account = json!({"username": "eve", "password": "correct horse battery staple"});
    client.post("/v1/accounts", account.clone()).await.expect_status(201);
    let opened = now();
    let (phone, laptop) =
        (authority.login_to_refresh("alice", "phone").await, authority.login_to_refresh("alice", "laptop").await);
    let (tv, tablet) =
        (authority.login_to_refresh("bob", "tv").await, authority.login_to_refresh("bob", "tablet").await);
    let carol = authority.login_to_refresh("carol", "phone").await;
    let eve = client.post("/v1/login", account.clone()).await.expect_status(200);
    let empty = service.status().await["entries"].clone();

    // A user and a device are logged out. No verifier holds anything of it.
    let cut = authority.revoke(json!({"targets": ["subject:alice", "device:bob/tv"], "reach": "sessions"})).await;
    service.has_applied(cut.text("position")).await;
    assert_eq!(service.status().await["entries"], empty, "what reaches sessions only costs a verifier nothing");

    // Every refresh of theirs is refused, a new login is not, and its refresh works. The others go on.
    for out in [&phone, &laptop, &tv] {
        client.cannot_renew(out).await;
        authority.next_token(out.sid()).await.expect_refusal(403, "session_revoked");
    }
    for (subject, device) in [("alice", "phone"), ("bob", "tv")] {
        let again = authority.login_to_refresh(subject, device).await;
        service.accepts(client.renew(&again).await.token()).await;
    }
    for other in [&tablet, &carol] {
        service.accepts(client.renew(other).await.token()).await;
    }

    // Login is refused only to a banned account.
    client.post("/v1/subjects/eve/block", json!({"reason": "banned"})).await.expect_status(200);
    client.post("/v1/login", account).await.expect_refusal(403, "subject_blocked");
    client.post("/v1/sessions", json!({"subject": "eve"})).await.expect_refusal(403, "subject_blocked");
    service.refuses_as_revoked(eve.token()).await;

    // The exposure: an access token from before lives out its life and no more, and no request asks anybody.
    let before = lookups(&authority).await;
    let (mut requests, mut accepted_at) = (0, 0);
    let refused = loop {
        let asked_at = now_millis();
        let seen = service.call(phone.token()).await;
        if seen.status != 200 {
            break seen;
        }
        (requests, accepted_at) = (requests + 1, asked_at);
    };
    assert_eq!(refused, seen(401, "token_expired"));
    let exposure = accepted_at - cut.number("acknowledged_at");
    assert!(requests > 0 && exposure <= 1000 * LIFE, "accepted for {exposure} ms");
    assert_eq!(lookups(&authority).await, before);
    println!("deny_at_refresh_only: exposed for {exposure} ms of {LIFE} s; {requests} requests, no lookup");

    // Only login and refresh cost one each.
    let login = authority.login_to_refresh("alice", "phone").await;
    let next = client.renew(&login).await;
    for _ in 0..100 {
        service.accepts(next.token()).await;
    }
    assert_eq!(lookups(&authority).await, before + 2);

    // Refused for as long as the refresh token would have lived.
    let over = loop {
        let answer = client.refresh(laptop.refresh_token()).await;
        assert_eq!((answer.status, &answer.body["error"]), (400, &json!("invalid_grant")));
        if answer.text("code") != "session_revoked" {
            break answer;
        }
    };
    assert_eq!(over.text("code"), "session_expired");
    assert!(now() >= opened + LONGEST);
}

/// The requests that the authority answered to anybody but those who follow its feed or count.
async fn lookups(authority: &Authority) -> u64 {
    let is_upkeep = |labels: &str| ["/v1/feed/", "/metrics"].iter().any(|route| labels.contains(route));
    authority.counted("annul_http_requests_total", |labels| !is_upkeep(labels)).await
}
