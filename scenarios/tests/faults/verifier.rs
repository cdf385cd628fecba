//! A verifier that cannot know: frozen, or cut off. It says so, and never that a live token is dead.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use scenarios::{Authority, Proxy, Service};
use serde_json::json;

use crate::support::eventually;

fn now_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is past 1970");
    u64::try_from(since.as_millis()).expect("it is not the far future")
}

#[tokio::test]
async fn a_verifier_that_was_frozen_accepts_nothing_revoked_meanwhile() {
    let authority = Authority::start();
    let service = Service::start_with(&authority, "api", |options| options.max_staleness_ms = 3_000).await;
    for round in 0..3 {
        let alice = authority.login(&format!("alice-{round}"), "phone").await;
        let bob = authority.login("bob", "phone").await;
        service.accepts(alice.token()).await;
        service.accepts(bob.token()).await;

        service.process().signal("STOP");
        // The wait ends when the age of the silent verifier has run out: by its own promise it must
        // not accept from then on.
        let (target, stopped) = (format!("subject:alice-{round}"), Instant::now());
        let answer = authority.revoke(json!({"targets": [target], "wait": "30s"})).await;
        assert_eq!(answer.body["confirmation"]["confirmed"], true, "{}", answer.body);
        // It reports three times in its age, so its last view is no older than a third of it.
        assert!(stopped.elapsed() >= Duration::from_secs(1), "confirmed while a silent verifier could still accept");

        // Requests that were sent while it was frozen are the first that it sees.
        let (dead, live) = (alice.token(), bob.token());
        let early = futures::future::join_all((0..16).map(|_| service.call(dead)));
        let wake = async {
            tokio::task::yield_now().await;
            service.process().signal("CONT");
        };
        let (early, ()) = tokio::join!(early, wake);
        assert!(early.iter().all(|seen| seen.status != 200), "a revoked token was accepted on waking: {early:?}");
        eventually("it has caught up", async || {
            let (dead, live) = (service.call(dead).await, service.call(live).await);
            assert_ne!(dead.status, 200, "a revoked token was accepted while catching up");
            assert_ne!(live.status, 401, "a live token was called dead while catching up: {live:?}");
            (dead.status == 401 && live.status == 200).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_verifier_that_is_cut_off_answers_503_and_recovers() {
    let authority = Authority::start();
    let proxy = Proxy::to(authority.url());
    let service = Service::start_with(&authority, "api", |options| {
        options.max_staleness_ms = 3_000;
        options.authority = proxy.url();
    })
    .await;
    let gone = authority.login("gone", "phone").await;
    authority.revoke(json!({"targets": ["subject:gone"]})).await;
    service.refuses_as_revoked(gone.token()).await;

    for (broken, line) in [("cut", Proxy::cut as fn(&Proxy)), ("silent", Proxy::silence)] {
        let alice = authority.login("alice", "phone").await;
        let bob = authority.login("bob", "phone").await;
        service.accepts(alice.token()).await;
        service.accepts(bob.token()).await;
        line(&proxy);
        let answer = authority.revoke(json!({"targets": ["subject:alice"]})).await;
        let enforced_by = answer.number("enforced_by");

        // Until its view is too old it accepts, and then it says that it cannot know.
        let look = async |token| {
            let asked = now_millis();
            let answer = service.answer("/check", token).await;
            assert_ne!(answer.status, 401, "{broken}: a token is called dead by a verifier that cannot know");
            if answer.status == 503 {
                assert!(answer.headers.contains_key("retry-after"), "a 503 says when to come back");
            } else {
                assert!(asked <= enforced_by, "{broken}: accepted after enforced_by");
            }
            answer.status
        };
        eventually("it is stale", async || {
            let (dead, live) = (look(alice.token()).await, look(bob.token()).await);
            assert_eq!(service.call(gone.token()).await.status, 401, "a local denial stands");
            (dead == 503 && live == 503 && now_millis() > enforced_by).then_some(())
        })
        .await;
        let status = service.status().await;
        assert_eq!(status["state"], "stale", "{status}");

        proxy.mend();
        eventually("it has recovered", async || {
            let (dead, live) = (service.call(alice.token()).await, service.call(bob.token()).await);
            assert_ne!(dead.status, 200, "{broken}: accepted on recovering");
            assert_ne!(live.status, 401, "{broken}: a live token is called dead on recovering");
            (dead.status == 401 && live.status == 200).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_flapping_line_never_makes_a_live_token_dead() {
    let authority = Authority::start();
    let proxy = Proxy::to(authority.url());
    let service = Service::start_with(&authority, "api", |options| {
        options.max_staleness_ms = 2_000;
        options.authority = proxy.url();
    })
    .await;
    let bob = authority.login("bob", "phone").await;
    let done = AtomicBool::new(false);
    let watch = async {
        while !done.load(Ordering::Relaxed) {
            let seen = service.call(bob.token()).await;
            assert!([200, 503].contains(&seen.status), "a live token is called dead: {seen:?}");
        }
    };
    let flap = async {
        let mut last = String::new();
        for round in 0..10 {
            let line = if round % 2 == 0 { Proxy::cut } else { Proxy::silence };
            line(&proxy);
            let alice = authority.login(&format!("alice-{round}"), "phone").await;
            last = authority.revoke(json!({"token": alice.token()})).await.text("position").to_owned();
            proxy.mend();
            tokio::time::timeout(Duration::from_secs(60), service.has_applied(&last)).await.expect("it recovers");
            service.refuses_as_revoked(alice.token()).await;
        }
        service.has_applied(&last).await;
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(watch, flap);
    service.ready().await;
    service.accepts(bob.token()).await;
}
