//! Token exchange (RFC 8693) and assertions (RFC 7523) on the wire.

use serde_json::json;

use crate::oauth_world::{ACCESS, ASSERTION, EXCHANGE, IDP, Idp, now, oauth_error, said};
use crate::running::{Credential, Running, both, expect, in_memory, text};

const TOKEN: &str = "/oauth2/token";

fn exchange<'f>(token: &'f str, more: &[(&'f str, &'f str)]) -> Vec<(&'f str, &'f str)> {
    let mut form = vec![("grant_type", EXCHANGE), ("subject_token", token), ("subject_token_type", ACCESS)];
    form.extend_from_slice(more);
    form
}

async fn opened(authority: &Running) -> (Credential, String) {
    let api = authority.client("api", &["read"]).await;
    (api, text(&authority.session_of("shop", "alice", json!({})).await, "access_token"))
}

#[tokio::test]
async fn tx_2_the_answer_says_what_kind_of_token_it_is() {
    for authority in both().await {
        let (api, token) = opened(&authority).await;
        let response = authority.form(&api, TOKEN, &exchange(&token, &[("scope", "read")])).send().await.unwrap();
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers()["pragma"], "no-cache");
        let answer: serde_json::Value = response.json().await.unwrap();
        assert_eq!((&answer["issued_token_type"], &answer["token_type"]), (&json!(ACCESS), &json!("Bearer")));
        assert_eq!(answer["scope"], "read");
        assert!(answer["expires_in"].is_u64() && answer.get("refresh_token").is_none());
        let derived = text(&answer, "access_token");
        assert_eq!(authority.verdict(&derived).await, "active");
        authority
            .post("/v1/revocations", json!({ "targets": [format!("session:{}", text(&said(&token), "sid"))] }), 201)
            .await;
        assert_eq!(authority.verdict(&derived).await, "revoked");
    }
}

#[tokio::test]
async fn tx_1_tokens_come_with_their_types() {
    let authority = in_memory(|_| {}).await;
    let (api, token) = opened(&authority).await;
    let refused = |form: Vec<(&'static str, String)>| {
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        oauth_error_of(authority.form(&api, TOKEN, &form))
    };
    let grant = || ("grant_type", EXCHANGE.to_owned());
    let subject = || ("subject_token", token.clone());
    let kind = || ("subject_token_type", ACCESS.to_owned());
    for form in [
        vec![grant(), kind()],
        vec![grant(), subject()],
        vec![grant(), subject(), ("subject_token_type", "urn:ietf:params:oauth:token-type:saml2".to_owned())],
        vec![grant(), subject(), kind(), ("actor_token", token.clone())],
        vec![grant(), subject(), kind(), ("actor_token_type", ACCESS.to_owned())],
        vec![
            grant(),
            subject(),
            kind(),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:id_token".to_owned()),
        ],
    ] {
        refused(form).await;
    }
}

async fn oauth_error_of(request: reqwest::RequestBuilder) {
    oauth_error(request, 400, "invalid_request", "request_invalid").await;
}

#[tokio::test]
async fn tx_3_what_is_wrong_with_a_token_is_wrong_with_the_request_and_a_target_has_its_own_name() {
    let authority = in_memory(|_| {}).await;
    let (api, token) = opened(&authority).await;
    let send = |form: &[(&str, &str)]| authority.form(&api, TOKEN, form);
    oauth_error(send(&exchange("garbage", &[])), 400, "invalid_request", "token_malformed").await;
    oauth_error(send(&exchange(&token, &[("scope", "admin")])), 400, "invalid_scope", "invalid_scope").await;
    oauth_error(send(&exchange(&token, &[("audience", "payroll")])), 400, "invalid_target", "audience_refused").await;
    let relative = exchange(&token, &[("resource", "payroll")]);
    oauth_error(send(&relative), 400, "invalid_target", "audience_refused").await;
    let fragment = exchange(&token, &[("resource", "https://payroll.example/#x")]);
    oauth_error(send(&fragment), 400, "invalid_target", "audience_refused").await;
    authority.post("/v1/revocations", json!({ "targets": ["subject:alice"] }), 201).await;
    oauth_error(send(&exchange(&token, &[])), 400, "invalid_request", "token_revoked").await;
}

#[tokio::test]
async fn at_5_several_resources_are_several_audiences() {
    let authority = in_memory(|_| {}).await;
    let (_, token) = opened(&authority).await;
    let issuing = authority.client("gateway", &["annul.issue"]).await;
    let more = [("resource", "https://a.example/x"), ("resource", "https://b.example"), ("audience", "c")];
    let answer = expect(authority.form(&issuing, TOKEN, &exchange(&token, &more)), 200).await;
    let audiences = json!(["c", "https://a.example/x", "https://b.example"]);
    assert_eq!(said(&text(&answer, "access_token"))["aud"], audiences);
}

