//! The verbs that call a running authority, from a token's issue to its refusal at a gateway.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;

use std::time::{Duration, Instant};

use binary::{Issuer, Ran, Server, command, ran};
use serde_json::{Value, json};

/// An authority with its data in a directory of its own.
struct World {
    directory: tempfile::TempDir,
    authority: Server,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = Server::authority(directory.path());
        Self { directory, authority }
    }

    /// The same with this configuration.
    fn with(configuration: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("annul.toml"), configuration).unwrap();
        let authority = Server::authority(directory.path());
        Self { directory, authority }
    }

    fn annul(&self, arguments: &[&str]) -> Ran {
        let mut command = command(self.directory.path());
        ran(command.args(arguments).env("ANNUL_URL", &self.authority.url).output().unwrap())
    }

    /// The answer of a verb that is done.
    fn json(&self, arguments: &[&str]) -> Value {
        let ran = self.annul(&[arguments, &["--json"]].concat());
        assert_eq!(ran.code, 0, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        serde_json::from_str(&ran.stdout).unwrap()
    }

    fn token(&self, subject: &str) -> (String, String) {
        let answer = self.json(&["token", "issue", "--subject", subject, "--device", "phone"]);
        (answer["access_token"].as_str().unwrap().to_owned(), answer["sid"].as_str().unwrap().to_owned())
    }

    fn with_input(&self, arguments: &[&str], input: &str) -> Ran {
        binary::annul_with_stdin(
            self.directory.path(),
            &[arguments, &["--url", &self.authority.url]].concat(),
            input.as_bytes(),
        )
    }
}

#[test]
fn a_token_is_issued_verified_revoked_and_lifted() {
    let world = World::new();
    let (token, sid) = world.token("alice");
    let (other, _) = world.token("bob");

    let verified = world.annul(&["token", "verify", "--audience", "api", &token]);
    assert_eq!((verified.code, verified.stdout.as_str()), (0, "OK\n"), "{}", verified.stderr);
    assert_eq!(world.annul(&["token", "check", &token]).code, 0);

    let dry = world.json(&["revoke", "subject:alice", "--dry-run"]);
    assert_eq!((&dry["dry_run"], &dry["sessions"]), (&json!(true), &json!(1)));
    assert_eq!(world.annul(&["token", "check", &token]).code, 0, "a dry run revoked something");

    let revoked = world.annul(&["revoke", "subject:alice", "--reason", "stolen laptop", "--wait", "1s"]);
    assert_eq!(revoked.code, 0, "{}", revoked.stderr);
    for word in ["subject:alice", "position", "1 ended", "holds", "applied", "not counted"] {
        assert!(revoked.stdout.contains(word), "{word} is missing:\n{}", revoked.stdout);
    }
    let checked = world.annul(&["token", "check", "--json", &token]);
    let refusal: Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!((checked.code, &refusal["verdict"]), (1, &json!("revoked")));
    assert_eq!(world.annul(&["token", "check", &other]).code, 0, "another subject's token must pass");
    assert_eq!(world.annul(&["token", "issue", "--session", &sid]).code, 1);

    let position = refusal["refusal"]["at"].as_str().unwrap();
    let audit = world.annul(&["audit", "--position", position]);
    assert!(audit.stdout.contains("stolen laptop") && audit.stdout.contains("admin"), "{}", audit.stdout);

    let lifted = world.annul(&["lift", position]);
    assert_eq!(lifted.code, 0, "{}", lifted.stderr);
    assert_eq!(world.annul(&["token", "check", &token]).code, 0, "the lift revived nothing");
}

#[test]
fn a_token_is_revoked_from_stdin_and_a_call_can_be_repeated() {
    let world = World::new();
    let (token, sid) = world.token("alice");
    let sibling = world.json(&["token", "issue", "--session", &sid])["access_token"].as_str().unwrap().to_owned();
    let arguments = ["revoke", "--token", "-", "--json", "--idempotency-key", "once"];
    let first = world.with_input(&arguments, &format!("{token}\n"));
    let again = world.with_input(&arguments, &format!("{token}\n"));
    assert_eq!((first.code, again.code), (0, 0), "{}{}", first.stderr, again.stderr);
    let position = |ran: &Ran| serde_json::from_str::<Value>(&ran.stdout).unwrap()["position"].clone();
    assert_eq!(position(&first), position(&again), "the call was made twice");
    assert_eq!(world.annul(&["token", "check", &token]).code, 1);
    assert_eq!(world.annul(&["token", "check", &sibling]).code, 0);
}

