//! Secrets: handed out once, and found in no log and in no file.

use std::path::{Path, PathBuf};

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

/// The master key as its file has it: 32 times the byte 5e.
const MASTER: &str = "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e";

const PASSWORD: &str = "correct horse battery staple";
const NEXT_PASSWORD: &str = "tr0ub4dor and three more";
const LAST_PASSWORD: &str = "seven wild geese flying";
const WRONG_PASSWORD: &str = "a guess that is not right";
/// What a backend stores of a password.
const STORED_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZSBzYWx0$c29tZSBoYXNo";

#[tokio::test]
async fn no_secret_is_in_a_log_or_a_data_file() {
    let (logs, keys) = (folder(), folder());
    let log = |name: &str| logs.path().join(name);
    let mut authority = talkative_authority(&keys.path().join("master.key"), log("authority"));
    let service = talkative_service(&authority, log("service")).await;
    let client = authority.client("backend", &["annul.issue", "annul.read", "annul.revoke"]).await;

    // Everything that hands out or takes a secret, in the right and in the wrong way.
    let mut secrets = configured(&authority, &service, &client);
    use_passwords(&mut secrets, authority.admin()).await;
    use_access_tokens(&mut secrets, &authority, &service, &client).await;
    use_refresh_tokens(&mut secrets, &client).await;
    use_a_wrong_client_secret(&mut secrets, &authority, &client).await;
    rotate_and_kill_a_key(&authority).await;
    revoke_from_the_command_line(&client, &log("cli"));

    // The key by which names are hashed is the log's own, and every follower's: it is in their files,
    // and belongs in no log of what happens.
    let head = authority.admin().get("/v1/feed/head").await.expect_status(200);
    let mut of_logs = Secrets::default();
    of_logs.add("the hash key", head.text("hash_key"));

    // The database as it lies on disk while it runs, after a crash, and after a good end.
    let search = |when: &str, authority: &Authority| {
        assert!(authority.data().join("annul.db").exists(), "the database lies elsewhere");
        secrets.assert_absent(when, &[&authority.data(), service.state_dir(), logs.path()]);
        of_logs.assert_absent(when, &[logs.path()]);
    };
    search("while it runs", &authority);
    authority.kill();
    search("after a crash", &authority);
    authority.restart();
    assert_eq!(authority.interrupt(), Some(0));
    search("after a good end", &authority);
    let said = std::fs::read_to_string(log("authority")).expect("the log is text");
    assert!(said.lines().count() > 20, "the log at debug says next to nothing: {said}");
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn verbose(name: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), "debug".to_owned())]
}

fn talkative_authority(master: &Path, log: PathBuf) -> Authority {
    std::fs::write(master, MASTER).expect("write the master key");
    Authority::launch(Launch {
        settings: format!(
            "[keys]\nmaster_key = {master:?}\n[[issuers.secrets]]\nissuer = \"https://partner.example\"\n\
             name = \"2026-11\"\nalgorithm = \"HS256\"\nsecret = \"{SHARED}\"\n"
        ),
        environment: verbose("ANNUL_LOG"),
        log: Some(log),
        ..Launch::default()
    })
}

async fn talkative_service(authority: &Authority, log: PathBuf) -> Service {
    Service::start_with(authority, "api", |options| {
        options.environment = verbose("RUST_LOG");
        options.log = Some(log);
    })
    .await
}

/// What is secret before anybody asks for anything, and what any private key looks like.
fn configured(authority: &Authority, service: &Service, client: &Client) -> Secrets {
    let admin = authority.admin();
    let mut secrets = Secrets::default();
    secrets.add("the master key", MASTER);
    secrets.add("the master key, decoded", [0x5e; 32]);
    secrets.add("a P-256 private key", PRIVATE_P256);
    secrets.add("an Ed25519 private key", PRIVATE_ED25519);
    secrets.add("a private key in PEM", "PRIVATE KEY");
    secrets.add("a private JWK", "\"d\":\"");
    secrets.add("a secret shared with an issuer", SHARED);
    secrets.add("the service's secret", &service.options().credential.1);
    secrets.add("a client's secret", client.secret());
    secrets.add("the administrator's secret", admin.secret());
    secrets.add("its Basic header", STANDARD.encode(format!("{}:{}", admin.id(), admin.secret())));
    secrets
}

