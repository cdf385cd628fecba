//! Routes: what a service consults, and what that costs and leaves open.

use std::time::Duration;

use scenarios::{Answer, Authority, Proxy, Seen, Service, now_millis};
use serde_json::{Value, json};

use crate::surfaces::{closed_within, connect, connect_to, echo};

pub(crate) fn seen(status: u16, code: &str) -> Seen {
    Seen { status, code: code.to_owned() }
}

/// How many questions about tokens have reached the authority, by its own count.
pub(crate) async fn asked(authority: &Authority) -> u64 {
    authority.counted("annul_http_requests_total", |labels| labels.contains("route=\"/v1/tokens/check\"")).await
}

/// A client that goes on with the token it is given in place of its own.
pub(crate) struct Bearer {
    pub(crate) token: String,
    pub(crate) requests: u64,
    pub(crate) replaced: u64,
}

impl Bearer {
    pub(crate) fn of(answer: &Answer) -> Self {
        Self { token: answer.token().to_owned(), requests: 0, replaced: 0 }
    }

    pub(crate) async fn call(&mut self, service: &Service, route: &str) -> Answer {
        self.requests += 1;
        let answer = service.answer(route, &self.token).await;
        if let Some(token) = answer.headers.get("annul-token") {
            assert_eq!(answer.headers["cache-control"], "no-store", "a token must not be stored");
            token.to_str().expect("a token is ASCII").clone_into(&mut self.token);
            self.replaced += 1;
        }
        answer
    }

    pub(crate) fn claims(&self) -> Value {
        scenarios::claims(&self.token)
    }
}

pub(crate) fn saved(what: &str, requests: u64, asked: u64) {
    let percent = 100.0 * (1.0 - asked as f64 / requests as f64);
    println!("{what}: {requests} requests, {asked} asked: {percent:.2} % of the lookups saved");
}

#[tokio::test]
async fn is_revoked_hook() {
    let authority = Authority::start();
    let service = Service::start_with(&authority, "api", |options| options.refuses_by_list = true).await;
    let (alice, bob) = (authority.login("alice", "phone").await, authority.login("bob", "phone").await);
    service.accepts(alice.token()).await;
    service.accepts(bob.token()).await;
    assert_eq!((service.hook_calls("alice").await, service.hook_calls("bob").await), (1, 1), "each was shown once");
    let mut socket = connect(&service, alice.token()).await.expect("she is not on the list yet");
    let mut his = connect(&service, bob.token()).await.expect("nor is he");
    assert_eq!(echo(&mut socket, "hello").await, "hello");

    // The application's own list decides, at once, on every kind of route, and for open connections.
    service.list("alice").await;
    assert_eq!(closed_within(&mut socket, Duration::from_secs(10)).await, (4401, "refused".to_owned()));
    for route in ["/check", "/verify", "/ask"] {
        assert_eq!(service.call_route(route, alice.token()).await, seen(403, "access_denied"), "{route}");
        assert_eq!(service.call_route(route, bob.token()).await.status, 200, "{route}");
    }
    assert_eq!(connect(&service, alice.token()).await.expect_err("a refused token opens nothing"), 403);
    assert_eq!(echo(&mut his, "still here").await, "still here");
    // It is nothing to the authority, whose next token for her is refused in the same way.
    let next = authority.next_token(alice.sid()).await.expect_status(200);
    assert_eq!(service.call(next.token()).await, seen(403, "access_denied"));

    // Off the list again, she passes.
    service.unlist("alice").await;
    service.accepts(alice.token()).await;

    // It can only refuse: what is revoked is not shown to it, and stays refused whatever it would say.
    authority.revoke(json!({"targets": ["subject:bob"]})).await;
    service.refuses_as_revoked(bob.token()).await;
    let shown = service.hook_calls("bob").await;
    for route in ["/check", "/verify", "/ask"] {
        assert_eq!(service.call_route(route, bob.token()).await, seen(401, "token_revoked"), "{route}");
    }
    assert_eq!(service.call_raw(&format!("{}x", bob.token())).await.status, 401);
    assert_eq!(service.hook_calls("bob").await, shown, "a refused token was shown to the callback");
    service.accepts(alice.token()).await;
}

