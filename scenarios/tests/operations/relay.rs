//! A verifier that follows a gateway's feed in place of the authority's.

use std::time::{Duration, Instant};

use scenarios::{Authority, ForeignIssuer, Gateway, Proxy, Service, ServiceOptions};
use serde_json::{Value, json};

/// The client that follows through the gateway. The authority does not know it.
const FOLLOWER: (&str, &str) = ("behind", "a secret of those behind the gateway");
/// How long a process may take to refuse its configuration.
const SOON: Duration = Duration::from_secs(30);

fn follower() -> (String, String) {
    (FOLLOWER.0.to_owned(), FOLLOWER.1.to_owned())
}

/// The fingerprint of the feed key, as an administrator would copy it.
async fn feed_key(authority: &Authority) -> String {
    authority.admin().get("/statusz").await.expect_status(200).text("feed_key").to_owned()
}

/// A gateway that relays what it hears over `authority_url`.
async fn relay(authority: &Authority, authority_url: &str, max_staleness_ms: u64) -> Gateway {
    Gateway::start_with(authority, "edge", |options| {
        options.authority = authority_url.to_owned();
        options.max_staleness_ms = max_staleness_ms;
        options.feed = Some(follower());
    })
    .await
}

/// A service behind it, fresh.
async fn behind(gateway: &Gateway, pin: &str, change: impl FnOnce(&mut ServiceOptions)) -> Service {
    behind_at(gateway.url(), pin, change).await
}

/// The same over the gateway's address or a proxy's.
async fn behind_at(url: &str, pin: &str, change: impl FnOnce(&mut ServiceOptions)) -> Service {
    let service = Service::launch("behind", url, follower(), |options| {
        options.through_relay = true;
        options.feed_key = Some(pin.to_owned());
        change(options);
    });
    service.ready().await;
    service
}

/// What a revoking call heard of the verifier of that name.
fn heard<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let verifiers = answer["confirmation"]["verifiers"].as_array().expect("verifiers");
    verifiers.iter().find(|seen| seen["name"] == name).unwrap_or_else(|| panic!("no {name} in {answer}"))
}

#[tokio::test]
async fn a_verifier_behind_a_relay_says_what_one_beside_the_authority_says() {
    let authority = Authority::start();
    let issuer = ForeignIssuer::register(&authority).await;
    let gateway = relay(&authority, authority.url(), 10_000).await;
    let accept_foreign = |options: &mut ServiceOptions| options.foreign_issuer = Some(issuer.name().to_owned());
    // One revocation stands in the snapshot that both take, the others come as changes.
    let early = authority.login("early", "phone").await;
    authority.revoke(json!({"targets": ["subject:early"]})).await;
    let behind = behind(&gateway, &feed_key(&authority).await, accept_foreign).await;
    let direct = Service::start_with(&authority, "direct", accept_foreign).await;

    let alice = authority.login("alice", "phone").await;
    let tablet = authority.login("alice", "tablet").await;
    let bob = authority.open(json!({"subject": "bob", "claims": {"tenant": "acme"}})).await;
    let carol = authority.login("carol", "phone").await;
    let next = authority.next_token(carol.sid()).await.expect_status(200);
    let (foreign, other) = (issuer.token("erin", 5, json!({})), issuer.token("frank", 5, json!({})));
    let mut tokens: Vec<String> =
        [&early, &alice, &tablet, &bob, &carol, &next].map(|answer| answer.token().to_owned()).to_vec();
    tokens.extend([foreign, other]);

    let token = |answer: &scenarios::Answer| json!({"token": answer.token()});
    let steps = [
        json!({"targets": ["device:alice/phone"]}),
        token(&carol),
        json!({"targets": ["claim:tenant=acme"]}),
        json!({"targets": ["subject:erin"], "issuer": issuer.name()}),
        json!({"targets": ["subject:alice"], "reach": "access"}),
        json!({"targets": [format!("session:{}", next.sid())], "cutoff": "always"}),
    ];
    for step in steps {
        let revoked = authority.revoke(step).await;
        agree(&direct, &behind, revoked.text("position"), &tokens).await;
    }
    let again = authority.login("alice", "phone").await;
    tokens.push(again.token().to_owned());
    let lifted = authority
        .admin()
        .post("/v1/revocations/lift", json!({"positions": [position_of(&authority, "claim:tenant=acme").await]}))
        .await;
    let verdicts = agree(&direct, &behind, lifted.expect_status(200).text("position"), &tokens).await;
    let accepted: Vec<usize> = (0..tokens.len()).filter(|index| verdicts[*index] == 200).collect();
    assert_eq!(accepted, [3, 7, 8], "bob, whose revocation was lifted, frank, and alice's new login: {verdicts:?}");

    // The last thing a relay may get wrong: keys. Whatever a killed one signed is gone behind it too.
    let killed = again.key_id();
    let answer = authority.admin().post(&format!("/v1/keys/{killed}/kill"), json!({})).await.expect_status(200);
    let fresh = authority.next_token(again.sid()).await.expect_status(200);
    tokens.push(fresh.token().to_owned());
    let verdicts = agree(&direct, &behind, answer.text("position"), &tokens).await;
    let accepted: Vec<usize> = (0..tokens.len()).filter(|index| verdicts[*index] == 200).collect();
    assert_eq!(accepted, [7, 9], "frank's issuer has its own key, and alice's next token a new one: {verdicts:?}");
}

