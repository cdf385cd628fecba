//! A running service: a process of its own that embeds the public `annul` crate.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::api::{Answer, http};
use crate::authority::{AUDIENCE, Authority, ISSUER};
use crate::foreign::ForeignIssuer;
use crate::process::{Process, append_to, binary};

/// How often a state is looked at while waiting for it.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// What comes by itself has come by then, also on a machine that has much else to do.
const SOON: Duration = Duration::from_secs(60);

/// What a service is configured with; handed to its process as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServiceOptions {
    /// The name it reports under.
    pub name: String,
    /// The authority's address, or a relay's, or a proxy's.
    pub authority: String,
    /// Client id and secret with the scope `annul.follow`.
    pub credential: (String, String),
    /// The issuer whose tokens it accepts.
    pub issuer: String,
    /// The audience it is.
    pub audience: String,
    /// A foreign issuer it accepts as well, for the same audience.
    pub foreign_issuer: Option<String>,
    /// A secret it shares with that foreign issuer: its name and its text.
    pub foreign_secret: Option<(String, String)>,
    /// Whether that address is a relay's, so that its age is added and the feed key has to be given.
    pub through_relay: bool,
    /// The fingerprint of the one feed key it believes.
    pub feed_key: Option<String>,
    /// The file with the certificates it trusts for the authority, in place of the system's.
    pub tls_root: Option<PathBuf>,
    /// Where it keeps its view across restarts.
    pub state_dir: Option<String>,
    /// How old its view may be, in milliseconds.
    pub max_staleness_ms: u64,
    /// Seconds by which a token's times may be off; as many as the crate allows itself where not given.
    pub leeway: Option<u64>,
    /// The status for a revoked token, 401 or 403.
    pub revoked_status: u16,
    /// Bytes its cache of verified facts may take.
    pub cache_bytes: u64,
    /// Whether its own callback refuses the subjects on a list that a test writes.
    pub refuses_by_list: bool,
    /// The window in which its routes `/windowed` and `/immediate` take a token for young, in milliseconds.
    pub window_ms: Option<u64>,
    /// Whether it has routes that introspect.
    pub introspects: bool,
    /// Variables of its process's environment.
    #[serde(skip)]
    pub environment: Vec<(String, String)>,
    /// The file that its standard error is appended to.
    #[serde(skip)]
    pub log: Option<PathBuf>,
}

impl ServiceOptions {
    /// A service that follows what listens at `url` and keeps nothing on disk.
    pub fn new(name: &str, url: &str, credential: (String, String)) -> Self {
        Self {
            name: name.to_owned(),
            authority: url.to_owned(),
            credential,
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
            foreign_issuer: None,
            foreign_secret: None,
            through_relay: false,
            feed_key: None,
            tls_root: None,
            state_dir: None,
            max_staleness_ms: 10_000,
            leeway: None,
            revoked_status: 401,
            cache_bytes: 1 << 20,
            refuses_by_list: false,
            window_ms: None,
            introspects: false,
            environment: Vec::new(),
            log: None,
        }
    }

