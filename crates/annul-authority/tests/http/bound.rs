//! Tokens that are bound to a key, where the authority itself is the one they are presented to.

use annul_authority::config::DpopNonce;
use annul_authority::http::codes::Code;
use annul_core::token::access_token_hash;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::oauth_world::{ACCESS, EXCHANGE, oauth_error, said};
use crate::running::{Running, both, expect, expect_problem, in_memory, text};
use crate::signer::{Signer, now, with};

const LOGIN: &str = "/v1/login";
const LOGOUT: &str = "/v1/logout";
const TOKEN: &str = "/oauth2/token";

/// A proof for a request to `path`, changed by `more`.
fn proof(signer: &Signer, authority: &Running, path: &str, more: &Value) -> String {
    let jti = uuid::Uuid::now_v7().to_string();
    let claims = json!({"jti": jti, "htm": "POST", "htu": format!("{}{path}", authority.server.url()), "iat": now()});
    signer.jwt(&json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": signer.jwk()}), &with(claims, more))
}

/// An access token of alice's that is bound to a key.
async fn bound(authority: &Running, signer: &Signer) -> String {
    let key = json!({"confirmation": {"jkt": signer.thumbprint()}});
    text(&authority.session_of("shop", "alice", key).await, "access_token")
}

fn logout(authority: &Running, credential: String) -> RequestBuilder {
    let request = authority.bare(Method::POST, LOGOUT).header("authorization", credential);
    request.json(&json!({"scope": "global"}))
}

fn challenge(response: &Response) -> &str {
    response.headers()["www-authenticate"].to_str().unwrap()
}

#[tokio::test]
async fn dp_4_a_stolen_bound_token_logs_nobody_out() {
    for authority in both().await {
        let (hers, thiefs) = (Signer::new(), Signer::new());
        let token = bound(&authority, &hers).await;
        let other = bound(&authority, &hers).await;
        let response = logout(&authority, format!("Bearer {token}")).send().await.unwrap();
        assert!(challenge(&response).starts_with("DPoP "), "{}", challenge(&response));
        expect_problem(logout(&authority, format!("Bearer {token}")), 401, "proof_needed").await;
        let ath = access_token_hash(&token);
        let with_proof = |proof: String| logout(&authority, format!("DPoP {token}")).header("dpop", proof);
        for refused in [
            logout(&authority, format!("DPoP {token}")),
            with_proof(proof(&thiefs, &authority, LOGOUT, &json!({"ath": ath}))),
            with_proof(proof(&hers, &authority, LOGOUT, &json!({}))),
            with_proof(proof(&hers, &authority, LOGOUT, &json!({"ath": access_token_hash(&other)}))),
            with_proof(proof(&hers, &authority, "/v1/login", &json!({"ath": ath}))),
            with_proof(proof(&hers, &authority, LOGOUT, &json!({"ath": ath, "iat": now() - 3600}))),
        ] {
            expect_problem(refused, 401, "invalid_dpop_proof").await;
        }
        let hint = [("id_token_hint", token.as_str()), ("scope", "global")];
        oauth_error(authority.bare_form("/oauth2/logout", &hint), 400, "invalid_request", "hint_spent").await;
        for alive in [&token, &other] {
            assert_eq!(authority.verdict(alive).await, "active");
        }

        let right = proof(&hers, &authority, LOGOUT, &json!({"ath": ath}));
        expect(with_proof(right.clone()), 200).await;
        for gone in [&token, &other] {
            assert_eq!(authority.verdict(gone).await, "revoked", "whoever holds the key logs out everywhere");
        }
        expect_problem(with_proof(right), 401, "invalid_dpop_proof").await;
    }
}

/// The same proof is refused with one status where a token is wanted and with another where one is presented,
/// as the table of codes prints both.
#[tokio::test]
async fn dp_4_a_bad_proof_has_the_status_that_the_table_prints() {
    let authority = in_memory(|_| {}).await;
    let signer = Signer::new();
    let token = bound(&authority, &signer).await;
    let stale =
        |path: &str| proof(&signer, &authority, path, &json!({"ath": access_token_hash(&token), "iat": now() - 3600}));
    let login = authority.bare(Method::POST, LOGIN).json(&json!({"username": "alice", "password": "correct horse"}));
    let wanted = login.header("dpop", stale(LOGIN)).send().await.unwrap();
    let presented = logout(&authority, format!("DPoP {token}")).header("dpop", stale(LOGOUT)).send().await.unwrap();
    assert!(challenge(&presented).contains("error=\"invalid_dpop_proof\""), "{}", challenge(&presented));
    assert!(!wanted.headers().contains_key("www-authenticate"));
    let row = Code::page().lines().find(|line| line.starts_with("| `invalid_dpop_proof`")).unwrap().to_owned();
    let statuses = format!("| {}; beside a token {} |", wanted.status().as_u16(), presented.status().as_u16());
    assert!(row.contains(&statuses), "{row} does not say {statuses}");
}

#[tokio::test]
async fn dp_5_a_token_that_is_bound_to_nothing_comes_as_bearer() {
    let authority = in_memory(|_| {}).await;
    let token = text(&authority.session("alice").await, "access_token");
    let proof = proof(&Signer::new(), &authority, LOGOUT, &json!({"ath": access_token_hash(&token)}));
    let with_proof = logout(&authority, format!("DPoP {token}")).header("dpop", proof);
    expect_problem(with_proof, 401, "token_not_bound").await;
    assert_eq!(authority.verdict(&token).await, "active");
    expect_problem(logout(&authority, format!("Basic {token}")), 401, "token_required").await;
    expect(logout(&authority, format!("bearer {token}")), 200).await;
}

#[tokio::test]
async fn dp_6_a_logout_is_asked_for_a_nonce_where_one_is_required() {
    let authority = in_memory(|config| config.server.dpop_nonce = DpopNonce::Required).await;
    let signer = Signer::new();
    let token = bound(&authority, &signer).await;
    let ath = access_token_hash(&token);
    let send = |claims: Value| {
        let proof = proof(&signer, &authority, LOGOUT, &with(json!({"ath": ath}), &claims));
        logout(&authority, format!("DPoP {token}")).header("dpop", proof)
    };
    let asked = send(json!({})).send().await.unwrap();
    assert_eq!(asked.status(), 401);
    assert!(challenge(&asked).contains("error=\"use_dpop_nonce\""), "{}", challenge(&asked));
    let nonce = asked.headers()["dpop-nonce"].to_str().unwrap().to_owned();
    expect(send(json!({"nonce": nonce})), 200).await;
}

#[tokio::test]
async fn dp_4_a_stolen_bound_token_makes_nobody_an_actor() {
    for authority in both().await {
        let hers = Signer::new();
        let actor = bound(&authority, &hers).await;
        let subject = text(&authority.session_of("shop", "bob", json!({})).await, "access_token");
        let app = json!({"client_id": "app", "scopes": [], "token_endpoint_auth_method": "none"});
        authority.register(with(app, &json!({"grant_types": [EXCHANGE]}))).await;
        let service = authority.client("service", &["read"]).await;
        let mut form = vec![
            ("grant_type", EXCHANGE),
            ("subject_token", &subject),
            ("subject_token_type", ACCESS),
            ("actor_token", &actor),
            ("actor_token_type", ACCESS),
            ("scope", "read"),
        ];
        // A client that proved who it is may have been given the token.
        let by_service = expect(authority.form(&service, TOKEN, &form), 200).await;
        assert_eq!(said(&text(&by_service, "access_token"))["act"]["sub"], "alice");

        form.push(("client_id", "app"));
        oauth_error(authority.bare_form(TOKEN, &form), 400, "invalid_request", "request_invalid").await;
        let thiefs = proof(&Signer::new(), &authority, TOKEN, &json!({}));
        let by_thief = authority.bare_form(TOKEN, &form).header("dpop", thiefs);
        oauth_error(by_thief, 400, "invalid_request", "request_invalid").await;
        let proven = proof(&hers, &authority, TOKEN, &json!({}));
        let by_holder = expect(authority.bare_form(TOKEN, &form).header("dpop", proven), 200).await;
        assert_eq!(said(&text(&by_holder, "access_token"))["act"]["sub"], "alice");
    }
}

#[tokio::test]
async fn dp_5_a_public_clients_refresh_token_is_bound_to_the_key_it_was_refreshed_with() {
    for authority in both().await {
        let (hers, thiefs) = (Signer::new(), Signer::new());
        let app = json!({"client_id": "app", "scopes": [], "token_endpoint_auth_method": "none"});
        authority.register(app).await;
        let opened = authority.session_of("app", "alice", json!({"refresh_token": true})).await;
        let refresh = |token: &str, signer: Option<&Signer>| {
            let form = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", "app")];
            let request = authority.bare_form(TOKEN, &form);
            match signer {
                Some(signer) => request.header("dpop", proof(signer, &authority, TOKEN, &json!({}))),
                None => request,
            }
        };
        let first = text(&opened, "refresh_token");
        let bound = expect(refresh(&first, Some(&hers)), 200).await;
        assert_eq!(said(&text(&bound, "access_token"))["cnf"]["jkt"], hers.thumbprint());
        let next = text(&bound, "refresh_token");
        for (token, stolen) in [(&next, None), (&next, Some(&thiefs))] {
            oauth_error(refresh(token, stolen), 400, "invalid_grant", "refresh_token_other_key").await;
        }
        let repeated = expect(refresh(&first, Some(&hers)), 200).await;
        assert_eq!(text(&repeated, "refresh_token"), next, "her lost answer");
        let last = expect(refresh(&next, Some(&hers)), 200).await;
        assert_eq!(authority.verdict(&text(&last, "access_token")).await, "active");
        // The key names the session from there on.
        let target = format!("confirmation:{}", hers.thumbprint());
        authority.post("/v1/revocations", json!({"targets": [target]}), 201).await;
        let refused = refresh(&text(&last, "refresh_token"), Some(&hers));
        oauth_error(refused, 400, "invalid_grant", "session_revoked").await;

        // Whoever binds a session by a stolen credential is found out by its owner all the same.
        let opened = authority.session_of("app", "bob", json!({"refresh_token": true})).await;
        let first = text(&opened, "refresh_token");
        let taken = expect(refresh(&first, Some(&thiefs)), 200).await;
        oauth_error(refresh(&first, None), 400, "invalid_grant", "refresh_token_reused").await;
        let next = text(&taken, "refresh_token");
        oauth_error(refresh(&next, Some(&thiefs)), 400, "invalid_grant", "session_revoked").await;
    }
}

#[tokio::test]
async fn dp_3_the_refresh_token_of_a_client_that_proves_itself_is_bound_to_no_key() {
    let authority = in_memory(|_| {}).await;
    let shop = authority.client("shop", &[]).await;
    let opened = authority.session_of("shop", "alice", json!({"refresh_token": true})).await;
    let form = |token: &str| {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        authority.form(&shop, TOKEN, &form)
    };
    let proof = proof(&Signer::new(), &authority, TOKEN, &json!({}));
    let once = expect(form(&text(&opened, "refresh_token")).header("dpop", proof), 200).await;
    assert_eq!(once["token_type"], "DPoP");
    let plain = expect(form(&text(&once, "refresh_token")), 200).await;
    assert_eq!(plain["token_type"], "Bearer");
}