/// The position at which `target` was revoked.
async fn position_of(authority: &Authority, target: &str) -> String {
    let list = authority.admin().get(&format!("/v1/revocations?target={}", target.replace('=', "%3D"))).await;
    list.expect_status(200).body["revocations"][0]["position"].as_str().expect("a position").to_owned()
}

/// Waits until both have applied `position`, and asserts that they answer alike to every token.
async fn agree(direct: &Service, behind: &Service, position: &str, tokens: &[String]) -> Vec<u16> {
    direct.has_applied(position).await;
    behind.has_applied(position).await;
    let mut verdicts = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let seen = direct.call(token).await;
        assert_eq!(behind.call(token).await, seen, "token {index} at {position}");
        verdicts.push(seen.status);
    }
    verdicts
}

#[tokio::test]
async fn a_confirmation_counts_who_stands_behind_a_relay_by_name() {
    let authority = Authority::start();
    let gateway = relay(&authority, authority.url(), 10_000).await;
    let mut behind = behind(&gateway, &feed_key(&authority).await, |options| options.max_staleness_ms = 10_000).await;
    let alice = authority.login("alice", "phone").await;
    behind.accepts_soon(alice.token()).await;

    let answer = authority.revoke(json!({"targets": ["subject:alice"], "wait": "10s"})).await;
    let confirmation = &answer.body["confirmation"];
    assert_eq!((&confirmation["confirmed"], &confirmation["applied"]), (&json!(true), &json!(2)), "{confirmation}");
    assert_eq!(heard(&answer.body, "behind")["position"], answer.body["position"], "{confirmation}");
    assert_eq!(heard(&answer.body, "edge")["done"], true, "{confirmation}");
    assert_eq!(behind.call(alice.token()).await.status, 401, "confirmed, and accepted all the same");

    // It is down; the relay is not. Nobody vouches for it.
    behind.kill();
    let answer = authority.revoke(json!({"targets": ["subject:bob"], "wait": "3s"})).await;
    assert_eq!(answer.body["confirmation"]["confirmed"], false, "{}", answer.body);
    assert_eq!(heard(&answer.body, "edge")["done"], true, "{}", answer.body);
    assert_eq!(heard(&answer.body, "behind")["done"], false, "{}", answer.body);

    // Once its age has run out it can accept nothing, and the wait ends.
    let answer = authority.revoke(json!({"targets": ["subject:carol"], "wait": "30s"})).await;
    assert_eq!(answer.body["confirmation"]["confirmed"], true, "{}", answer.body);
}

