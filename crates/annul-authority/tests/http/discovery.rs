//! What is public: metadata, keys, health and the document of the API.

use std::collections::BTreeSet;

use annul_authority::secrets::passwords::MIN_PASSWORD;
use annul_authority::verbs::bounds::MAX_SCOPE;
use reqwest::Method;
use serde_json::{Value, json};

use crate::running::{both, expect, in_memory};

#[tokio::test]
async fn md_1_an_issuer_with_a_path_has_its_metadata_behind_the_well_known_part() {
    let authority = in_memory(|config| config.tokens.issuer = "https://auth.example/t1".to_owned()).await;
    let well_known = "/.well-known/oauth-authorization-server";
    let metadata = expect(authority.bare(Method::GET, &format!("{well_known}/t1")), 200).await;
    assert_eq!(metadata["issuer"], "https://auth.example/t1");
    expect(authority.bare(Method::GET, well_known), 404).await;
    expect(authority.bare(Method::GET, &format!("{well_known}/t2")), 404).await;
}

#[tokio::test]
async fn a_known_key_set_is_not_sent_again() {
    let authority = in_memory(|_| {}).await;
    let keys = || authority.bare(Method::GET, "/.well-known/jwks.json");
    let response = keys().send().await.unwrap();
    assert_eq!(response.headers()["cache-control"], "public, max-age=300, stale-while-revalidate=60");
    let tag = response.headers()["etag"].clone();
    let private: Value = response.json().await.unwrap();
    assert!(private["keys"].as_array().unwrap().iter().all(|key| key.get("d").is_none()), "{private}");
    let again = keys().header("if-none-match", tag.clone()).send().await.unwrap();
    assert_eq!(again.status(), 304);
    authority.post("/v1/keys/rotate", json!({}), 200).await;
    assert_eq!(keys().header("if-none-match", tag).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn health_is_public_and_status_is_not() {
    for authority in both().await {
        for path in ["/livez", "/readyz", "/metrics", "/openapi.json"] {
            assert_eq!(authority.bare(Method::GET, path).send().await.unwrap().status(), 200, "{path}");
        }
        assert_eq!(authority.bare(Method::GET, "/statusz").send().await.unwrap().status(), 401);
        let status = authority.get("/statusz").await;
        assert_eq!((&status["state"], &status["streams"]), (&"live".into(), &0.into()));
        authority.session("alice").await;
        let metrics = authority.bare(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
        assert!(metrics.contains("annul_tokens_issued_total{by=\"session\"} 1"), "{metrics}");
        assert!(metrics.contains("route=\"/v1/sessions\""));
    }
}

#[tokio::test]
async fn the_document_names_every_endpoint_with_its_errors_and_its_scope() {
    let authority = in_memory(|_| {}).await;
    let document = expect(authority.bare(Method::GET, "/openapi.json"), 200).await;
    let mut unguarded = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(!operation["summary"].as_str().unwrap_or_default().is_empty(), "{method} {path} says nothing");
            assert!(operation["responses"]["default"].is_object(), "{method} {path} names no errors");
            if operation.get("security").is_none() {
                unguarded.insert(path.as_str());
            }
        }
    }
    let public = [
        "/.well-known/jwks.json",
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server/{path}",
        "/livez",
        "/metrics",
        // Its callers send a token of the session.
        "/oauth2/logout",
        "/readyz",
        // Their callers prove a password.
        "/v1/accounts/{username}/lookup-id",
        "/v1/accounts/{username}/password",
        "/v1/accounts/{username}/secure",
        "/v1/login",
    ];
    assert_eq!(unguarded, BTreeSet::from(public));
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/http.md")).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let endpoint = format!("`{} {path}", method.to_uppercase());
            assert!(page.contains(&endpoint), "docs/reference/http.md does not describe {endpoint}`");
        }
    }
}

