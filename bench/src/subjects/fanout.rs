//! From a publication to the last of a thousand followers: the authority's feed, commit included,
//! beside the least that an axum application can do.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use crate::measure::{Contestant, Form, Sheet, Unit, clock, side_by_side};
use crate::peers::http::{Connection, get, post};
use crate::world::authority::Authority;
use crate::world::process::{Talker, myself};
use crate::world::workspace;

/// What an event of the feed begins with; the peer's events have the same name.
const MARK: &[u8] = b"event: frame";
/// How long the last follower may take.
const BOUND: Duration = Duration::from_secs(30);
/// As many bytes as an event of the feed with one entry has.
const EVENT_BYTES: usize = 600;

/// Measures the subject.
pub(super) fn measure(form: Form) -> Result<Sheet> {
    let mut sheet = Sheet::default();
    allow_many_files()?;
    let followers = form.of(1000, 50);
    sheet.fact("followers", followers);
    let dir = workspace::on_disk()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut ours = runtime.block_on(of_authority(dir.path(), followers))?;
    let mut peers = runtime.block_on(of_axum(followers))?;
    let publications = form.of(20, 3);
    side_by_side(
        &mut sheet,
        form.rounds(),
        &mut [
            Contestant::new("axum Sse, publish to last", Unit::Millis, || peers.round(&runtime, publications)),
            Contestant::new("annul, durable revoke to last", Unit::Millis, || ours.round(&runtime, publications)),
        ],
    )?;
    Ok(sheet)
}

/// A publisher and everybody who hears it.
struct Audience {
    publisher: Connection,
    request: Box<dyn FnMut() -> Vec<u8>>,
    status: u16,
    followers: usize,
    heard: Arc<Heard>,
    _servers: Vec<Box<dyn std::any::Any>>,
}

#[derive(Default)]
struct Heard {
    events: AtomicUsize,
    one_more: Notify,
}

impl Audience {
    /// The median of some publications, in milliseconds.
    fn round(&mut self, runtime: &Runtime, publications: usize) -> Result<f64> {
        let times = (0..publications).map(|_| runtime.block_on(self.publish())).collect::<Result<Vec<_>>>()?;
        Ok(clock::median(&times))
    }

    async fn publish(&mut self) -> Result<f64> {
        let request = (self.request)();
        let before = self.heard.events.load(Ordering::Relaxed);
        let started = Instant::now();
        let answered = async { self.publisher.expect(&request, self.status).await.map(drop) };
        let all_heard = async {
            while self.heard.events.load(Ordering::Relaxed) < before + self.followers {
                self.heard.one_more.notified().await;
            }
            anyhow::Ok(started.elapsed())
        };
        let both = async { tokio::try_join!(answered, all_heard) };
        let (_, last) = tokio::time::timeout(BOUND, both).await.context("a follower heard nothing")??;
        Ok(clock::nanos_each(last, 1) / 1e6)
    }

    async fn follow(&self, url: &str, request: &[u8]) -> Result<()> {
        for _ in 0..self.followers {
            let stream = Connection::open(url).await?.open_ended(request).await?;
            tokio::spawn(hear(stream, Arc::clone(&self.heard)));
        }
        Ok(())
    }
}

/// Counts the events that come. An event comes in one write and is shorter than a segment on loopback,
/// so its mark is never cut.
async fn hear(mut stream: TcpStream, heard: Arc<Heard>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        let events = buffer[..read].windows(MARK.len()).filter(|window| *window == MARK).count();
        if events > 0 {
            heard.events.fetch_add(events, Ordering::Relaxed);
            heard.one_more.notify_one();
        }
    }
}

async fn of_authority(home: &Path, followers: usize) -> Result<Audience> {
    // Heartbeats to a thousand followers would fall into the peer's rounds.
    let authority = Authority::start(home, "[feed]\nheartbeat = \"30s\"\n")?;
    let authorization = authority.authorization();
    let mut publisher = Connection::open(authority.url()).await?;
    let head = publisher.expect(&get("/v1/feed/head", Some(&authorization)), 200).await?;
    let head: serde_json::Value = serde_json::from_slice(head)?;
    let Some(at) = find(&head, "at").and_then(|at| at.as_str()) else { bail!("no position in {head}") };
    let follow = get(&format!("/v1/feed/stream?after={at}"), Some(&authorization));
    let mut number = 0;
    let request = Box::new(move || {
        number += 1;
        let body = format!(r#"{{"targets":["subject:user-{number}"],"cutoff":"now"}}"#);
        post("/v1/revocations", Some(&authorization), "application/json", &body)
    });
    let heard = Arc::default();
    let url = authority.url().to_owned();
    let audience = Audience { publisher, request, status: 201, followers, heard, _servers: vec![Box::new(authority)] };
    audience.follow(&url, &follow).await?;
    Ok(audience)
}

async fn of_axum(followers: usize) -> Result<Audience> {
    let mut server = Talker::start(&mut myself(&["floor", "sse"])?)?;
    let url = server.hear()?;
    let publisher = Connection::open(&url).await?;
    let request = Box::new(|| post("/publish", None, "text/plain", &"x".repeat(EVENT_BYTES)));
    let heard = Arc::default();
    let audience = Audience { publisher, request, status: 200, followers, heard, _servers: vec![Box::new(server)] };
    audience.follow(&url, &get("/stream", None)).await?;
    Ok(audience)
}

/// The first member of this name, wherever it lies.
fn find<'v>(value: &'v serde_json::Value, name: &str) -> Option<&'v serde_json::Value> {
    match value {
        serde_json::Value::Object(members) => {
            members.get(name).or_else(|| members.values().find_map(|member| find(member, name)))
        }
        _ => None,
    }
}

/// Lets this process, and those it starts, hold as many connections as the system allows.
fn allow_many_files() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).context("open files")
}