#[tokio::test]
async fn age_is_honest_through_a_relay_that_is_cut_off() {
    /// How old a view behind the relay may be, in milliseconds.
    const AGE: u64 = 4_000;
    let authority = Authority::start();
    let wire = Proxy::to(authority.url());
    let mut gateway = relay(&authority, &wire.url(), 2_000).await;
    let line = Proxy::to(gateway.url());
    let pin = feed_key(&authority).await;
    let behind = behind_at(&line.url(), &pin, |options| options.max_staleness_ms = AGE).await;
    let alice = authority.login("alice", "phone").await;
    let bob = authority.login("bob", "phone").await;
    behind.accepts_soon(alice.token()).await;
    behind.accepts_soon(bob.token()).await;

    // The relay hears nothing any more. Its line to the verifier is whole, and so are its heartbeats.
    wire.silence();
    authority.revoke(json!({"targets": ["subject:bob"]})).await;
    let acknowledged = Instant::now();
    let seen = loop {
        let begun = acknowledged.elapsed();
        let seen = behind.call(bob.token()).await;
        if seen.status != 200 {
            break seen;
        }
        assert!(begun <= Duration::from_millis(AGE), "accepted {begun:?} after the acknowledgement, not {AGE} ms");
    };
    assert_eq!((seen.status, seen.code.as_str()), (503, "view_unavailable"));
    assert_eq!(behind.call(alice.token()).await.status, 503);
    assert_eq!(behind.status().await["state"], "stale");
    assert_eq!(gateway.get("/statusz").await.text("state"), "stale");

    // It stays so for longer than the age it accepts, while the relay answers all it is asked: what
    // arrives proves nothing.
    let (taken, asked) = (line.accepted(), Instant::now());
    while asked.elapsed() < Duration::from_millis(AGE + 500) {
        assert_eq!(behind.call(alice.token()).await.status, 503, "fresh again by a relay that heard nothing");
        gateway.get("/livez").await.expect_status(200);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(line.accepted(), taken, "its connections to the relay did not break");

    wire.mend();
    behind.ready().await;
    assert_eq!(behind.call(bob.token()).await.status, 401);
    behind.accepts(alice.token()).await;

    // The relay itself dies and returns: the verifier goes on from where it stands.
    gateway.kill();
    behind.wait_for_status("stale", |status| status["state"] == "stale").await;
    authority.revoke(json!({"targets": ["subject:alice"]})).await;
    gateway.restart();
    behind.ready().await;
    behind.refuses_as_revoked(alice.token()).await;
}

#[tokio::test]
async fn behind_a_relay_only_the_pinned_feed_key_is_believed() {
    let authority = Authority::start();
    let gateway = relay(&authority, authority.url(), 10_000).await;
    let pin = feed_key(&authority).await;
    let wrong: String = pin.chars().rev().collect();
    assert_ne!(pin, wrong);
    for (feed_key, credential, fault) in [
        (Some(wrong), follower(), "feed_key_differs"),
        (None, follower(), "feed_key_missing"),
        (Some(pin), (FOLLOWER.0.to_owned(), "guess".to_owned()), "feed_not_permitted"),
    ] {
        let mut options = ServiceOptions::new("behind", gateway.url(), credential);
        options.through_relay = true;
        options.feed_key = feed_key;
        let output = tokio::time::timeout(SOON, tokio::process::Command::from(options.command()).output());
        let output = output.await.expect("it ends by itself").expect("it can be started");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{complaint}");
        assert!(output.stdout.is_empty(), "it listens all the same: {}", String::from_utf8_lossy(&output.stdout));
        assert!(complaint.contains(fault), "no {fault} in {complaint}");
    }
}
