//! Deny: remember what is revoked, only until it would have expired.

use std::time::Duration;

use scenarios::{Authority, ForeignIssuer, Seen, Service, now};
use serde_json::json;

fn seen(status: u16, code: &str) -> Seen {
    Seen { status, code: code.to_owned() }
}

#[tokio::test]
async fn deny_by_jti() {
    let authority =
        Authority::start_with("life = \"4s\"\nlongest_life = \"4s\"\nmax_leeway = \"5s\"\nclock_skew = \"1s\"");
    let service = Service::start(&authority, "api").await;
    let strict = Service::start_with(&authority, "strict", |options| options.revoked_status = 403).await;
    let first = authority.login("alice", "phone").await;
    let sibling = authority.next_token(first.sid()).await.expect_status(200);
    service.accepts(first.token()).await;
    service.accepts(sibling.token()).await;

    // By the token itself, which must verify: its siblings pass.
    let answer = authority.revoke(json!({"token": first.token(), "reason": "leaked"})).await;
    let target = answer.body["revocations"][0]["target"].as_str().expect("a target").to_owned();
    assert_eq!(target, format!("token:{}", first.text("jti")));
    service.refuses_as_revoked(first.token()).await;
    strict.refuses_as_revoked(first.token()).await;
    service.accepts(sibling.token()).await;
    strict.accepts(sibling.token()).await;

    // By its id.
    authority.revoke(json!({"targets": [format!("token:{}", sibling.text("jti"))]})).await;
    service.refuses_as_revoked(sibling.token()).await;
    let clean = authority.next_token(first.sid()).await.expect_status(200);
    service.accepts(clean.token()).await;

    // What does not verify is no token: nothing is added.
    let before = authority.admin().get("/v1/revocations").await.body["revocations"].as_array().map(Vec::len);
    let forged = format!("{}x", &first.token()[..first.token().len() - 1]);
    let refused = authority.admin().post("/v1/revocations", json!({"token": forged})).await;
    assert!((400..500).contains(&refused.status), "{}", refused.body);
    let after = authority.admin().get("/v1/revocations").await.body["revocations"].as_array().map(Vec::len);
    assert_eq!(before, after);

    // The entry is useless to whoever reads it: neither the id nor the subject is in the feed or in
    // the verifier's file.
    let feed = authority.text("/v1/feed/changes?after=1:0").await;
    assert_eq!(feed.lines().filter(|line| line.contains("\"of\":\"token\"")).count(), 2, "{feed}");
    assert!(!feed.contains(first.text("jti")) && !feed.contains("alice"), "the feed names what was revoked");

    // After exp it says expired, and the entry is gone.
    let expired = service.wait_for_expiry(first.token()).await;
    assert_eq!(expired, seen(401, "token_expired"));
    service.wait_for_status("empty", |status| status["entries"] == 0).await;
}

#[tokio::test]
async fn deny_by_hash() {
    let authority = Authority::start();
    let issuer = ForeignIssuer::register(&authority).await;
    let service = Service::start_accepting(&authority, "api", &issuer).await;
    let without_id = |nonce: &str| issuer.token("carol", 5, json!({"jti": null, "nonce": nonce}));
    let token = without_id("a");
    let sibling = without_id("b");
    service.accepts_soon(&token).await;
    service.accepts(&sibling).await;

    let answer = authority.revoke(json!({"token": token})).await;
    let target = answer.body["revocations"][0]["target"].as_str().expect("a target").to_owned();
    assert!(target.contains("token_hash:"), "{target}");
    service.refuses_as_revoked(&token).await;
    service.accepts(&sibling).await;

    // Another encoding of the same signature is not another token: it does not verify at all.
    for variant in [format!("{token}="), format!("{token}."), respelled(&token)] {
        let seen = service.call_raw(&variant).await;
        assert_ne!(seen.status, 200, "a respelled token was accepted");
    }
}

/// The token with the unused bits of its last character set.
fn respelled(token: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = token.bytes().last().expect("a token is not empty");
    let index = ALPHABET.iter().position(|byte| *byte == last).expect("base64url");
    format!("{}{}", &token[..token.len() - 1], char::from(ALPHABET[index ^ 1]))
}

