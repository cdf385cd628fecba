//! The tower layer and the axum extractors.
#![cfg(feature = "axum")]

use std::time::Duration;

use annul::http::{ANNUL_TOKEN, Explain};
use annul::policy::Policy;
use annul::{AnnulLayer, Route};
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{Request, StatusCode};
use axum::routing::get;
use axum::{Router, response::Response};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::stub::{STALENESS, Stub, Token, eventually};

async fn whoami(annul::axum::Bearer(authorized): annul::axum::Bearer) -> String {
    authorized.token().subject().unwrap().to_owned()
}

fn app(layer: AnnulLayer) -> Router {
    Router::new().route("/", get(whoami)).layer(layer)
}

async fn send(app: &Router, uri: &str, credentials: &[&str]) -> Response {
    let mut request = Request::builder().uri(uri);
    for credential in credentials {
        request = request.header(AUTHORIZATION, *credential);
    }
    app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn text(response: Response) -> String {
    let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

async fn body(response: Response) -> Value {
    serde_json::from_str(&text(response).await).unwrap()
}

async fn stubbed(policy: Policy) -> (Stub, Route) {
    let stub = Stub::start().await;
    let route = stub.verifier().await.route(policy);
    (stub, route)
}

#[tokio::test]
async fn a_good_token_reaches_the_handler() {
    let (stub, route) = stubbed(Policy::check(STALENESS)).await;
    let token = stub.token(&Token::default());
    let response = send(&app(AnnulLayer::new(route)), "/", &[&format!("bearer {token}")]).await;
    assert_eq!((response.status(), text(response).await.as_str()), (StatusCode::OK, "alice"));
}

#[tokio::test]
async fn requests_without_one_credential_are_told_so() {
    let (stub, route) = stubbed(Policy::check(STALENESS)).await;
    let app = app(AnnulLayer::new(route));
    let token = stub.token(&Token::default());

    let response = send(&app, "/", &[]).await;
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer", "no error code without credentials");
    assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    assert_eq!(body(response).await["code"], "token_missing");

    let response = send(&app, &format!("/?access_token={token}"), &[]).await;
    assert_eq!(response.status(), 401, "a token in the query is not looked at");

    let twice = format!("Bearer {token}");
    let response = send(&app, "/", &[&twice, &twice]).await;
    assert_eq!((response.status().as_u16(), body(response).await["error"].as_str()), (400, Some("invalid_request")));
}

#[tokio::test]
async fn a_revoked_token_is_401_and_by_what_is_not_told() {
    let (stub, route) = stubbed(Policy::check(STALENESS)).await;
    let token = format!("Bearer {}", stub.token(&Token::default()));
    let at = stub.revoke_subject("alice");
    eventually("the revocation is applied", || route.verifier().view().position() >= Some(at)).await;
    let response = send(&app(AnnulLayer::new(route.clone())), "/", &[&token]).await;
    assert_eq!(response.status(), 401);
    assert!(response.headers()[WWW_AUTHENTICATE].to_str().unwrap().starts_with("Bearer error=\"invalid_token\""));
    let told = body(response).await;
    assert_eq!(told["code"], "token_revoked");
    assert!(!told.to_string().contains("subject"), "{told}");
    let forged = format!("{token}x");
    let response = send(&app(AnnulLayer::new(route.clone())), "/", &[&forged]).await;
    assert_eq!(body(response).await["code"], "token_invalid");
    let response = send(&app(AnnulLayer::new(route).explain(Explain::Fully)), "/", &[&forged]).await;
    assert_eq!(body(response).await["code"], "token_malformed");
}

#[tokio::test]
async fn not_knowing_is_503() {
    let stub = Stub::start().await;
    stub.set_down(true);
    let route = stub.builder().build().await.unwrap().route(Policy::check(STALENESS));
    let token = format!("Bearer {}", stub.token(&Token::default()));
    let response = send(&app(AnnulLayer::new(route)), "/", &[&token]).await;
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key(RETRY_AFTER) && !response.headers().contains_key(WWW_AUTHENTICATE));
}

#[tokio::test]
async fn an_asking_route_waits_for_the_answer() {
    let (stub, route) = stubbed(Policy::ask()).await;
    let app = app(AnnulLayer::new(route));
    let token = format!("Bearer {}", stub.token(&Token::default()));
    assert_eq!(send(&app, "/", &[&token]).await.status(), 200);
    stub.answer_asks(serde_json::json!({"verdict": "revoked"}));
    assert_eq!(send(&app, "/", &[&token]).await.status(), 401);
    assert_eq!(stub.asks(), 2);
}

#[tokio::test]
async fn a_restamped_token_goes_to_the_client_and_into_no_store() {
    let (stub, route) = stubbed(Policy::check(STALENESS).ask_after(Duration::ZERO)).await;
    let app = app(AnnulLayer::new(route));
    let token = format!("Bearer {}", stub.token(&Token::default()));
    stub.answer_asks(serde_json::json!({"verdict": "active", "position": "1:2", "access_token": "new.to.ken"}));
    let response = send(&app, "/", &[&token]).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()[ANNUL_TOKEN], "new.to.ken");
    assert!(response.headers()[ANNUL_TOKEN].is_sensitive(), "it must not be printed");
    assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    assert_eq!(stub.questions(), [serde_json::json!(true)], "it was asked for");

    stub.answer_asks(serde_json::json!({"verdict": "active", "position": "1:2"}));
    assert!(!send(&app, "/", &[&token]).await.headers().contains_key(ANNUL_TOKEN));
}

#[tokio::test]
async fn a_handler_without_the_layer_is_a_500() {
    let app = Router::new().route("/", get(whoami));
    let response = send(&app, "/", &[]).await;
    assert_eq!((response.status().as_u16(), body(response).await["code"].as_str()), (500, Some("layer_missing")));
}