#[tokio::test]
async fn a_client_uses_the_grants_it_was_registered_for() {
    let authority = in_memory(|_| {}).await;
    let (_, token) = opened(&authority).await;
    let narrow = json!({ "client_id": "narrow", "scopes": [], "grant_types": ["client_credentials"] });
    let narrow = authority.register(narrow).await;
    let request = authority.form(&narrow, TOKEN, &exchange(&token, &[]));
    oauth_error(request, 400, "unauthorized_client", "unauthorized_client").await;
    let form = [("grant_type", ASSERTION), ("assertion", "x")];
    oauth_error(authority.form(&narrow, TOKEN, &form), 400, "unauthorized_client", "unauthorized_client").await;
    expect(authority.form(&narrow, TOKEN, &[("grant_type", "client_credentials")]), 200).await;
}

#[tokio::test]
async fn tx_5_a_foreign_token_is_exchanged_and_its_subjects_block_ends_it_here() {
    for authority in both().await {
        let api = authority.client("api", &["read"]).await;
        let idp = Idp::new();
        idp.accepted_by(&authority, "apart").await;
        let foreign = idp.sign(
            "at+jwt",
            &json!({
                "iss": IDP, "sub": "alice", "aud": "api", "iat": now(), "exp": now() + 300, "jti": "f1", "sid": "s1",
                "scope": "read",
            }),
        );
        let answer = expect(authority.form(&api, TOKEN, &exchange(&foreign, &[])), 200).await;
        let derived = text(&answer, "access_token");
        assert_eq!(said(&derived)["sub"], format!("{IDP}|alice"));
        assert_eq!(authority.verdict(&derived).await, "active");
        let target = json!({ "issuer": IDP, "targets": ["subject:alice"] });
        authority.post("/v1/revocations", target, 201).await;
        assert_eq!(authority.verdict(&derived).await, "revoked");
    }
}

#[tokio::test]
async fn ca_3_an_assertion_is_redeemed_once() {
    for authority in both().await {
        let grants = json!({ "client_id": "app", "scopes": ["read"], "grant_types": [ASSERTION] });
        let app = authority.register(grants).await;
        let idp = Idp::new();
        idp.accepted_by(&authority, "shared").await;
        let claims = json!({
            "iss": IDP, "sub": "alice", "aud": "http://127.0.0.1:7400", "iat": now(), "exp": now() + 60, "jti": "a1",
        });
        let assertion = idp.sign("JWT", &claims);
        let form = [("grant_type", ASSERTION), ("assertion", assertion.as_str())];
        let answer = expect(authority.form(&app, TOKEN, &form), 200).await;
        assert!(answer.get("issued_token_type").is_none() && answer.get("refresh_token").is_none());
        assert_eq!(authority.verdict(&text(&answer, "access_token")).await, "active");
        oauth_error(authority.form(&app, TOKEN, &form), 400, "invalid_grant", "assertion_used").await;
        let bad = [("grant_type", ASSERTION), ("assertion", "garbage")];
        oauth_error(authority.form(&app, TOKEN, &bad), 400, "invalid_grant", "token_malformed").await;
        let missing = [("grant_type", ASSERTION)];
        oauth_error(authority.form(&app, TOKEN, &missing), 400, "invalid_request", "request_invalid").await;
    }
}

#[tokio::test]
async fn ca_3_a_client_that_opens_sessions_asserts_by_its_own_key() {
    let authority = in_memory(|_| {}).await;
    let key = Idp::new();
    let backend = json!({
        "client_id": "backend", "scopes": ["annul.issue"], "grant_types": [ASSERTION],
        "token_endpoint_auth_method": "private_key_jwt", "jwks": key.jwks(),
    });
    authority.register(backend).await;
    let grants = json!({ "client_id": "app", "scopes": ["read"], "grant_types": [ASSERTION] });
    let app = authority.register(grants).await;
    let assertion = |id: &str, issuer: &str| {
        key.sign(
            "JWT",
            &json!({
                "iss": issuer, "sub": "alice", "aud": "http://127.0.0.1:7400", "exp": now() + 60, "jti": id,
            }),
        )
    };
    let send = |assertion: &str| authority.form(&app, TOKEN, &[("grant_type", ASSERTION), ("assertion", assertion)]);
    let answer = expect(send(&assertion("one", "backend")), 200).await;
    assert_eq!(said(&text(&answer, "access_token"))["sub"], "alice");
    oauth_error(send(&assertion("two", "app")), 400, "invalid_grant", "opens_no_session").await;
}