async fn use_passwords(secrets: &mut Secrets, admin: &Client) {
    for (what, text) in [
        ("a password", PASSWORD),
        ("the next password", NEXT_PASSWORD),
        ("the last password", LAST_PASSWORD),
        ("a wrong password", WRONG_PASSWORD),
        ("a backend's stored hash", STORED_HASH),
    ] {
        secrets.add(what, text);
    }
    let erin = |password: &str| json!({"username": "erin", "password": password});
    admin.post("/v1/accounts", erin(PASSWORD)).await.expect_status(201);
    let login = admin.post("/v1/login", erin(PASSWORD)).await.expect_status(200);
    secrets.add_token("a login's token", login.token());
    admin.post("/v1/login", erin(WRONG_PASSWORD)).await.expect_status(401);

    admin.put("/v1/accounts/erin/password", json!({"password": NEXT_PASSWORD})).await.expect_status(200);
    let kept = admin.post("/v1/login", erin(NEXT_PASSWORD)).await.expect_status(200);
    let change = json!({"current": NEXT_PASSWORD, "password": LAST_PASSWORD, "keep": kept.sid()});
    let changed = admin.post("/v1/accounts/erin/password", change).await.expect_status(200);
    secrets.add_token("a kept session's token", changed.token());
    for verb in ["secure", "lookup-id"] {
        let path = format!("/v1/accounts/erin/{verb}");
        admin.post(&path, json!({"password": WRONG_PASSWORD})).await.expect_status(401);
        admin.post(&path, json!({"password": LAST_PASSWORD})).await.expect_status(200);
    }
    let credential = json!({"credential": STORED_HASH});
    admin.post("/v1/subjects/carol/credential-changed", credential).await.expect_status(200);

    let cut_short = format!("{{\"username\": \"erin\", \"password\": \"{WRONG_PASSWORD}\", ");
    admin.post_bytes("/v1/login", cut_short.into_bytes()).await.expect_status(400);
    let unknown = json!({"username": "erin", "password": NEXT_PASSWORD, "passwort": WRONG_PASSWORD});
    admin.post("/v1/login", unknown).await.expect_status(400);
}

async fn use_access_tokens(secrets: &mut Secrets, authority: &Authority, service: &Service, client: &Client) {
    let alice = json!({"subject": "alice", "device": {"id": "phone"}});
    let alice = client.post("/v1/sessions", alice).await.expect_status(201);
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
    authority.logout(next.token(), json!({"scope": "local"})).await.expect_status(200);
}

/// The spent, the current and the repeated one, and one that is none.
async fn use_refresh_tokens(secrets: &mut Secrets, client: &Client) {
    for _ in 0..3 {
        let opened = client.post("/v1/sessions", json!({"subject": "dora", "refresh_token": true})).await;
        let token = opened.expect_status(201).text("refresh_token").to_owned();
        secrets.add("a refresh token", &token);
        secrets.add("the secret in it", &URL_SAFE_NO_PAD.decode(&token[9..100]).expect("base64url")[20..52]);
        for _ in 0..2 {
            let answer = refresh(client, &token).await.expect_status(200);
            secrets.add("its successor", answer.text("refresh_token"));
        }
        refresh(client, &format!("{}~", &token[..token.len() - 1])).await.expect_status(400);
    }
}

async fn use_a_wrong_client_secret(secrets: &mut Secrets, authority: &Authority, client: &Client) {
    let wrong = Client::new(authority.url(), client.id(), "a-secret-that-is-wrong");
    secrets.add("a wrong client secret", wrong.secret());
    wrong.get("/v1/keys").await.expect_status(401);
}

async fn rotate_and_kill_a_key(authority: &Authority) {
    let login = authority.login("gina", "phone").await;
    authority.admin().post("/v1/keys/rotate", json!({})).await;
    authority.admin().post(&format!("/v1/keys/{}/kill", login.key_id()), json!({})).await.expect_status(200);
}

/// What the command says goes to `log`.
fn revoke_from_the_command_line(client: &Client, log: &Path) {
    let ended = run(annul(&["revoke", "subject:frank", "--yes", "--url", client.url()])
        .env("ANNUL_CLIENT_ID", client.id())
        .env("ANNUL_CLIENT_SECRET", client.secret())
        .env("ANNUL_LOG", "debug")
        .env("RUST_LOG", "debug"));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    std::fs::write(log, ended.stderr + &ended.stdout).expect("keep what the CLI said");
}

async fn refresh(client: &Client, token: &str) -> Answer {
    let http = reqwest::Client::builder().timeout(BOUND).build().expect("a client needs nothing from outside");
    let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
    let request = http.post(format!("{}/oauth2/token", client.url())).basic_auth(client.id(), Some(client.secret()));
    Answer::of(request.form(&form).send().await.expect("the authority answers")).await
}
