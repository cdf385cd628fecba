//! Who may call what.

use reqwest::Method;
use serde_json::{Value, json};

use crate::running::{Credential, both, expect, expect_problem};

#[tokio::test]
async fn nobody_is_let_in_without_a_valid_credential() {
    for authority in both().await {
        let path = "/v1/keys";
        expect_problem(authority.bare(Method::GET, path), 401, "invalid_client").await;
        let response = authority.bare(Method::GET, path).send().await.unwrap();
        assert!(response.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic "));

        let wrong = Credential { secret: "wrong".to_owned(), ..authority.admin.clone() };
        expect_problem(authority.request_as(&wrong, Method::GET, path), 401, "invalid_client").await;
        let unknown = Credential { id: "nobody".to_owned(), ..authority.admin.clone() };
        expect_problem(authority.request_as(&unknown, Method::GET, path), 401, "invalid_client").await;
        expect_problem(authority.bare(Method::GET, path).bearer_auth("x.y.z"), 401, "invalid_client").await;
        authority.get(path).await;
    }
}

#[tokio::test]
async fn a_scope_opens_its_own_endpoints_only() {
    let endpoints: [(&str, Method, &str, Value); 7] = [
        ("annul.issue", Method::POST, "/v1/sessions", json!({"subject": "alice"})),
        ("annul.revoke", Method::POST, "/v1/revocations", json!({"targets": ["subject:alice"]})),
        ("annul.read", Method::GET, "/v1/revocations", Value::Null),
        ("annul.read", Method::GET, "/statusz", Value::Null),
        ("annul.follow", Method::GET, "/v1/feed/head", Value::Null),
        ("annul.admin", Method::GET, "/v1/clients", Value::Null),
        ("annul.admin", Method::POST, "/v1/keys/rotate", json!({})),
    ];
    for authority in both().await {
        for scope in ["annul.issue", "annul.revoke", "annul.read", "annul.follow", "annul.admin"] {
            let client = authority.client(&scope.replace('.', "-"), &[scope]).await;
            for (needed, method, path, body) in &endpoints {
                let request = || {
                    let request = authority.request_as(&client, method.clone(), path);
                    if body.is_null() { request } else { request.json(body) }
                };
                if *needed == scope {
                    let status = request().send().await.unwrap().status().as_u16();
                    assert!(![401, 403].contains(&status), "{scope} was refused at {path} with {status}");
                } else {
                    expect_problem(request(), 403, "insufficient_scope").await;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_removed_client_is_a_stranger() {
    for authority in both().await {
        let client = authority.client("shop", &["annul.read"]).await;
        expect(authority.request_as(&client, Method::GET, "/v1/keys"), 200).await;
        expect(authority.request(Method::DELETE, "/v1/clients/shop"), 204).await;
        expect_problem(authority.request_as(&client, Method::GET, "/v1/keys"), 401, "invalid_client").await;
        expect_problem(authority.request(Method::DELETE, "/v1/clients/shop"), 404, "client_unknown").await;
        let admin = format!("/v1/clients/{}", authority.admin.id);
        expect_problem(authority.request(Method::DELETE, &admin), 409, "last_admin").await;
    }
}

#[tokio::test]
async fn two_authorization_headers_are_refused() {
    let authority = crate::running::in_memory(|_| {}).await;
    let request = authority.request(Method::GET, "/v1/keys").header("authorization", "Basic YTpi");
    expect_problem(request, 400, "request_ambiguous").await;
}

#[tokio::test]
async fn a_client_cannot_be_made_with_a_scope_nobody_knows_or_a_name_twice() {
    for authority in both().await {
        let unknown = json!({"client_id": "shop", "scopes": ["annul.everything"]});
        let response = authority.request(Method::POST, "/v1/clients").json(&unknown).send().await.unwrap();
        assert_eq!(response.status(), 400);
        authority.client("shop", &["annul.read"]).await;
        let again = json!({"client_id": "shop", "scopes": ["annul.read"]});
        let response = authority.request(Method::POST, "/v1/clients").json(&again).send().await.unwrap();
        assert_eq!(response.status(), 409);
    }
}