#[test]
fn targets_of_a_file_are_revoked_in_order() {
    let world = World::new();
    let names: String = (0..250).map(|number| format!("subject:user-{number}\n")).collect();
    std::fs::write(world.directory.path().join("targets"), format!("# everybody\n\n{names}")).unwrap();
    let answer = world.json(&["revoke", "--file", "targets", "--yes"]);
    let revocations = answer["revocations"].as_array().unwrap();
    assert_eq!(revocations.len(), 250);
    assert_eq!(revocations[249]["target"], "subject:user-249");
}

#[test]
fn a_subjects_state_is_shown_and_changed() {
    let world = World::new();
    let (token, sid) = world.token("alice");
    let (other, _) = world.token("bob");
    let shown = world.annul(&["subjects", "show", "alice"]);
    assert!(shown.stdout.contains("blocked  no") && shown.stdout.contains("version  none"), "{}", shown.stdout);

    // A version: the kept session goes on, and nobody else's does.
    let set = world.json(&["subjects", "version", "alice", "7", "--keep", &sid, "--reason", "moved", "--wait", "1s"]);
    assert_eq!((&set["kept"], &set["confirmation"]["confirmed"]), (&json!("kept"), &json!(true)));
    let next = set["access_token"].as_str().unwrap();
    assert_eq!(world.annul(&["token", "check", &token]).code, 1);
    assert_eq!(world.annul(&["token", "check", next]).code, 0);
    assert_eq!(world.annul(&["subjects", "version", "alice", "--reach", "access"]).code, 0);
    assert_eq!(world.json(&["subjects", "show", "alice"])["version"], 8);
    assert_eq!(world.annul(&["token", "issue", "--session", &sid]).code, 0, "it reached access only");
    assert_eq!(world.annul(&["subjects", "version", "alice", "--reach", "sessions"]).code, 2);

    let changed = world.annul(&["subjects", "changed", "alice", "role", "password"]);
    assert_eq!(changed.code, 0, "{}", changed.stderr);
    assert_eq!(world.annul(&["token", "issue", "--session", &sid]).code, 1, "a password asks for a login");
    let unknown = world.annul(&["subjects", "changed", "alice", "shoe_size"]);
    assert!(unknown.code == 1 && unknown.stderr.contains("email, password, role"), "{}", unknown.stderr);

    assert_eq!(world.annul(&["subjects", "block", "alice"]).code, 0);
    assert!(world.json(&["subjects", "show", "alice"])["blocked"].is_string());
    assert_eq!(world.annul(&["token", "issue", "--subject", "alice"]).code, 1);
    let unblocked = world.annul(&["subjects", "unblock", "alice"]);
    assert!(unblocked.code == 0 && unblocked.stdout.contains("nothing that was revoked"), "{}", unblocked.stdout);
    assert_eq!(world.annul(&["token", "issue", "--subject", "alice"]).code, 0);
    assert_eq!(world.annul(&["token", "check", &other]).code, 0, "another subject's token must pass");
}

#[test]
fn settings_are_shown_and_changed_after_a_question() {
    let world = World::new();
    let asked = world.annul(&["settings", "set", "--claims", "plan"]);
    assert!(asked.code == 2 && asked.stderr.contains("--yes"), "{}", asked.stderr);
    assert_eq!(world.annul(&["settings", "set", "--yes"]).code, 2, "nothing to set");
    assert_eq!(world.annul(&["settings", "set", "--max-leeway", "1500ms", "--yes"]).code, 2, "whole seconds");
    assert_eq!(world.json(&["settings", "show"])["revision"], 1);
    let set = world.annul(&["settings", "set", "--claims", "plan, tenant", "--max-leeway", "30s", "--yes"]);
    assert!(set.code == 0 && set.stdout.contains("plan tenant"), "{}{}", set.stdout, set.stderr);
    let shown = world.json(&["settings", "show"]);
    assert_eq!((&shown["claims"], &shown["max_leeway"]), (&json!(["plan", "tenant"]), &json!(30)));
    assert_eq!(world.annul(&["revoke", "claim:plan=gold", "--yes"]).code, 0);
    assert_eq!(world.annul(&["revoke", "claim:roles=admin", "--yes"]).code, 1, "it is no target any more");
}

