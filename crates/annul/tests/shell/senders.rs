//! The layer in front of tokens that are bound to a key or a certificate.
#![cfg(feature = "axum")]

use annul::holder::ProofKey;
use annul::http::PeerCertificate;
use annul::policy::Policy;
use annul::{AnnulLayer, Route};
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Method, Request};
use axum::routing::get;
use axum::{Router, response::Response};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::stub::{STALENESS, Stub, Token, eventually};

const PUBLIC: &str = "https://shop.example/api";
const ORDERS: &str = "https://shop.example/api/orders";

async fn whoami(annul::axum::Bearer(authorized): annul::axum::Bearer) -> String {
    authorized.token().subject().unwrap().to_owned()
}

async fn stubbed(policy: Policy) -> (Stub, Route, Router) {
    let stub = Stub::start().await;
    let verifier = stub.builder().public_url(PUBLIC).build().await.unwrap();
    verifier.ready().await;
    let route = verifier.route(policy);
    let app = Router::new().route("/orders", get(whoami)).layer(AnnulLayer::new(route.clone()));
    (stub, route, app)
}

/// A token bound to `key`.
fn bound(stub: &Stub, key: &ProofKey) -> String {
    stub.token(&Token { cnf: json!({ "jkt": key.thumbprint() }), ..Token::default() })
}

fn proof(key: &ProofKey, token: &str) -> HeaderValue {
    key.prove(&Method::GET, ORDERS, Some(token)).unwrap()
}

