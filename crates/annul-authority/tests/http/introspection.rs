//! `/oauth2/introspect`, plain (RFC 7662) and signed (RFC 9701), and reference tokens.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::oauth_world::{oauth_error, part, said};
use crate::running::{Running, both, expect, in_memory, text};

const INTROSPECT: &str = "/oauth2/introspect";
const SIGNED: &str = "application/token-introspection+jwt";

async fn signed(request: RequestBuilder) -> String {
    let response = request.header("accept", SIGNED).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], SIGNED);
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.status(), 200);
    response.text().await.unwrap()
}

#[tokio::test]
async fn r7662_2_whatever_the_reason_an_inactive_token_is_inactive_and_nothing_else() {
    for authority in both().await {
        let revoked = authority.session("alice").await;
        authority
            .post("/v1/revocations", json!({ "targets": [format!("session:{}", text(&revoked, "sid"))] }), 201)
            .await;
        let good = text(&authority.session("bob").await, "access_token");
        let forged = format!("{}x", &good[..good.len() - 1]);
        let killed = text(&authority.session("carol").await, "access_token");
        let kid = text(&part(&killed, 0), "kid");
        authority.post(&format!("/v1/keys/{kid}/kill"), json!({}), 200).await;
        for token in [&text(&revoked, "access_token"), &forged, &killed, "garbage", "annul_at_x", "annul_rt_x"] {
            assert_eq!(authority.introspected(token).await, json!({ "active": false }), "{token}");
        }
    }
}

#[tokio::test]
async fn r7662_3_an_active_answer_has_its_types_its_key_and_its_scheme() {
    for authority in both().await {
        let jkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
        let more = json!({ "confirmation": { "jkt": jkt } });
        let token = text(&authority.session_of("shop", "alice", more).await, "access_token");
        let answer = authority.introspected(&token).await;
        assert_eq!((&answer["active"], &answer["token_type"]), (&json!(true), &json!("DPoP")));
        assert_eq!(answer["cnf"], json!({ "jkt": jkt }));
        assert_eq!((&answer["client_id"], &answer["scope"]), (&json!("shop"), &json!("read write")));
        for member in ["exp", "iat"] {
            assert!(answer[member].is_u64(), "{member} in {answer}");
        }
        let bearer = text(&authority.session("bob").await, "access_token");
        assert_eq!(authority.introspected(&bearer).await["token_type"], "Bearer");
    }
}

#[tokio::test]
async fn r7662_5_a_refresh_token_is_told_to_its_own_client_only_and_is_not_used_by_it() {
    for authority in both().await {
        let shop = authority.client("shop", &["read"]).await;
        let opened = authority.session_of("shop", "alice", json!({ "refresh_token": true })).await;
        let token = text(&opened, "refresh_token");
        let ask = |client| authority.form(client, INTROSPECT, &[("token", &token)]);
        for _ in 0..2 {
            let answer = expect(ask(&shop), 200).await;
            assert_eq!((&answer["active"], &answer["sub"]), (&json!(true), &json!("alice")), "{answer}");
            assert_eq!(answer["client_id"], "shop");
        }
        assert_eq!(expect(ask(&authority.admin), 200).await, json!({ "active": false }), "not even an administrator");
        let form = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
        expect(authority.form(&shop, "/oauth2/token", &form), 200).await;
        assert_eq!(expect(ask(&shop), 200).await, json!({ "active": false }), "a spent one");
    }
}

#[tokio::test]
async fn r7662_1_who_may_not_ask_is_told_so_and_a_client_may_ask_about_its_own() {
    let authority = in_memory(|_| {}).await;
    let shop = authority.client("shop", &["read"]).await;
    let own = text(&authority.session_of("shop", "alice", json!({})).await, "access_token");
    let others = text(&authority.session("bob").await, "access_token");
    assert_eq!(expect(authority.form(&shop, INTROSPECT, &[("token", &own)]), 200).await["active"], true);
    for token in [others.as_str(), "garbage"] {
        let request = authority.form(&shop, INTROSPECT, &[("token", token)]);
        oauth_error(request, 403, "unauthorized_client", "insufficient_scope").await;
    }
    authority.register(json!({ "client_id": "app", "scopes": [], "token_endpoint_auth_method": "none" })).await;
    let form = [("token", own.as_str()), ("client_id", "app")];
    oauth_error(authority.bare_form(INTROSPECT, &form), 401, "invalid_client", "invalid_client").await;
    assert_eq!(authority.request(Method::GET, INTROSPECT).send().await.unwrap().status(), 405);
}

