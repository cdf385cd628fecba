//! An application that holds a user's tokens, while the authority, the line and the clocks fail it.

use std::collections::HashSet;

use annul::client::Login;
use annul::holder::{HolderError, RefreshTokenFile, TokenHolder};
use scenarios::{Authority, Launch, Proxy, Service};
use serde_json::json;
use tempfile::TempDir;

use crate::clock::FakeClock;
use crate::support::BOUND;

const PASSWORD: &str = "correct horse battery staple";

/// Alice's application: what it keeps, and how it reaches the authority.
struct Application {
    folder: TempDir,
    url: String,
}

impl Application {
    /// Alice has an account, and the application reaches the authority at `url`.
    async fn of_alice(authority: &Authority, url: &str) -> Self {
        let account = json!({"username": "alice", "password": PASSWORD});
        authority.admin().post("/v1/accounts", account).await.expect_status(201);
        Self { folder: tempfile::tempdir().expect("a temporary directory"), url: url.to_owned() }
    }

    fn kept(&self) -> RefreshTokenFile {
        RefreshTokenFile::at(self.folder.path().join("session"))
    }

    async fn log_in(&self) -> TokenHolder {
        let login = Login { username: "alice".to_owned(), password: PASSWORD.to_owned(), ..Login::default() };
        TokenHolder::builder(&self.url).keep(self.kept()).log_in(&login).await.expect("alice logs in")
    }

    /// What the application does when it is started again.
    fn reopen(&self) -> TokenHolder {
        let token = self.kept().read().expect("the file can be read").expect("a token was kept");
        TokenHolder::builder(&self.url).keep(self.kept()).resume(token).expect("it is configured well")
    }
}

async fn token(holder: &TokenHolder) -> String {
    let token = tokio::time::timeout(BOUND, holder.access_token()).await.expect("it comes within the bound");
    token.expect("alice is logged in").expose().to_owned()
}

/// The token that comes once what stands against it has passed; alice is logged in all the while.
async fn token_at_last(holder: &TokenHolder) -> String {
    let waiting = async {
        loop {
            match holder.access_token().await {
                Ok(token) => return token.expose().to_owned(),
                Err(error) => assert!(error.is_logged_in(), "{error}"),
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(BOUND, waiting).await.expect("a token comes at last")
}

/// How many refreshes the authority counted with this outcome.
async fn refreshes(authority: &Authority, outcome: &str) -> u64 {
    let line = format!("annul_refresh_total{{outcome=\"{outcome}\"}} ");
    let metrics = authority.text("/metrics").await;
    metrics.lines().find_map(|text| text.strip_prefix(&line)).map_or(0, |count| count.parse().expect("a count"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_callers_at_once_make_one_refresh_whose_token_is_good() {
    let authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let alice = Application::of_alice(&authority, authority.url()).await;
    drop(alice.log_in().await);
    let holder = alice.reopen();
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let holder = holder.clone();
            tokio::spawn(async move { token(&holder).await })
        })
        .collect();
    let mut given = HashSet::new();
    for caller in callers {
        given.insert(caller.await.expect("no caller panics"));
    }
    assert_eq!(given.len(), 1, "all have the same token");
    assert_eq!((refreshes(&authority, "rotated").await, refreshes(&authority, "repeated").await), (1, 0));
    for token in &given {
        service.accepts(token).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn i13_an_answer_lost_on_the_way_costs_no_login() {
    let authority = Authority::start();
    let proxy = Proxy::to(authority.url());
    let alice = Application::of_alice(&authority, &proxy.url()).await;
    drop(alice.log_in().await);
    let spent = alice.kept().read().expect("a file").expect("a token");
    let holder = alice.reopen();
    proxy.keep_answers();
    let caller = tokio::spawn({
        let holder = holder.clone();
        async move { token(&holder).await }
    });
    let asked = std::time::Instant::now();
    while refreshes(&authority, "rotated").await == 0 {
        assert!(asked.elapsed() < BOUND, "the request does not arrive");
        // Metrics are for everybody, so there is a rate to asking for them.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(alice.kept().read().expect("a file").expect("a token"), spent, "its answer did not");
    proxy.cut();
    proxy.mend();
    let service = Service::start(&authority, "api").await;
    service.accepts(&caller.await.expect("no panic")).await;
    assert_eq!(refreshes(&authority, "rotated").await, 1, "the successor is the one whose answer was lost");
    assert!(refreshes(&authority, "repeated").await >= 1);

    // And it is the session's: the next start of the application goes on with it.
    service.accepts(&token(&alice.reopen()).await).await;
    assert_eq!((refreshes(&authority, "rotated").await, refreshes(&authority, "reused").await), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_authority_leaves_the_user_logged_in() {
    let mut authority = Authority::start();
    let alice = Application::of_alice(&authority, authority.url()).await;
    let holder = alice.log_in().await;
    authority.kill();
    assert!(!token(&holder).await.is_empty(), "the token that is held needs no authority");
    let reopened = alice.reopen();
    let error = reopened.access_token().await.expect_err("nobody answers");
    assert!(matches!(error, HolderError::NotNow { .. }) && error.is_logged_in(), "{error}");
    authority.restart();
    let service = Service::start(&authority, "api").await;
    service.accepts(&token_at_last(&reopened).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_session_means_login_and_a_change_of_access_does_not() {
    let authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let alice = Application::of_alice(&authority, authority.url()).await;
    let holder = alice.log_in().await;
    let first = holder.access_token().await.expect("alice is logged in");
    service.accepts_soon(first.expose()).await;

    authority.revoke(json!({"targets": ["subject:alice"], "reach": "access", "wait": "10s"})).await;
    service.refuses_as_revoked(first.expose()).await;
    let second = holder.refused(&first).await.expect("the session lives on");
    service.accepts_soon(second.expose()).await;

    authority.revoke(json!({"targets": ["subject:alice"], "wait": "10s"})).await;
    service.refuses_as_revoked(second.expose()).await;
    let reopened = alice.reopen();
    for _ in 0..2 {
        let error = reopened.access_token().await.expect_err("the session is revoked");
        assert!(matches!(error, HolderError::MustLogIn(_)), "{error}");
        assert_eq!(error.code(), "session_revoked");
    }
    service.accepts_soon(&token(&alice.log_in().await).await).await;
}

/// The authority's clock is an hour away from the application's, so that every `exp` is long past, or far
/// ahead, for who reads it here.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong_by_an_hour_costs_no_login_and_no_refresh() {
    for hours in [-1, 1] {
        let clock = FakeClock::new();
        clock.set(hours * 3600);
        let authority = Authority::launch(Launch { environment: clock.environment(), ..Launch::default() });
        let alice = Application::of_alice(&authority, authority.url()).await;
        let holder = alice.log_in().await;
        let first = token(&holder).await;
        for _ in 0..100 {
            assert_eq!(token(&holder).await, first);
        }
        assert_eq!(refreshes(&authority, "rotated").await, 0, "its life is counted from when it was asked for");
        let next = token(&alice.reopen()).await;
        assert_ne!(next, first);
        assert_eq!(refreshes(&authority, "rotated").await, 1);
    }
}
