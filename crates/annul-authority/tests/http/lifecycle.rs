//! Starting, stopping, starting again, and what stands in the way.

use std::time::{Duration, Instant};

use annul_authority::config::{Encoding, SecretConfig, StoreKind};
use annul_authority::serve::{Notice, Server};
use futures::StreamExt as _;
use reqwest::{Client, Method};
use serde_json::json;

use crate::running::{Running, admin_of, both, config, in_memory, text};

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(&dir, StoreKind::Sqlite);
    let server = Server::start(config.clone()).await.unwrap();
    let credential = config.store.data.join("admin.credential");
    assert!(server.notices().contains(&Notice::CredentialWritten { path: credential.clone() }));
    let is_beside = |notice: &Notice| matches!(notice, Notice::MasterKeyBesideData { .. });
    assert!(server.notices().iter().any(is_beside));
    let admin = admin_of(&server, &config);
    let authority = Running { server, http: Client::new(), admin: admin.clone(), dir };
    let token = text(&authority.session("alice").await, "access_token");
    let kept = text(&authority.session("bob").await, "access_token");
    let revoked = authority.post("/v1/revocations", json!({"targets": ["subject:alice"]}), 201).await;
    authority.server.stop().await.unwrap();

    let server = Server::start(config.clone()).await.unwrap();
    assert!(matches!(server.notices()[0], Notice::Listening { .. }));
    assert!(!server.notices().iter().any(|notice| matches!(notice, Notice::CredentialWritten { .. })));
    let authority = Running { server, http: Client::new(), admin, dir: authority.dir };
    assert_eq!(authority.verdict(&token).await, "revoked");
    assert_eq!(authority.verdict(&kept).await, "active");
    assert!(text(&authority.get("/statusz").await, "position") >= text(&revoked, "position"));
}

#[tokio::test]
async fn a_verifier_known_before_a_restart_is_waited_for_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(&dir, StoreKind::Sqlite);
    let server = Server::start(config.clone()).await.unwrap();
    let admin = admin_of(&server, &config);
    let authority = Running { server, http: Client::new(), admin: admin.clone(), dir };
    let report = |instance: &str, longest_age: u64, position: &str| {
        let path = format!("/v1/feed/replicas/api/{instance}");
        let report = json!({
            "position": position, "state": "live", "longest_age": longest_age, "interval": 20, "nonce": "n",
            "routes": {"check": 1, "verify": 1},
        });
        (path, report)
    };
    let head = text(&authority.get("/statusz").await, "position");
    for (instance, longest_age) in [("a", 600), ("b", 1)] {
        let (path, report) = report(instance, longest_age, &head);
        authority.post(&path, report, 200).await;
    }
    // Not even a clean-up was left to run: what counts is on disk before the report is answered.
    authority.server.stop().await.unwrap();

    let server = Server::start(config).await.unwrap();
    let authority = Running { server, http: Client::new(), admin, dir: authority.dir };
    let replicas = authority.get("/statusz").await["replicas"].clone();
    assert_eq!(replicas.as_array().unwrap().len(), 2, "{replicas}");
    let revoke = json!({"targets": ["subject:alice"], "wait": "2s"});
    let revoked = authority.post("/v1/revocations", revoke, 201).await;
    let confirmation = &revoked["confirmation"];
    assert_eq!(confirmation["confirmed"], false, "{confirmation}");
    assert_eq!((&confirmation["applied"], &confirmation["routes"]["verify"]), (&json!(0), &json!(2)));
    let done: Vec<bool> =
        confirmation["verifiers"].as_array().unwrap().iter().map(|one| one["done"].as_bool().unwrap()).collect();
    assert_eq!(done, [false, true], "b's age has run out, a's has not: {confirmation}");
    let enforced = revoked["enforced_by"].as_u64().unwrap() - revoked["acknowledged_at"].as_u64().unwrap();
    assert_eq!(enforced, 600_000);

    // Heard again, it is counted by what it says, and the answer waits no longer.
    let (path, report) = report("a", 600, &text(&revoked, "position"));
    authority.post(&path, report, 200).await;
    let replicas = authority.get("/statusz").await["replicas"].clone();
    assert_eq!(replicas[0]["state"], "live", "{replicas}");
}

#[tokio::test]
async fn a_start_that_was_killed_before_the_log_was_created_leaves_its_credential_to_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(&dir, StoreKind::Sqlite);
    let other = tempfile::tempdir().unwrap();
    let made = self::config(&other, StoreKind::Sqlite);
    Server::start(made.clone()).await.unwrap().stop().await.unwrap();
    // What a kill leaves: the master key and the credential, and a store without a log.
    std::fs::create_dir(&config.store.data).unwrap();
    for file in ["master.key", "admin.credential"] {
        std::fs::copy(made.store.data.join(file), config.store.data.join(file)).unwrap();
    }
    let server = Server::start(config.clone()).await.unwrap();
    let credential = config.store.data.join("admin.credential");
    assert!(server.notices().contains(&Notice::CredentialWritten { path: credential.clone() }));
    let admin = admin_of(&server, &config);
    let authority = Running { server, http: Client::new(), admin, dir };
    authority.get("/v1/clients").await;
    assert_eq!(std::fs::read(&credential).unwrap(), std::fs::read(made.store.data.join("admin.credential")).unwrap());
    authority.server.stop().await.unwrap();
}