#[tokio::test]
async fn deny_in_expiry_buckets() {
    let authority =
        Authority::start_with("life = \"20s\"\nlongest_life = \"20s\"\nmax_leeway = \"5s\"\nclock_skew = \"1s\"");
    let service = Service::start(&authority, "api").await;
    let live = authority.login("alice", "phone").await;
    let mut last = String::new();
    for batch in 0..20 {
        let targets: Vec<_> = (0..100).map(|index| format!("token:made-up-{batch}-{index}")).collect();
        last = authority.revoke(json!({"targets": targets})).await.text("position").to_owned();
    }
    service.has_applied(&last).await;
    let full = service.status().await;
    assert_eq!(full["entries"], 2000, "the size follows what is revoked: {full}");
    assert!(
        full["groups"].as_u64().is_some_and(|groups| groups < 5),
        "entries that end together share a group: {full}"
    );
    service.accepts(live.token()).await;

    // No clean-up job: whole groups go once they are over, and only then.
    let empty = service.wait_for_status("empty", |status| status["entries"] == 0).await;
    assert_eq!(empty["groups"], 0, "{empty}");
    let fresh = authority.next_token(live.sid()).await.expect_status(200);
    service.accepts(fresh.token()).await;
}

#[tokio::test]
async fn deny_survives_restart() {
    let mut authority = Authority::start();
    let mut service = Service::start(&authority, "api").await;
    let dead = authority.login("alice", "phone").await;
    let live = authority.login("bob", "phone").await;
    let revoked = authority.revoke(json!({"targets": ["subject:alice"]})).await;
    service.refuses_as_revoked(dead.token()).await;

    // The authority is killed the moment it has acknowledged another one.
    let last = authority.login("carol", "phone").await;
    service.accepts(last.token()).await;
    service.has_stored(revoked.text("position")).await;
    let acknowledged = authority.revoke(json!({"targets": ["subject:carol"]})).await;
    authority.kill();

    // The verifier restarts without an authority: it denies from its file, and accepts nothing.
    service.kill();
    service.restart();
    service.wait_for_status("restored", |status| status["position"].is_string()).await;
    let seen = service.call(dead.token()).await;
    assert_eq!(seen.status, 401, "a local denial stands: {seen:?}");
    assert_eq!(service.call(live.token()).await.status, 503, "not knowing is 503, never 401");

    authority.restart();
    service.ready().await;
    service.has_applied(acknowledged.text("position")).await;
    service.refuses_as_revoked(dead.token()).await;
    service.refuses_as_revoked(last.token()).await;
    service.accepts(live.token()).await;

    // A verifier that starts later receives everything still live.
    let late = Service::start(&authority, "late").await;
    late.refuses_as_revoked(dead.token()).await;
    late.refuses_as_revoked(last.token()).await;
    late.accepts(live.token()).await;
    assert_eq!(authority.next_token(dead.sid()).await.status, 403, "the session is revoked too");
    authority.next_token(live.sid()).await.expect_status(200);
}

#[tokio::test]
async fn cache_of_valid_tokens() {
    const LIMIT: u64 = 64 * 1024;
    let authority = Authority::start();
    let small = |options: &mut scenarios::ServiceOptions| options.cache_bytes = LIMIT;
    let one = Service::start_with(&authority, "one", small).await;
    let two = Service::start_with(&authority, "two", small).await;
    let token = authority.login("alice", "phone").await;
    let other = authority.login("bob", "phone").await;
    for service in [&one, &two] {
        service.accepts(token.token()).await;
        service.accepts(other.token()).await;
    }
    let before = one.metric("annul_cache_hits_total").await;
    for _ in 0..50 {
        one.accepts(token.token()).await;
    }
    let after = one.metric("annul_cache_hits_total").await;
    assert!(after >= before + 50.0, "a token seen before is answered from the cache: {before} -> {after}");

    // A revocation holds on a cached token at once, also where the call did not arrive.
    authority.revoke(json!({"targets": ["subject:alice"]})).await;
    one.refuses_as_revoked(token.token()).await;
    two.refuses_as_revoked(token.token()).await;
    one.accepts(other.token()).await;
    two.accepts(other.token()).await;

    // With more tokens than it holds, it stays at its limit and all of them pass.
    for _ in 0..200 {
        let next = authority.next_token(other.sid()).await.expect_status(200);
        one.accepts(next.token()).await;
    }
    let status = one.status().await;
    assert!(status["cache_bytes"].as_u64().is_some_and(|bytes| bytes <= LIMIT), "{status}");
    one.accepts(other.token()).await;
}