#[tokio::test]
async fn the_document_tells_forms_and_which_bodies_may_be_left_out() {
    let authority = in_memory(|_| {}).await;
    let document = expect(authority.bare(Method::GET, "/openapi.json"), 200).await;
    let operations = &document["paths"];
    assert_eq!(operations["/v1/subjects/{subject}/block"]["post"]["requestBody"]["required"], false);
    assert_eq!(operations["/v1/sessions"]["post"]["requestBody"]["required"], true);
    // Each of its members may be left out, and not all of them.
    assert_eq!(operations["/v1/revocations"]["post"]["requestBody"]["required"], true);
    assert_eq!(operations["/v1/clients/{client_id}"]["put"]["requestBody"]["required"], false);
    let subject = &operations["/v1/sessions"]["get"]["parameters"][0];
    assert_eq!(subject["name"], "subject");
    assert!(subject["schema"]["pattern"].is_string());
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["AccountRequest"]["properties"]["password"]["minLength"], MIN_PASSWORD);
    assert_eq!(schemas["OpenSession"]["properties"]["scope"]["maxLength"], MAX_SCOPE);
    assert_eq!(schemas["RecordUpdate"]["properties"]["fields"]["items"]["enum"], json!(["email", "password", "role"]));
    let life = &schemas["SettingsRequest"]["properties"]["longest_life"];
    assert_eq!(life["minimum"], 300, "tokens that are issued live so long");
}

#[tokio::test]
async fn the_document_allows_empty_parameters_of_forms_and_demands_what_is_needed() {
    let authority = in_memory(|_| {}).await;
    let document = expect(authority.bare(Method::GET, "/openapi.json"), 200).await;
    let schemas = &document["components"]["schemas"];
    let parameters = document["paths"]["/oauth2/logout"]["get"]["parameters"].as_array().unwrap();
    let of_a_link = parameters.iter().find(|parameter| parameter["name"] == "scope").unwrap();
    for scope in [&schemas["LogoutForm"]["properties"]["scope"], &of_a_link["schema"]] {
        assert_eq!(scope["enum"], json!(["local", "global", ""]));
    }
    assert_eq!(schemas["IntrospectionForm"]["properties"]["token"]["minLength"], 1);
    for grant in schemas["TokenForm"]["oneOf"].as_array().unwrap() {
        let properties = &grant["properties"];
        for needed in grant["required"].as_array().unwrap().iter().filter_map(Value::as_str) {
            let schema = &properties[needed];
            assert!(schema["minLength"] == 1 || schema["const"].is_string() || schema["enum"].is_array(), "{schema}");
        }
        // Whom the token is for is not read with a refresh token.
        let is_refresh = properties["grant_type"]["const"] == "refresh_token";
        for address in ["audience", "resource"] {
            let pattern = properties[address]["pattern"].as_str();
            assert_eq!(pattern.is_some_and(|pattern| pattern.starts_with("^$|")), !is_refresh, "{grant}");
        }
    }
}

/// RFC 9449 §7.1: a token that is bound to a key is sent by a scheme of its own, with a proof beside it.
#[tokio::test]
async fn dp_4_the_document_offers_what_a_bound_token_is_sent_with() {
    let authority = in_memory(|_| {}).await;
    let document = expect(authority.bare(Method::GET, "/openapi.json"), 200).await;
    let ways = &document["paths"]["/v1/logout"]["post"]["security"];
    assert_eq!(*ways, json!([{"access_token": []}, {"bound_access_token": [], "dpop_proof": []}]));
    let schemes = &document["components"]["securitySchemes"];
    assert_eq!(
        (&schemes["bound_access_token"]["type"], &schemes["bound_access_token"]["scheme"]),
        (&json!("http"), &json!("DPoP"))
    );
    let proof = &schemes["dpop_proof"];
    assert_eq!((&proof["type"], &proof["in"], &proof["name"]), (&json!("apiKey"), &json!("header"), &json!("DPoP")));
}
