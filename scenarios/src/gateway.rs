//! A running `annul gateway`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::api::{Answer, http};
use crate::authority::{AUDIENCE, Authority, ISSUER};
use crate::process::{Process, append_to, binary};

/// How often a state is looked at while waiting for it.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Where it keeps its view, below its own directory.
const STATE: &str = "state";

/// What a gateway is configured with.
#[derive(Clone, Debug)]
pub struct GatewayOptions {
    /// The name it reports under.
    pub name: String,
    /// The authority's address, or a proxy's.
    pub authority: String,
    /// How old its view may be, in milliseconds.
    pub max_staleness_ms: u64,
    /// The client that may introspect: id and secret.
    pub introspection: Option<(String, String)>,
    /// The client that may follow the feed through it: id and secret.
    pub feed: Option<(String, String)>,
    /// Appended to its `annul-gateway.toml`, in the section `[gateway]`.
    pub settings: String,
    /// The file that its standard error is appended to.
    pub log: Option<PathBuf>,
}

/// A gateway in a directory of its own, and a client of it.
pub struct Gateway {
    process: Process,
    options: GatewayOptions,
    secret: String,
    http: reqwest::Client,
    home: TempDir,
}

impl Gateway {
    /// Starts a gateway that follows `authority` with a credential of its own, and waits until it is
    /// fresh.
    pub async fn start(authority: &Authority, name: &str) -> Self {
        Self::start_with(authority, name, |_| {}).await
    }

    /// The same, with its options changed first.
    pub async fn start_with(authority: &Authority, name: &str, change: impl FnOnce(&mut GatewayOptions)) -> Self {
        let client = authority.client(name, &["annul.follow", "annul.read"]).await;
        let mut options = GatewayOptions {
            name: name.to_owned(),
            authority: authority.url().to_owned(),
            max_staleness_ms: 10_000,
            introspection: None,
            feed: None,
            settings: String::new(),
            log: None,
        };
        change(&mut options);
        let home = tempfile::tempdir().expect("a temporary directory");
        let secret = client.secret().to_owned();
        let process = spawn(&options, &secret, home.path(), "127.0.0.1:0");
        let gateway = Self { process, options, secret, http: http(), home };
        gateway.ready().await;
        gateway
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same address, with the view it stored.
    pub fn restart(&mut self) {
        let listen = self.url().trim_start_matches("http://").to_owned();
        self.process = spawn(&self.options, &self.secret, self.home.path(), &listen);
    }

    /// The directory in which it keeps its view.
    pub fn state_dir(&self) -> PathBuf {
        self.home.path().join(STATE)
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        self.process.url()
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// What a proxy is answered for a request with `token`.
    pub async fn auth(&self, token: &str) -> Answer {
        self.auth_at(self.url(), token).await
    }

    /// The same through a proxy that listens at `url`.
    pub async fn auth_at(&self, url: &str, token: &str) -> Answer {
        let request = self.http.get(format!("{url}/v1/auth")).bearer_auth(token);
        Answer::of(request.send().await.unwrap_or_else(|error| panic!("/v1/auth: {error}"))).await
    }

    /// What a proxy is answered for a request with these headers.
    pub async fn auth_with(&self, headers: HeaderMap) -> Answer {
        let request = self.http.get(format!("{}/v1/auth", self.url())).headers(headers);
        Answer::of(request.send().await.expect("the gateway answers")).await
    }

    /// What introspection of `token` answers to a client; to nobody where there is none.
    pub async fn introspect(&self, token: &str, credential: Option<(&str, &str)>) -> Answer {
        let mut request = self.http.post(format!("{}/v1/introspect", self.url())).form(&[("token", token)]);
        if let Some((id, secret)) = credential {
            request = request.basic_auth(id, Some(secret));
        }
        Answer::of(request.send().await.expect("the gateway answers")).await
    }

    /// `GET path`, without a credential.
    pub async fn get(&self, path: &str) -> Answer {
        let request = self.http.get(format!("{}{path}", self.url()));
        Answer::of(request.send().await.expect("the gateway answers")).await
    }

    /// Waits until it is fresh.
    pub async fn ready(&self) {
        self.wait_for_status("live", |status| status["state"] == "live").await;
    }

    /// Waits for a state of its verifier, looked at until it holds.
    ///
    /// # Panics
    /// If it does not hold within thirty seconds.
    pub async fn wait_for_status(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let asked = Instant::now();
        loop {
            let status = self.get("/statusz").await.body;
            if holds(&status) {
                return status;
            }
            assert!(asked.elapsed() < Duration::from_secs(30), "{} is not {what}: {status}", self.options.name);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn spawn(options: &GatewayOptions, secret: &str, home: &Path, listen: &str) -> Process {
    let section = |name: &str, client: &Option<(String, String)>| match client {
        Some((id, secret)) => format!("[{name}]\nclient_id = {}\nclient_secret = {}\n", json!(id), json!(secret)),
        None => String::new(),
    };
    let configuration = format!(
        "{}{}[gateway]\nlisten = \"{listen}\"\n{}",
        section("introspection", &options.introspection),
        section("feed", &options.feed),
        options.settings
    );
    std::fs::write(home.join("annul-gateway.toml"), configuration).expect("write annul-gateway.toml");
    let state = home.join(STATE);
    std::fs::create_dir_all(&state).expect("a directory for the view");
    let mut command = Command::new(binary("annul"));
    command
        .current_dir(home)
        .arg("gateway")
        .args(["--authority", &options.authority])
        .args(["--client-id", &options.name])
        .args(["--issuer", ISSUER])
        .args(["--audience", AUDIENCE])
        .args(["--max-staleness", &format!("{}ms", options.max_staleness_ms)])
        .args(["--set", &format!("verifier.name={}", options.name)])
        .args(["--set", &format!("verifier.state={}", state.display())])
        .env("ANNUL_CLIENT_SECRET", secret);
    if let Some(log) = &options.log {
        command.stderr(append_to(log));
    }
    Process::listening(&mut command)
}
