//! DPoP at the endpoints that give tokens.

use annul_core::token::UnverifiedToken;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::running::{Credential, Running, both, expect, in_memory, text};
use crate::signer::{Signer, now, with};

const PUBLIC: &str = "https://auth.example/tenant";

fn claims(url: &str) -> Value {
    let jti = uuid::Uuid::now_v7().to_string();
    json!({"jti": jti, "htm": "POST", "htu": format!("{url}/oauth2/token"), "iat": now()})
}

fn proof(signer: &Signer, claims: &Value) -> String {
    signer.jwt(&json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": signer.jwk()}), claims)
}

fn token(authority: &Running, client: &Credential) -> RequestBuilder {
    let request = authority.request_as(client, Method::POST, "/oauth2/token");
    request.form(&[("grant_type", "client_credentials")])
}

fn thumbprint_of(answer: &Value) -> Value {
    let token = text(answer, "access_token");
    let token = UnverifiedToken::parse(&token).unwrap();
    token.claims().get("cnf").map_or(Value::Null, |cnf| cnf["jkt"].clone())
}

async fn refused(request: RequestBuilder) -> Value {
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.status(), 400);
    response.json().await.unwrap()
}

#[tokio::test]
async fn dp_3_a_token_got_with_a_proof_is_bound_to_its_key() {
    for authority in both().await {
        let client = authority.client("shop", &[]).await;
        let signer = Signer::new();
        let url = authority.server.url().to_owned();
        let answer = expect(token(&authority, &client).header("dpop", proof(&signer, &claims(&url))), 200).await;
        assert_eq!(answer["token_type"], "DPoP");
        assert_eq!(thumbprint_of(&answer), signer.thumbprint());
        let introspect = authority.request(Method::POST, "/oauth2/introspect");
        let found = expect(introspect.form(&[("token", text(&answer, "access_token"))]), 200).await;
        assert_eq!((&found["token_type"], &found["cnf"]["jkt"]), (&json!("DPoP"), &json!(signer.thumbprint())));
        // DP-9: the key is a target like any other.
        let target = format!("confirmation:{}", signer.thumbprint());
        authority.post("/v1/revocations", json!({"targets": [target]}), 201).await;
        assert_eq!(authority.verdict(&text(&answer, "access_token")).await, "revoked");

        let plain = expect(token(&authority, &client), 200).await;
        assert_eq!((plain["token_type"].as_str(), thumbprint_of(&plain)), (Some("Bearer"), Value::Null));
    }
}

#[tokio::test]
async fn dp_3_a_bad_proof_is_named_and_gives_nothing() {
    let authority = in_memory(|_| {}).await;
    let client = authority.client("shop", &[]).await;
    let (signer, url) = (Signer::new(), authority.server.url().to_owned());
    for changes in [
        json!({"htm": "GET"}),
        json!({"htu": format!("{url}/oauth2/introspect")}),
        json!({"htu": "https://evil.example/oauth2/token"}),
        json!({"iat": now() - 3600}),
        json!({"iat": now() + 3600}),
        json!({"jti": null}),
    ] {
        let proof = proof(&signer, &with(claims(&url), &changes));
        let answer = refused(token(&authority, &client).header("dpop", proof)).await;
        assert_eq!(answer["error"], "invalid_dpop_proof", "{changes}");
    }
    let twice = token(&authority, &client);
    let twice = twice.header("dpop", proof(&signer, &claims(&url))).header("dpop", proof(&signer, &claims(&url)));
    assert_eq!(refused(twice).await["error"], "invalid_dpop_proof");
    for changes in [json!({"htu": format!("{url}/oauth2/token?x=1#y")}), json!({"iat": now() - 10}), json!({"x": [1]})]
    {
        let proof = proof(&signer, &with(claims(&url), &changes));
        expect(token(&authority, &client).header("dpop", proof), 200).await;
    }
}

#[tokio::test]
async fn dp_7_a_proof_is_taken_once_of_fifty_at_once_too() {
    let authority = in_memory(|_| {}).await;
    let client = authority.client("shop", &[]).await;
    let (signer, url) = (Signer::new(), authority.server.url().to_owned());
    let proof_text = proof(&signer, &claims(&url));
    let tries = (0..50).map(|_| token(&authority, &client).header("dpop", &proof_text).send());
    let answers: Vec<Response> = futures::future::join_all(tries).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|answer| answer.status() == 200).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status() == 400).count(), 49);
    let same_name = with(claims(&url), &json!({"jti": "j-1"}));
    expect(token(&authority, &client).header("dpop", proof(&signer, &same_name)), 200).await;
    let again = refused(token(&authority, &client).header("dpop", proof(&signer, &same_name))).await;
    assert_eq!(again["error"], "invalid_dpop_proof", "another proof of the same name");
    // Nobody uses up the names of another's key.
    expect(token(&authority, &client).header("dpop", proof(&Signer::new(), &same_name)), 200).await;
}