#[tokio::test]
async fn r9701_the_answer_is_signed_for_who_asked_and_passes_for_no_token() {
    for authority in both().await {
        let token = text(&authority.session("alice").await, "access_token");
        let ask = |token: &str| authority.form(&authority.admin, INTROSPECT, &[("token", token)]);
        let answer = signed(ask(&token)).await;
        assert_eq!(part(&answer, 0)["typ"], "token-introspection+jwt");
        let claims = said(&answer);
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!("http://127.0.0.1:7400"), &json!("admin")));
        assert!(claims["iat"].is_u64());
        assert_eq!(claims["token_introspection"], authority.introspected(&token).await);
        assert!(claims.get("sub").is_none() && claims.get("exp").is_none(), "r9701_2: {claims}");
        let keys: Value = expect(authority.bare(Method::GET, "/.well-known/jwks.json"), 200).await;
        let keys = annul_core::token::KeySet::from_jwks(keys.to_string().as_bytes()).unwrap().0;
        annul_core::token::verify_jws(&answer, &keys).unwrap();
        assert_eq!(authority.verdict(&answer).await, "refused", "bcp_4");

        authority.post("/v1/revocations", json!({ "targets": ["subject:alice"] }), 201).await;
        let claims = said(&signed(ask(&token)).await);
        assert_eq!(claims["token_introspection"], json!({ "active": false }));
        let any = ask(&token).header("accept", "*/*");
        assert_eq!(expect(any, 200).await, json!({ "active": false }), "only where it is asked for by name");
    }
}

#[tokio::test]
async fn r9701_3_an_algorithm_that_does_not_sign_is_named_and_not_replaced() {
    let authority = in_memory(|_| {}).await;
    let wants = |alg: &str| json!({ "client_id": format!("rs-{alg}"), "scopes": ["annul.read"], "introspection_signed_response_alg": alg });
    let token = text(&authority.session("alice").await, "access_token");
    let same = authority.register(wants("ES256")).await;
    assert_eq!(part(&signed(authority.form(&same, INTROSPECT, &[("token", &token)])).await, 0)["alg"], "ES256");
    let other = authority.register(wants("RS256")).await;
    let request = authority.form(&other, INTROSPECT, &[("token", &token)]).header("accept", SIGNED);
    oauth_error(request, 409, "invalid_request", "answer_algorithm").await;
}

async fn reference(authority: &Running, subject: &str) -> (String, String) {
    let opened = authority.session_of("shop", subject, json!({ "format": "reference" })).await;
    (text(&opened, "access_token"), text(&opened, "sid"))
}

#[tokio::test]
async fn a_reference_says_nothing_itself_and_ends_with_its_session_at_the_next_question() {
    for authority in both().await {
        let (token, sid) = reference(&authority, "alice").await;
        assert!(token.starts_with("annul_at_") && !token.contains('.'), "{token}");
        let (other, _) = reference(&authority, "alice").await;
        let answer = authority.introspected(&token).await;
        assert_eq!((&answer["active"], &answer["sub"], &answer["sid"]), (&json!(true), &json!("alice"), &json!(sid)));
        assert_eq!((&answer["scope"], &answer["client_id"]), (&json!("read write"), &json!("shop")));
        let checked = authority.post("/v1/tokens/check", json!({ "token": token }), 200).await;
        assert_eq!((&checked["verdict"], &checked["claims"]["jti"]), (&json!("active"), &answer["jti"]));
        expect(authority.request(Method::DELETE, &format!("/v1/sessions/{sid}")), 200).await;
        assert_eq!(authority.introspected(&token).await, json!({ "active": false }));
        assert_eq!(authority.verdict(&token).await, "revoked");
        assert_eq!(authority.verdict(&other).await, "active", "another session of hers");
    }
}

#[tokio::test]
async fn a_reference_is_revoked_by_every_name_of_its_session_and_by_its_client() {
    for authority in both().await {
        for target in ["subject:alice", "client:shop", "claim:scope=write"] {
            let (token, _) = reference(&authority, "alice").await;
            let signed = text(&authority.session_of("cart", "bob", json!({ "scope": "read" })).await, "access_token");
            authority.post("/v1/revocations", json!({ "targets": [target] }), 201).await;
            assert_eq!(authority.verdict(&token).await, "revoked", "{target}");
            assert_eq!(authority.verdict(&signed).await, "active", "{target}");
        }
        let shop = authority.client("shop", &["read"]).await;
        let (token, sid) = reference(&authority, "carol").await;
        let request = authority.form(&shop, "/oauth2/revoke", &[("token", &token)]);
        assert_eq!(request.send().await.unwrap().status(), 200);
        assert_eq!(authority.verdict(&token).await, "revoked");
        let next = authority.post(&format!("/v1/sessions/{sid}/token"), json!({}), 200).await;
        assert!(text(&next, "access_token").starts_with("annul_at_"));
        assert_eq!(authority.verdict(&text(&next, "access_token")).await, "active", "the session lives");
        // The cheap logout, which leaves signed tokens alone, ends a reference: it is asked about anyway.
        let cheap = json!({ "targets": ["subject:carol"], "cutoff": "now", "reach": "sessions" });
        authority.post("/v1/revocations", cheap, 201).await;
        assert_eq!(authority.verdict(&text(&next, "access_token")).await, "revoked");
    }
}
