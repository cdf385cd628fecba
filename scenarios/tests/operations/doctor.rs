//! `annul doctor`: a canary revoked on every verifier, and what it says when one does not take part.

use std::time::{Duration, Instant};

use scenarios::{Authority, Cli, Gateway, Proxy, Service};
use serde_json::Value;

/// What the doctor found of the verifier of that name.
#[track_caller]
fn examined<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let verifiers = answer["verifiers"].as_array().expect("verifiers");
    verifiers.iter().find(|seen| seen["name"] == name).unwrap_or_else(|| panic!("no {name} in {answer}"))
}

#[track_caller]
fn assert_works(answer: &Value, name: &str) {
    let seen = examined(answer, name);
    assert_eq!((&seen["before"], &seen["after"]), (&"active".into(), &"revoked".into()), "{answer}");
    assert!(seen["applied_ms"].is_u64() && seen["position"].is_string(), "{answer}");
}

#[tokio::test]
async fn the_doctor_sees_every_live_verifier_refuse_what_it_revoked() {
    let authority = Authority::start();
    let _api = Service::start(&authority, "api").await;
    let follower = ("behind".to_owned(), "a secret of those behind the gateway".to_owned());
    let gateway = Gateway::start_with(&authority, "edge", |options| options.feed = Some(follower.clone())).await;
    let pin = authority.admin().get("/statusz").await.text("feed_key").to_owned();
    let behind = Service::launch("behind", gateway.url(), follower, |options| {
        options.through_relay = true;
        options.feed_key = Some(pin);
    });
    behind.ready().await;
    let cli = Cli::of(authority.admin());
    let users = authority.login("alice", "phone").await;

    let answer = cli.run(&["doctor", "--json", "--wait", "20s"]).await.expect_code(0).json();
    assert_eq!(answer["ok"], true, "{answer}");
    assert_eq!(answer["verifiers"].as_array().map(Vec::len), Some(3), "{answer}");
    for name in ["api", "edge", "behind"] {
        assert_works(&answer, name);
    }
    let cannot_see: Vec<_> =
        answer["cannot_see"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    for blind in ["jwks.json", "introspection", "not reported", "signature only", "ask the authority"] {
        assert!(cannot_see.iter().any(|item| item.contains(blind)), "{blind} is not in {cannot_see:?}");
    }
    // Nobody's own tokens were touched.
    behind.accepts_soon(users.token()).await;

    // For whoever is woken by it: each verifier in a line, what is not covered, and the word of it last.
    let ran = cli.run(&["doctor", "--wait", "20s"]).await.expect_code(0);
    for name in ["api", "edge", "behind"] {
        let line = ran.lines().into_iter().find(|line| line.starts_with(&format!("ok {name}/")));
        let line = line.unwrap_or_else(|| panic!("no line of {name}: {}", ran.stdout));
        assert!(line.contains("active revoked") && line.contains(" ms "), "{line}");
    }
    assert!(ran.stdout.contains("This cannot see:"), "{}", ran.stdout);
    let last = ran.lines().pop().expect("lines");
    assert_eq!(last, "ok: all 3 verifiers refused what was revoked", "{}", ran.stdout);
}

#[tokio::test]
async fn the_doctor_names_the_verifier_that_stands_still() {
    let authority = Authority::start();
    let api = Service::start(&authority, "api").await;
    let worker = Service::start_with(&authority, "worker", |options| options.max_staleness_ms = 60_000).await;
    let cli = Cli::of(authority.admin());

    worker.process().signal("STOP");
    let answer = cli.run(&["doctor", "--json", "--wait", "8s"]).await.expect_code(1).json();
    assert_eq!(answer["ok"], false, "{answer}");
    assert_works(&answer, "api");
    let stopped = examined(&answer, "worker");
    assert!(stopped["before"].is_null() && stopped["after"].is_null(), "{answer}");
    assert!(stopped["applied_ms"].is_null(), "{answer}");

    let ran = cli.run(&["doctor", "--wait", "8s"]).await.expect_code(1);
    let line = ran.lines().into_iter().find(|line| line.starts_with("FAIL")).expect("a line that fails");
    assert!(line.starts_with("FAIL worker/") && line.contains("no answer no answer not seen"), "{}", ran.stdout);
    assert!(ran.lines().iter().any(|line| line.starts_with("ok api/")), "{}", ran.stdout);
    let last = ran.lines().pop().expect("lines");
    assert!(last.starts_with("FAIL: 1 of 2 verifiers") && last.contains("worker"), "{last}");

    // It goes on, and all is well again.
    worker.process().signal("CONT");
    worker.ready().await;
    let answer = cli.run(&["doctor", "--json", "--wait", "20s"]).await.expect_code(0).json();
    assert_works(&answer, "worker");

    // One that was cut off for longer than it accepts anything is not examined, and is not kept quiet.
    let wire = Proxy::to(authority.url());
    let away = Service::start_with(&authority, "away", |options| {
        options.authority = wire.url();
        options.max_staleness_ms = 4_000;
    })
    .await;
    let answer = cli.run(&["doctor", "--json", "--wait", "20s"]).await.expect_code(0).json();
    assert_works(&answer, "away");
    wire.silence();
    let asked = Instant::now();
    let answer = loop {
        let answer = cli.run(&["doctor", "--json", "--wait", "400ms"]).await.json();
        if answer["verifiers"].as_array().is_some_and(|seen| seen.iter().all(|seen| seen["name"] != "away")) {
            break answer;
        }
        assert!(asked.elapsed() < Duration::from_secs(60), "it stays counted: {answer}");
        assert_eq!(answer["ok"], false, "a verifier did not answer: {answer}");
    };
    let cannot_see = answer["cannot_see"].as_array().expect("a list").iter().filter_map(Value::as_str);
    assert_eq!(cannot_see.filter(|item| item.starts_with("away: not examined")).count(), 1, "{answer}");
    assert_eq!(away.status().await["state"], "stale");
    drop((api, worker));
}

#[tokio::test]
async fn the_doctor_does_not_call_an_empty_house_healthy() {
    let authority = Authority::start();
    let cli = Cli::of(authority.admin());
    let answer = cli.run(&["doctor", "--json", "--wait", "1s"]).await.expect_code(1).json();
    assert_eq!(answer["ok"], false, "{answer}");
    let ran = cli.run(&["doctor", "--wait", "1s"]).await.expect_code(1);
    assert!(ran.stdout.starts_with("no verifier"), "{}", ran.stdout);

    // It takes an administrator: it issues and revokes.
    let reader = authority.client("reader", &["annul.read", "annul.follow"]).await;
    Cli::of(&reader).run(&["doctor"]).await.expect_code(5);
}
