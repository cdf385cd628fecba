//! Rotate, by the hours: when tokens may be renewed, and with what.

use std::time::Duration;

use futures::future::join;
use scenarios::{Answer, Authority, Client, Secrets, Seen, Service, now};
use serde_json::json;

use crate::refresh::{outcomes, session, sessions_in};

/// How often renewal is tried while its window is waited for.
const TRY_EVERY: Duration = Duration::from_millis(20);
/// How long an end that comes by itself is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "correct horse battery staple";

#[tokio::test]
async fn refresh_window() {
    const WINDOW: u64 = 4;
    let authority = Authority::start_with(
        "life = \"8s\"\nlongest_life = \"8s\"\n[sessions]\nrotation_grace = \"0s\"\n\
         refresh_window = \"4s\"\nexchange_before = \"4s\"\nexchange_after = \"0s\"",
    );
    let service = Service::start_punctual(&authority, "api").await;
    let client = authority.admin();
    let missed = authority.login_to_exchange("alice", "tablet").await;
    let pair = authority.login_to_refresh("alice", "phone").await;
    let single = authority.login_to_exchange("alice", "laptop").await;
    assert_eq!(single.body["refresh_token"], json!(null), "the one token is its own refresh token");

    // Before the window both are refused and counted, and nothing ends; in it, they are renewed.
    let opens = |login: &Answer| login.claim("exp").as_u64().expect("an exp") - WINDOW;
    let ((refused_pair, new_pair), (refused_single, new_single)) = join(
        renewed_from(opens(&pair), async || client.refresh(pair.refresh_token()).await),
        renewed_from(opens(&single), async || client.exchange(single.token()).await),
    )
    .await;
    let refused = refused_pair + refused_single;
    println!("refresh_window: {refused} attempts outside, each of them told");
    assert!(refused_pair > 0 && refused_single > 0);
    assert_eq!(sessions_in(&authority, "refresh.outside_window").await.len(), refused);
    assert_eq!(outcomes(&authority, "refused").await, refused as u64);
    for (old, new) in [(&pair, &new_pair), (&single, &new_single)] {
        assert_eq!(new.claim("sid"), old.sid());
        assert_ne!(new.claim("jti"), old.claim("jti"));
        service.accepts(new.token()).await;
    }

    // A reuse ends the family: of the pair outside the window of its new token, of the single one inside its own.
    client.refresh(pair.refresh_token()).await.expect_invalid_grant("refresh_token_reused");
    client.exchange(single.token()).await.expect_invalid_grant("refresh_token_reused");
    for (old, new) in [(&pair, &new_pair), (&single, &new_single)] {
        service.refuses_as_revoked(new.token()).await;
        assert!(sessions_in(&authority, "refresh.reuse").await.contains(&session(old)));
    }
    assert_eq!(outcomes(&authority, "reused").await, 2);

    // The owner too: in the window of what they were given, they have to log in afresh.
    service_says_expired(&service, missed.token()).await;
    let late = client.exchange(missed.token()).await.expect_invalid_grant("refresh_outside_window");
    assert!(late.body["access_token"].is_null());
    let own = (new_pair.refresh_token(), new_single.token());
    let (pair, single) = join(
        refused_from(opens(&new_pair), async || client.refresh(own.0).await),
        refused_from(opens(&new_single), async || client.exchange(own.1).await),
    )
    .await;
    pair.expect_invalid_grant("session_revoked");
    single.expect_invalid_grant("session_revoked");
    let again = authority.login_to_refresh("alice", "phone").await;
    service.accepts(again.token()).await;
    the_last_ten_minutes_are_the_default().await;
}

/// A token that lives a second longer than ten minutes can be exchanged after that second.
async fn the_last_ten_minutes_are_the_default() {
    let authority = Authority::start_with("life = \"601s\"");
    let login = authority.login_to_exchange("alice", "phone").await;
    let opens = login.claim("exp").as_u64().expect("an exp") - 600;
    renewed_from(opens, async || authority.admin().exchange(login.token()).await).await;
}

/// Tries until it is renewed: not before the second `opens`, and in it. How often it was refused, and the answer.
async fn renewed_from(opens: u64, renew: impl AsyncFn() -> Answer) -> (usize, Answer) {
    let mut refused = 0;
    loop {
        let begun = now();
        let answer = renew().await;
        if answer.status == 200 {
            assert!(now() >= opens, "renewed before its window");
            return (refused, answer);
        }
        answer.expect_invalid_grant("refresh_outside_window");
        assert!(begun < opens, "refused in its window");
        refused += 1;
        tokio::time::sleep(TRY_EVERY).await;
    }
}

/// Tries until it is refused for another reason than that it is outside its window.
async fn refused_from(opens: u64, renew: impl AsyncFn() -> Answer) -> Answer {
    loop {
        let begun = now();
        let answer = renew().await;
        assert_ne!(answer.status, 200, "{}", answer.body);
        if answer.body["code"] != "refresh_outside_window" {
            return answer;
        }
        assert!(begun < opens, "outside, although it is in its window");
        tokio::time::sleep(TRY_EVERY).await;
    }
}

