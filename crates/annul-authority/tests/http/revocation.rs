//! `/oauth2/revoke` (RFC 7009).

use annul_authority::verbs::refresh::RefreshRevocation;
use reqwest::Method;
use serde_json::json;

use crate::oauth_world::oauth_error;
use crate::running::{Credential, Running, both, expect, in_memory, text};

const REVOKE: &str = "/oauth2/revoke";

/// Revokes and expects exactly 200.
async fn revoke(authority: &Running, client: &Credential, form: &[(&str, &str)]) {
    let response = authority.form(client, REVOKE, form).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200, "{:?}", response.text().await);
    // Clients refuse 204, and the answer says nothing that could be kept.
}

async fn shop(authority: &Running) -> Credential {
    authority.client("shop", &["read"]).await
}

#[tokio::test]
async fn r7009_1_the_token_comes_once_in_a_form() {
    for authority in both().await {
        let shop = shop(&authority).await;
        oauth_error(authority.form(&shop, REVOKE, &[]), 400, "invalid_request", "request_invalid").await;
        oauth_error(authority.form(&shop, REVOKE, &[("token", "")]), 400, "invalid_request", "request_invalid").await;
        let twice = [("token", "a"), ("token", "b")];
        oauth_error(authority.form(&shop, REVOKE, &twice), 400, "invalid_request", "request_ambiguous").await;
        let response = authority.request_as(&shop, Method::GET, REVOKE).send().await.unwrap();
        assert_eq!((response.status().as_u16(), &response.headers()["allow"]), (405, &"POST".parse().unwrap()));
    }
}

#[tokio::test]
async fn r7009_3_what_is_unknown_or_revoked_already_is_answered_alike_and_stored_nowhere() {
    for authority in both().await {
        let shop = shop(&authority).await;
        let token = text(&authority.session_of("shop", "alice", json!({})).await, "access_token");
        let before = authority.head().await;
        let forged = format!("{}x", &token[..token.len() - 1]);
        for unknown in ["garbage", "a.b.c", "annul_rt_garbage", "annul_at_garbage", &forged] {
            revoke(&authority, &shop, &[("token", unknown)]).await;
            revoke(&authority, &shop, &[("token", unknown), ("token_type_hint", "refresh_token")]).await;
        }
        assert_eq!(authority.head().await, before, "r7009_9: what does not verify fills no log");
        revoke(&authority, &shop, &[("token", &token)]).await;
        let after = authority.head().await;
        assert_ne!(after, before);
        revoke(&authority, &shop, &[("token", &token)]).await;
        assert_eq!(authority.head().await, after, "once is enough");
    }
}

#[tokio::test]
async fn r7009_2_a_wrong_or_unknown_hint_is_ignored() {
    for authority in both().await {
        let shop = shop(&authority).await;
        for hint in ["refresh_token", "access_token", "id_token", "pigeon"] {
            let token = text(&authority.session_of("shop", "alice", json!({})).await, "access_token");
            revoke(&authority, &shop, &[("token", &token), ("token_type_hint", hint)]).await;
            assert_eq!(authority.verdict(&token).await, "revoked", "{hint}");
        }
    }
}

#[tokio::test]
async fn r7009_4_the_client_proves_who_it_is_and_a_public_one_says_it() {
    for authority in both().await {
        let shop = shop(&authority).await;
        let wrong = Credential { secret: "wrong".to_owned(), ..shop.clone() };
        let headers =
            oauth_error(authority.form(&wrong, REVOKE, &[("token", "x")]), 401, "invalid_client", "invalid_client")
                .await;
        assert!(headers["www-authenticate"].to_str().unwrap().starts_with("Basic"));
        oauth_error(authority.bare_form(REVOKE, &[("token", "x")]), 401, "invalid_client", "invalid_client").await;

        authority
            .register(json!({
                "client_id": "app", "scopes": [], "token_endpoint_auth_method": "none",
            }))
            .await;
        let opened = authority.session_of("app", "alice", json!({ "refresh_token": true })).await;
        let refresh_token = text(&opened, "refresh_token");
        let form = [("token", refresh_token.as_str()), ("client_id", "app")];
        assert_eq!(authority.bare_form(REVOKE, &form).send().await.unwrap().status(), 200);
        assert_eq!(authority.verdict(&text(&opened, "access_token")).await, "revoked");
    }
}

