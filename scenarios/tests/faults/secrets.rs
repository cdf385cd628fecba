//! Secrets: handed out once, and found in no log and in no file.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scenarios::{Authority, Launch, Service};
use serde_json::json;

use crate::support::{annul, files_below, run};

/// How private keys begin in PKCS #8: what follows the prefix is an octet string, the private part.
/// A public key has the same algorithm and then a bit string.
const PRIVATE_P256: &[u8] = b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04";
const PRIVATE_ED25519: &[u8] = b"\x30\x05\x06\x03\x2b\x65\x70\x04";

struct Secret {
    what: String,
    bytes: Vec<u8>,
}

fn secret(what: impl Into<String>, bytes: impl AsRef<[u8]>) -> Secret {
    Secret { what: what.into(), bytes: bytes.as_ref().to_vec() }
}

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
        settings: format!("[keys]\nmaster_key = {master_file:?}\n"),
        environment: verbose("ANNUL_LOG"),
        log: Some(log("authority")),
        ..Launch::default()
    });
    let service = Service::start_with(&authority, "api", |options| {
        options.environment = verbose("RUST_LOG");
        options.log = Some(log("service"));
    })
    .await;

    let mut secrets = vec![
        secret("the master key", &master),
        secret("the master key, decoded", [0x5e; 32]),
        secret("a P-256 private key", PRIVATE_P256),
        secret("an Ed25519 private key", PRIVATE_ED25519),
        secret("a private key in PEM", "PRIVATE KEY"),
        secret("a private JWK", "\"d\":\""),
        secret("the service's secret", &service.options().credential.1),
    ];
    let admin = authority.admin();
    let basic = STANDARD.encode(format!("{}:{}", admin.id(), admin.secret()));
    secrets.extend([secret("the administrator's secret", admin.secret()), secret("its Basic header", basic)]);
    let token = |secrets: &mut Vec<Secret>, what: &str, token: &str| {
        let signature = token.rsplit('.').next().expect("a token has a signature");
        secrets.extend([secret(what, token), secret(format!("the signature of {what}"), signature)]);
    };

    // Everything that hands out or takes a secret, in the right and in the wrong way.
    let client = authority.client("backend", &["annul.issue", "annul.read", "annul.revoke"]).await;
    secrets.push(secret("a client's secret", client.secret()));
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
        secrets.push(secret(what, text));
    }
    let account = json!({"username": "erin", "password": password});
    admin.post("/v1/accounts", account.clone()).await.expect_status(201);
    let login = admin.post("/v1/login", account).await.expect_status(200);
    token(&mut secrets, "a login's token", login.token());
    admin.post("/v1/login", json!({"username": "erin", "password": wrong_password})).await.expect_status(401);
    admin.put("/v1/accounts/erin/password", json!({"password": next_password})).await.expect_status(200);
    let kept = admin.post("/v1/login", json!({"username": "erin", "password": next_password})).await.expect_status(200);
    let change = json!({"current": next_password, "password": last_password, "keep": kept.sid()});
    let changed = admin.post("/v1/accounts/erin/password", change).await.expect_status(200);
    token(&mut secrets, "a kept session's token", changed.token());
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
        token(&mut secrets, what, answer.token());
        service.accepts(answer.token()).await;
        client.post("/v1/tokens/check", json!({"token": answer.token()})).await.expect_status(200);
    }
    service.call_route("/ask", alice.token()).await;
    let forged = format!("{}AAAA", &alice.token()[..alice.token().len() - 4]);
    token(&mut secrets, "a forged token", &forged);
    assert_eq!(service.call(&forged).await.status, 401);
    client.post("/v1/revocations", json!({"token": forged})).await.expect_status(400);
    client.post("/v1/revocations", json!({"token": alice.token()})).await.expect_status(201);
    service.refuses_as_revoked(alice.token()).await;
    let left = authority.logout(next.token(), json!({"scope": "local"})).await;
    assert_eq!(left.status, 200, "{}", left.body);
    let wrong = scenarios::Client::new(authority.url(), client.id(), "a-secret-that-is-wrong");
    secrets.push(secret("a wrong client secret", wrong.secret()));
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
        let mut files = files_below(&authority.data());
        files.extend(files_below(service.state_dir()));
        files.extend(files_below(logs.path()));
        assert!(files.iter().any(|file| file.ends_with("annul.db")), "{files:?}");
        search(when, &files, &secrets);
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

/// Panics if a secret is in one of the files; `admin.credential` is where the administrator's belongs.
fn search(when: &str, files: &[PathBuf], secrets: &[Secret]) {
    let is_credential = |file: &Path| file.file_name().is_some_and(|name| name == "admin.credential");
    for file in files.iter().filter(|file| !is_credential(file)) {
        let bytes = std::fs::read(file).unwrap_or_default();
        for secret in secrets {
            let found = bytes.windows(secret.bytes.len()).any(|window| window == secret.bytes);
            assert!(!found, "{when}: {} is in {}", secret.what, file.display());
        }
    }
}
