//! Sessions: where login and refresh are refused, what goes with a session, and who is registered.

use std::path::Path;
use std::time::{Duration, Instant};

use scenarios::{Authority, Seen, Service, now, now_millis};
use serde_json::{Value, json};

fn seen(status: u16, code: &str) -> Seen {
    Seen { status, code: code.to_owned() }
}

#[tokio::test]
async fn deny_at_refresh_only() {
    const LIFE: u64 = 6;
    const LONGEST: u64 = 12;
    let lives = "life = \"6s\"\nlongest_life = \"6s\"\n[sessions]\nidle = \"12s\"\nabsolute = \"12s\"";
    let authority = Authority::start_with(lives);
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
    for _ in 0..20 {
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

#[tokio::test]
async fn broadcast_on_refresh_revocation() {
    const LIFE: u64 = 6;
    let lives = "life = \"6s\"\nlongest_life = \"6s\"\nmax_leeway = \"1s\"\nclock_skew = \"1s\"";
    let authority = Authority::start_with(lives);
    let (one, two) =
        (Service::start_punctual(&authority, "one").await, Service::start_punctual(&authority, "two").await);
    let client = authority.admin();
    let phone = authority.login_to_refresh("alice", "phone").await;
    let second = client.renew(&phone).await;
    let third = client.renew(&second).await;
    let laptop = authority.login_to_refresh("alice", "laptop").await;
    for service in [&one, &two] {
        for answer in [&phone, &second, &third, &laptop] {
            service.accepts(answer.token()).await;
        }
    }

    // One that was never issued, or belongs to another client, takes nothing with it.
    let other = authority.client("other", &["jobs.run"]).await;
    let forged = format!("{}!", &third.refresh_token()[..third.refresh_token().len() - 1]);
    client.revoke_token(&forged).await.expect_status(200);
    assert_eq!(other.revoke_token(third.refresh_token()).await.expect_status(400).text("error"), "invalid_grant");
    one.accepts(third.token()).await;

    // One call, one entry: every access token of the session, at every verifier. The other device goes on.
    let entries = revocations(&authority).await;
    client.revoke_token(third.refresh_token()).await.expect_status(200);
    for service in [&one, &two] {
        for answer in [&phone, &second, &third] {
            service.refuses_as_revoked(answer.token()).await;
        }
        service.accepts(laptop.token()).await;
    }
    client.cannot_renew(&third).await;
    let laptop = client.renew(&laptop).await;
    let after = revocations(&authority).await;
    assert_eq!(after.len(), entries.len() + 1);
    client.revoke_token(third.refresh_token()).await.expect_status(200);
    assert_eq!(revocations(&authority).await.len(), after.len(), "said again, it appends nothing");

    // It is kept until the longest life has passed, with what clocks and leeways may add, and no longer.
    let entry = after.iter().find(|entry| entry["target"] == format!("session:{}", phone.sid())).expect("its entry");
    let at = entry["time"].as_u64().expect("a time") / 1000;
    let until = entry["until"].as_u64().expect("it ends by itself");
    assert!((at + LIFE..=at + LIFE + 4).contains(&until), "kept for {} s", until - at);
    assert_eq!(one.wait_for_expiry(third.token()).await, seen(401, "token_expired"));
    two.refuses_within(third.token(), Duration::from_secs(10)).await;
    one.accepts(client.renew(&laptop).await.token()).await;
    it_may_mean_the_user().await;
}

/// By configuration the tokens of all of the user's sessions go, and the sessions.
async fn it_may_mean_the_user() {
    let authority = Authority::start_with("[sessions]\nrefresh_revocation = \"subject\"");
    let service = Service::start(&authority, "api").await;
    let client = authority.admin();
    let (phone, laptop) =
        (authority.login_to_refresh("alice", "phone").await, authority.login_to_refresh("alice", "laptop").await);
    let bob = authority.login_to_refresh("bob", "phone").await;
    client.revoke_token(phone.refresh_token()).await.expect_status(200);
    let again = authority.login_to_refresh("alice", "phone").await;
    for out in [&phone, &laptop] {
        service.refuses_as_revoked(out.token()).await;
        client.cannot_renew(out).await;
    }
    // Said again: the login that came meanwhile stays.
    client.revoke_token(phone.refresh_token()).await.expect_status(200);
    for live in [&bob, &again] {
        service.accepts(live.token()).await;
        client.renew(live).await;
    }
}

async fn revocations(authority: &Authority) -> Vec<Value> {
    let listed = authority.admin().get("/v1/revocations?limit=1000").await.expect_status(200);
    listed.body["revocations"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn session_and_device_registry() {
    let mut authority = Authority::start();
    let service = Service::start_with(&authority, "api", |options| options.max_staleness_ms = 60_000).await;
    let described = json!({"id": "phone", "name": "Alice's phone", "os": "Android 16"});
    let phone = authority.open(json!({"subject": "alice", "device": described.clone()})).await;
    let (laptop, second) = (authority.login("alice", "laptop").await, authority.login("alice", "laptop").await);
    let bob = authority.login("bob", "phone").await;

    // Both ids are entered at login and travel in the token. There is no refresh token.
    assert_eq!((phone.claim("sid"), phone.claim("device_id")), (json!(phone.sid()), json!("phone")));
    assert!(phone.body["refresh_token"].is_null());
    let listed = authority.admin().get("/v1/subjects/alice/sessions").await.expect_status(200);
    let listed = listed.body["sessions"].as_array().expect("a list");
    let entered = listed.iter().find(|session| session["sid"] == phone.sid()).expect("the session is registered");
    assert_eq!((entered["status"].as_str(), &entered["device"]["os"]), (Some("live"), &described["os"]));
    assert_eq!(listed.len(), 3);

    // Every request on an asking route is looked up; the others read the same registry's entries in memory.
    for (route, expected) in [("/ask", 20), ("/check", 0)] {
        let before = lookups(&authority).await;
        for _ in 0..20 {
            assert_eq!(service.call_route(route, phone.token()).await.status, 200, "{route}");
        }
        assert_eq!(lookups(&authority).await - before, expected, "{route}");
    }

    // Taken out: the very next request is refused. So for a device, with all its sessions.
    authority.admin().delete(&format!("/v1/sessions/{}", phone.sid())).await.expect_status(200);
    assert_eq!(service.call_route("/ask", phone.token()).await, seen(401, "token_revoked"));
    service.refuses_as_revoked(phone.token()).await;
    authority.revoke(json!({"targets": ["device:alice/laptop"]})).await;
    for out in [&laptop, &second] {
        assert_eq!(service.call_route("/ask", out.token()).await, seen(401, "token_revoked"));
        service.refuses_as_revoked(out.token()).await;
        authority.next_token(out.sid()).await.expect_refusal(403, "session_revoked");
    }
    let again = authority.login("alice", "laptop").await;
    for live in [&again, &bob] {
        assert_eq!(service.call_route("/ask", live.token()).await.status, 200);
        service.accepts(live.token()).await;
    }
    service.accepts(authority.next_token(bob.sid()).await.expect_status(200).token()).await;

    // Never registered, and signed all the same: a login that the registry was restored from before.
    authority.kill();
    let backup = tempfile::tempdir().expect("a temporary directory");
    copy(&authority.data(), backup.path());
    authority.restart();
    let unknown = authority.login("mallory", "phone").await;
    assert_eq!(answered(&service, unknown.token()).await.status, 200);
    authority.kill();
    std::fs::remove_dir_all(authority.data()).expect("the data can be removed");
    copy(backup.path(), &authority.data());
    authority.restart();
    service.ready().await;
    assert_eq!(answered(&service, unknown.token()).await, seen(401, "token_invalid"));
    assert_eq!(answered(&service, bob.token()).await.status, 200);
    let check = authority.admin().post("/v1/tokens/check", json!({"token": unknown.token()})).await;
    assert_eq!((check.text("verdict"), check.text("code")), ("refused", "session_unknown"));
    // A route that does not ask cannot know.
    service.accepts(unknown.token()).await;
}

/// What an asking route answers, once the authority that was started again can be asked.
async fn answered(service: &Service, token: &str) -> Seen {
    let asked = Instant::now();
    loop {
        let seen = service.call_route("/ask", token).await;
        if seen.status != 503 {
            return seen;
        }
        assert!(asked.elapsed() < Duration::from_secs(20), "the authority is not heard from");
    }
}

/// Copies the files of a directory, which has no other in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory can be made");
    for file in std::fs::read_dir(from).expect("a directory can be read") {
        let file = file.expect("a directory can be read");
        std::fs::copy(file.path(), to.join(file.file_name())).expect("a file can be copied");
    }
}
