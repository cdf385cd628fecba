//! The tools of an incident, over real processes: a mistaken mass revocation taken back, revocations
//! for later over kills and restarts, spread ones, bulk, proof keys, and what was exposed.

use std::time::{Duration, Instant};

use annul::holder::ProofKey;
use futures::StreamExt as _;
use scenarios::{Answer, Authority, Cli, Proxy, Service, now};
use serde_json::{Value, json};

/// A login of a tenant, made `ago` seconds before now.
async fn of_tenant(authority: &Authority, subject: &str, tenant: &str, ago: u64) -> Answer {
    let session = json!({
        "subject": subject, "device": {"id": "phone"}, "claims": {"tenant": tenant}, "auth_time": now() - ago
    });
    authority.open(session).await
}

/// The entries against a target, lifted ones too.
async fn entries(authority: &Authority, target: &str) -> Vec<Value> {
    let path = format!("/v1/revocations?target={}&limit=1000", target.replace('=', "%3D"));
    authority.admin().get(&path).await.expect_status(200).body["revocations"].as_array().expect("a list").clone()
}

/// The sequence of a position.
fn sequence(position: &str) -> u64 {
    let (_, sequence) = position.split_once(':').expect("epoch and sequence");
    sequence.parse().expect("a number")
}

/// Waits until a schedule says that nothing of it waits.
async fn is_over(authority: &Authority, id: &str) -> Value {
    let asked = Instant::now();
    loop {
        let schedule = authority.admin().get(&format!("/v1/revocations/scheduled/{id}")).await.expect_status(200).body;
        if schedule["state"] != "waiting" {
            return schedule;
        }
        assert!(asked.elapsed() < Duration::from_secs(90), "it is still waiting: {schedule}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_lifted_tenant_lives_again_and_nothing_else_does() {
    let authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let old_key = of_tenant(&authority, "kim", "acme", 0).await;
    service.accepts_soon(old_key.token()).await;
    let key = old_key.key_id();
    authority.admin().post(&format!("/v1/keys/{key}/kill"), json!({"wait": "10s"})).await.expect_status(200);

    let innocent = of_tenant(&authority, "alice", "acme", 0).await;
    let by_subject = of_tenant(&authority, "bob", "acme", 0).await;
    let by_device = of_tenant(&authority, "carol", "acme", 0).await;
    let by_token = of_tenant(&authority, "dave", "acme", 0).await;
    let ended = of_tenant(&authority, "erin", "acme", 0).await;
    let since = of_tenant(&authority, "frank", "acme", 0).await;
    authority.revoke(json!({"targets": ["subject:bob"]})).await;
    authority.revoke(json!({"targets": ["device:carol/phone"]})).await;
    authority.revoke(json!({"token": by_token.token()})).await;
    authority.admin().delete(&format!("/v1/sessions/{}", ended.sid())).await.expect_status(200);
    let mistake = authority.revoke(json!({"targets": ["claim:tenant=acme"], "wait": "10s"})).await;
    assert_eq!(mistake.number("sessions"), 4, "alice, dave, frank and kim were alive");
    authority.revoke(json!({"targets": ["subject:frank"], "cutoff": {"before": now()}, "wait": "10s"})).await;
    let everyone = [&innocent, &by_subject, &by_device, &by_token, &ended, &since, &old_key];
    for login in everyone {
        service.refuses_as_revoked(login.token()).await;
        authority.next_token(login.sid()).await.expect_status(403);
    }

    let lift = json!({"positions": [mistake.text("position")], "wait": "10s"});
    authority.admin().post("/v1/revocations/lift", lift).await.expect_status(200);
    service.accepts(innocent.token()).await;
    authority.next_token(innocent.sid()).await.expect_status(200);
    for dead in [&by_subject, &by_device, &by_token, &ended, &old_key] {
        service.refuses_as_revoked(dead.token()).await;
    }
    for dead in [&by_subject, &by_device, &ended] {
        authority.next_token(dead.sid()).await.expect_status(403);
    }
    // Only a token of these was revoked, or the key that signed it: their sessions are as they were.
    for alive in [&by_token, &old_key] {
        let next = authority.next_token(alive.sid()).await.expect_status(200);
        service.accepts_soon(next.token()).await;
    }
    let refused =
        authority.admin().post("/v1/revocations/lift", json!({"positions": [mistake.text("position")]})).await;
    assert_eq!(refused.expect_status(409).text("code"), "already_lifted");
}

#[tokio::test]
async fn a_scheduled_revocation_is_done_exactly_once_over_kills_and_restarts() {
    let mut authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let mut schedules = Vec::new();
    for round in 0..4 {
        let subject = format!("user-{round}");
        let login = authority.login(&subject, "phone").await;
        let request = json!({"targets": [format!("subject:{subject}")], "at": now() + 6, "reason": "last day"});
        let kept = authority.admin().post("/v1/revocations", request).await.expect_status(202);
        service.accepts_soon(login.token()).await;
        assert!(entries(&authority, &format!("subject:{subject}")).await.is_empty(), "nothing is in the log yet");
        schedules.push((subject, login, kept.text("schedule").to_owned(), kept.number("complete_at")));
    }
    // Around the moment at which they come due, it is killed again and again.
    let last_due = schedules.last().expect("there are four").3;
    while u128::from(last_due) + 500 > millis() {
        authority.kill();
        authority.restart();
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    for (subject, login, id, due) in &schedules {
        let schedule = is_over(&authority, id).await;
        assert_eq!((&schedule["state"], &schedule["sessions"]), (&json!("done"), &json!(1)), "{schedule}");
        service.refuses_as_revoked(login.token()).await;
        let target = format!("subject:{subject}");
        let made = entries(&authority, &target).await;
        assert_eq!(made.len(), 1, "{made:?}");
        assert!(made[0]["time"].as_u64().expect("a time") >= *due, "not before its time: {made:?}");
        assert_eq!((&made[0]["reason"], &made[0]["actor"]), (&json!("last day"), &json!(authority.admin().id())));
    }
    authority.kill();
    authority.restart();
    let again = authority.login("user-0", "phone").await;
    service.accepts_soon(again.token()).await;
    assert_eq!(entries(&authority, "subject:user-0").await.len(), 1, "a restart does nothing twice");
}

#[tokio::test]
async fn a_step_that_is_refused_when_it_is_due_is_said_to_be_and_the_next_goes_on() {
    let authority = Authority::start();
    let cli = Cli::of(authority.admin());
    let ended = authority.login("alice", "phone").await;
    let alive = authority.login("bob", "phone").await;
    let at = (now() + 10).to_string();
    let plan = async |arguments: &[&str]| {
        let kept = cli.run(&[&["revoke", "--at", &at, "--json"], arguments].concat()).await.expect_code(0).json();
        kept["schedule"].as_str().expect("an id").to_owned()
    };
    let refused = plan(&[&format!("session:{}", ended.sid()), "--cutoff", "now"]).await;
    let good = plan(&["subject:bob"]).await;
    cli.run(&["sessions", "end", ended.sid()]).await.expect_code(0);
    is_over(&authority, &refused).await;
    let shown = cli.run(&["schedules", "show", &refused]).await.expect_code(1);
    assert!(shown.stdout.contains("refused: session_ended"), "{}", shown.stdout);
    is_over(&authority, &good).await;
    cli.run(&["schedules", "show", &good]).await.expect_code(0);
    authority.next_token(alive.sid()).await.expect_status(403);
    let audit = cli.run(&["audit", "--target", &refused]).await.expect_code(0);
    assert!(audit.stdout.contains("revocation.refused"), "{}", audit.stdout);
    let over = cli.run(&["schedules", "cancel", &good]).await.expect_code(1);
    assert!(over.stderr.contains("schedule_over"), "{}", over.stderr);
}

fn millis() -> u128 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("the clock is past 1970").as_millis()
}

#[tokio::test]
async fn a_spread_revocation_ends_the_oldest_logins_first_and_is_complete_when_it_was_said() {
    let mut authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let cli = Cli::of(authority.admin());
    let mut logins = Vec::new();
    for index in 0..6u64 {
        logins.push(of_tenant(&authority, &format!("user-{index}"), "acme", 600 - index * 100).await);
    }
    let other = of_tenant(&authority, "bob", "globex", 0).await;
    service.accepts_soon(other.token()).await;
    let command = ["revoke", "claim:tenant=acme", "--over", "15s", "--yes"];
    let dry = cli.run(&[&command[..], &["--dry-run"]].concat()).await.expect_code(0);
    assert!(dry.stdout.contains("This would end 6 sessions.") && dry.stdout.contains("dry run"), "{}", dry.stdout);
    let kept = cli.run(&[&command[..], &["--json"]].concat()).await.expect_code(0).json();
    let steps = kept["steps"].as_array().expect("steps").clone();
    assert_eq!(steps.iter().map(|step| step["expected"].as_u64()).collect::<Vec<_>>(), [Some(2); 3], "{kept}");
    assert_eq!(kept["complete_at"].as_u64(), kept["created"].as_u64().map(|created| created + 15_000), "{kept}");

    service.refuses_as_revoked(logins[1].token()).await;
    service.refuses_as_revoked(logins[0].token()).await;
    service.accepts(logins[5].token()).await;
    // Time is told in seconds: who logs in in the very second of the asking is taken as older.
    let asked_in = kept["created"].as_u64().expect("a time") / 1000;
    while now() <= asked_in {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let back = of_tenant(&authority, "user-0", "acme", 0).await;
    // In the middle of it the authority dies; what is left is done by the next.
    authority.kill();
    authority.restart();
    service.refuses_as_revoked(logins[3].token()).await;
    service.refuses_as_revoked(logins[2].token()).await;
    service.accepts(logins[5].token()).await;

    let id = kept["schedule"].as_str().expect("an id");
    let over = is_over(&authority, id).await;
    assert_eq!((&over["state"], &over["sessions"]), (&json!("done"), &json!(6)), "{over}");
    for login in &logins {
        service.refuses_as_revoked(login.token()).await;
        authority.next_token(login.sid()).await.expect_status(403);
    }
    service.accepts_soon(back.token()).await;
    authority.next_token(back.sid()).await.expect_status(200);
    service.accepts(other.token()).await;
    let made = entries(&authority, "claim:tenant=acme").await;
    assert_eq!(made.len(), 3, "one entry for each slice: {made:?}");
    for (entry, step) in made.iter().zip(&steps) {
        assert!(entry["time"].as_u64() >= step["due"].as_u64(), "{entry} {step}");
        assert_eq!(entry["cutoff"], step["cutoff"]);
    }

    let shown = cli.run(&["schedules", "show", id]).await.expect_code(0);
    let undo = shown.stdout.lines().find(|line| line.starts_with("to undo")).expect("it says how to undo it");
    let positions: Vec<&str> = undo.split_whitespace().skip(4).collect();
    cli.run(&[&["lift", "--wait", "10s"], &positions[..]].concat()).await.expect_code(0);
    service.accepts(logins[0].token()).await;
}

#[tokio::test]
async fn a_file_is_revoked_whole_or_stops_at_a_named_line_and_goes_on() {
    let authority = Authority::start();
    let proxy = Proxy::to(authority.url());
    let direct = Cli::of(authority.admin());
    let cli = Cli::at(&proxy.url(), authority.admin().id(), authority.admin().secret());
    let head = async || sequence(authority.admin().get("/statusz").await.expect_status(200).text("position"));
    let lines = |count: u32| (0..count).map(|index| format!("subject:user-{index}\n")).collect::<String>();

    // A line that does not read, and one that the authority refuses: nothing of the file is done.
    let before = head().await;
    let command = ["revoke", "--file", "-", "--yes"];
    let bad = format!("{}alice\n", lines(250));
    let ran = direct.run_with_input(&command, &bad).await.expect_code(2);
    assert!(ran.stderr.contains("line 251: ") && ran.stderr.contains("nothing was revoked"), "{}", ran.stderr);
    let bad = format!("{}{}\n", lines(250), json!({"target": "confirmation:abc", "cutoff": "now"}));
    let ran = direct.run_with_input(&command, &bad).await.expect_code(1);
    assert!(ran.stderr.contains("line 251: ") && ran.stderr.contains("cutoff_not_allowed"), "{}", ran.stderr);
    let dry = direct.run_with_input(&[&command[..], &["--dry-run"]].concat(), &lines(250)).await.expect_code(0);
    assert!(dry.stdout.contains("and 200 more") && dry.stdout.contains("at most 0 sessions"), "{}", dry.stdout);
    assert_eq!(head().await, before);

    // The line breaks in the middle of it: what is done stands, and the same command goes on.
    let victim = authority.login("user-11999", "phone").await;
    let before = head().await;
    let file = lines(12_000);
    let keyed = [&command[..], &["--json", "--idempotency-key", "leavers"]].concat();
    let asked = Instant::now();
    let cutting = async {
        while head().await < before + 500 {
            assert!(asked.elapsed() < Duration::from_secs(60), "five hundred lines are not done");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        proxy.cut();
    };
    let (ran, ()) = tokio::join!(cli.run_with_input(&keyed, &file), cutting);
    let ran = ran.expect_code(4);
    let stopped = ran.json()["stopped"].clone();
    let line = stopped["line"].as_u64().expect("a line");
    assert_eq!(stopped["done_to_line"].as_u64(), Some(line - 1), "{stopped}");
    assert!(line > 400 && ran.stderr.contains("--idempotency-key leavers"), "{stopped} {}", ran.stderr);
    authority.next_token(victim.sid()).await.expect_status(200);

    proxy.mend();
    let whole = cli.run_with_input(&keyed, &file).await.expect_code(0).json();
    let made = whole["revocations"].as_array().expect("the entries");
    assert_eq!(made.len(), 12_000);
    assert_eq!(sequence(whole["position"].as_str().expect("a position")), before + 12_000, "no line was revoked twice");
    authority.next_token(victim.sid()).await.expect_status(403);

    // The key stands for these lines and no others.
    let ran = cli.run_with_input(&keyed, &lines(3990)).await.expect_code(1);
    assert!(ran.stderr.contains("idempotency_conflict"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_proof_key_is_revoked_with_every_token_that_is_bound_to_it() {
    let key = || ProofKey::generate().expect("the system has randomness");
    let (stolen_key, other_key) = (key(), key());
    let stolen = stolen_key.thumbprint();
    let authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let bound = async |subject: &str, confirmation: Value| {
        authority.open(json!({"subject": subject, "confirmation": confirmation})).await
    };
    let dpop = bound("alice", json!({"jkt": stolen})).await;
    let certificate = bound("alice", json!({"x5t#S256": stolen})).await;
    let another = bound("alice", json!({"jkt": other_key.thumbprint()})).await;
    let unbound = authority.login("alice", "phone").await;
    service.accepts_soon(unbound.token()).await;
    let seen = service.answer("/check", certificate.token()).await.expect_status(401);
    assert_eq!(seen.text("code"), "certificate_needed", "the certificate is not on this connection");
    let seen = service.call_with_proof(dpop.token(), &stolen_key).await;
    assert_eq!(seen.status, 200, "{seen:?}");
    let next = authority.next_token(dpop.sid()).await.expect_status(200);

    let target = format!("confirmation:{stolen}");
    let revoked = authority.revoke(json!({"targets": [target], "wait": "10s"})).await;
    assert_eq!(revoked.number("sessions"), 2);
    for dead in [&dpop, &certificate, &next] {
        service.refuses_as_revoked(dead.token()).await;
        authority.next_token(dead.sid()).await.expect_status(403);
    }
    assert_eq!(service.call_with_proof(dpop.token(), &stolen_key).await.code, "token_revoked");
    service.accepts(unbound.token()).await;
    assert_eq!(service.call_with_proof(another.token(), &other_key).await.status, 200);
    for confirmation in [json!({"jkt": "short"}), json!({"jkt": format!("{stolen}=")}), json!({"kid": "x"}), json!("x")]
    {
        let refused = authority.admin().post("/v1/sessions", json!({"subject": "bob", "confirmation": confirmation}));
        assert_eq!(refused.await.expect_status(400).text("code"), "request_invalid");
    }
}

#[tokio::test]
async fn exposure_names_the_sessions_and_the_bound_that_held_then() {
    let mut authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let cli = Cli::of(authority.admin());
    let begun = now() - 1;
    let (phone, laptop) = (authority.login("alice", "phone").await, authority.login("alice", "laptop").await);
    let bob = authority.login("bob", "phone").await;
    let revoked = authority.revoke(json!({"targets": ["device:alice/phone"], "wait": "10s"})).await;
    drop(service);
    authority.kill();
    authority.restart();

    let command = ["audit", "exposure", "subject:alice", "--from", &begun.to_string(), "--json"];
    let answer = cli.run(&command).await.expect_code(0).json();
    let sessions = answer["sessions"].as_array().expect("sessions");
    let of = |login: &Answer| sessions.iter().find(|session| session["sid"] == login.sid());
    assert!(sessions.len() == 2 && of(&bob).is_none(), "{answer}");
    let stolen = of(&phone).expect("the phone");
    assert_eq!(stolen["refused_by"], revoked.body["position"], "{stolen}");
    assert_eq!(stolen["check_until"], revoked.body["enforced_by"], "what the answer said then, after a restart");
    let open = of(&laptop).expect("the laptop");
    assert!(open["refused_by"].is_null() && open["check_until"] == open["verify_until"], "{open}");
    assert_eq!(
        answer["bounds"].as_array().and_then(|all| all.last()).map(|last| &last["longest_age"]),
        Some(&json!(10))
    );
    assert_eq!(answer["verifiers"][0]["name"], "api", "{answer}");

    let human = cli.run(&command[..5]).await.expect_code(0);
    for part in [phone.sid(), laptop.sid(), "Not known:", "which requests were made"] {
        assert!(human.stdout.contains(part), "{part}: {}", human.stdout);
    }
    let at_dawn = cli.run(&["audit", "exposure", "subject:alice", "--from", "1", "--to", "2"]).await.expect_code(0);
    assert!(at_dawn.stdout.contains("no session had such a token"), "{}", at_dawn.stdout);
}

#[tokio::test]
async fn a_dry_run_tells_how_many_sessions_would_end() {
    const SESSIONS: usize = 1240;
    let authority = Authority::start();
    let cli = Cli::of(authority.admin());
    let open = |index| authority.open(json!({"subject": format!("user-{index}"), "claims": {"tenant": "acme"}}));
    let opened = futures::stream::iter((0..SESSIONS).map(open)).buffer_unordered(64).count().await;
    assert_eq!(opened, SESSIONS);
    let ran = cli.run(&["revoke", "claim:tenant=acme", "--dry-run"]).await.expect_code(0);
    assert!(ran.stdout.contains("This would end 1,240 sessions."), "{}", ran.stdout);
    let ran = cli.run(&["revoke", "claim:tenant=acme", "--yes"]).await.expect_code(0);
    assert!(ran.lines().contains(&"sessions 1,240 ended".to_owned()), "{}", ran.stdout);
}
