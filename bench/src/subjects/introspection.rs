//! Introspection of a token seen before, by the CPU time the server takes: beside axum that answers
//! nothing, and axum that parses the same form and answers a constant.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use annul::client::OpenSession;
use anyhow::{Context as _, Result, anyhow, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::measure::{Contestant, Form, Sheet, Unit, clock, pin, side_by_side};
use crate::peers::http::{Connection, get, post};
use crate::world::authority::Authority;
use crate::world::process::{Talker, myself};
use crate::world::{AUDIENCE, ISSUER, workspace};

const CONNECTIONS: usize = 64;
/// Tokens that are asked about.
const LIVE: usize = 100;
const FORM: &str = "application/x-www-form-urlencoded";
/// How long the gateway may take until it is fresh.
const READY: Duration = Duration::from_secs(30);

/// Measures the subject: servers on core 0, callers on core 1.
pub(super) fn measure(form: Form) -> Result<Sheet> {
    let mut sheet = Sheet::default();
    let dir = workspace::on_disk()?;
    pin::this_thread(0)?;
    let authority = Authority::start(dir.path(), "")?;
    let gateway = Gateway::start(dir.path(), &authority)?;
    let mut floor = Talker::start(&mut myself(&["floor", "axum"])?)?;
    let floor_url = floor.hear()?;
    pin::this_thread(1)?;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tokens = runtime.block_on(open_sessions(&authority))?;
    sheet.fact("token bytes", tokens[0].len());
    let asked = |path: &str, authorization: Option<&str>| -> Vec<Vec<u8>> {
        tokens.iter().map(|token| post(path, authorization, FORM, &format!("token={token}"))).collect()
    };
    let credential = authority.authorization();
    let length = Duration::from_millis(form.of(1500, 300));
    runtime.block_on(gateway.ready())?;
    let servers = [
        ("axum, empty GET", floor.id(), floor_url.as_str(), vec![get("/empty", None)]),
        ("axum, form POST", floor.id(), floor_url.as_str(), asked("/form", Some(&credential))),
        (
            "annul, introspection at the authority",
            authority.pid(),
            authority.url(),
            asked("/oauth2/introspect", Some(&credential)),
        ),
        (
            "annul, introspection at the gateway",
            gateway.process.id(),
            gateway.url.as_str(),
            asked("/v1/introspect", Some(&gateway.authorization())),
        ),
    ];
    for (name, _, url, requests) in &servers[2..] {
        let answer = runtime.block_on(active(url, &requests[0]))?;
        ensure!(answer.contains("\"active\":true"), "{name} answered {answer}");
        sheet.fact(&format!("answer bytes, {name}"), answer.len());
    }
    let mut contestants: Vec<Contestant<'_>> = servers
        .iter()
        .map(|(name, pid, url, requests)| {
            let runtime = &runtime;
            Contestant::new(*name, Unit::ServerMicros, move || server_micros(runtime, *pid, url, requests, length))
        })
        .collect();
    side_by_side(&mut sheet, form.rounds(), &mut contestants)?;
    Ok(sheet)
}

/// Microseconds of the server's CPU per request, many connections at once, each with its next request
/// as soon as it has its answer.
fn server_micros(runtime: &Runtime, pid: u32, url: &str, requests: &[Vec<u8>], length: Duration) -> Result<f64> {
    let before = clock::process_cpu(pid)?;
    let answered = runtime.block_on(ask_for(url, requests, length))?;
    Ok(clock::nanos_each(clock::process_cpu(pid)? - before, answered) / 1e3)
}

async fn ask_for(url: &str, requests: &[Vec<u8>], length: Duration) -> Result<usize> {
    let started = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..CONNECTIONS {
        let mut connection = Connection::open(url).await?;
        let requests = requests.to_vec();
        callers.spawn(async move {
            let mut answered = 0_usize;
            while started.elapsed() < length {
                connection.expect(&requests[(caller + answered) % requests.len()], 200).await?;
                answered += 1;
            }
            anyhow::Ok(answered)
        });
    }
    let mut all = 0;
    while let Some(caller) = callers.join_next().await {
        all += caller??;
    }
    Ok(all)
}

async fn active(url: &str, request: &[u8]) -> Result<String> {
    let mut connection = Connection::open(url).await?;
    Ok(String::from_utf8(connection.expect(request, 200).await?.to_vec())?)
}

async fn open_sessions(authority: &Authority) -> Result<Vec<String>> {
    let client = authority.client()?;
    let mut tokens = Vec::with_capacity(LIVE);
    for number in 0..LIVE {
        let session = OpenSession { subject: format!("user-{number}"), ..OpenSession::default() };
        let answer = client.open_session(&session).await.map_err(|error| anyhow!("{error}"))?;
        tokens.push(answer.access_token);
    }
    Ok(tokens)
}

/// `annul gateway`, the release binary beside this one.
struct Gateway {
    process: Talker,
    url: String,
}

impl Gateway {
    const CLIENT: &str = "asker";
    const SECRET: &str = "a-secret-that-protects-nothing-at-all";

    fn start(home: &Path, authority: &Authority) -> Result<Self> {
        let config = home.join("annul-gateway.toml");
        let text = format!(
            "[gateway]\n[verifier]\nissuer = \"{ISSUER}\"\naudience = \"{AUDIENCE}\"\n[introspection]\nclient_id = \"{}\"\nclient_secret = \"{}\"\n",
            Self::CLIENT,
            Self::SECRET
        );
        std::fs::write(&config, text)?;
        let (id, secret) = authority.credential();
        let mut command = Command::new(std::env::current_exe()?.with_file_name("annul"));
        command.args(["gateway", "--listen", "127.0.0.1:0", "--config"]).arg(&config);
        command.args(["--authority", authority.url(), "--client-id", id]).env("ANNUL_CLIENT_SECRET", secret);
        let mut process = Talker::start(command.stderr(Stdio::null()))?;
        let first = process.hear()?;
        let url = first.strip_prefix("listening ").with_context(|| format!("annul gateway said: {first}"))?.to_owned();
        Ok(Self { process, url })
    }

    fn authorization(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", Self::CLIENT, Self::SECRET)))
    }

    async fn ready(&self) -> Result<()> {
        let asked = Instant::now();
        let mut connection = Connection::open(&self.url).await?;
        let question = get("/readyz", None);
        while connection.exchange(&question).await?.status != 200 {
            if asked.elapsed() > READY {
                bail!("the gateway is not ready");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}
