//! The gateway in front of a service that knows nothing of tokens.

use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use scenarios::{AUDIENCE, Answer, Authority, ForeignIssuer, Gateway, Proxy};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The headers by which the gateway tells a service who the bearer is.
const IDENTITY: [&str; 5] = ["x-annul-subject", "x-annul-session", "x-annul-client", "x-annul-scope", "x-annul-issuer"];
/// How long anything may take that needs no staleness to run out.
const SOON: Duration = Duration::from_secs(10);

/// What an identity header of a 200 says.
#[track_caller]
fn says<'a>(answer: &'a Answer, name: &str) -> &'a str {
    let mut values = answer.headers.get_all(name).iter();
    let value = values.next().unwrap_or_else(|| panic!("the answer lacks {name}"));
    assert!(values.next().is_none(), "{name} stands twice");
    value.to_str().expect("identity headers are ASCII")
}

/// A request's headers: a bearer token, and one more by its bytes.
fn with_header(token: &str, name: &str, value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_str(&format!("Bearer {token}")).expect("a token is ASCII"));
    let name = HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
    headers.append(name, HeaderValue::from_str(value).expect("a header's value"));
    headers
}

#[tokio::test]
async fn forward_auth_says_who_it_is_and_lets_nobody_name_themselves() {
    let authority = Authority::start();
    let issuer = ForeignIssuer::register(&authority).await;
    let gateway = Gateway::start_with(&authority, "edge", |options| {
        options.settings = format!("[[foreign]]\nissuer = {:?}\naudience = {:?}\n", issuer.name(), AUDIENCE);
    })
    .await;

    // Who the bearer is, in the five headers, whatever is in the token and also where nothing is.
    let alice =
        authority.open(json!({"subject": "alice", "client_id": "web", "scope": "orders:read orders:write"})).await;
    let answer = gateway.auth(alice.token()).await.expect_status(200);
    assert_eq!(says(&answer, "x-annul-subject"), "alice");
    assert_eq!(says(&answer, "x-annul-session"), alice.sid());
    assert_eq!(says(&answer, "x-annul-client"), "web");
    assert_eq!(says(&answer, "x-annul-scope"), "orders:read orders:write");
    assert_eq!(says(&answer, "x-annul-issuer"), scenarios::ISSUER);
    assert_eq!(answer.headers["cache-control"], "no-store");
    let hostile = issuer.token("zoë, root\r\nX-Annul-Scope: admin", 5, json!({}));
    let answer = gateway.auth(&hostile).await.expect_status(200);
    assert_eq!(says(&answer, "x-annul-subject"), "zo%C3%AB,%20root%0D%0AX-Annul-Scope:%20admin");
    assert_eq!(says(&answer, "x-annul-issuer"), issuer.name());
    for name in ["x-annul-session", "x-annul-client", "x-annul-scope"] {
        assert_eq!(says(&answer, name), "", "the token says nothing of it");
    }

    let another = authority.login("mallory", "phone").await;
    // No token, junk, and a forgery: 401 with a challenge, no identity.
    let (body, _) = alice.token().rsplit_once('.').expect("three parts");
    let (_, signature) = another.token().rsplit_once('.').expect("three parts");
    let forged = format!("{body}.{signature}");
    let refused = [
        gateway.get("/v1/auth").await,
        gateway.auth("junk").await,
        gateway.auth(&forged).await,
        gateway.auth_with(with_header(alice.token(), "authorization", "Bearer junk")).await,
    ];
    for answer in refused {
        let answer = answer.expect_status(401);
        assert!(answer.headers.contains_key("www-authenticate"), "{answer:?}");
        assert!(IDENTITY.iter().all(|name| !answer.headers.contains_key(*name)), "{answer:?}");
    }

    // A client that brings such a header itself is refused, in any spelling, its token good or not.
    for name in ["X-Annul-Subject", "x_annul_subject", "X-Annul_Scope", "X.Annul.Session", "x-annul-whatever"] {
        let answer = gateway.auth_with(with_header(alice.token(), name, "root")).await.expect_status(403);
        assert_eq!(answer.text("code"), "identity_header_sent");
        assert!(IDENTITY.iter().all(|name| !answer.headers.contains_key(*name)), "{answer:?}");
    }
    gateway.auth_with(with_header(alice.token(), "x-forwarded-for", "192.0.2.1")).await.expect_status(200);
}

