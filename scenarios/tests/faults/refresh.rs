//! Refresh under what really happens: fifty callers at once, and a process that dies after the commit and
//! before the answer.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use scenarios::{Answer, Authority, Client};
use serde_json::json;
use tokio::sync::Barrier;

use crate::support::BOUND;

/// Callers at once, each with a connection of its own.
const CALLERS: usize = 50;
/// Rounds of the ordinary suite; `REFRESH_ROUNDS` asks for more.
const ROUNDS: usize = 40;
/// Kills between commit and answer.
const KILLS: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn rt_3_fifty_refreshes_from_fifty_connections_have_one_successor() {
    let authority = Authority::start_with("[sessions]\nrotation_grace = \"60s\"\n[limits]\nissue = 1000000\n");
    let callers = Callers::of(&authority);
    let session = callers.open().await;
    let mut newest = session.text("refresh_token").to_owned();
    for round in 0..rounds() {
        let answers = callers.refresh_at_once(&newest).await;
        let successors: BTreeSet<_> =
            answers.into_iter().map(|answer| answer.expect_status(200).text("refresh_token").to_owned()).collect();
        assert_eq!(successors.len(), 1, "round {round} has more than one successor");
        newest = successors.into_iter().next().expect("there is one");
    }
    assert!(sockets(&authority) > CALLERS, "fewer connections than callers");
    let view = authority.admin().get(&format!("/v1/sessions/{}", session.sid())).await.expect_status(200);
    assert_eq!(view.text("status"), "live", "no family ends inside the grace");
    let (rotated, repeated) = (rounds(), rounds() * (CALLERS - 1));
    counts(&authority, &[("rotated", rotated), ("repeated", repeated)]).await;
}

