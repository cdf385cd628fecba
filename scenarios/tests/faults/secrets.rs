//! Secrets: handed out once, and found in no log and in no file.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use scenarios::{Answer, Authority, Client, Launch, Secrets, Service};
use serde_json::json;

use crate::support::{BOUND, annul, run};

/// How private keys begin in PKCS #8: what follows the prefix is an octet string, the private part.
/// A public key has the same algorithm and then a bit string.
const PRIVATE_P256: &[u8] = b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04";
const PRIVATE_ED25519: &[u8] = b"\x30\x05\x06\x03\x2b\x65\x70\x04";

/// What the authority shares with an issuer that signs by HMAC.
const SHARED: &str = "0n1y the partner and this authority kn0w it";

#[tokio::test]
async fn no_secret_is_in_a_log_or_a_data_file() {
    let logs = tempfile::tempdir().expect("a temporary directory");
    let keys = tempfile::tempdir().expect("a temporary directory");
    let log = |name: &str| logs.path().join(name);
    let master = "5e".repeat(32);
    let master_file = keys.path().join("master.key");
    std::fs::write(&master_file, &master).expect("write the master key");
    let verbose = |name: &str| vec![(name.to_owned(), "debug".to_owned())];
    let mut authority = Authority::launch(Launch {
        settings: format!(
            "[keys]\nmaster_key = {master_file:?}\n[[issuers.secrets]]\nissuer = \"https://partner.example\"\n\
             name = \"2026-11\"\nalgorithm = \"HS256\"\nsecret = \"{SHARED}\"\n"
        ),
        environment: verbose("ANNUL_LOG"),
        log: Some(log("authority")),
        ..Launch::default()
    });
    let service = Service::start_with(&authority, "api", |options| {
        options.environment = verbose("RUST_LOG");
        options.log = Some(log("service"));
    })
    .await;

    let mut secrets = Secrets::default();
    secrets.add("the master key", &master);
    secrets.add("the master key, decoded", [0x5e; 32]);
    secrets.add("a P-256 private key", PRIVATE_P256);
    secrets.add("an Ed25519 private key", PRIVATE_ED25519);
    secrets.add("a private key in PEM", "PRIVATE KEY");
    secrets.add("a private JWK", "\"d\":\"");
    secrets.add("the service's secret", &service.options().credential.1);
    secrets.add("a secret shared with an issuer", SHARED);
    let admin = authority.admin();
    let basic = STANDARD.encode(format!("{}:{}", admin.id(), admin.secret()));
    secrets.add("the administrator's secret", admin.secret());
    secrets.add("its Basic header", basic);
    // The key by which names are hashed is the log's own, and every follower's: it is in their files,
    // and belongs in no log of what happens.
    let head = admin.get("/v1/feed/head").await.expect_status(200);
    let mut of_logs = Secrets::default();
    of_logs.add("the hash key", head.text("hash_key"));

    // Everything that hands out or takes a secret, in the right and in the wrong way.
    let client = authority.client("backend", &["annul.issue", "annul.read", "annul.revoke"]).await;
    secrets.add("a client's secret", client.secret());
    let password = "correct horse battery staple";
    let (next_password, last_password) = ("tr0ub4dor and three more", "seven wild geese flying");
    let stored_hash = "$argon2id$v=19$m=19456,t=2,p=1$c29tZSBzYWx0$c29tZSBoYXNo";
    let wrong_password = "a guess that is not right";
    for (what, text) in [
        ("a password", password),
        ("the next password", next_password),
        ("a wrong password", wrong_password),
        ("the last password", last_password),
        ("a backend's stored hash", stored_hash),
    ] {
        secrets.add(what, text);
    }
    let account = json!({"username": "erin", "password": password});
    admin.post("/v1/accounts", account.clone()).await.expect_status(201);
    let login = admin.post("/v1/login", account).await.expect_status(200);
    secrets.add_token("a login's token", login.token());
    admin.post("/v1/login", json!({"username": "erin", "password": wrong_password})).await.expect_status(401);
    admin.put("/v1/accounts/erin/password", json!({"password": next_password})).await.expect_status(200);
    let kept = admin.post("/v1/login", json!({"username": "erin", "password": next_password})).await.expect_status(200);
    let change = json!({"current": next_password, "password": last_password, "keep": kept.sid()});
    let changed = admin.post("/v1/accounts/erin/password", change).await.expect_status(200);
    secrets.add_token("a kept session's token", changed.token());
    for verb in ["secure", "lookup-id"] {
        let path = format!("/v1/accounts/erin/{verb}");
        admin.post(&path, json!({"password": wrong_password})).await.expect_status(401);
        admin.post(&path, json!({"password": last_password})).await.expect_status(200);
    }
    let credential = json!({"credential": stored_hash});
    admin.post("/v1/subjects/carol/credential-changed", credential).await.expect_status(200);
    let cut_short = format!("{{\"username\": \"erin\", \"password\": \"{wrong_password}\", ");
    admin.post_bytes("/v1/login", cut_short.into_bytes()).await.expect_status(400);
    let unknown = json!({"username": "erin", "password": next_password, "passwort": wrong_password});
    admin.post("/v1/login", unknown).await.expect_status(400);

    let alice =
        client.post("/v1/sessions", json!({"subject": "alice", "device": {"id": "phone"}})).await.expect_status(201);
    let next = authority.next_token(alice.sid()).await.expect_status(200);
    for (what, answer) in [("a session's token", &alice), ("its next token", &next)] {
        secrets.add_token(what, answer.token());
        service.accepts(answer.token()).await;
        client.post("/v1/tokens/check", json!({"token": answer.token()})).await.expect_status(200);
    }
    service.call_route("/ask", alice.token()).await;
    let forged = format!("{}AAAA", &alice.token()[..alice.token().len() - 4]);
    secrets.add_token("a forged token", &forged);
    assert_eq!(service.call(&forged).await.status, 401);
    client.post("/v1/revocations", json!({"token": forged})).await.expect_status(400);
    client.post("/v1/revocations", json!({"token": alice.token()})).await.expect_status(201);
    service.refuses_as_revoked(alice.token()).await;
    let left = authority.logout(next.token(), json!({"scope": "local"})).await;
    assert_eq!(left.status, 200, "{}", left.body);
    // Refresh tokens: the spent, the current and the repeated one, and one that is none.
    for _ in 0..3 {
        let opened = client.post("/v1/sessions", json!({"subject": "dora", "refresh_token": true})).await;
        let token = opened.expect_status(201).text("refresh_token").to_owned();
        secrets.add("a refresh token", &token);
        secrets.add("the secret in it", &URL_SAFE_NO_PAD.decode(&token[9..100]).expect("base64url")[20..52]);
        for _ in 0..2 {
            let answer = refresh(&client, &token).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            secrets.add("its successor", answer.text("refresh_token"));
        }
        refresh(&client, &format!("{}~", &token[..token.len() - 1])).await.expect_status(400);
    }
    let wrong = Client::new(authority.url(), client.id(), "a-secret-that-is-wrong");
    secrets.add("a wrong client secret", wrong.secret());
    wrong.get("/v1/keys").await.expect_status(401);
    admin.post("/v1/keys/rotate", json!({})).await;
    let killed = login.key_id();
    admin.post(&format!("/v1/keys/{killed}/kill"), json!({})).await.expect_status(200);
    let ended = run(annul(&["revoke", "subject:frank", "--yes", "--url", authority.url()])
        .env("ANNUL_CLIENT_ID", client.id())
        .env("ANNUL_CLIENT_SECRET", client.secret())
        .env("ANNUL_LOG", "debug")
        .env("RUST_LOG", "debug"));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    std::fs::write(log("cli"), ended.stderr + &ended.stdout).expect("keep what the CLI said");

    // The database as it lies on disk while it runs, after a crash, and after a good end.
    let all = |when: &str, authority: &Authority| {
        assert!(authority.data().join("annul.db").exists(), "the database lies elsewhere");
        secrets.assert_absent(when, &[&authority.data(), service.state_dir(), logs.path()]);
        of_logs.assert_absent(when, &[logs.path()]);
    };
    all("while it runs", &authority);
    authority.kill();
    all("after a crash", &authority);
    authority.restart();
    assert_eq!(authority.interrupt(), Some(0));
    all("after a good end", &authority);
    let said = std::fs::read_to_string(log("authority")).expect("the log is text");
    assert!(said.lines().count() > 20, "the log at debug says next to nothing: {said}");
}

async fn refresh(client: &Client, token: &str) -> Answer {
    let http = reqwest::Client::builder().timeout(BOUND).build().expect("a client needs nothing from outside");
    let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
    let request = http.post(format!("{}/oauth2/token", client.url())).basic_auth(client.id(), Some(client.secret()));
    Answer::of(request.form(&form).send().await.expect("the authority answers")).await
}