#[tokio::test]
async fn critical_routes_only() {
    let mut authority = Authority::start();
    let proxy = Proxy::to(authority.url());
    let service = Service::start_with(&authority, "api", |options| {
        options.authority = proxy.url();
        options.max_staleness_ms = 6000;
    })
    .await;
    let (alice, bob) = (authority.login("alice", "phone").await, authority.login("bob", "phone").await);
    let carol = authority.login("carol", "phone").await;

    // Only the chosen route costs the authority anything.
    for (route, expected) in [("/ask", 20), ("/check", 0), ("/verify", 0)] {
        let before = asked(&authority).await;
        for _ in 0..20 {
            assert_eq!(service.call_route(route, bob.token()).await.status, 200, "{route}");
        }
        let calls = asked(&authority).await - before;
        println!("critical_routes_only: {route}: 20 requests, {calls} reached the authority");
        assert_eq!(calls, expected, "{route}");
    }

    // The chosen route refuses from the moment of the answer on; the other one within its bound.
    authority.revoke(json!({"targets": ["subject:alice"]})).await;
    assert_eq!(service.call_route("/ask", alice.token()).await, seen(401, "token_revoked"));
    service.refuses_as_revoked(alice.token()).await;
    assert_eq!(service.call_route("/ask", bob.token()).await.status, 200);

    // The authority answers nothing: each route does what its policy says.
    let bobs = |route: &'static str| service.call_route(route, bob.token());
    authority.process().pause();
    assert_eq!(bobs("/check").await.status, 200, "a fresh view needs nobody");
    assert_eq!(bobs("/verify").await.status, 200);
    assert_eq!(bobs("/ask").await, seen(503, "view_unavailable"), "not knowing is not a refusal");
    authority.process().signal("CONT");
    service.ready().await;
    assert_eq!(bobs("/ask").await.status, 200);

    // The line is cut, and a revocation is made meanwhile.
    proxy.cut();
    authority.revoke(json!({"targets": ["subject:carol"]})).await;
    assert_eq!(service.call_route("/ask", carol.token()).await, seen(503, "view_unavailable"));
    service.wait_for_status("stale", |status| status["state"] == "stale").await;
    for token in [bob.token(), carol.token()] {
        assert_eq!(service.call_route("/check", token).await, seen(503, "view_unavailable"));
        assert_eq!(service.call_route("/verify", token).await.status, 200, "it asks for a signature and no more");
    }
    // What was known before the cut is refused by all of them.
    for route in ["/ask", "/check", "/verify"] {
        assert_eq!(service.call_route(route, alice.token()).await, seen(401, "token_revoked"), "{route}");
    }
    proxy.mend();
    service.ready().await;
    for route in ["/ask", "/check"] {
        assert_eq!(service.call_route(route, carol.token()).await, seen(401, "token_revoked"), "{route}");
        assert_eq!(bobs(route).await.status, 200, "{route}");
    }
    authority.kill();
    assert_eq!(bobs("/ask").await.status, 503);
}

#[tokio::test]
async fn immediate_window() {
    const WINDOW: u64 = 6000;
    let authority = Authority::start();
    let service = Service::start_with(&authority, "api", |options| {
        options.max_staleness_ms = 5000;
        options.window_ms = Some(WINDOW);
    })
    .await;

    // A token is asked about once per window, and comes back with a new date and nothing else new.
    let login = authority.login("alice", "phone").await;
    let mut alice = Bearer::of(&login);
    let first = alice.claims();
    let before = asked(&authority).await;
    while alice.replaced < 3 {
        alice.call(&service, "/immediate").await.expect_status(200);
    }
    let asked_for = asked(&authority).await - before;
    saved("immediate_window", alice.requests, asked_for);
    assert_eq!(asked_for, 3, "one question for each window that passed");
    assert!(alice.requests > 30, "{} requests tell nothing", alice.requests);
    let last = alice.claims();
    for same in ["jti", "sid", "sub", "auth_time", "exp", "client_id", "aud"] {
        assert_eq!(first[same], last[same], "{same}");
    }
    assert!(last["iat"].as_u64() > first["iat"].as_u64().map(|iat| iat + 2 * WINDOW / 1000), "{last}");

    // A cutoff is passed over while a token is young, and the stated exposure is kept.
    let mut bob = Bearer::of(&authority.login("bob", "phone").await);
    let mut carol = Bearer::of(&authority.login("carol", "phone").await);
    bob.call(&service, "/immediate").await.expect_status(200);
    let cut = authority.revoke(json!({"targets": ["subject:bob"]})).await;
    let (acknowledged, enforced_by) = (cut.number("acknowledged_at"), cut.number("enforced_by"));
    assert!(enforced_by >= acknowledged + WINDOW, "{enforced_by} hides the window");
    service.has_applied(cut.text("position")).await;
    let mut passed = 0;
    loop {
        let begun = now_millis();
        let answer = bob.call(&service, "/immediate").await;
        if answer.status != 200 {
            assert_eq!((answer.status, answer.text("code")), (401, "token_revoked"));
            println!("immediate_window: refused {} ms after the acknowledgement", begun - acknowledged);
            break;
        }
        assert!(begun < enforced_by, "accepted {} ms after it was to be enforced", begun - enforced_by);
        passed += 1;
    }
    assert!(passed > 0 && bob.replaced == 0, "a young token is not asked about");
    assert_eq!(service.call_route("/windowed", &bob.token).await, seen(401, "token_revoked"), "nor passed over now");
    authority.next_token(scenarios::claims(&bob.token)["sid"].as_str().expect("a sid")).await.expect_status(403);
    carol.call(&service, "/immediate").await.expect_status(200);

    // `always` and the key hold at any age: an ended session is refused as soon as that is known here.
    let young = authority.login("dave", "phone").await;
    assert_eq!(service.call_route("/immediate", young.token()).await.status, 200);
    let ended = authority.admin().delete(&format!("/v1/sessions/{}", young.sid())).await.expect_status(200);
    service.has_applied(ended.text("position")).await;
    assert_eq!(service.call_route("/immediate", young.token()).await, seen(401, "token_revoked"));
    assert_eq!(service.call_route("/windowed", young.token()).await, seen(401, "token_revoked"));
    let young = authority.login("erin", "phone").await;
    let killed = authority.admin().post(&format!("/v1/keys/{}/kill", young.key_id()), json!({})).await;
    service.has_applied(killed.expect_status(200).text("position")).await;
    assert_eq!(service.call_route("/immediate", young.token()).await.status, 401);
    let fresh = authority.next_token(young.sid()).await.expect_status(200);
    assert_eq!(service.call_route("/immediate", fresh.token()).await.status, 200);
}

