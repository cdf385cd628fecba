//! The command line: every exit code by a command that somebody types, and what the answers say.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use scenarios::{AUDIENCE, Authority, Cli, ISSUER, Service};
use serde_json::{Value, json};

/// The head of the log: what is not in it was not done.
async fn head(authority: &Authority) -> Value {
    authority.admin().get("/statusz").await.expect_status(200).body["position"].clone()
}

#[tokio::test]
async fn every_exit_code_is_reached_and_means_what_it_says() {
    let mut authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let cli = Cli::of(authority.admin());

    // 0: done.
    let token = cli.run(&["token", "issue", "--subject", "alice", "--device", "phone"]).await.expect_code(0);
    let token = token.stdout.trim();
    service.accepts_soon(token).await;
    cli.run(&["token", "check", token]).await.expect_code(0);
    cli.run(&["token", "verify", token, "--audience", AUDIENCE]).await.expect_code(0);
    cli.run(&["revoke", "subject:alice", "--wait", "10s"]).await.expect_code(0);
    service.refuses_as_revoked(token).await;

    // 1: the answer to the question is no.
    let checked = cli.run(&["token", "check", token]).await.expect_code(1);
    assert_eq!(checked.lines()[0], "verdict revoked", "{}", checked.stdout);
    cli.run(&["token", "verify", token, "--audience", "another"]).await.expect_code(1);
    let refused = cli.run(&["lift", "1:999999"]).await.expect_code(1);
    assert!(refused.stderr.contains("revocation_unknown") && refused.stderr.contains("hint:"), "{}", refused.stderr);

    // 2: it does not make sense, and nothing was sent.
    let before = head(&authority).await;
    for arguments in [
        &["revoke"][..],
        &["revoke", "alice"],
        &["revoke", "subject:alice", "--cutoff", "soon"],
        &["revoke", "subject:alice", "--wait", "quickly"],
        &["token", "verify", token],
        &["no-such-verb"],
    ] {
        let ran = cli.run(arguments).await.expect_code(2);
        assert!(ran.stderr.contains("error:") && ran.stdout.is_empty(), "{arguments:?}: {ran:?}");
    }
    assert_eq!(head(&authority).await, before);

    // 3: durable, and one verifier has not confirmed it. It is named.
    service.process().signal("STOP");
    let bob = authority.login("bob", "phone").await;
    let ran = cli.run(&["revoke", "subject:bob", "--wait", "300ms"]).await.expect_code(3);
    let lines = ran.lines();
    let line = |start: &str| {
        lines.iter().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no {start}: {}", ran.stdout))
    };
    assert!(
        line("applied").contains("0 of 1 verifiers") && line("applied").contains("NOT confirmed"),
        "{}",
        ran.stdout
    );
    assert!(line("missing").contains("api/"), "{}", ran.stdout);
    assert!(line("holds").contains("at the latest"), "{}", ran.stdout);
    service.process().signal("CONT");
    service.refuses_as_revoked(bob.token()).await;

    // 5: not allowed to, or not who it says it is.
    let reader = authority.client("reader", &["annul.read"]).await;
    let ran = Cli::of(&reader).run(&["revoke", "subject:alice"]).await.expect_code(5);
    assert!(ran.stderr.contains("insufficient_scope") && ran.stderr.contains("hint:"), "{}", ran.stderr);
    let ran = Cli::at(authority.url(), "reader", "guess").run(&["sessions", "list", "alice"]).await.expect_code(5);
    assert!(ran.stderr.contains("invalid_client"), "{}", ran.stderr);

    // 4: nobody there.
    authority.kill();
    let ran = cli.run(&["revoke", "subject:alice"]).await.expect_code(4);
    assert!(ran.stderr.contains("cannot be reached") && ran.stderr.contains("nothing was done"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_dry_run_counts_what_the_real_run_ends_and_does_nothing() {
    let authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let cli = Cli::of(authority.admin());
    let mut alices = Vec::new();
    for device in ["phone", "laptop", "tablet"] {
        alices.push(authority.login("alice", device).await);
    }
    let acme = authority.open(json!({"subject": "bob", "claims": {"tenant": "acme"}})).await;
    let ended = authority.login("alice", "old").await;
    authority.admin().delete(&format!("/v1/sessions/{}", ended.sid())).await.expect_status(200);

    for (arguments, sessions) in [
        (&["revoke", "device:alice/phone"][..], 1),
        (&["revoke", "subject:alice", "subject:alice"], 2),
        (&["revoke", "claim:tenant=acme", "subject:nobody", "--yes"], 1),
        (&["revoke", "issuer", "--yes"], 0),
    ] {
        let before = head(&authority).await;
        let dry = cli.run(&[arguments, &["--dry-run", "--json"]].concat()).await.expect_code(0).json();
        assert_eq!(dry["sessions"], sessions, "{arguments:?}: {dry}");
        assert_eq!(head(&authority).await, before, "a dry run wrote to the log");
        let real = cli.run(&[arguments, &["--json"]].concat()).await.expect_code(0).json();
        assert_eq!(real["sessions"], dry["sessions"], "{arguments:?}: {real}");
        assert_ne!(head(&authority).await, before);
    }
    for dead in alices.iter().chain([&acme]) {
        service.refuses_as_revoked(dead.token()).await;
    }
}

#[tokio::test]
async fn a_lift_revives_what_its_entry_alone_had_revoked() {
    let authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let cli = Cli::of(authority.admin());
    let phone = authority.login("alice", "phone").await;
    let laptop = authority.login("alice", "laptop").await;
    let bob = authority.login("bob", "phone").await;
    let revoke = async |arguments: &[&str]| -> String {
        let answer = cli.run(&[&["revoke", "--json", "--wait", "10s"], arguments].concat()).await.expect_code(0).json();
        answer["position"].as_str().expect("a position").to_owned()
    };
    let by_subject = revoke(&["subject:alice"]).await;
    let by_device = revoke(&["device:alice/laptop"]).await;
    let by_token = revoke(&["--token", bob.token()]).await;
    let end = cli.run(&["sessions", "end", bob.sid(), "--json"]).await.expect_code(0).json();
    for dead in [&phone, &laptop, &bob] {
        service.refuses_as_revoked(dead.token()).await;
        authority.next_token(dead.sid()).await.expect_status(403);
    }

    let ran = cli.run(&["lift", &by_subject, "--wait", "10s", "--reason", "it was a drill"]).await.expect_code(0);
    assert!(ran.lines()[0].starts_with(&format!("lifted {by_subject}")), "{}", ran.stdout);
    service.accepts(phone.token()).await;
    authority.next_token(phone.sid()).await.expect_status(200);
    for dead in [&laptop, &bob] {
        service.refuses_as_revoked(dead.token()).await;
        authority.next_token(dead.sid()).await.expect_status(403);
    }
    cli.run(&["lift", &by_device, "--wait", "10s"]).await.expect_code(0);
    service.accepts(laptop.token()).await;
    authority.next_token(laptop.sid()).await.expect_status(200);

    // What is final stays so: lifted twice, and an ended session. The token's own entry goes, and
    // the session's keeps it dead.
    let twice = cli.run(&["lift", &by_subject]).await.expect_code(1);
    assert!(twice.stderr.contains("already_lifted"), "{}", twice.stderr);
    let ended = end["position"].as_str().expect("a position");
    let refused = cli.run(&["lift", ended]).await.expect_code(1);
    assert!(refused.stderr.contains("lifts_ended_session"), "{}", refused.stderr);
    cli.run(&["lift", &by_token, "--wait", "10s"]).await.expect_code(0);
    service.refuses_as_revoked(bob.token()).await;
}

#[tokio::test]
async fn a_wide_revocation_asks_first_and_without_a_terminal_needs_yes() {
    let authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let cli = Cli::of(authority.admin());
    let alice = authority.open(json!({"subject": "alice", "claims": {"tenant": "acme"}})).await;
    service.accepts_soon(alice.token()).await;
    let key = format!("key:{}", alice.key_id());
    let before = head(&authority).await;
    for target in ["issuer", "claim:tenant=acme", "client:web", &key] {
        // An answer piped in is nobody's consent.
        let ran = cli.run_with_input(&["revoke", target], "yes\n").await.expect_code(2);
        assert!(ran.stderr.contains("nothing was done") && ran.stderr.contains("--yes"), "{}", ran.stderr);
    }
    let ran = cli.run_with_input(&["revoke", "--file", "-"], "subject:alice\n").await.expect_code(2);
    assert!(ran.stderr.contains("1 targets of a file") || ran.stderr.contains("1 target"), "{}", ran.stderr);
    assert_eq!(head(&authority).await, before);
    service.accepts(alice.token()).await;

    // With --yes it is done; what is narrow needs none.
    cli.run(&["revoke", "claim:tenant=acme", "--yes", "--wait", "10s"]).await.expect_code(0);
    service.refuses_as_revoked(alice.token()).await;
    let file = "# left the company\nsubject:bob\n\nsubject:carol\n";
    let bob = authority.login("bob", "phone").await;
    let ran = cli.run_with_input(&["revoke", "--file", "-", "--yes", "--json"], file).await.expect_code(0).json();
    assert_eq!((&ran["sessions"], ran["revocations"].as_array().map(Vec::len)), (&json!(1), Some(2)), "{ran}");
    service.refuses_as_revoked(bob.token()).await;
}

#[tokio::test]
async fn tokens_are_verified_line_by_line_and_jws_only_stops_at_the_signature() {
    let authority = Authority::start();
    let cli = Cli::of(authority.admin());
    let good = authority.login("alice", "phone").await;
    let another = authority.login("bob", "phone").await;
    let (body, _) = good.token().rsplit_once('.').expect("three parts");
    let (_, signature) = another.token().rsplit_once('.').expect("three parts");
    let forged = format!("{body}.{signature}");
    let lines = format!("{}\njunk\n\n{forged}\n{}", good.token(), good.token());

    // One answer per line and in order, also for an empty one; one refusal makes it 1.
    let ran = cli.run_with_input(&["token", "verify", "--stdin", "--audience", AUDIENCE], &lines).await.expect_code(1);
    let expected = ["OK", "REFUSED token_malformed", "REFUSED token_missing", "REFUSED signature_invalid", "OK"];
    assert_eq!(ran.lines(), expected, "{}", ran.stdout);
    let all_good = format!("{}\n{}\n", good.token(), good.token());
    let ran = cli.run_with_input(&["token", "verify", "--stdin", "--audience", AUDIENCE], &all_good).await;
    assert_eq!(ran.expect_code(0).lines(), ["OK", "OK"]);

    // Keys from a file: no authority is asked.
    let jwks = authority.admin().get("/.well-known/jwks.json").await.expect_status(200).body;
    let home = tempfile::tempdir().expect("a temporary directory");
    let file = |name: &str, keys: &Value| {
        let path = home.path().join(name);
        std::fs::write(&path, keys.to_string()).expect("a file is written");
        path.to_str().expect("a path in text").to_owned()
    };
    let ours = file("ours.json", &jwks);
    let alone = Cli::at("http://127.0.0.1:1", "nobody", "nothing");
    let arguments = ["token", "verify", good.token(), "--jwks", &ours, "--audience", AUDIENCE, "--issuer"];
    alone.run(&[&arguments[..], &[ISSUER]].concat()).await.expect_code(0);
    let ran = alone.run(&[&arguments[..], &["https://elsewhere.example"]].concat()).await.expect_code(1);
    assert_eq!(ran.lines(), ["REFUSED issuer_mismatch"]);

    // A payload that is no JSON is nobody's token, and its signature is good.
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new()).expect("a key can be made");
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("what was made can be read");
    let public = json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(pair.public_key().as_ref())});
    let theirs = file("theirs.json", &json!({"keys": [public]}));
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA"}"#), URL_SAFE_NO_PAD.encode("no JSON"));
    let vector = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes())));
    let other = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(pair.sign(b"something else")));
    let input = format!("{vector}\n{other}\n");
    let ran = alone.run_with_input(&["token", "verify", "--jws-only", "--jwks", &theirs, "--stdin"], &input).await;
    assert_eq!(ran.expect_code(1).lines(), ["OK", "REFUSED signature_invalid"]);
    let arguments = ["token", "verify", &vector, "--jwks", &theirs, "--issuer", "x", "--audience", "y"];
    let ran = alone.run(&arguments).await.expect_code(1);
    assert_eq!(ran.lines(), ["REFUSED token_malformed"]);
}