#[tokio::test]
async fn a_revocation_holds_on_a_connection_that_stays_open() {
    let authority = Authority::start();
    let gateway = Gateway::start(&authority, "edge").await;
    let front = Proxy::to(gateway.url());
    let alice = authority.login("alice", "phone").await;
    let bob = authority.login("bob", "phone").await;
    for token in [&alice, &bob] {
        gateway.auth_at(&front.url(), token.token()).await.expect_status(200);
    }

    let revoked = authority.revoke(json!({"targets": ["subject:alice"]})).await;
    let bound = Duration::from_millis(revoked.number("enforced_by") - revoked.number("acknowledged_at"));
    assert!(bound >= Duration::from_secs(10), "a bound below the age that the gateway accepts: {bound:?}");
    let acknowledged = Instant::now();
    let refused = loop {
        let answer = gateway.auth_at(&front.url(), alice.token()).await;
        if answer.status != 200 {
            break answer;
        }
        assert!(acknowledged.elapsed() < bound, "still accepted {bound:?} after the acknowledgement");
    };
    assert_eq!((refused.status, refused.text("code")), (401, "token_revoked"));
    assert!(refused.headers.contains_key("www-authenticate"), "{refused:?}");
    gateway.auth_at(&front.url(), bob.token()).await.expect_status(200);
    let again = authority.login("alice", "phone").await;
    gateway.auth_at(&front.url(), again.token()).await.expect_status(200);
    assert_eq!(front.accepted(), 1, "all of this went over one connection");

    // The authority's confirmation counts the gateway by its name.
    let confirmed = authority.revoke(json!({"targets": ["subject:carol"], "wait": "10s"})).await;
    let confirmation = &confirmed.body["confirmation"];
    assert_eq!((&confirmation["applied"], &confirmation["confirmed"]), (&json!(1), &json!(true)), "{confirmation}");
    assert_eq!(confirmation["verifiers"][0]["name"], "edge", "{confirmation}");
}

#[tokio::test]
async fn cut_off_it_answers_503_and_never_logs_anybody_out() {
    let authority = Authority::start();
    let wire = Proxy::to(authority.url());
    let credential = ("orders", "a secret of the orders service");
    let gateway = Gateway::start_with(&authority, "edge", |options| {
        options.authority = wire.url();
        options.max_staleness_ms = 3_000;
        options.introspection = Some((credential.0.to_owned(), credential.1.to_owned()));
    })
    .await;
    let alice = authority.login("alice", "phone").await;
    let bob = authority.login("bob", "phone").await;
    let carol = authority.login("carol", "phone").await;
    let known = authority.revoke(json!({"targets": ["subject:carol"], "wait": "10s"})).await;
    assert_eq!(known.body["confirmation"]["confirmed"], true, "{}", known.body);
    for token in [&alice, &bob] {
        gateway.auth(token.token()).await.expect_status(200);
    }

    // The connection stays and nothing comes over it; then it breaks and no other is made.
    for cut in [Proxy::silence, Proxy::cut] {
        cut(&wire);
        let away = Instant::now();
        let answer = loop {
            let answer = gateway.auth(alice.token()).await;
            if answer.status != 200 {
                break answer;
            }
            assert!(away.elapsed() < Duration::from_secs(3) + SOON, "it accepts by a view of any age");
        };
        assert_eq!((answer.status, answer.text("code")), (503, "view_unavailable"));
        let after = answer.headers["retry-after"].to_str().expect("ASCII").parse::<u64>();
        assert!(after.is_ok_and(|seconds| seconds > 0), "{answer:?}");
        assert!(!answer.headers.contains_key("www-authenticate"), "a challenge makes clients log in again");
        // What it knows to be revoked stays refused, and it does not call the rest inactive.
        assert_eq!(gateway.auth(carol.token()).await.expect_status(401).text("code"), "token_revoked");
        gateway.introspect(bob.token(), Some(credential)).await.expect_status(503);
        let inactive = gateway.introspect(carol.token(), Some(credential)).await.expect_status(200);
        assert_eq!(inactive.body, json!({"active": false}));
        // Restarting it would not help, so it is alive, and it says what it is.
        gateway.get("/livez").await.expect_status(200);
        gateway.get("/readyz").await.expect_status(200);
        assert_eq!(gateway.get("/statusz").await.text("state"), "stale");

        // What was revoked meanwhile is never let in: not stale, and not when it is back.
        let meanwhile = authority.login("dave", "phone").await;
        authority.revoke(json!({"targets": ["subject:dave"]})).await;
        gateway.auth(meanwhile.token()).await.expect_status(503);
        wire.mend();
        gateway.ready().await;
        assert_eq!(gateway.auth(meanwhile.token()).await.expect_status(401).text("code"), "token_revoked");
        gateway.auth(alice.token()).await.expect_status(200);
        let active = gateway.introspect(bob.token(), Some(credential)).await.expect_status(200);
        assert_eq!(active.body["active"], true);
    }
}

