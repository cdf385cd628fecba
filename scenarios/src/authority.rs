//! A running `annul serve`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::api::{Answer, Client, http};
use crate::process::{Process, append_to, binary};

/// The issuer every scenario's authority signs as.
pub const ISSUER: &str = "https://auth.scenario.example";
/// The audience of its tokens.
pub const AUDIENCE: &str = "api";

/// How an authority is started, where the ordinary way will not do.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    /// Appended to its `annul.toml`, in the section `[tokens]`.
    pub settings: String,
    /// The directory of configuration and data; one of its own where there is none.
    pub home: Option<PathBuf>,
    /// Variables of its environment.
    pub environment: Vec<(String, String)>,
    /// The file that its standard error is appended to.
    pub log: Option<PathBuf>,
}

/// An authority in its own data directory.
pub struct Authority {
    process: Process,
    launch: Launch,
    home: PathBuf,
    admin: Client,
    _temporary: Option<TempDir>,
}

impl Authority {
    /// Starts an authority with default settings.
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// Starts an authority with `settings` appended to its `annul.toml`.
    pub fn start_with(settings: &str) -> Self {
        Self::launch(Launch { settings: settings.to_owned(), ..Launch::default() })
    }

    /// Starts an authority as described.
    pub fn launch(launch: Launch) -> Self {
        let temporary = launch.home.is_none().then(|| tempfile::tempdir().expect("a temporary directory"));
        let home = launch.home.clone().or_else(|| Some(temporary.as_ref()?.path().to_owned())).expect("one of the two");
        let process = Self::spawn(&launch, &home, "127.0.0.1:0");
        let admin = admin_of(&process, &home);
        Self { process, launch, home, admin, _temporary: temporary }
    }

    fn spawn(launch: &Launch, home: &Path, listen: &str) -> Process {
        let mut command = Self::command(home, &launch.settings, listen);
        command.envs(launch.environment.iter().map(|(name, value)| (name, value)));
        if let Some(log) = &launch.log {
            command.stderr(append_to(log));
        }
        Process::listening(&mut command)
    }

    /// `annul serve` in `home`, with `settings` written to its `annul.toml`.
    pub fn command(home: &Path, settings: &str, listen: &str) -> Command {
        let config = home.join("annul.toml");
        let settings = format!("[tokens]\nissuer = \"{ISSUER}\"\naudience = \"{AUDIENCE}\"\n{settings}");
        std::fs::write(&config, settings).expect("write annul.toml");
        let mut command = Command::new(binary("annul"));
        command
            .arg("serve")
            .args(["--listen", listen])
            .arg("--config")
            .arg(&config)
            .arg("--data")
            .arg(home.join("annul-data"))
            .env_remove("ANNUL_URL");
        command
    }

    /// Asks it to end, with SIGINT, and returns its exit code; `None` when the signal killed it.
    pub fn interrupt(&mut self) -> Option<i32> {
        self.process.signal("INT");
        self.ended()
    }

    /// The exit code of an authority that was asked to end; `None` when a signal killed it.
    ///
    /// # Panics
    /// If it still runs after half a minute.
    pub fn ended(&mut self) -> Option<i32> {
        self.process.ended_within(Duration::from_secs(30)).code()
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same address and data.
    pub fn restart(&mut self) {
        let listen = self.url().trim_start_matches("http://").to_owned();
        self.process = Self::spawn(&self.launch, &self.home, &listen);
        // A new client: the old one may still hold connections to the process that is gone.
        self.admin = admin_of(&self.process, &self.home);
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        self.process.url()
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The directory that holds everything it stores.
    pub fn data(&self) -> PathBuf {
        self.home.join("annul-data")
    }

    /// The directory that holds its configuration and, below, its data.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// A client with every scope.
    pub fn admin(&self) -> &Client {
        &self.admin
    }

    /// Opens a session and returns the token answer.
    pub async fn login(&self, subject: &str, device: &str) -> Answer {
        self.open(json!({"subject": subject, "device": {"id": device}})).await
    }

    /// Opens a session with a refresh token and returns the token answer.
    pub async fn login_to_refresh(&self, subject: &str, device: &str) -> Answer {
        self.open(json!({"subject": subject, "device": {"id": device}, "refresh_token": true})).await
    }

    /// Opens a session whose access token is itself what the next one is given for.
    pub async fn login_to_exchange(&self, subject: &str, device: &str) -> Answer {
        self.open(json!({"subject": subject, "device": {"id": device}, "exchange": true})).await
    }

    /// Opens a session as described.
    pub async fn open(&self, session: Value) -> Answer {
        self.admin.post("/v1/sessions", session).await.expect_status(201)
    }

    /// The next access token of a session.
    pub async fn next_token(&self, sid: &str) -> Answer {
        self.admin.post(&format!("/v1/sessions/{sid}/token"), json!({})).await
    }

    /// Logs out with the user's own access token.
    pub async fn logout(&self, token: &str, scope: Value) -> Answer {
        let request = http().post(format!("{}/v1/logout", self.url())).bearer_auth(token).json(&scope);
        Answer::of(request.send().await.expect("the authority answers")).await
    }

    /// A new client with these scopes.
    pub async fn client(&self, id: &str, scopes: &[&str]) -> Client {
        self.register(json!({"client_id": id, "scopes": scopes})).await
    }

    /// A new client as described; one that has no secret names itself only.
    pub async fn register(&self, client: Value) -> Client {
        let made = self.admin.post("/v1/clients", client).await.expect_status(201);
        let secret = made.body["client_secret"].as_str().unwrap_or_default();
        Client::new(self.url(), made.text("client_id"), secret)
    }

    /// The last position of its log.
    pub async fn position(&self) -> String {
        self.admin.get("/statusz").await.expect_status(200).text("position").to_owned()
    }

    /// The body at `path` as text.
    pub async fn text(&self, path: &str) -> String {
        self.admin.text(path).await
    }

    /// The sum of what its metric of this name counts, over those series whose labels are as wanted.
    pub async fn counted(&self, name: &str, wanted: impl Fn(&str) -> bool) -> u64 {
        let text = self.text("/metrics").await;
        let series = text.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '));
        series.filter(|(labels, _)| wanted(labels)).filter_map(|(_, value)| value.parse::<u64>().ok()).sum()
    }

    /// The events of this action in its audit, oldest first.
    pub async fn audited(&self, action: &str) -> Vec<Value> {
        let mut events = Vec::new();
        let mut after = 0;
        loop {
            let page = self.admin.get(&format!("/v1/audit?limit=1000&after={after}")).await.expect_status(200);
            let page = page.body["events"].as_array().expect("a list").clone();
            let Some(last) = page.last() else { return events };
            after = last["id"].as_u64().expect("events are counted");
            events.extend(page.into_iter().filter(|event| event["action"] == action));
        }
    }

    /// Revokes as described, and demands that it was taken.
    pub async fn revoke(&self, revocation: Value) -> Answer {
        self.admin.post("/v1/revocations", revocation).await.expect_status(201)
    }
}

fn admin_of(process: &Process, data: &Path) -> Client {
    let text = std::fs::read_to_string(data.join("annul-data/admin.credential"))
        .expect("the first start writes the admin credential");
    let value = |name: &str| {
        let line =
            text.lines().find_map(|line| line.strip_prefix(name)).expect("the credential has an id and a secret");
        line.trim_start_matches('=').to_owned()
    };
    Client::new(process.url(), &value("ANNUL_CLIENT_ID"), &value("ANNUL_CLIENT_SECRET"))
}