/// Without a grace nobody can tell two tabs from a thief and an owner: one refresh succeeds, the second is a
/// reuse, and whatever the first was given ends with the session.
#[tokio::test(flavor = "multi_thread")]
async fn rt_3_without_a_grace_fifty_refreshes_have_one_success_and_end_the_session() {
    let authority = Authority::start_with("[sessions]\nrotation_grace = \"0s\"\n[limits]\nissue = 1000000\n");
    let callers = Callers::of(&authority);
    for round in 0..rounds() {
        let session = callers.open().await;
        let answers = callers.refresh_at_once(session.text("refresh_token")).await;
        let (given, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
        assert_eq!(given.len(), 1, "round {round}");
        let codes: Vec<&str> = refused.iter().map(|answer| answer.text("code")).collect();
        assert_eq!(codes.iter().filter(|code| **code == "refresh_token_reused").count(), 1, "round {round}: {codes:?}");
        let later = codes.iter().filter(|code| **code == "session_revoked").count();
        assert_eq!(later, CALLERS - 2, "round {round}: {codes:?}");
        assert!(refused.iter().all(|answer| (answer.status, answer.text("error")) == (400, "invalid_grant")));
        let view = authority.admin().get(&format!("/v1/sessions/{}", session.sid())).await.expect_status(200);
        assert_eq!(view.text("status"), "ended", "round {round}");
        let after = callers.callers[0].refresh(given[0].text("refresh_token")).await.expect("the authority answers");
        assert_eq!((after.status, after.text("code")), (400, "session_revoked"), "the successor goes with the session");
    }
    let refused = rounds() * (CALLERS - 1);
    counts(&authority, &[("rotated", rounds()), ("reused", rounds()), ("refused", refused)]).await;
}

#[tokio::test]
async fn rt_2_a_kill_between_commit_and_answer_costs_no_login() {
    let mut authority = Authority::start_with("[sessions]\nrotation_grace = \"60s\"\n");
    let session = Callers::of(&authority).open().await;
    let mut newest = session.text("refresh_token").to_owned();
    for kill in 0..KILLS {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let trace = folder.path().join("trace");
        let caller = Caller::of(&authority);
        let strace = kill_at_the_next_answer(&authority, &trace).await;
        assert!(caller.refresh(&newest).await.is_none(), "kill {kill}: an answer came through");
        assert_eq!(authority.ended(), None, "kill {kill}: it ended by itself");
        ended(strace);
        // What was about to be sent is the answer of a redemption that was done.
        let last = std::fs::read_to_string(&trace).expect("what was traced is text");
        assert!(last.contains("HTTP/1.1 200"), "kill {kill}: {last}");
        assert!(last.contains("killed by SIGKILL"), "kill {kill}: {last}");

        authority.restart();
        let caller = Caller::of(&authority);
        let again = caller.refresh(&newest).await.expect("it answers again").expect_status(200);
        let once_more = caller.refresh(&newest).await.expect("and again").expect_status(200);
        assert_eq!(again.text("refresh_token"), once_more.text("refresh_token"), "kill {kill}");
        let events = authority.admin().get("/v1/audit?limit=1000").await.expect_status(200);
        let events = events.body["events"].as_array().expect("a list");
        let repeats = events.iter().filter(|event| event["action"] == "refresh.repeat").count();
        assert_eq!(repeats, (kill + 1) * 2, "the redemption before the kill was committed");
        newest = again.text("refresh_token").to_owned();
    }
    Caller::of(&authority).refresh(&newest).await.expect("it answers").expect_status(200);
}

/// A caller with a connection of its own.
#[derive(Clone)]
struct Caller {
    http: reqwest::Client,
    client: Client,
}

impl Caller {
    fn of(authority: &Authority) -> Self {
        let http = reqwest::Client::builder().timeout(BOUND).build().expect("a client needs nothing from outside");
        Self { http, client: authority.admin().clone() }
    }

    /// Refreshes; `None` when the line broke, so that nobody knows what became of it.
    async fn refresh(&self, token: &str) -> Option<Answer> {
        let request = self.http.post(format!("{}/oauth2/token", self.client.url()));
        let request = request.basic_auth(self.client.id(), Some(self.client.secret()));
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        Some(Answer::of(request.form(&form).send().await.ok()?).await)
    }
}

/// Fifty callers of one authority.
struct Callers {
    callers: Vec<Caller>,
}

impl Callers {
    fn of(authority: &Authority) -> Self {
        Self { callers: (0..CALLERS).map(|_| Caller::of(authority)).collect() }
    }

    async fn open(&self) -> Answer {
        let session = json!({"subject": "alice", "device": {"id": "phone"}, "refresh_token": true});
        self.callers[0].client.post("/v1/sessions", session).await.expect_status(201)
    }

    async fn refresh_at_once(&self, token: &str) -> Vec<Answer> {
        let start = Arc::new(Barrier::new(self.callers.len()));
        let all: Vec<_> = self
            .callers
            .iter()
            .map(|caller| {
                let (caller, token, start) = (caller.clone(), token.to_owned(), Arc::clone(&start));
                tokio::spawn(async move {
                    start.wait().await;
                    caller.refresh(&token).await.expect("the authority answers")
                })
            })
            .collect();
        let mut answers = Vec::new();
        for one in all {
            answers.push(one.await.expect("no caller panics"));
        }
        answers
    }
}

fn rounds() -> usize {
    std::env::var("REFRESH_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().expect("REFRESH_ROUNDS is a number"))
}

fn sockets(authority: &Authority) -> usize {
    let files = std::fs::read_dir(format!("/proc/{}/fd", authority.process().id())).expect("the process runs");
    let is_socket = |file: std::io::Result<std::fs::DirEntry>| {
        let target = std::fs::read_link(file.ok()?.path()).ok()?;
        target.to_string_lossy().starts_with("socket:").then_some(())
    };
    files.filter_map(is_socket).count()
}

async fn counts(authority: &Authority, expected: &[(&str, usize)]) {
    let metrics = authority.text("/metrics").await;
    let found: Vec<_> = metrics.lines().filter(|line| line.starts_with("annul_refresh_total{")).collect();
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (outcome, count) in expected {
        let line = format!("annul_refresh_total{{outcome=\"{outcome}\"}} {count}");
        assert!(found.contains(&line.as_str()), "{line} is not in {found:?}");
    }
}

/// Has strace kill the authority when it is about to send its next bytes. Returns once it is attached.
async fn kill_at_the_next_answer(authority: &Authority, trace: &std::path::Path) -> Child {
    let sends = "writev,sendto,sendmsg";
    let mut strace = Command::new("strace")
        .args(["-f", "-p", &authority.process().id().to_string(), "-o"])
        .arg(trace)
        .args(["-e", &format!("trace={sends}")])
        .args(["-e", &format!("inject={sends}:error=ECONNRESET:signal=SIGKILL")])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("strace is installed and may trace");
    let said = strace.stderr.take().expect("it is piped");
    let (told, attached) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        use std::io::BufRead as _;
        for line in std::io::BufReader::new(said).lines().map_while(Result::ok) {
            let _ = told.send(line);
        }
    });
    let line = attached.recv_timeout(BOUND).expect("strace says that it is attached");
    assert!(line.contains("attached"), "strace said {line:?}");
    strace
}

/// The tracer ends with what it traced.
fn ended(mut strace: Child) {
    let asked = std::time::Instant::now();
    while strace.try_wait().expect("a child can be waited for").is_none() {
        assert!(asked.elapsed() < BOUND, "strace does not end");
        std::thread::yield_now();
    }
}
