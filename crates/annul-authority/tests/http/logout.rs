//! `/oauth2/logout`: logging out through a browser.

use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder, Response, redirect};
use serde_json::{Value, json};

use crate::oauth_world::oauth_error;
use crate::running::{Running, both, expect, in_memory, text};

const LOGOUT: &str = "/oauth2/logout";
const BYE: &str = "https://shop.example/bye?from=us";

/// A browser that does not follow, so that what it is told can be looked at.
fn browser(authority: &Running, query: &[(&str, &str)]) -> RequestBuilder {
    let browser = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
    let request = browser.get(format!("{}{LOGOUT}", authority.server.url()));
    request.query(query).header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
}

async fn shop_session(authority: &Running) -> Value {
    let shop = json!({ "client_id": "shop", "scopes": [], "post_logout_redirect_uris": [BYE] });
    authority.register(shop).await;
    authority.session_of("shop", "alice", json!({ "refresh_token": true })).await
}

fn assert_cleared(headers: &HeaderMap) {
    assert_eq!(headers["clear-site-data"], "\"cache\", \"cookies\", \"storage\"");
    assert_eq!(headers["cache-control"], "no-store");
}

async fn body(response: Response) -> String {
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    assert!(response.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    let text = response.text().await.unwrap();
    assert!(!text.contains("<script"), "{text}");
    text
}

#[tokio::test]
async fn rpi_1_the_browser_goes_on_to_the_registered_address_and_the_tokens_are_dead() {
    for authority in both().await {
        let opened = shop_session(&authority).await;
        let token = text(&opened, "access_token");
        let query = [
            ("id_token_hint", token.as_str()),
            ("client_id", "shop"),
            ("post_logout_redirect_uri", BYE),
            ("state", "a&b c"),
            ("ui_locales", "de"),
        ];
        for round in 0..2 {
            let response = browser(&authority, &query).send().await.unwrap();
            assert_eq!(response.status(), 303, "round {round}: idempotent");
            assert_eq!(response.headers()["location"], format!("{BYE}&state=a%26b%20c"));
            assert_cleared(response.headers());
            assert_eq!(authority.verdict(&token).await, "revoked");
        }
        let session = authority.get(&format!("/v1/sessions/{}", text(&opened, "sid"))).await;
        assert_eq!((&session["status"], &session["reason"]), (&json!("ended"), &json!("logout")));
    }
}

#[tokio::test]
async fn rpi_1_no_address_but_a_registered_one_and_no_client_but_the_sessions() {
    let authority = in_memory(|_| {}).await;
    let opened = shop_session(&authority).await;
    let token = text(&opened, "access_token");
    for address in ["https://shop.example/bye", "https://shop.example/bye?from=us&x=1", "https://evil.example/", "//x"]
    {
        let query = [("id_token_hint", token.as_str()), ("post_logout_redirect_uri", address)];
        oauth_error(browser(&authority, &query), 400, "invalid_request", "redirect_not_registered").await;
    }
    let query = [("id_token_hint", token.as_str()), ("client_id", "other")];
    oauth_error(browser(&authority, &query), 400, "invalid_request", "request_invalid").await;
    assert_eq!(authority.verdict(&token).await, "active", "a refused logout ended nothing, and said so");
}

#[tokio::test]
async fn rpi_1_without_proof_a_person_is_asked_and_a_program_refused() {
    let authority = in_memory(|config| config.sessions.logout_cookies = vec!["sid".to_owned()]).await;
    let opened = shop_session(&authority).await;
    let asked = browser(&authority, &[("post_logout_redirect_uri", BYE)]).send().await.unwrap();
    assert!(!asked.headers().contains_key("clear-site-data") && !asked.headers().contains_key("location"));
    let page = body(asked).await;
    assert!(page.contains("<form method=\"post\"") && page.contains("name=\"confirm\""), "{page}");

    let confirm = [("confirm", "yes"), ("post_logout_redirect_uri", BYE)];
    let done = authority.bare_form(LOGOUT, &confirm).header("accept", "text/html").send().await.unwrap();
    assert_cleared(done.headers());
    assert_eq!(done.headers()["set-cookie"], "sid=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    body(done).await;
    assert_eq!(authority.verdict(&text(&opened, "access_token")).await, "active", "nobody's session was named");

    oauth_error(authority.bare_form(LOGOUT, &[]), 400, "invalid_request", "hint_refused").await;
    let garbage = [("id_token_hint", "garbage")];
    oauth_error(authority.bare_form(LOGOUT, &garbage), 400, "invalid_request", "hint_refused").await;
}

#[tokio::test]
async fn rpi_1_a_refresh_token_in_a_form_is_proof_and_in_an_address_it_is_refused() {
    for authority in both().await {
        let opened = shop_session(&authority).await;
        let refresh_token = text(&opened, "refresh_token");
        let hint = [("id_token_hint", refresh_token.as_str())];
        oauth_error(browser(&authority, &hint), 400, "invalid_request", "request_invalid").await;
        assert_eq!(authority.verdict(&text(&opened, "access_token")).await, "active");
        let answer = expect(authority.bare_form(LOGOUT, &hint), 200).await;
        assert_eq!((&answer["logged_out"], &answer["sessions"]), (&json!(true), &json!(1)));
        assert_eq!(authority.verdict(&text(&opened, "access_token")).await, "revoked");
    }
}

#[tokio::test]
async fn rpi_1_an_expired_token_ends_its_own_session_and_no_others() {
    for authority in both_with_short_tokens().await {
        let first = authority.session_of("shop", "alice", json!({})).await;
        let second = authority.session_of("cart", "alice", json!({})).await;
        let token = text(&first, "access_token");
        expired(&authority, &token).await;
        let global = [("id_token_hint", token.as_str()), ("scope", "global")];
        oauth_error(authority.bare_form(LOGOUT, &global), 400, "invalid_request", "hint_spent").await;
        let local = [("id_token_hint", token.as_str())];
        expect(authority.bare_form(LOGOUT, &local), 200).await;
        let status = async |opened: &Value| {
            text(&authority.get(&format!("/v1/sessions/{}", text(opened, "sid"))).await, "status")
        };
        assert_eq!((status(&first).await, status(&second).await), ("ended".to_owned(), "live".to_owned()));
    }
}

async fn both_with_short_tokens() -> Vec<Running> {
    vec![in_memory(|config| config.tokens.life = annul_authority::span::Span::seconds(1)).await]
}

/// Waits until a token is no longer active because its time has passed.
async fn expired(authority: &Running, token: &str) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while authority.introspected(token).await["active"] == true {
        assert!(std::time::Instant::now() < deadline, "the token does not expire");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn rpi_1_asked_so_all_sessions_of_the_user_end() {
    for authority in both().await {
        let first = authority.session_of("shop", "alice", json!({ "refresh_token": true })).await;
        let second = authority.session_of("cart", "alice", json!({})).await;
        let bob = authority.session_of("shop", "bob", json!({})).await;
        let global = [("id_token_hint", text(&first, "refresh_token")), ("scope", "global".to_owned())];
        let global: Vec<(&str, &str)> = global.iter().map(|(name, value)| (*name, value.as_str())).collect();
        expect(authority.bare_form(LOGOUT, &global), 200).await;
        for (opened, verdict) in [(&first, "revoked"), (&second, "revoked"), (&bob, "active")] {
            assert_eq!(authority.verdict(&text(opened, "access_token")).await, verdict);
        }
        oauth_error(authority.bare_form(LOGOUT, &global), 400, "invalid_request", "hint_spent").await;
    }
}
