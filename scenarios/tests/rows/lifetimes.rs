//! Rotate: short tokens, long sessions, and nobody who notices.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use annul::client::Login;
use annul::holder::RefreshTokenFile;
use annul::{HolderError, TokenHolder};
use scenarios::{Authority, Seen, Service, now};
use serde_json::json;

/// Between two looks at what is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const PASSWORD: &str = "correct horse battery staple";

#[tokio::test]
async fn sliding_extension() {
    const IDLE: u64 = 4;
    const ABSOLUTE: u64 = 11;
    let authority = Authority::start_with("[sessions]\nidle = \"4s\"\nabsolute = \"11s\"");
    let service = Service::start_punctual(&authority, "api").await;
    let client = authority.admin();
    let unused = authority.login_to_refresh("alice", "laptop").await;
    let login = authority.login_to_refresh("alice", "phone").await;
    let opened = login.claim("auth_time").as_u64().expect("a time");
    let (mut extended, mut left) = (Vec::new(), Vec::new());
    let mut current = login;

    // Used all the time, it outlives the idle limit, and ends at the absolute one.
    let refused = loop {
        let answer = client.refresh(current.refresh_token()).await;
        if answer.status != 200 {
            break answer;
        }
        let exp = answer.claim("exp").as_u64().expect("an exp");
        assert!(exp <= opened + ABSOLUTE + 1, "a token outlives its session by the absolute limit");
        assert_eq!(answer.claim("auth_time"), current.claim("auth_time"), "a refresh is no login");
        if exp > now() + 2 {
            service.accepts(answer.token()).await;
        }
        extended.push(now() - opened);
        left.push(answer.number("refresh_token_expires_in"));
        current = answer;
        tokio::time::sleep(LOOK_EVERY).await;
    };
    refused.expect_invalid_grant("session_expired");
    assert!(now() >= opened + ABSOLUTE, "ended before its absolute limit");
    let last = extended.last().copied().expect("it was used");
    println!("sliding_extension: extended {} times, for {last} s, with an idle limit of {IDLE} s", extended.len());
    assert!(last > 2 * IDLE, "{last}");
    // What it has left is the idle limit, until the absolute one is nearer.
    assert_eq!(left.first(), Some(&IDLE));
    assert!(left.iter().all(|left| *left <= IDLE) && left.last() < Some(&IDLE), "{left:?}");
    service.refuses_within(current.token(), Duration::from_secs(60)).await;

    // The one that nobody used is over since its idle limit.
    client.refresh(unused.refresh_token()).await.expect_invalid_grant("session_expired");
    let path = format!("/v1/sessions/{}", unused.sid());
    assert_eq!(client.get(&path).await.expect_status(200).text("status"), "expired");
    let again = authority.login_to_refresh("alice", "phone").await;
    service.accepts(client.renew(&again).await.token()).await;
}

#[tokio::test]
async fn short_access_long_refresh() {
    the_lives_are_minutes_and_days().await;
    let authority = Authority::start_with("life = \"6s\"\nlongest_life = \"6s\"\n[sessions]\nidle = \"6s\"");
    // A second for the fraction that a token's times leave out.
    let service = Service::start_with(&authority, "api", |options| options.leeway = Some(1)).await;
    let account = json!({"username": "alice", "password": PASSWORD});
    authority.admin().post("/v1/accounts", account).await.expect_status(201);
    let home = tempfile::tempdir().expect("a temporary directory");
    let kept = |name: &str| RefreshTokenFile::at(home.path().join(name));
    let app = |name: &str| TokenHolder::builder(authority.url()).keep(kept(name)).lead(Duration::from_secs(3));
    let login = Login { username: "alice".to_owned(), password: PASSWORD.to_owned(), ..Login::default() };

    // One login; from then on the application asks for a token whenever it needs one, and it is good.
    let phone = app("phone").log_in(&login).await.expect("alice logs in");
    let drawer = app("drawer").log_in(&login).await.expect("alice logs in there too");
    let forgotten = drawer.access_token().await.expect("a token").expose().to_owned();
    drop(drawer);
    let first = phone.access_token().await.expect("a token").expose().to_owned();
    let used = use_for(&phone, &service, &kept("phone"), Duration::from_secs(12)).await;
    println!("short_access_long_refresh: 12 s on tokens of 6 s, {} of them, no refusal", used.access);
    assert!(used.access >= 3, "it was refreshed ahead of need");
    assert!(used.kept >= used.access, "the refresh token is another one after each use");
    assert_eq!(service.call(&first).await, Seen { status: 401, code: "token_expired".to_owned() });

    // Closed and opened again: what was kept is enough, nobody logs in.
    let logins = || authority.counted("annul_tokens_issued_total", |labels| labels.contains("by=\"login\""));
    drop(phone);
    let text = kept("phone").read().expect("the file can be read").expect("a token is kept");
    let phone = app("phone").resume(text).expect("it can be resumed");
    let used = use_for(&phone, &service, &kept("phone"), Duration::from_millis(500)).await;
    assert_eq!((used.access, logins().await), (1, 2));

    // Neither token is valid any more: only the login is open.
    assert_eq!(service.call(&forgotten).await, Seen { status: 401, code: "token_expired".to_owned() });
    let text = kept("drawer").read().expect("the file can be read").expect("a token is kept");
    let drawer = app("drawer").resume(text).expect("it can be resumed");
    let over = drawer.access_token().await.expect_err("nobody used it for longer than the idle limit");
    assert!(matches!(over, HolderError::MustLogIn(_)) && over.code() == "session_expired", "{over:?}");
    let drawer = app("drawer").log_in(&login).await.expect("alice logs in again");
    service.accepts(drawer.access_token().await.expect("a token").expose()).await;
    service.accepts(phone.access_token().await.expect("a token").expose()).await;
}

/// What nobody configured: access of minutes, refresh of days.
async fn the_lives_are_minutes_and_days() {
    let authority = Authority::start();
    let login = authority.login_to_refresh("alice", "phone").await;
    let day = 24 * 60 * 60;
    assert_eq!((login.number("expires_in"), login.number("refresh_token_expires_in")), (5 * 60, 14 * day));
}

/// How many different tokens an application used.
struct Used {
    access: usize,
    kept: usize,
}

/// Asks for a token and uses it, again and again, as an application does that knows nothing of lives.
async fn use_for(app: &TokenHolder, service: &Service, kept: &RefreshTokenFile, time: Duration) -> Used {
    let begun = Instant::now();
    let (mut access, mut refresh) = (BTreeSet::new(), BTreeSet::new());
    while begun.elapsed() < time {
        let token = app.access_token().await.expect("the session lives");
        service.accepts(token.expose()).await;
        access.insert(token.expose().to_owned());
        refresh.insert(kept.read().expect("the file can be read").expect("a token is kept").expose().to_owned());
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Used { access: access.len(), kept: refresh.len() }
}