#[tokio::test]
async fn per_subject_key() {
    let mut authority = Authority::start_with("key = \"per_subject\"");
    let service = Service::start_with(&authority, "api", |options| options.introspects = true).await;
    let (phone, laptop) = (authority.login("alice", "phone").await, authority.login("alice", "laptop").await);
    let bob = authority.login("bob", "phone").await;
    let introspected = |token: &str| {
        let token = token.to_owned();
        let service = &service;
        async move { service.call_route("/introspect", &token).await }
    };
    for token in [&phone, &laptop, &bob] {
        assert_eq!(introspected(token.token()).await.status, 200);
        // No verifier can verify it; a route that does not introspect says so and asks nobody.
        assert_eq!(service.call(token.token()).await, seen(401, "token_invalid"));
    }
    let url = |service: &Service| format!("{}/introspect/socket", service.url());
    let mut hers = connect_to(&url(&service), phone.token()).await.expect("a good token opens a socket");
    let mut his = connect_to(&url(&service), bob.token()).await.expect("a good token opens a socket");

    // A new string: all of her signatures fail, nobody else's, and open connections learn of it.
    authority.admin().post("/v1/subjects/alice/key", json!({"reason": "stolen"})).await.expect_status(200);
    for dead in [&phone, &laptop] {
        assert_eq!(introspected(dead.token()).await.status, 401);
        let check = authority.admin().post("/v1/tokens/check", json!({"token": dead.token()})).await;
        assert_eq!((check.text("verdict"), check.text("code")), ("refused", "signature_invalid"));
    }
    assert_eq!(closed_within(&mut hers, Duration::from_secs(10)).await, (4401, "revoked".to_owned()));
    assert_eq!(echo(&mut his, "still here").await, "still here");
    assert_eq!(introspected(bob.token()).await.status, 200);
    // Her sessions live on, and their next token is signed with the new key.
    let next = authority.next_token(phone.sid()).await.expect_status(200);
    assert_eq!(introspected(next.token()).await.status, 200);

    // String and secret outlast the process.
    authority.kill();
    assert_eq!(introspected(bob.token()).await, seen(503, "view_unavailable"));
    authority.restart();
    service.ready().await;
    assert_eq!(introspected(next.token()).await.status, 200);
    assert_eq!(introspected(phone.token()).await.status, 401);

    // A new secret: every signature fails.
    authority.admin().post("/v1/keys/subject-secret", json!({})).await.expect_status(200);
    for dead in [&next, &bob] {
        assert_eq!(introspected(dead.token()).await.status, 401);
        let check = authority.admin().post("/v1/tokens/check", json!({"token": dead.token()})).await;
        assert_eq!((check.text("verdict"), check.text("code")), ("refused", "signature_invalid"));
    }
    assert_eq!(closed_within(&mut his, Duration::from_secs(10)).await, (4401, "revoked".to_owned()));
    let reissued = authority.next_token(bob.sid()).await.expect_status(200);
    assert_eq!(introspected(reissued.token()).await.status, 200);

    // Ordinary revocations work as everywhere.
    authority.admin().delete(&format!("/v1/sessions/{}", bob.sid())).await.expect_status(200);
    assert_eq!(introspected(reissued.token()).await, seen(401, "token_revoked"));

    // What could not be accepted whatever the authority says is not asked about.
    let before = asked(&authority).await;
    let junk = ["x", "a.b.c", &format!("{}.", reissued.token()), "e30.e30."];
    for token in junk {
        assert_eq!(introspected(token).await.status, 401, "{token}");
    }
    // Where tokens are signed otherwise, there is nothing to change.
    let other = Authority::start();
    for path in ["/v1/subjects/alice/key", "/v1/keys/subject-secret"] {
        let refused = other.admin().post(path, json!({})).await;
        assert_eq!((refused.status, refused.text("code")), (409, "subject_keys_off"), "{path}");
    }
    let elsewhere = authority.open(json!({"subject": "carol", "audience": ["mail"]})).await;
    assert_eq!(introspected(elsewhere.token()).await, seen(401, "token_invalid"));
    assert_eq!(asked(&authority).await, before);
}