#[tokio::test]
async fn foreign_issuer() {
    let authority = Authority::start();
    let issuer = ForeignIssuer::register(&authority).await;
    let service = Service::start_accepting(&authority, "api", &issuer).await;
    let old = |subject: &str| issuer.token(subject, 5, json!({}));
    let scope = |target: &str| format!("issuer:{}/{target}", issuer.name().replace('/', "%2F"));

    // By jti: its sibling passes.
    let (token, sibling) = (old("alice"), old("alice"));
    service.accepts_soon(&token).await;
    service.accepts(&sibling).await;
    authority.revoke(json!({"token": token})).await;
    service.refuses_as_revoked(&token).await;
    service.accepts(&sibling).await;

    // By subject, also when only the target names the issuer; our own alice is somebody else.
    let ours = authority.login("alice", "phone").await;
    authority.revoke(json!({"targets": [scope("subject:alice")]})).await;
    service.refuses_as_revoked(&sibling).await;
    service.accepts(ours.token()).await;
    let bob = old("bob");
    service.accepts(&bob).await;

    // Issued before: to the second, erring to refusal. What is older than T dies, what is not lives.
    let edge = now() - 100;
    let older = issuer.token("dave", 0, json!({"iat": edge - 1, "exp": edge + 600}));
    let at_edge = issuer.token("dave", 0, json!({"iat": edge, "exp": edge + 600}));
    authority.revoke(json!({"targets": [scope("subject:dave")], "cutoff": {"before": edge}})).await;
    service.refuses_as_revoked(&older).await;
    service.accepts(&at_edge).await;

    // A provider's sign out leaves its access tokens alive; here they die, and a later login lives.
    let erin = old("erin");
    service.accepts(&erin).await;
    let answer = authority.revoke(json!({"targets": [scope("subject:erin")]})).await;
    service.refuses_as_revoked(&erin).await;
    let next_second = answer.number("acknowledged_at") / 1000 + 1;
    let later = issuer.token("erin", 0, json!({"iat": next_second, "exp": next_second + 600}));
    service.accepts(&later).await;
    service.accepts(&bob).await;
}

#[tokio::test]
async fn confirmed_revocation() {
    let authority = Authority::start();
    let one = Service::start_with(&authority, "one", |options| options.max_staleness_ms = 10_000).await;
    let mut two = Service::start_with(&authority, "two", |options| options.max_staleness_ms = 10_000).await;
    let alice = authority.login("alice", "phone").await;
    let bob = authority.login("bob", "phone").await;

    // Both apply it: the answer says so, and it is true the moment the answer arrives.
    let answer = authority.revoke(json!({"targets": ["subject:alice"], "wait": "10s"})).await;
    let confirmation = &answer.body["confirmation"];
    assert_eq!(confirmation["applied"], 2, "{confirmation}");
    assert_eq!(confirmation["confirmed"], true, "{confirmation}");
    assert_eq!(confirmation["silent"], 0, "{confirmation}");
    for service in [&one, &two] {
        assert_eq!(service.call(alice.token()).await.status, 401, "confirmed, and accepted all the same");
        service.accepts(bob.token()).await;
    }
    let bound = answer.number("enforced_by") - answer.number("acknowledged_at");
    assert!(bound >= 10_000, "enforced_by is the longest age a route accepts, not less: {bound} ms");
    assert!(confirmation["not_counted"].as_array().is_some_and(|who| !who.is_empty()), "{confirmation}");

    // One is down: it says so instead of success, and tells who.
    two.kill();
    let answer = authority.revoke(json!({"targets": ["subject:bob"], "wait": "3s"})).await;
    let confirmation = &answer.body["confirmation"];
    assert_eq!(confirmation["confirmed"], false, "{confirmation}");
    assert_eq!(confirmation["applied"], 1, "{confirmation}");
    let missing: Vec<_> = confirmation["verifiers"]
        .as_array()
        .expect("verifiers")
        .iter()
        .filter(|seen| seen["done"] == false)
        .map(|seen| seen["name"].clone())
        .collect();
    assert_eq!(missing, ["two"], "{confirmation}");
    assert_eq!(one.call(bob.token()).await.status, 401);

    // Its age runs out: a silent verifier accepts nothing any more, so the wait ends.
    let answer = authority.revoke(json!({"targets": ["subject:carol"], "wait": "30s"})).await;
    assert_eq!(answer.body["confirmation"]["confirmed"], true, "{}", answer.body);
    assert!(
        Duration::from_millis(answer.number("enforced_by") - answer.number("acknowledged_at"))
            <= Duration::from_secs(30)
    );
}