async fn service_says_expired(service: &Service, token: &str) {
    let (seen, _) = service.refuses_within(token, PATIENCE).await;
    assert_eq!(seen, Seen { status: 401, code: "token_expired".to_owned() });
}

#[tokio::test]
async fn old_for_new_exchange() {
    let authority = Authority::start_with(
        "life = \"7s\"\nlongest_life = \"7s\"\n[sessions]\nrotation_grace = \"0s\"\n\
         exchange_before = \"0s\"\nexchange_after = \"1m\"",
    );
    let service = Service::start_punctual(&authority, "api").await;
    let client = authority.admin();
    let account = json!({"username": "bob", "password": PASSWORD});
    client.post("/v1/accounts", account).await.expect_status(201);
    let user = Client::public(authority.url(), "annul.login");
    let (phone, laptop) =
        (authority.login_to_exchange("alice", "phone").await, authority.login_to_exchange("alice", "laptop").await);
    let (out, bob) = (authority.login_to_exchange("alice", "tv").await, log_in(&user).await);
    assert!(phone.body["refresh_token"].is_null() && bob.body["refresh_token"].is_null());

    // While it lives it needs no exchange; once it has expired it is worth one, and only genuine.
    client.exchange(phone.token()).await.expect_invalid_grant("refresh_outside_window");
    authority.logout(out.token(), json!({"scope": "local"})).await.expect_status(200);
    let change = json!({"current": PASSWORD, "password": "another four words entirely"});
    user.post("/v1/accounts/bob/password", change).await.expect_status(200);
    for token in [&phone, &laptop] {
        service_says_expired(&service, token.token()).await;
    }
    for forged in forgeries(phone.token(), laptop.token()) {
        let refused = client.exchange(&forged).await;
        assert_eq!(refused.status, 400, "{}", refused.body);
    }

    // Each of her devices exchanges its own: that is no theft.
    let new_phone = client.exchange(phone.token()).await.expect_status(200);
    let new_laptop = client.exchange(laptop.token()).await.expect_status(200);
    for (old, new) in [(&phone, &new_phone), (&laptop, &new_laptop)] {
        assert_eq!((new.claim("sid"), new.claim("auth_time")), (old.claim("sid"), old.claim("auth_time")));
        assert_ne!(new.claim("jti"), old.claim("jti"));
        service.accepts(new.token()).await;
    }
    // Logout and password change took the record with them.
    client.exchange(out.token()).await.expect_invalid_grant("session_revoked");
    user.exchange(bob.token()).await.expect_invalid_grant("session_revoked");

    // A second exchange is theft: both are out, and the answer, the audit and the count say so.
    assert_eq!(outcomes(&authority, "reused").await, 0);
    client.exchange(phone.token()).await.expect_invalid_grant("refresh_token_reused");
    service.refuses_as_revoked(new_phone.token()).await;
    assert_eq!(sessions_in(&authority, "refresh.reuse").await, [session(&phone)]);
    assert_eq!(outcomes(&authority, "reused").await, 1);
    service.accepts(new_laptop.token()).await;
    for token in [&new_phone, &new_laptop] {
        let (seen, _) = service.refuses_within(token.token(), PATIENCE).await;
        assert_eq!(seen.status, 401);
    }
    service_says_expired(&service, new_laptop.token()).await;
    client.exchange(phone.token()).await.expect_invalid_grant("session_revoked");
    client.exchange(new_phone.token()).await.expect_invalid_grant("session_revoked");
    let newest = client.exchange(new_laptop.token()).await.expect_status(200);
    service.accepts(newest.token()).await;

    // Without a record there is the login, for which the old token still knows the name.
    let name = bob.claim("sub");
    let login = json!({"username": name, "password": "another four words entirely", "exchange": true});
    let back = user.post("/v1/login", login).await.expect_status(200);
    service.accepts(back.token()).await;

    // What is stored gives no token.
    let mut secrets = Secrets::default();
    for (what, token) in [("an exchanged token", &phone), ("a current token", &newest), ("bob's token", &bob)] {
        secrets.add_token(what, token.token());
    }
    secrets.assert_absent("after the exchanges", &[&authority.data()]);
}

async fn log_in(user: &Client) -> Answer {
    let login = json!({"username": "bob", "password": PASSWORD, "exchange": true});
    user.post("/v1/login", login).await.expect_status(200)
}

/// Tokens that nobody signed, of the parts of two that somebody did.
fn forgeries(token: &str, other: &str) -> Vec<String> {
    let parts: Vec<&str> = token.split('.').collect();
    let others: Vec<&str> = other.split('.').collect();
    vec![
        format!("{}.{}.{}", parts[0], parts[1], others[2]),
        format!("{}.{}.{}", parts[0], others[1], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[1]),
    ]
}
