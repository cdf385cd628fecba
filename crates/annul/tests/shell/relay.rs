//! A verifier that hands on its feed, and one behind it.

use std::sync::Arc;
use std::time::Duration;

use annul::feed::log::{Ask, FeedLogConfig};
use annul::feed::report::{ReplicaState, Report, RouteCounts};
use annul::policy::Policy;
use annul::position::Position;
use annul::record::Chain;
use annul::{Relay, RelayAnswer, Verifier};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures::FutureExt as _;

use crate::stub::{AUDIENCE, ISSUER, SHORT, STALENESS, Stub, Token, code, eventually, within};

#[derive(serde::Deserialize)]
struct After {
    after: Position,
    chain: Option<Chain>,
    wait: Option<u64>,
}

fn answered(answer: RelayAnswer) -> Response {
    (StatusCode::from_u16(answer.status).unwrap(), answer.body).into_response()
}

/// The least HTTP around a relay; the gateway's does more.
async fn serve(relay: Relay) -> String {
    let app = Router::new()
        .route("/v1/feed/head", get(async |relay: State<Arc<Relay>>| answered(relay.introduction())))
        .route("/v1/feed/snapshot", get(async |relay: State<Arc<Relay>>| answered(relay.snapshot().await)))
        .route(
            "/v1/feed/changes",
            get(async |relay: State<Arc<Relay>>, Query(After { after, chain, wait }): Query<After>| {
                let wait = Duration::from_secs(wait.unwrap_or_default());
                answered(relay.changes(Ask { after, chain, limit: 1000 }, wait).await)
            }),
        )
        .route(
            "/v1/feed/stream",
            get(async |relay: State<Arc<Relay>>, Query(After { after, chain, .. }): Query<After>| {
                match relay.stream(after, chain) {
                    Ok(events) => {
                        let events = futures::StreamExt::map(events, Ok::<_, std::io::Error>);
                        Body::from_stream(events).into_response()
                    }
                    Err(answer) => answered(answer),
                }
            }),
        )
        .route(
            "/v1/feed/replicas/{name}/{instance}",
            post(async |relay: State<Arc<Relay>>, Path((name, instance)): Path<(String, String)>, body: Bytes| {
                answered(relay.report(&name, &instance, &body).await)
            }),
        )
        .with_state(Arc::new(relay));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    url
}

fn behind(stub: &Stub, url: &str) -> annul::VerifierBuilder {
    Verifier::builder(ISSUER, AUDIENCE)
        .authority(url, "child", "secret")
        .through_relay()
        .feed_key(&stub.feed_key())
        .max_staleness(SHORT * 2)
        .name("child")
        .instance("one")
}

#[tokio::test]
async fn a_verifier_behind_a_relay_refuses_what_is_revoked_and_inherits_the_relays_age() {
    let stub = Stub::start().await;
    let gateway = stub.builder().max_staleness(SHORT * 2).relay(FeedLogConfig::new("")).build().await.unwrap();
    within(gateway.ready()).await;
    let url = serve(gateway.relay().unwrap()).await;
    let child = behind(&stub, &url).build().await.unwrap();
    within(child.ready()).await;
    let route = child.route(Policy::check(SHORT * 2));
    let (alice, bob) =
        (stub.token(&Token::default()), stub.token(&Token { subject: "bob", jti: "t2", ..Token::default() }));
    assert_eq!(code(&route.decide(&alice).await), "ok");

    let at = stub.revoke_subject("alice");
    eventually("it is applied behind the relay", || child.view().position() >= Some(at)).await;
    assert_eq!(code(&route.decide(&alice).await), "token_revoked");
    assert_eq!(code(&route.decide(&bob).await), "ok");
    eventually("the authority hears of the verifier behind", || {
        stub.feed(|log| {
            let replicas = log.replicas(annul::time::Monotonic(Duration::from_secs(1)));
            replicas.iter().any(|replica| replica.name == "child" && replica.position >= Some(at))
        })
    })
    .await;

    // The relay itself still answers; what it can prove grows old all the same.
    stub.set_down(true);
    eventually("the verifier behind is stale too", || !child.status().is_live()).await;
    assert_eq!(code(&route.decide(&bob).await), "view_stale");
    stub.set_down(false);
    eventually("and recovers", || child.status().is_live()).await;
}

/// Outputs performed by another than whoever stepped could be performed in another order: the verifier's task
/// does both. In this test's runtime it runs only while the test waits.
#[tokio::test]
async fn a_report_from_behind_is_taken_by_the_verifiers_task_and_by_nobody_else() {
    let stub = Stub::start().await;
    let gateway = stub.builder().relay(FeedLogConfig::new("")).build().await.unwrap();
    within(gateway.ready()).await;
    let relay = gateway.relay().unwrap();
    eventually("the relay can introduce", || relay.introduction().status == 200).await;
    let body = report().to_json();
    let mut asked = std::pin::pin!(relay.report("child", "one", &body));
    assert_eq!(asked.as_mut().now_or_never(), None);
    assert!(relay.replicas().is_empty(), "the task has not run");
    assert_eq!(within(asked).await.status, 200);
    assert_eq!(relay.replicas().len(), 1);

    // Whoever asked and went away asked all the same.
    assert_eq!(relay.report("child", "two", &body).now_or_never(), None);
    eventually("the report is taken", || relay.replicas().len() == 2).await;
}

fn report() -> Report {
    Report {
        position: None,
        chain: None,
        state: ReplicaState::Cold,
        leeway: 0,
        longest_age: 3,
        audiences: Vec::new(),
        routes: RouteCounts::default(),
        interval: 1,
        version: String::new(),
        nonce: "n".to_owned(),
        canaries: Vec::new(),
        behind: Vec::new(),
        unlisted: 0,
    }
}

#[tokio::test]
async fn a_relay_cannot_introduce_the_feed_key() {
    let stub = Stub::start().await;
    let gateway = stub.builder().relay(FeedLogConfig::new("")).build().await.unwrap();
    within(gateway.ready()).await;
    let relay = gateway.relay().unwrap();
    eventually("the relay can introduce", || relay.introduction().status == 200).await;
    let url = serve(relay).await;
    let keyless = Verifier::builder(ISSUER, AUDIENCE)
        .authority(&url, "child", "secret")
        .through_relay()
        .max_staleness(STALENESS)
        .name("child");
    assert_eq!(within(keyless.build()).await.unwrap_err().code(), "feed_key_missing");
}
