//! Surfaces: where strategies meet clients.

use std::time::{Duration, Instant};

use futures::{SinkExt as _, StreamExt as _};
use scenarios::{Authority, Service};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

pub(crate) type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

#[tokio::test]
async fn junk_costs_nothing() {
    let authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let good = authority.login("alice", "phone").await;
    service.accepts(good.token()).await;
    let (header, rest) = good.token().split_once('.').expect("three parts");
    let (payload, signature) = rest.split_once('.').expect("three parts");
    let forged = format!("{header}.{payload}.{}", signature.chars().rev().collect::<String>());
    let unsigned = format!("{header}.{payload}.");
    let junk = ["x", "a.b.c", &forged, &unsigned, "..", &"A".repeat(5000)];
    let before = counters(&authority, &service).await;
    for round in 0..300 {
        let token = junk[round % junk.len()];
        let seen = service.call_raw(token).await;
        assert_eq!(seen.status, 401, "{token}: {seen:?}");
    }
    let after = counters(&authority, &service).await;
    assert_eq!(before, after, "junk touched the log or the verifier's memory");

    // Handing one to the revocation call adds no entry.
    for token in junk {
        let refused = authority.admin().post("/v1/revocations", json!({"token": token})).await;
        assert!((400..500).contains(&refused.status), "{}", refused.body);
    }
    assert_eq!(counters(&authority, &service).await, before);
    service.accepts(good.token()).await;
}

/// What junk must not move: the head of the log, the verifier's entries and its cached tokens.
async fn counters(authority: &Authority, service: &Service) -> (String, String, String) {
    let status = service.status().await;
    let head = authority.admin().get("/statusz").await.body["position"].to_string();
    (head, status["entries"].to_string(), status["cache_entries"].to_string())
}

#[tokio::test]
async fn roles_in_token() {
    let authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let admin = authority.open(json!({"subject": "alice", "roles": ["admin", "reader"]})).await;
    let reader = authority.open(json!({"subject": "bob", "roles": ["reader"]})).await;
    let nobody = authority.open(json!({"subject": "carol"})).await;
    assert_eq!(service.answer("/admin", admin.token()).await.status, 200);
    assert_eq!(service.answer("/admin", reader.token()).await.status, 403);
    assert_eq!(service.answer("/admin", nobody.token()).await.status, 403);
    // The claims are all the service knows, and enough to name the principal.
    let claims = service.answer("/check", admin.token()).await.expect_status(200);
    assert_eq!((&claims.body["sub"], &claims.body["roles"]), (&json!("alice"), &json!(["admin", "reader"])));
    // Rights do not outlast the token.
    authority.revoke(json!({"targets": ["subject:alice"]})).await;
    service.refuses_as_revoked(admin.token()).await;
    assert_eq!(service.answer("/admin", admin.token()).await.status, 401);
    service.accepts(reader.token()).await;
}

#[tokio::test]
async fn one_session_many_channels() {
    let authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let alice = authority.login("alice", "phone").await;
    let bob = authority.login("bob", "phone").await;
    let mut hers = connect(&service, alice.token()).await.expect("a good token opens a socket");
    let mut his = connect(&service, bob.token()).await.expect("a good token opens a socket");
    assert_eq!(echo(&mut hers, "hello").await, "hello");

    // A revocation closes the open socket; the other one stays.
    authority.revoke(json!({"targets": [format!("session:{}", alice.sid())], "cutoff": "always"})).await;
    let closed = closed_within(&mut hers, Duration::from_secs(10)).await;
    assert_eq!(closed, (4401, "revoked".to_owned()));
    assert_eq!(echo(&mut his, "still here").await, "still here");

    // The reconnect and the next HTTP call are refused.
    assert_eq!(connect(&service, alice.token()).await.expect_err("a revoked token opens nothing"), 401);
    service.refuses_as_revoked(alice.token()).await;

    // Logout over HTTP closes his socket.
    authority.logout(bob.token(), json!({"scope": "local"})).await.expect_status(200);
    assert_eq!(closed_within(&mut his, Duration::from_secs(10)).await.0, 4401);
    assert_eq!(connect(&service, bob.token()).await.expect_err("a revoked token opens nothing"), 401);
    let again = authority.login("bob", "phone").await;
    let mut his = connect(&service, again.token()).await.expect("a new login opens a socket");
    assert_eq!(echo(&mut his, "back").await, "back");
}

pub(crate) async fn connect(service: &Service, token: &str) -> Result<Socket, u16> {
    connect_to(&format!("{}/socket", service.url()), token).await
}

pub(crate) async fn connect_to(url: &str, token: &str) -> Result<Socket, u16> {
    let mut request = url.replacen("http", "ws", 1).into_client_request().expect("a URL");
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    match tokio_tungstenite::connect_async(request).await {
        Ok((socket, _)) => Ok(socket),
        Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => Err(answer.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

pub(crate) async fn echo(socket: &mut Socket, text: &str) -> String {
    socket.send(Message::Text(text.into())).await.expect("the socket is open");
    match socket.next().await {
        Some(Ok(Message::Text(text))) => text.to_string(),
        other => panic!("no echo: {other:?}"),
    }
}

/// The close code and reason, which must arrive within `bound`.
pub(crate) async fn closed_within(socket: &mut Socket, bound: Duration) -> (u16, String) {
    let asked = Instant::now();
    loop {
        let left = bound.saturating_sub(asked.elapsed());
        match tokio::time::timeout(left, socket.next()).await.expect("the socket closes in time") {
            Some(Ok(Message::Close(Some(frame)))) => return (frame.code.into(), frame.reason.to_string()),
            Some(Ok(_)) => {}
            other => panic!("closed without a reason: {other:?}"),
        }
    }
}