#[tokio::test]
async fn local_introspection_says_nothing_of_a_revoked_token() {
    let mut authority = Authority::start();
    let credential = ("orders", "a secret of the orders service");
    let gateway = Gateway::start_with(&authority, "edge", |options| {
        options.introspection = Some((credential.0.to_owned(), credential.1.to_owned()));
        options.max_staleness_ms = 60_000;
    })
    .await;
    let alice = authority.open(json!({"subject": "alice", "scope": "orders:read"})).await;
    let bob = authority.login("bob", "phone").await;

    // Without the credential it says nothing, of a good token neither.
    for wrong in [None, Some((credential.0, "guess")), Some(("guess", credential.1)), Some(("", ""))] {
        let refused = gateway.introspect(alice.token(), wrong).await.expect_status(401);
        assert_eq!(refused.text("code"), "invalid_client");
        assert!(refused.body["active"].is_null() && refused.headers.contains_key("www-authenticate"), "{refused:?}");
    }

    let active = gateway.introspect(alice.token(), Some(credential)).await.expect_status(200);
    for (name, value) in [
        ("active", json!(true)),
        ("sub", json!("alice")),
        ("scope", json!("orders:read")),
        ("sid", json!(alice.sid())),
        ("iss", json!(scenarios::ISSUER)),
        ("token_type", json!("Bearer")),
    ] {
        assert_eq!(active.body[name], value, "{}", active.body);
    }
    assert!(active.body["exp"].is_u64() && active.body["jti"].is_string(), "{}", active.body);

    // Revoked, forged and junk look alike.
    authority.revoke(json!({"targets": ["subject:alice"], "wait": "10s"})).await;
    let (body, _) = bob.token().rsplit_once('.').expect("three parts");
    for token in [alice.token(), &format!("{body}.AAAA"), "junk", ""] {
        let answer = gateway.introspect(token, Some(credential)).await.expect_status(200);
        assert_eq!(answer.body, json!({"active": false}), "{token}");
    }

    // It is local: the authority is not there, and the answers are as before.
    authority.kill();
    let active = gateway.introspect(bob.token(), Some(credential)).await.expect_status(200);
    assert_eq!(active.body["active"], true);
    let inactive = gateway.introspect(alice.token(), Some(credential)).await.expect_status(200);
    assert_eq!(inactive.body, json!({"active": false}));
}

#[tokio::test]
async fn idle_connections_do_not_grow_without_bound() {
    let authority = Authority::start();
    let gateway = Gateway::start_with(&authority, "edge", |options| {
        options.settings = "connections = 8\n".to_owned();
    })
    .await;
    let alice = authority.login("alice", "phone").await;
    let address = gateway.url().trim_start_matches("http://").to_owned();
    // One of the eight is this test's own kept-alive connection.
    gateway.auth(alice.token()).await.expect_status(200);

    let mut idle = Vec::new();
    for _ in 0..7 {
        let mut stream = TcpStream::connect(&address).await.expect("the gateway takes it");
        assert_eq!(status_line(&mut stream).await.as_deref(), Some("HTTP/1.1 200 OK"));
        idle.push(stream);
    }
    let mut beyond = TcpStream::connect(&address).await.expect("the system takes it");
    assert_eq!(status_line(&mut beyond).await, None, "a ninth connection is closed before it is read");
    // Those that are open go on, and a place that becomes free is given away.
    gateway.auth(alice.token()).await.expect_status(200);
    idle.pop();
    let asked = Instant::now();
    loop {
        let mut next = TcpStream::connect(&address).await.expect("the system takes it");
        if status_line(&mut next).await.is_some() {
            break;
        }
        assert!(asked.elapsed() < SOON, "no place became free");
    }
}

/// Asks whether the gateway is alive over this connection; `None` when it closes it.
async fn status_line(stream: &mut TcpStream) -> Option<String> {
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: gateway\r\n\r\n").await.ok()?;
    let mut answer = vec![0; 1024];
    match stream.read(&mut answer).await {
        Ok(0) | Err(_) => None,
        Ok(read) => String::from_utf8_lossy(&answer[..read]).lines().next().map(str::to_owned),
    }
}