    /// The service's process, not started yet.
    pub fn command(&self) -> Command {
        let mut command = Command::new(binary("scenario-service"));
        command.arg(serde_json::to_string(self).expect("options are JSON"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// What a client saw of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The HTTP status.
    pub status: u16,
    /// The machine-readable code, empty for an allowed request.
    pub code: String,
}

/// A running service and a client of it.
pub struct Service {
    process: Process,
    options: ServiceOptions,
    http: reqwest::Client,
    state: TempDir,
}

impl Service {
    /// Starts a service that follows `authority` with a credential of its own, and waits until it
    /// is fresh.
    pub async fn start(authority: &Authority, name: &str) -> Self {
        Self::start_with(authority, name, |_| {}).await
    }

    /// The same with a clock that agrees with the authority's to the second, so that what has expired is
    /// refused at once.
    pub async fn start_punctual(authority: &Authority, name: &str) -> Self {
        Self::start_with(authority, name, |options| options.leeway = Some(0)).await
    }

    /// The same, which takes the tokens of a foreign issuer too.
    pub async fn start_accepting(authority: &Authority, name: &str, issuer: &ForeignIssuer) -> Self {
        Self::start_with(authority, name, |options| options.foreign_issuer = Some(issuer.name().to_owned())).await
    }

    /// The same, with its options changed first.
    pub async fn start_with(authority: &Authority, name: &str, change: impl FnOnce(&mut ServiceOptions)) -> Self {
        let client = authority
            .admin()
            .post(
                "/v1/clients",
                json!({"client_id": format!("service-{name}"), "scopes": ["annul.follow", "annul.read"]}),
            )
            .await
            .expect_status(201);
        let credential = (client.text("client_id").to_owned(), client.text("client_secret").to_owned());
        let service = Self::launch(name, authority.url(), credential, change);
        service.ready().await;
        service
    }

    /// Starts a service that follows what listens at `url` with a credential that exists; it need not
    /// become fresh.
    pub fn launch(
        name: &str,
        url: &str,
        credential: (String, String),
        change: impl FnOnce(&mut ServiceOptions),
    ) -> Self {
        let state = tempfile::tempdir().expect("a temporary directory");
        let mut options = ServiceOptions::new(name, url, credential);
        options.state_dir = Some(state.path().to_string_lossy().into_owned());
        change(&mut options);
        Self { process: spawn(&options), options, http: http(), state }
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again with the same options and the same state; it need not become fresh.
    pub fn restart(&mut self) {
        self.process = spawn(&self.options);
    }

    /// The directory in which it keeps its view.
    pub fn state_dir(&self) -> &Path {
        self.state.path()
    }

    /// What it was started with.
    pub const fn options(&self) -> &ServiceOptions {
        &self.options
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        self.process.url()
    }

    /// Waits until the service is fresh.
    pub async fn ready(&self) {
        self.wait_for_status("live", |status| status["state"] == "live").await;
    }

    /// One request with `token` to the ordinary route.
    pub async fn call(&self, token: &str) -> Seen {
        self.call_route("/check", token).await
    }

    /// One request with `token` to a route.
    pub async fn call_route(&self, route: &str, token: &str) -> Seen {
        let answer = self.answer(route, token).await;
        Seen { status: answer.status, code: answer.body["code"].as_str().unwrap_or_default().to_owned() }
    }

    /// The whole answer of one request with `token` to a route.
    pub async fn answer(&self, route: &str, token: &str) -> Answer {
        let request = self.http.get(format!("{}{route}", self.url())).bearer_auth(token);
        Answer::of(request.send().await.unwrap_or_else(|error| panic!("{route}: {error}"))).await
    }

    /// One request to the ordinary route with a token that is bound to `key`, and a proof of it.
    pub async fn call_with_proof(&self, token: &str, key: &annul::holder::ProofKey) -> Seen {
        let url = format!("{}/check", self.url());
        let proof = key.prove(&reqwest::Method::GET, &url, Some(token)).expect("the address is absolute");
        let request = self.http.get(&url).header("authorization", format!("DPoP {token}")).header("dpop", proof);
        let answer = Answer::of(request.send().await.unwrap_or_else(|error| panic!("{url}: {error}"))).await;
        Seen { status: answer.status, code: answer.body["code"].as_str().unwrap_or_default().to_owned() }
    }

    /// Asserts that the ordinary route accepts `token`.
    #[track_caller]
    pub fn accepts(&self, token: &str) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let seen = self.call(token).await;
            assert_eq!(seen.status, 200, "{caller}: {} refused with {}", self.options.name, seen.code);
        }
    }

    /// Waits until the ordinary route refuses `token`, and returns how it was refused and how long
    /// that took. Requests follow one another without a pause.
    ///
    /// # Panics
    /// If it still accepts after `bound`.
    pub async fn refuses_within(&self, token: &str, bound: Duration) -> (Seen, Duration) {
        let asked = Instant::now();
        loop {
            let seen = self.call(token).await;
            if seen.status != 200 {
                return (seen, asked.elapsed());
            }
            assert!(asked.elapsed() < bound, "{} still accepts after {bound:?}", self.options.name);
        }
    }

    /// Waits until the ordinary route refuses `token` as revoked. Meanwhile it may say that it cannot know, where a
    /// report of its came late.
    pub async fn refuses_as_revoked(&self, token: &str) {
        let revoked = Seen { status: self.options.revoked_status, code: "token_revoked".to_owned() };
        let asked = Instant::now();
        loop {
            let seen = self.call(token).await;
            if seen == revoked {
                return;
            }
            assert!([200, 503].contains(&seen.status), "{}: {seen:?}", self.options.name);
            assert!(asked.elapsed() < SOON, "{} does not refuse it after {SOON:?}: {seen:?}", self.options.name);
        }
    }

    /// Waits until the ordinary route accepts `token`, which a record still under way makes known.
    pub async fn accepts_soon(&self, token: &str) {
        let asked = Instant::now();
        while self.call(token).await.status != 200 {
            assert!(asked.elapsed() < SOON, "{}: {:?}", self.options.name, self.call(token).await);
        }
    }

    /// Waits until `token` is refused for another reason than that it is revoked.
    pub async fn wait_for_expiry(&self, token: &str) -> Seen {
        let asked = Instant::now();
        loop {
            let seen = self.call(token).await;
            if seen.code != "token_revoked" {
                return seen;
            }
            assert!(asked.elapsed() < Duration::from_secs(60), "the token does not expire");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// One request whose credential is sent byte by byte as given, where HTTP can carry it.
    pub async fn call_raw(&self, credential: &str) -> Seen {
        let header = reqwest::header::HeaderValue::from_bytes(format!("Bearer {credential}").as_bytes());
        let request =
            self.http.get(format!("{}/check", self.url())).header("authorization", header.expect("printable"));
        let answer = Answer::of(request.send().await.expect("the service answers")).await;
        Seen { status: answer.status, code: answer.body["code"].as_str().unwrap_or_default().to_owned() }
    }

    /// What the verifier says of itself.
    pub async fn status(&self) -> Value {
        let request = self.http.get(format!("{}/statusz", self.url()));
        Answer::of(request.send().await.expect("the service answers")).await.body
    }

    /// Waits until its state on disk stands at `position` or later, so that a restart finds it.
    pub async fn has_stored(&self, position: &str) {
        let asked = Instant::now();
        while !self.stored_positions().iter().any(|stored| parse(stored) >= parse(position)) {
            assert!(asked.elapsed() < Duration::from_secs(60), "{} has not stored {position}", self.options.name);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The positions that the first lines of its state file name. The file beside it, which takes its place once it
    /// is whole, is not what a restart finds.
    fn stored_positions(&self) -> Vec<String> {
        let state = std::fs::read(self.state.path().join("view.state")).unwrap_or_default();
        // What follows the first lines is packed and no text.
        let text = String::from_utf8_lossy(&state);
        let named = text.lines().filter_map(|line| line.split_once("\"at\":\""));
        named.filter_map(|(_, rest)| Some(rest.split_once('"')?.0.to_owned())).collect()
    }

    /// The value of one of its metrics, zero before it was first counted.
    pub async fn metric(&self, name: &str) -> f64 {
        let request = self.http.get(format!("{}/metrics", self.url()));
        let text = request.send().await.expect("the service answers").text().await.expect("metrics are text");
        let value = text.lines().find_map(|line| line.strip_prefix(name).and_then(|rest| rest.strip_prefix(' ')));
        value.map_or(0.0, |value| value.parse().expect("a metric is a number"))
    }

    /// Puts a subject on the list by which its own callback refuses.
    pub async fn list(&self, subject: &str) {
        let request = self.http.put(format!("{}/refused/{subject}", self.url()));
        Answer::of(request.send().await.expect("the service answers")).await.expect_status(200);
    }

    /// Takes a subject off that list.
    pub async fn unlist(&self, subject: &str) {
        let request = self.http.delete(format!("{}/refused/{subject}", self.url()));
        Answer::of(request.send().await.expect("the service answers")).await.expect_status(200);
    }

    /// How often its own callback was shown a token of `subject`.
    pub async fn hook_calls(&self, subject: &str) -> u64 {
        self.metric(&format!("scenario_hook_calls_total{{subject=\"{subject}\"}}")).await as u64
    }

    /// Waits for a state of the verifier, looked at until it holds.
    ///
    /// # Panics
    /// If it does not hold within ninety seconds.
    pub async fn wait_for_status(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let asked = Instant::now();
        loop {
            let status = self.status().await;
            if holds(&status) {
                return status;
            }
            assert!(asked.elapsed() < Duration::from_secs(90), "{} is not {what}: {status}", self.options.name);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until the verifier has applied `position`.
    pub async fn has_applied(&self, position: &str) {
        let (epoch, sequence) = parse(position);
        let applied = |status: &Value| status["position"].as_str().is_some_and(|at| parse(at) >= (epoch, sequence));
        self.wait_for_status(&format!("at {position}"), applied).await;
    }
}

fn parse(position: &str) -> (u32, u64) {
    let (epoch, sequence) = position.split_once(':').expect("a position reads epoch:sequence");
    (epoch.parse().expect("an epoch"), sequence.parse().expect("a sequence"))
}

fn spawn(options: &ServiceOptions) -> Process {
    let mut command = options.command();
    if let Some(log) = &options.log {
        command.stderr(append_to(log));
    }
    Process::listening(&mut command)
}