#[tokio::test]
async fn r7009_5_another_clients_token_is_refused_audited_and_stays_valid() {
    for authority in both().await {
        let shop = shop(&authority).await;
        let other = authority.session_of("other", "alice", json!({ "refresh_token": true })).await;
        for member in ["access_token", "refresh_token"] {
            let request = authority.form(&shop, REVOKE, &[("token", &text(&other, member))]);
            oauth_error(request, 400, "invalid_grant", "token_of_another_client").await;
        }
        assert_eq!(authority.verdict(&text(&other, "access_token")).await, "active");
        let audited = authority.audited("token.revoke.other_client").await;
        assert_eq!(audited.len(), 2);
        assert_eq!(audited[0]["actor"], "shop");
        assert_eq!(audited[1]["target"], format!("session:{}", text(&other, "sid")));
    }
}

#[tokio::test]
async fn r7009_6_a_refresh_token_ends_its_session_and_an_access_token_only_itself() {
    for authority in both().await {
        let shop = shop(&authority).await;
        let first = authority.session_of("shop", "alice", json!({ "refresh_token": true })).await;
        let second = authority.session_of("shop", "alice", json!({ "refresh_token": true })).await;
        revoke(&authority, &shop, &[("token", &text(&first, "refresh_token"))]).await;
        assert_eq!(authority.verdict(&text(&first, "access_token")).await, "revoked");
        assert_eq!(authority.verdict(&text(&second, "access_token")).await, "active", "another session");
        let refresh = |opened: &serde_json::Value| {
            let token = text(opened, "refresh_token");
            authority.form(&shop, "/oauth2/token", &[("grant_type", "refresh_token"), ("refresh_token", &token)])
        };
        let response = refresh(&first).send().await.unwrap();
        assert_eq!(response.status(), 400);

        revoke(&authority, &shop, &[("token", &text(&second, "access_token"))]).await;
        assert_eq!(authority.verdict(&text(&second, "access_token")).await, "revoked");
        let next = expect(refresh(&second), 200).await;
        assert_eq!(authority.verdict(&text(&next, "access_token")).await, "active", "the session lives");
    }
}

#[tokio::test]
async fn r7009_6_by_the_clients_own_word_an_access_token_ends_its_session() {
    let authority = in_memory(|_| {}).await;
    let strict = json!({ "client_id": "strict", "scopes": [], "revoke_session_with_access_token": true });
    let strict = authority.register(strict).await;
    let opened = authority.session_of("strict", "alice", json!({})).await;
    revoke(&authority, &strict, &[("token", &text(&opened, "access_token"))]).await;
    let session = authority.get(&format!("/v1/sessions/{}", text(&opened, "sid"))).await;
    assert_eq!(session["status"], "ended");
}

#[tokio::test]
async fn by_configuration_a_revoked_refresh_token_ends_all_that_its_user_has() {
    let authority = in_memory(|config| config.sessions.refresh_revocation = RefreshRevocation::Subject).await;
    let shop = shop(&authority).await;
    let first = authority.session_of("shop", "alice", json!({ "refresh_token": true })).await;
    let elsewhere = authority.session_of("other", "alice", json!({})).await;
    let bob = authority.session_of("shop", "bob", json!({})).await;
    revoke(&authority, &shop, &[("token", &text(&first, "refresh_token"))]).await;
    for (opened, verdict) in [(&first, "revoked"), (&elsewhere, "revoked"), (&bob, "active")] {
        assert_eq!(authority.verdict(&text(opened, "access_token")).await, verdict);
    }
}