#[test]
fn keys_of_subjects_are_changed_for_one_and_for_all() {
    let world = World::with("[tokens]\nkey = \"per_subject\"\n");
    let ((alice, _), (bob, _)) = (world.token("alice"), world.token("bob"));
    let check = |token: &str| world.annul(&["token", "check", token]).code;
    let active = world.json(&["token", "check", &bob]);
    assert_eq!(active["verdict"], "active", "{active}");
    assert_eq!(world.annul(&["subjects", "key", "alice", "--reason", "phone stolen"]).code, 0);
    assert_eq!((check(&alice), check(&bob)), (1, 0));
    let (later, _) = world.token("alice");
    assert_eq!(world.annul(&["keys", "subject-secret"]).code, 2, "it reaches everybody, so it wants a yes");
    assert_eq!((check(&later), check(&bob)), (0, 0));
    assert_eq!(world.annul(&["keys", "subject-secret", "--yes"]).code, 0);
    assert_eq!((check(&later), check(&bob)), (1, 1));

    let world = World::new();
    let refused = world.annul(&["subjects", "key", "alice"]);
    assert!(refused.code == 1 && refused.stderr.contains("per_subject"), "{}", refused.stderr);
}

#[test]
fn sessions_keys_clients_and_issuers_are_managed() {
    let world = World::new();
    let (token, sid) = world.token("alice");
    assert_eq!(world.json(&["sessions", "list", "alice"])["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(world.annul(&["sessions", "end", &sid]).code, 0);
    assert_eq!(world.annul(&["token", "check", &token]).code, 1);

    let (token, _) = world.token("bob");
    let keys = world.json(&["keys", "list"]);
    let active = keys["keys"].as_array().unwrap().iter().find(|key| key["state"] == "active").unwrap();
    assert_eq!(world.annul(&["keys", "kill", active["kid"].as_str().unwrap(), "--yes"]).code, 0);
    assert_eq!(world.annul(&["token", "check", &token]).code, 1);
    assert_eq!(world.annul(&["token", "verify", "--audience", "api", &world.token("bob").0]).code, 0);

    assert_eq!(world.annul(&["clients", "add", "reader", "--scope", "read"]).code, 0);
    assert!(world.annul(&["clients", "list"]).stdout.contains("reader"));
    assert_eq!(world.annul(&["clients", "remove", "reader"]).code, 0);
    let metadata = |text: &str| std::fs::write(world.directory.path().join("app.json"), text).unwrap();
    metadata(r#"{"token_endpoint_auth_method": "none", "dpop_bound_access_tokens": true}"#);
    let app = world.json(&["clients", "add", "app", "--metadata", "app.json"]);
    assert_eq!((app["token_endpoint_auth_method"].as_str(), app.get("client_secret")), (Some("none"), None));
    assert!(world.annul(&["clients", "list"]).stdout.contains("none"));
    metadata(r#"{"token_endpoint_auth_methods": "none"}"#);
    assert_eq!(world.annul(&["clients", "add", "app2", "--metadata", "app.json"]).code, 1);
    metadata("none");
    assert_eq!(world.annul(&["clients", "add", "app2", "--metadata", "app.json"]).code, 2);

    std::fs::write(world.directory.path().join("jwks.json"), Issuer::new(1).jwks().to_string()).unwrap();
    let add = ["issuers", "add", "https://idp.example", "--jwks", "jwks.json", "--longest-life", "10m"];
    assert_eq!(world.annul(&add).code, 0);
    assert!(world.annul(&["issuers", "list"]).stdout.contains("https://idp.example"));
    assert_eq!(world.annul(&["issuers", "remove", "https://idp.example", "--yes"]).code, 0);
}

#[test]
fn a_built_in_account_logs_in_and_a_wrong_password_does_not() {
    let world = World::new();
    assert_eq!(world.with_input(&["accounts", "add", "carol"], "correct horse battery\n").code, 0);
    let login = world.with_input(&["login", "carol"], "correct horse battery\n");
    assert_eq!(login.code, 0, "{}", login.stderr);
    assert_eq!(world.annul(&["token", "check", login.stdout.trim()]).code, 0);
    let wrong = world.with_input(&["login", "carol"], "wrong\n");
    assert_eq!((wrong.code, wrong.stdout.as_str()), (5, ""));
}

#[test]
fn a_user_changes_what_they_log_in_with_and_keeps_a_session() {
    let world = World::new();
    assert_eq!(world.with_input(&["accounts", "add", "carol"], "correct horse battery\n").code, 0);
    let login = |password: &str| {
        let ran = world.with_input(&["login", "carol", "--device", "phone", "--json"], &format!("{password}\n"));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
        (answer["access_token"].as_str().unwrap().to_owned(), answer["sid"].as_str().unwrap().to_owned())
    };
    let (token, sid) = login("correct horse battery");

    // Without a credential: the user proves the password.
    let change = ["accounts", "change-password", "carol", "--keep", &sid, "--json", "--credential", "none"];
    let wrong = world.with_input(&change, "wrong horse\nanother staple\n");
    assert_eq!((wrong.code, wrong.stdout.as_str()), (5, ""));
    assert_eq!(world.annul(&["token", "check", &token]).code, 0);
    let changed = world.with_input(&change, "correct horse battery\nanother staple\n");
    assert_eq!(changed.code, 0, "{}", changed.stderr);
    let changed: Value = serde_json::from_str(&changed.stdout).unwrap();
    assert_eq!(changed["kept"], "kept");
    assert_eq!(world.annul(&["token", "check", &token]).code, 1);
    let kept = changed["access_token"].as_str().unwrap();
    assert_eq!(world.annul(&["token", "check", kept]).code, 0);

    let secured = world.with_input(&["accounts", "secure", "carol"], "another staple\n");
    assert_eq!(secured.code, 0, "{}", secured.stderr);
    assert_eq!(world.annul(&["token", "check", kept]).code, 1);
    let (token, _) = login("another staple");
    let renamed = world.with_input(&["accounts", "lookup-id", "carol"], "another staple\n");
    let subject = world.json(&["accounts", "show", "carol"])["subject"].as_str().unwrap().to_owned();
    assert!(renamed.stdout.starts_with(&format!("carol goes by {subject} now\n")), "{}", renamed.stdout);
    assert_ne!(subject, "carol");
    assert_eq!(world.annul(&["token", "check", &token]).code, 1);
    let devices = world.json(&["sessions", "devices", "carol"]);
    assert_eq!(
        (&devices["devices"][0]["device"]["id"], &devices["devices"][0]["logged_in"]),
        (&"phone".into(), &false.into())
    );
}

#[test]
fn a_client_without_the_scope_is_not_permitted() {
    let world = World::new();
    let made = world.annul(&["clients", "add", "reader", "--scope", "read"]);
    std::fs::write(world.directory.path().join("reader.credential"), &made.stdout).unwrap();
    let refused = world.annul(&["revoke", "subject:alice", "--credential", "reader.credential"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (5, ""));
    assert!(refused.stderr.contains("annul.revoke"), "{}", refused.stderr);
}

#[test]
fn a_gateway_refuses_what_is_revoked_and_the_revoking_call_names_it() {
    let world = World::new();
    let made = world.json(&["clients", "add", "gate", "--scope", "follow"]);
    let gateway = Server::start(
        world.directory.path(),
        &["gateway", "--listen", "127.0.0.1:0", "--issuer", "http://127.0.0.1:7400"],
        &[
            ("ANNUL_URL", &world.authority.url),
            ("ANNUL_CLIENT_ID", "gate"),
            ("ANNUL_CLIENT_SECRET", made["client_secret"].as_str().unwrap()),
            ("ANNUL_INTROSPECTION__CLIENT_ID", "rs"),
            ("ANNUL_INTROSPECTION__CLIENT_SECRET", "s"),
            ("ANNUL_FEED__CLIENT_ID", "edge"),
            ("ANNUL_FEED__CLIENT_SECRET", "s"),
        ],
    );
    let (token, _) = world.token("alice");
    let (other, _) = world.token("bob");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = runtime.block_on(async {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        reqwest::Client::new()
    });
    let auth = |token: &str| {
        let request = client.get(format!("{}/v1/auth", gateway.url)).bearer_auth(token);
        runtime.block_on(request.send()).unwrap()
    };
    let started = Instant::now();
    while auth(&token).status() != 200 {
        assert!(started.elapsed() < Duration::from_secs(20), "the gateway never lets a good token in");
    }
    let headers = auth(&token).headers().clone();
    let names = ["x-annul-subject", "x-annul-session", "x-annul-client", "x-annul-scope", "x-annul-issuer"];
    assert!(names.iter().all(|name| headers.contains_key(*name)), "{headers:?}");
    assert_eq!(headers["x-annul-subject"], "alice");

    let revoked = world.json(&["revoke", "subject:alice", "--wait", "5s"]);
    assert_eq!(revoked["confirmation"]["confirmed"], true, "{revoked:#}");
    assert_eq!(revoked["confirmation"]["verifiers"][0]["name"], "gateway");
    assert_eq!(auth(&token).status(), 401, "confirmed, and let in all the same");
    assert_eq!(auth(&other).status(), 200);

    let introspect = |token: &str| {
        let request = client.post(format!("{}/v1/introspect", gateway.url)).basic_auth("rs", Some("s"));
        let request = request.form(&[("token", token)]);
        runtime.block_on(async { request.send().await.unwrap().json::<Value>().await.unwrap() })
    };
    assert_eq!(introspect(&token), json!({ "active": false }));
    assert_eq!(introspect(&other)["sub"], "bob");

    let relayed = client.get(format!("{}/v1/feed/head", gateway.url)).basic_auth("edge", Some("s"));
    assert_eq!(runtime.block_on(relayed.send()).unwrap().status(), 200);

    let doctor = world.annul(&["doctor"]);
    assert_eq!(doctor.code, 0, "{}{}", doctor.stdout, doctor.stderr);
    assert!(doctor.stdout.contains("ok") && doctor.stdout.contains("cannot see"), "{}", doctor.stdout);
    let status = world.annul(&["feed", "status"]);
    assert!(status.stdout.contains("gateway/") && status.stdout.contains("live"), "{}", status.stdout);
}

#[test]
fn a_verifier_that_is_gone_makes_a_revocation_durable_and_unconfirmed() {
    let world = World::new();
    let made = world.json(&["clients", "add", "gate", "--scope", "follow"]);
    let gateway = Server::start(
        world.directory.path(),
        &["gateway", "--listen", "127.0.0.1:0", "--issuer", "http://127.0.0.1:7400"],
        &[
            ("ANNUL_URL", &world.authority.url),
            ("ANNUL_CLIENT_ID", "gate"),
            ("ANNUL_CLIENT_SECRET", made["client_secret"].as_str().unwrap()),
        ],
    );
    let started = Instant::now();
    while !world.annul(&["feed", "status"]).stdout.contains("gateway/") {
        assert!(started.elapsed() < Duration::from_secs(20), "the gateway never reports");
    }
    drop(gateway);
    let ran = world.annul(&["revoke", "subject:alice", "--wait", "300ms"]);
    assert_eq!(ran.code, 3, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("applied      0 of 1 verifiers"), "{}", ran.stdout);
    assert!(ran.stdout.contains("missing      gateway/"), "{}", ran.stdout);
    assert!(ran.stdout.contains("at the latest"), "{}", ran.stdout);
}