#[tokio::test]
async fn a_secret_that_cannot_be_used_starts_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&dir, StoreKind::Sqlite);
    config.issuers.secrets = vec![SecretConfig {
        issuer: "https://idp.example".to_owned(),
        name: "shared".to_owned(),
        algorithm: "HS256".to_owned(),
        secret: Some("hunter2".to_owned().into()),
        secret_file: None,
        encoding: Encoding::Text,
    }];
    let error = Server::start(config.clone()).await.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "issuer_secret_unusable");
    assert!(!error.to_string().contains("hunter2") && !error.hint().is_empty());
    assert!(!config.store.data.exists());
}

#[tokio::test]
async fn without_a_place_for_the_credential_no_log_is_created() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(&dir, StoreKind::Sqlite);
    let credential = config.store.data.join("admin.credential");
    std::fs::create_dir_all(&credential).unwrap();
    let error = Server::start(config.clone()).await.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "credential_unwritable");
    std::fs::remove_dir(&credential).unwrap();
    std::fs::write(&credential, "ANNUL_CLIENT_ID=admin\nANNUL_CLIENT_SECRET=short\n").unwrap();
    let error = Server::start(config.clone()).await.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "credential_malformed");
    assert!(!error.hint().is_empty());
    std::fs::remove_file(&credential).unwrap();
    let server = Server::start(config.clone()).await.unwrap();
    let admin = admin_of(&server, &config);
    let authority = Running { server, http: Client::new(), admin, dir };
    authority.get("/v1/clients").await;
}

#[cfg(unix)]
#[tokio::test]
async fn secrets_on_disk_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    for authority in both().await {
        let data = authority.dir.path().join("data");
        if !data.exists() {
            continue;
        }
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&data), 0o700);
        for file in ["admin.credential", "master.key"] {
            assert_eq!(mode(&data.join(file)), 0o600, "{file}");
        }
    }
}

#[tokio::test]
async fn a_port_in_use_leaves_no_data_behind() {
    let other = in_memory(|_| {}).await;
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&dir, StoreKind::Sqlite);
    config.server.listen = other.server.url().trim_start_matches("http://").parse().unwrap();
    let error = Server::start(config.clone()).await.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "port_in_use");
    assert!(!config.store.data.exists());
}

#[tokio::test]
async fn a_second_authority_on_the_same_data_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(&dir, StoreKind::Sqlite);
    let first = Server::start(config.clone()).await.unwrap();
    let error = Server::start(config.clone()).await.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "data_in_use");
    first.stop().await.unwrap();
    Server::start(config).await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn another_master_key_or_issuer_does_not_start_and_harms_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(&dir, StoreKind::Sqlite);
    Server::start(config.clone()).await.unwrap().stop().await.unwrap();

    let path = config.store.data.join("master.key");
    let right = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let error = Server::start(config.clone()).await.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "master_key_missing");
    annul_authority::secrets::sealing::MasterKey::create(&path).unwrap();
    let error = Server::start(config.clone()).await.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "wrong_master_key");
    std::fs::write(&path, right).unwrap();

    let mut other = config.clone();
    other.tokens.issuer = "https://other.example".to_owned();
    let error = Server::start(other).await.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "issuer_changed");
    Server::start(config).await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn a_stop_ends_streams_and_waits_within_the_drain() {
    let authority = in_memory(|_| {}).await;
    let response = authority.request(Method::GET, "/v1/feed/stream").send().await.unwrap();
    let mut events = response.bytes_stream();
    assert!(events.next().await.is_some());
    let head = text(&authority.get("/statusz").await, "position");
    let poll = authority.request(Method::GET, &format!("/v1/feed/changes?after={head}&wait=60")).send();
    let poll = tokio::spawn(poll);
    let path = "/v1/feed/replicas/api/api-1";
    let report = json!({"position": head, "state": "live", "longest_age": 600, "interval": 20, "nonce": "n"});
    crate::running::expect(authority.request(Method::POST, path).json(&report), 200).await;

    let begun = Instant::now();
    authority.server.stop().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(8), "nothing waited for the drain to run out");
    while let Some(Ok(_)) = events.next().await {}
    if let Ok(response) = poll.await.unwrap() {
        assert_eq!(response.status(), 200, "the poll was answered with an empty frame");
    }
}

#[tokio::test]
async fn tls_is_served_and_plain_http_is_not_answered_on_it() {
    let dir = tempfile::tempdir().unwrap();
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert, certified.cert.pem()).unwrap();
    std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    let authority = in_memory(|config| {
        config.server.tls_cert = Some(cert.clone());
        config.server.tls_key = Some(key);
    })
    .await;
    let port = authority.server.url().rsplit_once(':').unwrap().1.to_owned();
    assert!(authority.server.url().starts_with("https://"));
    let root = reqwest::Certificate::from_pem(&std::fs::read(&cert).unwrap()).unwrap();
    let client = Client::builder().tls_certs_only([root]).build().unwrap();
    let response = client.get(format!("https://localhost:{port}/livez")).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(Client::new().get(format!("https://localhost:{port}/livez")).send().await.is_err(), "an unknown root");
    assert!(client.get(format!("http://localhost:{port}/livez")).send().await.is_err());

    let bad = tempfile::tempdir().unwrap();
    let mut broken = config(&bad, StoreKind::Memory);
    broken.server.tls_cert = Some(cert);
    broken.server.tls_key = Some(bad.path().join("none.pem"));
    assert_eq!(Server::start(broken).await.map(|_| ()).unwrap_err().code(), "tls_unusable");
}
