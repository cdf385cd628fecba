//! TLS from end to end: an authority with a certificate of a local CA, and who trusts it.

use std::path::Path;
use std::time::{Duration, Instant};

use scenarios::{AUDIENCE, Authority, Cli, ISSUER, LocalCa, Process, Ran, Service, ServiceOptions};
use serde_json::Value;

fn text_of(path: &Path) -> &str {
    path.to_str().expect("a path in text")
}

/// An authority that speaks TLS, and its administrator's credential.
fn authority(home: &Path, ca: &LocalCa) -> (Process, (String, String)) {
    let settings = format!("[server]\ntls_cert = {:?}\ntls_key = {:?}\n", ca.certificate(), ca.key());
    let process = Process::listening(&mut Authority::command(home, &settings, "127.0.0.1:0"));
    let credential = std::fs::read_to_string(home.join("annul-data/admin.credential")).expect("the credential");
    let value = |name: &str| {
        let line = credential.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("no {name}")).to_owned()
    };
    (process, (value("ANNUL_CLIENT_ID"), value("ANNUL_CLIENT_SECRET")))
}

#[tokio::test]
async fn verifier_gateway_and_command_line_trust_the_root_they_are_given_and_no_other() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let ca = LocalCa::in_directory(home.path(), "ours");
    let stranger = LocalCa::in_directory(home.path(), "stranger");
    let (process, (id, secret)) = authority(home.path(), &ca);
    assert!(process.url().starts_with("https://127.0.0.1:"), "{}", process.url());
    let cli = Cli::at(process.url(), &id, &secret);
    let json = async |arguments: &[&str]| -> Value {
        let arguments = [arguments, &["--json", "--tls-root", text_of(ca.root())]].concat();
        cli.run(&arguments).await.expect_code(0).json()
    };

    // With the root: a client, a token, a verifier, a revocation, all over https.
    let made = json(&["clients", "add", "api", "--scope", "follow", "--scope", "read"]).await;
    let text = |value: &Value, name: &str| value[name].as_str().expect("text").to_owned();
    let credential = (text(&made, "client_id"), text(&made, "client_secret"));
    let trusts = |root: &LocalCa| {
        let path = root.root().to_owned();
        move |options: &mut ServiceOptions| options.tls_root = Some(path)
    };
    let service = Service::launch("api", process.url(), credential.clone(), trusts(&ca));
    service.ready().await;
    let token = text(&json(&["token", "issue", "--subject", "alice"]).await, "access_token");
    service.accepts_soon(&token).await;
    let verified = json(&["token", "verify", &token, "--audience", AUDIENCE]).await;
    assert_eq!(verified["verdict"], "ok", "{verified}");
    let revoked = json(&["revoke", "subject:alice", "--wait", "10s"]).await;
    assert_eq!(revoked["confirmation"]["confirmed"], true, "{revoked}");
    service.refuses_as_revoked(&token).await;

    // Another root, and none: the command line says what is wrong and sends nothing.
    for arguments in
        [&["sessions", "list", "alice", "--tls-root", text_of(stranger.root())][..], &["sessions", "list", "alice"]]
    {
        let ran = cli.run(arguments).await.expect_code(4);
        assert!(names_the_certificate(&ran.stderr), "{}", ran.stderr);
        assert!(ran.stderr.contains("hint:") && ran.stdout.is_empty(), "{ran:?}");
    }
    let ran = cli.run(&["sessions", "list", "alice", "--tls-root", "/nowhere.pem"]).await.expect_code(2);
    assert!(ran.stderr.contains("/nowhere.pem"), "{}", ran.stderr);

    // A verifier with another root never becomes fresh, answers 503, and its log says why.
    let log = home.path().join("stranger.log");
    let lost = Service::launch("lost", process.url(), credential.clone(), |options| {
        trusts(&stranger)(options);
        options.log = Some(log.clone());
    });
    assert_eq!(lost.call(&token).await.status, 503);
    assert_eq!(lost.status().await["state"], "cold");
    let said = std::fs::read_to_string(&log).expect("a log");
    assert!(names_the_certificate(&said) && said.contains("feed_unreachable"), "{said}");

    // So it is with a gateway.
    let gateway = |root: &LocalCa| {
        let mut command = std::process::Command::new(scenarios::binary("annul"));
        command.current_dir(home.path()).args(["gateway", "--listen", "127.0.0.1:0", "--authority", process.url()]);
        command.args(["--client-id", &credential.0, "--issuer", ISSUER, "--audience", AUDIENCE]);
        command.args(["--set", &format!("authority.tls_root={}", root.root().display())]);
        command.args(["--set", &format!("gateway.tls_cert={}", ca.certificate().display())]);
        command.args(["--set", &format!("gateway.tls_key={}", ca.key().display())]);
        command.env("ANNUL_CLIENT_SECRET", &credential.1);
        Process::listening(&mut command)
    };
    let root = reqwest::Certificate::from_pem(&std::fs::read(ca.root()).expect("the root")).expect("a certificate");
    let http = reqwest::Client::builder().tls_certs_only([root]).build().expect("a client");
    let auth = async |url: &str, token: &str| {
        let sent = http.get(format!("{url}/v1/auth")).bearer_auth(token).send().await.expect("the gateway answers");
        sent.status().as_u16()
    };
    let (edge, lost) = (gateway(&ca), gateway(&stranger));
    assert!(edge.url().starts_with("https://"), "{}", edge.url());
    let bob = text(&json(&["token", "issue", "--subject", "bob"]).await, "access_token");
    let asked = Instant::now();
    while auth(edge.url(), &bob).await != 200 {
        assert!(asked.elapsed() < Duration::from_secs(10), "the gateway does not become fresh");
    }
    assert_eq!(auth(edge.url(), &token).await, 401);
    assert_eq!(auth(lost.url(), &bob).await, 503);
}

/// Whether a text says that the certificate is not of a trusted issuer.
fn names_the_certificate(text: &str) -> bool {
    text.contains("UnknownIssuer") && text.contains("certificate")
}

#[tokio::test]
async fn beyond_loopback_nothing_is_served_without_tls() {
    let cli = Cli::at("http://127.0.0.1:1", "nobody", "nothing");
    let refused = |ran: Ran| {
        let ran = ran.expect_code(2);
        assert!(ran.stderr.contains("plain_http_refused") && ran.stderr.contains("hint:"), "{}", ran.stderr);
        assert!(ran.stdout.is_empty(), "it listens all the same: {}", ran.stdout);
        ran
    };
    // Refused before a socket is opened or a file is written.
    let ran = refused(cli.run(&["serve", "--listen", "0.0.0.0:0"]).await);
    assert!(ran.stderr.contains("tls_cert"), "{}", ran.stderr);
    refused(cli.run(&["serve", "--listen", "[::]:0"]).await);
    refused(cli.run(&["gateway", "--listen", "0.0.0.0:0"]).await);
    assert!(cli.is_untouched(), "something was written");

    // Nor is a secret sent over plain HTTP to another machine (an address that leads nowhere).
    let far = Cli::at("http://192.0.2.1:7400", "nobody", "nothing");
    let ran = far.run(&["sessions", "list", "alice"]).await.expect_code(2);
    assert!(ran.stderr.contains("plain HTTP"), "{}", ran.stderr);
}