async fn send(app: &Router, credential: &str, proof: Option<&HeaderValue>) -> Response {
    let mut request = Request::get("/orders?page=2").header(AUTHORIZATION, credential);
    if let Some(proof) = proof {
        request = request.header("dpop", proof);
    }
    app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

/// Status, code and first challenge.
async fn told(response: Response) -> (u16, String, String) {
    let status = response.status().as_u16();
    let challenge = response.headers().get(WWW_AUTHENTICATE).map_or("", |value| value.to_str().unwrap()).to_owned();
    let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    (status, body["code"].as_str().unwrap_or_default().to_owned(), challenge)
}

#[tokio::test]
async fn dp_5_a_bound_token_passes_with_its_proof_and_as_nothing_else() {
    let (stub, _, app) = stubbed(Policy::check(STALENESS)).await;
    let (key, other) = (ProofKey::generate().unwrap(), ProofKey::generate().unwrap());
    let (token, unbound) = (bound(&stub, &key), stub.token(&Token::default()));
    let used = proof(&key, &token);
    assert_eq!(send(&app, &format!("DPoP {token}"), Some(&used)).await.status(), 200);
    assert_eq!(send(&app, &format!("Bearer {unbound}"), None).await.status(), 200);

    let cases = [
        (format!("Bearer {token}"), None, "proof_needed", "DPoP error=\"invalid_token\""),
        (format!("Bearer {token}"), Some(proof(&key, &token)), "proof_needed", "DPoP error=\"invalid_token\""),
        (format!("DPoP {unbound}"), Some(proof(&key, &unbound)), "token_not_bound", "DPoP error=\"invalid_token\""),
        (format!("DPoP {token}"), None, "invalid_dpop_proof", "DPoP error=\"invalid_dpop_proof\""),
        (
            format!("DPoP {token}"),
            Some(proof(&other, &token)),
            "invalid_dpop_proof",
            "DPoP error=\"invalid_dpop_proof\"",
        ),
        (format!("DPoP {token}"), Some(used), "proof_repeated", "DPoP error=\"invalid_dpop_proof\""),
    ];
    for (credential, proof, code, challenge) in cases {
        let (status, seen, challenged) = told(send(&app, &credential, proof.as_ref()).await).await;
        assert_eq!((status, seen.as_str()), (401, code));
        assert!(challenged.starts_with(challenge) && challenged.contains("algs=\"ES256"), "{challenged}");
    }
}

#[tokio::test]
async fn dp_3_a_request_without_a_token_is_offered_both_schemes_without_an_error() {
    let (_stub, _, app) = stubbed(Policy::check(STALENESS)).await;
    let response = app.oneshot(Request::get("/orders").body(Body::empty()).unwrap()).await.unwrap();
    let offered: Vec<_> = response.headers().get_all(WWW_AUTHENTICATE).iter().map(|it| it.to_str().unwrap()).collect();
    assert_eq!(offered.len(), 2, "{offered:?}");
    assert!(offered[0] == "Bearer" && offered[1].starts_with("DPoP algs=") && !offered[1].contains("error"));
}

#[tokio::test]
async fn a_revoked_bound_token_is_refused_as_revoked_and_spends_no_proof() {
    let (stub, route, app) = stubbed(Policy::check(STALENESS)).await;
    let key = ProofKey::generate().unwrap();
    let token = bound(&stub, &key);
    let at = stub.revoke_subject("alice");
    eventually("the revocation is applied", || route.verifier().view().position() >= Some(at)).await;
    let (status, code, challenge) = told(send(&app, &format!("DPoP {token}"), Some(&proof(&key, &token))).await).await;
    assert_eq!((status, code.as_str()), (401, "token_revoked"));
    assert!(challenge.starts_with("DPoP error=\"invalid_token\""), "{challenge}");
}

#[tokio::test]
async fn an_asking_route_asks_about_nobody_who_cannot_prove_their_key() {
    let (stub, _, app) = stubbed(Policy::ask()).await;
    let key = ProofKey::generate().unwrap();
    let token = bound(&stub, &key);
    assert_eq!(told(send(&app, &format!("Bearer {token}"), None).await).await.1, "proof_needed");
    assert_eq!(stub.asks(), 0);

    stub.hold_asks();
    let once = proof(&key, &token);
    let both = [(), ()].map(|()| {
        let (app, credential, once) = (app.clone(), format!("DPoP {token}"), once.clone());
        tokio::spawn(async move { told(send(&app, &credential, Some(&once)).await).await })
    });
    eventually("the authority is asked", || stub.asks() == 1).await;
    stub.let_asks_go(10);
    let mut codes = Vec::new();
    for one in both {
        codes.push(one.await.unwrap().1);
    }
    codes.sort();
    assert_eq!(codes, ["", "proof_repeated"], "a proof that waits for two answers is used once");
}

#[tokio::test]
async fn a_token_for_the_authority_alone_to_verify_is_bound_all_the_same() {
    let (stub, _, app) = stubbed(Policy::introspect()).await;
    let key = ProofKey::generate().unwrap();
    let token = stub.secret_token(&Token { cnf: json!({ "jkt": key.thumbprint() }), ..Token::default() });
    stub.answer_asks(json!({"verdict": "active", "position": "1:2", "key": "a-key"}));
    assert_eq!(told(send(&app, &format!("Bearer {token}"), None).await).await.1, "proof_needed");
    assert_eq!(stub.asks(), 1, "what it is bound to is believed once the authority has verified it");
    let once = proof(&key, &token);
    assert_eq!(send(&app, &format!("DPoP {token}"), Some(&once)).await.status(), 200);
    assert_eq!(told(send(&app, &format!("DPoP {token}"), Some(&once)).await).await.1, "proof_repeated");
}

#[tokio::test]
async fn the_address_of_a_proof_is_the_public_one_whatever_a_router_takes_off_or_a_header_says() {
    let stub = Stub::start().await;
    let verifier = stub.builder().public_url("https://shop.example").build().await.unwrap();
    verifier.ready().await;
    let inner = Router::new().route("/orders", get(whoami));
    let inner = inner.layer(AnnulLayer::new(verifier.route(Policy::check(STALENESS))));
    let app = Router::new().nest("/api", inner);
    let key = ProofKey::generate().unwrap();
    let token = bound(&stub, &key);
    let call = async |url: &str| {
        let proof = key.prove(&Method::GET, url, Some(&token)).unwrap();
        let request = Request::get("/api/orders").header(AUTHORIZATION, format!("DPoP {token}")).header("dpop", proof);
        let request = request.header("host", "evil.example").header("x-forwarded-host", "evil.example");
        app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status().as_u16()
    };
    assert_eq!(call(ORDERS).await, 200);
    assert_eq!(call("https://evil.example/api/orders").await, 401);
    assert_eq!(call("https://shop.example/orders").await, 401);
}

#[tokio::test]
async fn mt_1_a_token_bound_to_a_certificate_passes_on_its_connection_only() {
    let (stub, _, app) = stubbed(Policy::check(STALENESS)).await;
    let mine = PeerCertificate::of_der(b"a certificate");
    let token = stub.token(&Token { cnf: json!({ "x5t#S256": mine.thumbprint() }), ..Token::default() });
    let call = async |certificate: Option<PeerCertificate>| {
        let mut request =
            Request::get("/orders").header(AUTHORIZATION, format!("Bearer {token}")).body(Body::empty()).unwrap();
        if let Some(certificate) = certificate {
            request.extensions_mut().insert(certificate);
        }
        told(app.clone().oneshot(request).await.unwrap()).await
    };
    assert_eq!(call(Some(mine.clone())).await.0, 200);
    let (status, code, challenge) = call(None).await;
    assert_eq!((status, code.as_str()), (401, "certificate_needed"));
    assert!(challenge.starts_with("Bearer error=\"invalid_token\""), "{challenge}");
    assert_eq!(call(Some(PeerCertificate::of_der(b"another"))).await.1, "certificate_mismatch");
}

#[tokio::test]
async fn a_service_that_does_not_know_its_address_lets_no_bound_token_in() {
    let stub = Stub::start().await;
    let verifier = stub.verifier().await;
    let app = Router::new().route("/orders", get(whoami));
    let app = app.layer(AnnulLayer::new(verifier.route(Policy::check(STALENESS))));
    let key = ProofKey::generate().unwrap();
    let token = bound(&stub, &key);
    let response = send(&app, &format!("DPoP {token}"), Some(&proof(&key, &token))).await;
    assert!(!response.headers().contains_key(RETRY_AFTER));
    assert_eq!(told(response).await.1, "proofs_not_taken");
    assert_eq!(told(send(&app, &format!("Bearer {token}"), None).await).await.1, "proof_needed");
    let refused = stub.builder().public_url("shop.example").build().await.unwrap_err();
    assert_eq!(refused.code(), "authority_address_invalid");
}

#[tokio::test]
async fn a_connection_on_a_bound_token_is_watched_without_further_proofs() {
    let (stub, route, _) = stubbed(Policy::check(STALENESS)).await;
    let key = ProofKey::generate().unwrap();
    let token = bound(&stub, &key);
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("DPoP {token}")).unwrap());
    headers.insert("dpop", proof(&key, &token));
    let presented = annul::http::Presented::in_request(&Method::GET, "/orders", &headers).unwrap();
    let annul::Decision::Allow(authorized) = route.decide_presented(&presented).await else { panic!("it is let in") };
    let watch = route.watch(&authorized).asking(&token);
    stub.revoke_group();
    let at = stub.revoke_subject("alice");
    eventually("the revocation is applied", || route.verifier().view().position() >= Some(at)).await;
    let event = crate::stub::within(watch.close()).await;
    assert!(matches!(event, annul::WatchEvent::Revoked(_)), "{event:?}");
}
