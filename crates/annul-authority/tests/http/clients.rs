//! How a client proves itself at the OAuth endpoints.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::running::{Running, both, expect, expect_problem, in_memory, text};
use crate::signer::{Signer, now, with};

const ISSUER: &str = "http://127.0.0.1:7400";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn token(authority: &Running, form: &[(&str, &str)]) -> RequestBuilder {
    let form: Vec<_> = form.iter().chain(&[("grant_type", "client_credentials")]).collect();
    authority.bare(Method::POST, "/oauth2/token").form(&form)
}

/// The `error` and `error_description` of a refusal.
async fn refused(request: RequestBuilder, status: u16) -> (String, String) {
    let answer = expect(request, status).await;
    (text(&answer, "error"), text(&answer, "error_description"))
}

async fn register(authority: &Running, metadata: Value) -> Value {
    authority.post("/v1/clients", metadata, 201).await
}

#[tokio::test]
async fn te_4_a_secret_comes_by_header_or_form_as_it_was_registered() {
    for authority in both().await {
        let basic = authority.client("basic", &[]).await;
        let made = register(
            &authority,
            json!({"client_id": "post", "scopes": [], "token_endpoint_auth_method": "client_secret_post"}),
        )
        .await;
        assert_eq!(made["token_endpoint_auth_method"], "client_secret_post");
        let secret = text(&made, "client_secret");
        expect(token(&authority, &[]).basic_auth(&basic.id, Some(&basic.secret)), 200).await;
        expect(token(&authority, &[("client_id", "basic"), ("client_secret", &basic.secret)]), 200).await;
        expect(token(&authority, &[("client_id", "post"), ("client_secret", &secret)]), 200).await;
        let by_header = token(&authority, &[]).basic_auth("post", Some(&secret));
        assert_eq!(refused(by_header, 401).await.0, "invalid_client");
        // The secret is the same credential at /v1, which takes HTTP Basic only.
        expect_problem(
            authority.bare(Method::GET, "/v1/keys").basic_auth("post", Some(&secret)),
            403,
            "insufficient_scope",
        )
        .await;
    }
}

