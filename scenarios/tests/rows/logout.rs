//! `/oauth2/logout`: an application sends the browser there, and comes back to a user who is logged out.

use reqwest::redirect;
use scenarios::{Answer, Authority, Client, Service};
use serde_json::json;

use crate::oauth::{all_accept, all_refuse, open};

const LOGOUT: &str = "/oauth2/logout";
/// Where the shop has the browser sent.
const BYE: &str = "https://shop.scenario.example/bye?from=us";

#[tokio::test]
async fn logout_endpoint() {
    let authority = Authority::start_with("[sessions]\nlogout_cookies = [\"shop_session\"]");
    let services = [Service::start(&authority, "api").await, Service::start(&authority, "worker").await];
    let shop = json!({"client_id": "shop", "scopes": [], "post_logout_redirect_uris": [BYE]});
    let shop = authority.register(shop).await;
    let cart = authority.client("cart", &[]).await;
    let phone = open(&authority, &shop, "alice", "phone").await;
    let laptop = open(&authority, &shop, "alice", "laptop").await;
    let (carts, bob) = (open(&authority, &cart, "alice", "phone").await, open(&authority, &shop, "bob", "phone").await);
    let others = [(&shop, &laptop), (&cart, &carts), (&shop, &bob)];

    nothing_ends_without_proof(&authority, &phone).await;
    only_where_the_client_registered(&authority, &phone, &cart).await;
    for (_, token) in others.iter().copied().chain([(&shop, &phone)]) {
        all_accept(&services, token.token()).await;
    }

    // One call: the session is over at every service and for its refresh token, and the browser forgets it.
    let asked =
        [("id_token_hint", phone.token()), ("post_logout_redirect_uri", BYE), ("state", "a&b"), ("client_id", "shop")];
    let answer = browse(&authority, &asked).await.expect_status(303);
    assert_eq!(answer.headers["location"], format!("{BYE}&state=a%26b"));
    assert_forgets(&answer);
    all_refuse(&services, phone.token()).await;
    shop.cannot_renew(&phone).await;

    // Once more it answers the same and adds nothing.
    let after = authority.position().await;
    for _ in 0..3 {
        let again = browse(&authority, &asked).await.expect_status(303);
        assert_eq!(again.headers["location"], answer.headers["location"]);
        assert_forgets(&again);
    }
    assert_eq!(authority.position().await, after);

    // No other session ended. What proves an ended one proves no more than that.
    let all = |token| [("id_token_hint", token), ("scope", "global")];
    program(&authority, &all(phone.token())).await.expect_refusal(400, "hint_spent");
    assert_eq!(authority.position().await, after);
    let mut renewed = Vec::new();
    for (client, token) in others {
        all_accept(&services, token.token()).await;
        renewed.push(client.renew(token).await);
    }
    let [laptop, carts, bob] = <[Answer; 3]>::try_from(renewed).expect("three");

    // Asked so: all sessions of the user, whichever client's, by a refresh token in a form.
    browse(&authority, &all(laptop.refresh_token())).await.expect_refusal(400, "request_invalid");
    all_accept(&services, laptop.token()).await;
    let answer = program(&authority, &all(laptop.refresh_token())).await.expect_status(200);
    assert_eq!((&answer.body["logged_out"], &answer.body["sessions"]), (&json!(true), &json!(2)));
    assert_forgets(&answer);
    for (client, token) in [(&shop, &laptop), (&cart, &carts)] {
        all_refuse(&services, token.token()).await;
        client.cannot_renew(token).await;
    }

    // Other users never noticed, and she comes back by a new login.
    all_accept(&services, bob.token()).await;
    shop.renew(&bob).await;
    let back = open(&authority, &shop, "alice", "phone").await;
    all_accept(&services, back.token()).await;
    // The old hint ends nothing of it.
    program(&authority, &all(laptop.refresh_token())).await.expect_refusal(400, "hint_spent");
    program(&authority, &[("id_token_hint", phone.token())]).await.expect_status(200);
    all_accept(&services, shop.renew(&back).await.token()).await;
}

/// Who shows no token of a session, or a forged one, ends none: a browser is asked, a program refused.
async fn nothing_ends_without_proof(authority: &Authority, alive: &Answer) {
    let before = authority.position().await;
    let asked = browse(authority, &[("post_logout_redirect_uri", BYE)]).await.expect_status(200);
    assert!(!asked.headers.contains_key("location") && !asked.headers.contains_key("clear-site-data"));
    let (head, signature) = alive.token().rsplit_once('.').expect("three parts");
    let forged = format!("{head}.{}", signature.chars().rev().collect::<String>());
    program(authority, &[("client_id", "shop")]).await.expect_refusal(400, "hint_refused");
    for hint in [forged.as_str(), "x", "annul_rt_x", alive.sid()] {
        let form = [("id_token_hint", hint), ("post_logout_redirect_uri", BYE)];
        program(authority, &form).await.expect_refusal(400, "hint_refused");
        browse(authority, &form).await.expect_refusal(400, "hint_refused");
    }
    assert_eq!(authority.position().await, before);
}

/// To the letter one of the addresses of the session's client, or nothing happens at all.
async fn only_where_the_client_registered(authority: &Authority, alive: &Answer, other: &Client) {
    let before = authority.position().await;
    let upper = BYE.to_uppercase();
    let (longer, encoded) = (format!("{BYE}&next=https://evil.example"), BYE.replace("/bye", "/%62ye"));
    for address in ["https://shop.scenario.example/bye", "https://evil.example", "//x", &upper, &longer, &encoded] {
        let form = [("id_token_hint", alive.token()), ("post_logout_redirect_uri", address)];
        let refused = browse(authority, &form).await;
        assert!(!refused.headers.contains_key("location"), "{address}");
        refused.expect_refusal(400, "redirect_not_registered");
    }
    // Nor may a client speak for another one's session.
    let form = [("id_token_hint", alive.token()), ("client_id", other.id()), ("post_logout_redirect_uri", BYE)];
    browse(authority, &form).await.expect_refusal(400, "request_invalid");
    assert_eq!(authority.position().await, before);
}

/// The browser is told to forget the site, and the configured cookie by its name.
#[track_caller]
fn assert_forgets(answer: &Answer) {
    assert_eq!(answer.headers["clear-site-data"], "\"cache\", \"cookies\", \"storage\"");
    let cookie = answer.headers["set-cookie"].to_str().expect("a cookie is ASCII");
    assert!(cookie.starts_with("shop_session=;") && cookie.contains("Max-Age=0"), "{cookie}");
    assert_eq!(answer.headers["cache-control"], "no-store");
}

/// A browser that was sent there, and is not followed further.
async fn browse(authority: &Authority, query: &[(&str, &str)]) -> Answer {
    let browser = reqwest::Client::builder().redirect(redirect::Policy::none()).build().expect("a client");
    let request = browser.get(format!("{}{LOGOUT}", authority.url())).query(query).header("accept", "text/html");
    Answer::of(request.send().await.expect("the authority answers")).await
}

/// A program that sends a form.
async fn program(authority: &Authority, form: &[(&str, &str)]) -> Answer {
    let request = reqwest::Client::new().post(format!("{}{LOGOUT}", authority.url())).form(form);
    Answer::of(request.send().await.expect("the authority answers")).await
}