#[tokio::test]
async fn dp_6_a_nonce_is_asked_for_once_where_it_is_required() {
    let authority = in_memory(|config| config.server.dpop_nonce = annul_authority::config::DpopNonce::Required).await;
    let client = authority.client("shop", &[]).await;
    let (signer, url) = (Signer::new(), authority.server.url().to_owned());
    let ask = || token(&authority, &client).header("dpop", proof(&signer, &claims(&url))).send();
    let mut nonces = Vec::new();
    for _ in 0..2 {
        let response = ask().await.unwrap();
        assert_eq!(response.status(), 400);
        assert_eq!(response.headers()["cache-control"], "no-store");
        let given: Vec<_> = response.headers().get_all("dpop-nonce").iter().cloned().collect();
        assert_eq!(given.len(), 1);
        nonces.push(given[0].to_str().unwrap().to_owned());
        let answer: Value = response.json().await.unwrap();
        assert_eq!(answer["error"], "use_dpop_nonce");
    }
    assert_ne!(nonces[0], nonces[1], "no nonce is given twice");
    for nonce in &nonces {
        let proof = proof(&signer, &with(claims(&url), &json!({ "nonce": nonce })));
        expect(token(&authority, &client).header("dpop", proof), 200).await;
    }
    let made_up = proof(&signer, &with(claims(&url), &json!({"nonce": "made-up"})));
    assert_eq!(refused(token(&authority, &client).header("dpop", made_up)).await["error"], "use_dpop_nonce");
    let wrong = proof(&signer, &with(claims(&url), &json!({"htm": "GET"})));
    let wrong = token(&authority, &client).header("dpop", wrong).send().await.unwrap();
    assert!(!wrong.headers().contains_key("dpop-nonce"), "what a nonce would not mend is not asked for one");
    expect(token(&authority, &client), 200).await;
}

#[tokio::test]
async fn dp_3_a_client_that_is_to_be_bound_gets_nothing_without_a_proof() {
    let authority = in_memory(|_| {}).await;
    let made = json!({"client_id": "app", "scopes": [], "dpop_bound_access_tokens": true});
    let made = authority.post("/v1/clients", made, 201).await;
    let client = Credential { id: "app".to_owned(), secret: text(&made, "client_secret") };
    assert_eq!(refused(token(&authority, &client)).await["error"], "invalid_dpop_proof");
    let (signer, url) = (Signer::new(), authority.server.url().to_owned());
    expect(token(&authority, &client).header("dpop", proof(&signer, &claims(&url))), 200).await;
}

#[tokio::test]
async fn the_address_of_a_proof_is_the_configured_one_whatever_headers_say() {
    let authority = in_memory(|config| config.server.public_url = Some(format!("{PUBLIC}/"))).await;
    let client = authority.client("shop", &[]).await;
    let signer = Signer::new();
    let ask = |url: &str| {
        let request = token(&authority, &client).header("dpop", proof(&signer, &claims(url)));
        request.header("x-forwarded-proto", "https").header("x-forwarded-host", "evil.example")
    };
    expect(ask(PUBLIC), 200).await;
    for url in ["https://evil.example", "https://evil.example/tenant", authority.server.url(), "https://auth.example"] {
        assert_eq!(refused(ask(url)).await["error"], "invalid_dpop_proof", "{url}");
    }
    let forwarded = ask("https://evil.example").header("forwarded", "host=evil.example;proto=https");
    assert_eq!(refused(forwarded).await["error"], "invalid_dpop_proof");
}

#[tokio::test]
async fn a_login_with_a_proof_opens_a_session_bound_to_its_key() {
    for authority in both().await {
        authority.post("/v1/accounts", json!({"username": "alice", "password": "correct horse"}), 201).await;
        let app = json!({
            "client_id": "app", "scopes": [], "token_endpoint_auth_method": "none", "dpop_bound_access_tokens": true,
        });
        authority.post("/v1/clients", app, 201).await;
        let (signer, url) = (Signer::new(), authority.server.url().to_owned());
        let login = |body: Value| {
            let body = with(json!({"username": "alice", "password": "correct horse"}), &body);
            authority.bare(Method::POST, "/v1/login").json(&body)
        };
        let proof = || proof(&signer, &with(claims(&url), &json!({"htu": format!("{url}/v1/login")})));
        let answer = expect(login(json!({})).header("dpop", proof()), 200).await;
        assert_eq!((answer["token_type"].as_str(), thumbprint_of(&answer)), (Some("DPoP"), json!(signer.thumbprint())));
        let answer = expect(login(json!({"client_id": "app"})).header("dpop", proof()), 200).await;
        assert_eq!(thumbprint_of(&answer), signer.thumbprint());
        let unproven = expect(login(json!({"client_id": "app"})), 400).await;
        assert_eq!(unproven["code"], "invalid_dpop_proof");
        let plain = expect(login(json!({})), 200).await;
        assert_eq!(plain["token_type"], "Bearer");
    }
}