#[tokio::test]
async fn te_4_two_ways_at_once_are_refused_and_nobody_is_told_which_was_right() {
    let authority = in_memory(|_| {}).await;
    let client = authority.client("shop", &[]).await;
    let basic = |form: &[(&str, &str)]| token(&authority, form).basic_auth(&client.id, Some(&client.secret));
    let (id, secret) = (("client_id", "shop"), ("client_secret", client.secret.as_str()));
    let (assertion, kind) = (("client_assertion", "a.b.c"), ("client_assertion_type", ASSERTION_TYPE));
    for request in [
        basic(&[secret]),
        basic(&[id, secret]),
        basic(&[assertion, kind]),
        token(&authority, &[id, secret, assertion, kind]),
        basic(&[("client_id", "other")]),
        token(&authority, &[id, assertion]),
        token(
            &authority,
            &[id, assertion, ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2")],
        ),
    ] {
        assert_eq!(refused(request, 400).await.0, "invalid_request");
    }
    // An unknown client and a wrong secret are one answer, by header and by form.
    let by_header = [("nobody", "x"), ("shop", "x"), ("shop", "")]
        .map(|(id, secret)| token(&authority, &[]).basic_auth(id, Some(secret)));
    let by_form = [("nobody", "x"), ("shop", "x")]
        .map(|(id, secret)| token(&authority, &[("client_id", id), ("client_secret", secret)]));
    let no_proof = ["shop", "nobody"].map(|id| token(&authority, &[("client_id", id)]));
    let mut answers = Vec::new();
    for request in by_header.into_iter().chain(by_form).chain(no_proof) {
        answers.push(refused(request, 401).await);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    let bearer = token(&authority, &[]).bearer_auth("x");
    assert_eq!(refused(bearer, 401).await.0, "invalid_client");
    assert_eq!(refused(token(&authority, &[]), 401).await.0, "invalid_client", "nameless");
}

/// Repeats a request that a lane of one a second takes, until it is refused, and says how many passed: from a lane
/// that nobody used a burst of two, and on a slow machine a few more.
async fn until_limited(request: impl Fn() -> RequestBuilder) -> u64 {
    for passed in 0..100 {
        if request().send().await.unwrap().status() == 429 {
            return passed;
        }
    }
    panic!("a hundred requests passed a lane of one a second");
}

#[tokio::test]
async fn failures_count_against_the_address_and_lock_no_client_out() {
    let authority = in_memory(|config| config.limits.anonymous = 1).await;
    let client = authority.client("shop", &[]).await;
    let begun = Instant::now();
    until_limited(|| token(&authority, &[]).basic_auth("shop", Some("guess"))).await;
    expect(token(&authority, &[]).basic_auth(&client.id, Some(&client.secret)), 200).await;
    // Whoever names a public client is nobody in particular.
    let passed = until_limited(|| token(&authority, &[("client_id", "annul.login")])).await;
    assert!(passed <= begun.elapsed().as_secs(), "{passed} passed, as if they had a lane of their own");
}

#[tokio::test]
async fn ca_1_an_assertion_by_the_clients_own_key_proves_it_once() {
    for authority in both().await {
        let (signer, client) = with_key(&authority, json!({})).await;
        assert!(client.get("client_secret").is_none());
        let assertion = signer.jwt(&header(), &claims());
        expect(by(&authority, &assertion), 200).await;
        let (error, why) = refused(by(&authority, &assertion), 401).await;
        assert_eq!(error, "invalid_client");
        assert!(why.contains("used before"), "ca_4: {why}");
        // With the type of its own, with the id beside it, and as a list of one.
        let typed = with(header(), &json!({"typ": "client-authentication+jwt"}));
        expect(by(&authority, &signer.jwt(&typed, &claims())), 200).await;
        let assertion = signer.jwt(&header(), &with(claims(), &json!({"aud": [ISSUER]})));
        let form =
            [("client_id", "robot"), ("client_assertion_type", ASSERTION_TYPE), ("client_assertion", &assertion)];
        expect(token(&authority, &form), 200).await;
    }
}

#[tokio::test]
async fn ca_2_the_issuer_is_the_only_audience_unless_the_client_is_of_an_older_kind() {
    for authority in both().await {
        let endpoint = format!("{}/oauth2/token", authority.server.url());
        let audiences =
            [json!(endpoint), json!([ISSUER, endpoint]), json!([ISSUER, "https://other.example"]), json!("other")];
        let (signer, _) = with_key(&authority, json!({})).await;
        for aud in &audiences {
            let assertion = signer.jwt(&header(), &with(claims(), &json!({ "aud": aud })));
            let (error, why) = refused(by(&authority, &assertion), 401).await;
            assert_eq!(error, "invalid_client");
            assert!(why.contains("audience"), "{aud}: {why}");
        }
        let (signer, _) = with_key(&authority, json!({"client_id": "old", "legacy_audience": true})).await;
        let old = |aud: &Value| {
            let claims = with(claims(), &json!({"iss": "old", "sub": "old", "aud": aud}));
            by(&authority, &signer.jwt(&header(), &claims))
        };
        for (aud, status) in audiences.iter().zip([200, 200, 401, 401]) {
            expect(old(aud), status).await;
        }
        expect(old(&json!(ISSUER)), 200).await;
    }
}

#[tokio::test]
async fn ca_4_an_assertion_that_is_not_for_now_or_not_by_the_clients_key_is_refused() {
    let authority = in_memory(|_| {}).await;
    let (signer, _) = with_key(&authority, json!({})).await;
    let now = now();
    for changes in [
        json!({"exp": now + 3620}),
        json!({"exp": now - 10}),
        json!({"exp": null}),
        json!({"jti": null}),
        json!({"nbf": now + 60}),
        json!({"iat": now + 120}),
        json!({"exp": now + 3500, "iat": now - 300}),
    ] {
        let assertion = signer.jwt(&header(), &with(claims(), &changes));
        assert_eq!(refused(by(&authority, &assertion), 401).await.0, "invalid_client", "{changes}");
    }
    // An hour is what common clients sign for.
    let hour = signer.jwt(&header(), &with(claims(), &json!({"iat": now, "exp": now + 3600})));
    expect(by(&authority, &hour), 200).await;
    // Whoever does not hold the key learns nothing: as for a client that is not there.
    let nobody = json!({"iss": "nobody", "sub": "nobody"});
    let unknown = refused(by(&authority, &signer.jwt(&header(), &with(claims(), &nobody))), 401).await;
    let other = Signer::new();
    for (signer, header, claims) in [
        (&other, header(), claims()),
        (&other, header(), with(claims(), &json!({"aud": "other"}))),
        (&signer, with(header(), &json!({"kid": "other"})), claims()),
        (&signer, with(header(), &json!({"alg": "ES384"})), claims()),
        (&signer, header(), with(claims(), &json!({"sub": "admin"}))),
        (&signer, header(), with(claims(), &json!({"sub": null}))),
    ] {
        assert_eq!(refused(by(&authority, &signer.jwt(&header, &claims)), 401).await, unknown);
    }
    let foreign_kind = signer.jwt(&with(header(), &json!({"typ": "at+jwt"})), &claims());
    assert_eq!(refused(by(&authority, &foreign_kind), 401).await.0, "invalid_client");
    let issued_for_another = signer.jwt(&header(), &with(claims(), &json!({"iss": "other"})));
    assert_eq!(refused(by(&authority, &issued_for_another), 401).await.0, "invalid_client");
    // A key that is taken away proves nothing from the answer on, and its successor does.
    let successor = Signer::new();
    let keys = |signer: &Signer| json!({"keys": [with(signer.jwk(), &json!({"kid": "k1"}))]});
    let change = |metadata: Value, status| authority.call(Method::PUT, "/v1/clients/robot", metadata, status);
    let by_key = |signer| json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": keys(signer)});
    let changed = change(by_key(&successor), 200).await;
    assert_eq!((&changed["client_id"], &changed["scopes"]), (&json!("robot"), &json!([])));
    assert_eq!(refused(by(&authority, &signer.jwt(&header(), &claims())), 401).await, unknown);
    expect(by(&authority, &successor.jwt(&header(), &claims())), 200).await;
    assert_eq!(text(&change(json!({}), 409).await, "code"), "client_method", "it has no secret to go back to");
    authority.call(Method::PUT, "/v1/clients/nobody", by_key(&signer), 404).await;
    change(by_key(&signer), 200).await;
    expect(by(&authority, &signer.jwt(&header(), &claims())), 200).await;
    // So does the key of a client that is gone.
    authority.call(Method::DELETE, "/v1/clients/robot", Value::Null, 204).await;
    assert_eq!(refused(by(&authority, &signer.jwt(&header(), &claims())), 401).await, unknown);
}

#[tokio::test]
async fn a_public_client_is_anybody_and_gets_nothing_for_itself() {
    for authority in both().await {
        let public = json!({"client_id": "app", "scopes": [], "token_endpoint_auth_method": "none"});
        let made = register(&authority, public).await;
        assert!(made.get("client_secret").is_none());
        let grants = json!(["urn:ietf:params:oauth:grant-type:token-exchange", "refresh_token"]);
        assert_eq!(made["grant_types"], grants);
        for id in ["app", "annul.login"] {
            let (error, _) = refused(token(&authority, &[("client_id", id)]), 400).await;
            assert_eq!(error, "unauthorized_client", "{id}");
            let introspect = authority.bare(Method::POST, "/oauth2/introspect");
            let introspect = introspect.form(&[("client_id", id), ("token", "x")]);
            assert_eq!(refused(introspect, 401).await.0, "invalid_client");
        }
        let empty_secret = format!("Basic {}", STANDARD.encode("app:"));
        let by_secret = token(&authority, &[]).header("authorization", empty_secret);
        assert_eq!(refused(by_secret, 401).await.0, "invalid_client", "no secret is not an empty one");
        let with_scope = json!({"client_id": "b", "scopes": ["annul.read"], "token_endpoint_auth_method": "none"});
        expect_problem(authority.request(Method::POST, "/v1/clients").json(&with_scope), 400, "request_invalid").await;
        let misspelt = json!({"client_id": "b", "scopes": [], "dpop_bound_access_token": true});
        let misspelt = authority.request(Method::POST, "/v1/clients").json(&misspelt);
        expect_problem(misspelt, 400, "request_unknown_field").await;
        let listed = authority.get("/v1/clients").await;
        let admin = listed["clients"].as_array().unwrap().iter().find(|client| client["client_id"] == "admin").unwrap();
        assert_eq!(admin["token_endpoint_auth_method"], "client_secret_basic");
    }
}

#[tokio::test]
async fn a_session_of_a_login_belongs_to_the_public_client_that_it_names() {
    let authority = in_memory(|_| {}).await;
    authority.post("/v1/accounts", json!({"username": "alice", "password": "correct horse"}), 201).await;
    register(&authority, json!({"client_id": "app", "scopes": [], "token_endpoint_auth_method": "none"})).await;
    authority.client("shop", &[]).await;
    let login = |id: Value| {
        let body = json!({"username": "alice", "password": "correct horse"});
        authority.bare(Method::POST, "/v1/login").json(&with(body, &json!({ "client_id": id })))
    };
    for (named, client) in [(Value::Null, "annul.login"), (json!("app"), "app")] {
        let answer = expect(login(named), 200).await;
        let session = authority.get(&format!("/v1/sessions/{}", text(&answer, "sid"))).await;
        assert_eq!(session["client_id"], client);
    }
    for id in ["shop", "nobody", ""] {
        expect_problem(login(json!(id)), 400, "request_invalid").await;
    }
}

/// A client `robot` that signs assertions, unless `changes` say otherwise.
async fn with_key(authority: &Running, changes: Value) -> (Signer, Value) {
    let signer = Signer::new();
    let metadata = json!({
        "client_id": "robot", "scopes": [], "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [with(signer.jwk(), &json!({"kid": "k1"}))]},
    });
    let client = register(authority, with(metadata, &changes)).await;
    (signer, client)
}

fn header() -> Value {
    json!({"alg": "ES256", "kid": "k1"})
}

/// Claims of a new assertion of `robot`.
fn claims() -> Value {
    let jti = uuid::Uuid::now_v7().to_string();
    json!({"iss": "robot", "sub": "robot", "aud": ISSUER, "exp": now() + 300, "iat": now(), "jti": jti})
}

fn by(authority: &Running, assertion: &str) -> RequestBuilder {
    token(authority, &[("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion)])
}
