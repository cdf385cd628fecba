//! The standard's endpoints in the standard's form.

use reqwest::Method;
use serde_json::{Value, json};

use crate::running::{Running, both, expect, text};

async fn error(request: reqwest::RequestBuilder, status: u16, error: &str) {
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["cache-control"], "no-store");
    if status == 401 {
        assert!(response.headers().contains_key("www-authenticate"));
    }
    let found = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    assert_eq!((found, text(&body, "error").as_str()), (status, error), "{body}");
    assert!(!text(&body, "error_description").is_empty() && !text(&body, "code").is_empty());
}

fn form(authority: &Running, path: &str, body: &'static str) -> reqwest::RequestBuilder {
    let request = authority.request(Method::POST, path);
    request.header("content-type", "application/x-www-form-urlencoded").body(body)
}

#[tokio::test]
async fn te_a_machine_gets_a_token_by_its_credentials() {
    for authority in both().await {
        let request = form(&authority, "/oauth2/token", "grant_type=client_credentials&unknown=ignored&scope=");
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers()["pragma"], "no-cache");
        let answer: Value = response.json().await.unwrap();
        assert_eq!(answer["token_type"], "Bearer");
        assert!(answer["expires_in"].is_u64());
        assert_eq!(authority.verdict(&text(&answer, "access_token")).await, "active");
    }
}

#[tokio::test]
async fn te_errors_have_the_members_of_rfc_6749() {
    for authority in both().await {
        let token = "/oauth2/token";
        error(form(&authority, token, "grant_type=password"), 400, "unsupported_grant_type").await;
        error(form(&authority, token, "scope=x"), 400, "invalid_request").await;
        let repeated = "grant_type=client_credentials&grant_type=client_credentials";
        error(form(&authority, token, repeated), 400, "invalid_request").await;
        let unknown_scope = "grant_type=client_credentials&scope=unheard-of";
        error(form(&authority, token, unknown_scope), 400, "invalid_scope").await;
        let two_ways = "grant_type=client_credentials&client_secret=x";
        error(form(&authority, token, two_ways), 400, "invalid_request").await;
        let bare = authority.bare(Method::POST, token).form(&[("grant_type", "client_credentials")]);
        error(bare, 401, "invalid_client").await;
        error(authority.request(Method::POST, token).json(&json!({})), 415, "invalid_request").await;
        let response = authority.request(Method::GET, token).send().await.unwrap();
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], "POST");
    }
}

#[tokio::test]
async fn te_4_a_form_encoded_credential_is_the_same_credential() {
    for authority in both().await {
        let client = authority.client("shop.eu", &["annul.read"]).await;
        let encoded = |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02X}")).collect() };
        let request = authority.bare(Method::GET, "/v1/keys");
        expect(request.basic_auth(encoded(&client.id), Some(encoded(&client.secret))), 200).await;
    }
}

#[tokio::test]
async fn r7662_an_inactive_token_says_nothing_else() {
    for authority in both().await {
        let introspect = |token: &str| authority.request(Method::POST, "/oauth2/introspect").form(&[("token", token)]);
        let opened = authority.session("alice").await;
        let token = text(&opened, "access_token");
        let active = expect(introspect(&token), 200).await;
        assert_eq!((&active["active"], &active["sub"]), (&json!(true), &json!("alice")));
        for member in ["exp", "iat"] {
            assert!(active[member].is_u64(), "{member} in {active}");
        }
        authority.post("/v1/revocations", json!({"targets": ["subject:alice"]}), 201).await;
        assert_eq!(expect(introspect(&token), 200).await, json!({"active": false}));
        assert_eq!(expect(introspect("garbage"), 200).await, json!({"active": false}));

        error(form(&authority, "/oauth2/introspect", "token="), 400, "invalid_request").await;
        error(form(&authority, "/oauth2/introspect", "token=a&token=b"), 400, "invalid_request").await;
        let bare = authority.bare(Method::POST, "/oauth2/introspect").form(&[("token", &token)]);
        error(bare, 401, "invalid_client").await;
        let client = authority.client("issuer-only", &["annul.issue"]).await;
        let request = authority.request_as(&client, Method::POST, "/oauth2/introspect").form(&[("token", &token)]);
        error(request, 403, "unauthorized_client").await;
    }
}
