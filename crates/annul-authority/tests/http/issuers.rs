//! Key sets of foreign issuers, fetched by URL.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use annul_authority::span::Span;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::LOCATION;
use reqwest::Method;
use serde_json::{Value, json};

use crate::running::{Running, expect, expect_problem, in_memory};

/// What the foreign issuer answers at the moment.
#[derive(Clone)]
enum Answer {
    Keys(Value),
    Text(String),
    Redirect,
    Broken,
}

type Answers = Arc<Mutex<Answer>>;

async fn answer(State(answers): State<Answers>) -> Response {
    match answers.lock().unwrap().clone() {
        Answer::Keys(keys) => axum::Json(keys).into_response(),
        Answer::Text(text) => text.into_response(),
        Answer::Redirect => (StatusCode::FOUND, [(LOCATION, "https://elsewhere.example/jwks")]).into_response(),
        Answer::Broken => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A foreign issuer on loopback, and a way to change its mind.
async fn foreign(first: Answer) -> (SocketAddr, Answers) {
    let answers = Arc::new(Mutex::new(first));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/jwks", get(answer)).with_state(Arc::clone(&answers));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, answers)
}

/// The public key of an authority made for it: a key nobody has seen before.
async fn fresh_keys() -> Value {
    let other = in_memory(|_| {}).await;
    let keys = expect(other.bare(Method::GET, "/.well-known/jwks.json"), 200).await;
    json!({ "keys": [keys["keys"][0]] })
}

fn request(address: SocketAddr) -> Value {
    json!({
        "issuer": "https://idp.example", "jwks_uri": format!("http://{address}/jwks"), "longest_life": 600,
    })
}

/// The issuer's keys as verifiers get them.
async fn keys_of(authority: &Running) -> String {
    authority.get("/v1/issuers").await["issuers"][0].to_string()
}

#[tokio::test]
async fn a_key_set_that_does_not_come_changes_nothing() {
    let authority = in_memory(|_| {}).await;
    let (address, answers) = foreign(Answer::Broken).await;
    let add = || authority.request(Method::POST, "/v1/issuers").json(&request(address));
    for bad in [Answer::Broken, Answer::Redirect, Answer::Text("x".repeat(300 * 1024))] {
        *answers.lock().unwrap() = bad;
        expect_problem(add(), 400, "fetch_failed").await;
    }
    *answers.lock().unwrap() = Answer::Text("not a key set".to_owned());
    assert_eq!(add().send().await.unwrap().status(), 400);
    assert_eq!(authority.get("/v1/issuers").await["issuers"], json!([]));
}

#[tokio::test]
async fn keys_are_fetched_again_and_good_ones_outlive_a_failure() {
    let authority = in_memory(|config| config.feed.jwks_refresh = Span::seconds(1)).await;
    let (first, second) = (fresh_keys().await, fresh_keys().await);
    let (address, answers) = foreign(Answer::Keys(first)).await;
    expect(authority.request(Method::POST, "/v1/issuers").json(&request(address)), 201).await;
    let before = keys_of(&authority).await;

    *answers.lock().unwrap() = Answer::Broken;
    let kid = second["keys"][0]["kid"].as_str().unwrap().to_owned();
    assert!(!before.contains(&kid));
    *answers.lock().unwrap() = Answer::Keys(second);
    let deadline = Instant::now() + Duration::from_secs(20);
    while !keys_of(&authority).await.contains(&kid) {
        assert!(Instant::now() < deadline, "the new key was not fetched");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    *answers.lock().unwrap() = Answer::Broken;
    assert!(keys_of(&authority).await.contains(&kid));
}
