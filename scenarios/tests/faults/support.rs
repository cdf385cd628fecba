//! What the faults share: processes that end by themselves, and the wait for a state.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use scenarios::{Answer, Authority, Service, binary};
use serde_json::{Value, json};

/// How long anything waited for may take on a busy machine.
pub(crate) const BOUND: Duration = Duration::from_secs(60);

/// A process that ended by itself.
pub(crate) struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Everything it wrote to standard error.
    pub stderr: String,
    /// Everything it wrote to standard output.
    pub stdout: String,
}

impl Ended {
    /// Asserts that it ended with `exit` and an error that has `code` and each of `says`, and a hint.
    #[track_caller]
    pub(crate) fn refused(&self, exit: i32, code: &str, says: &[&str]) {
        assert_eq!(self.code, Some(exit), "{}", self.stderr);
        let error = self.stderr.find("error: ").map(|at| &self.stderr[at..]);
        let error = error.unwrap_or_else(|| panic!("no error is named: {}", self.stderr));
        for part in says.iter().chain(&[code, "hint: "]) {
            assert!(error.contains(part), "the error does not say {part:?}: {error}");
        }
        assert_eq!(self.stdout, "", "a process that refuses to start says nothing on stdout");
    }
}

/// Runs `command` to its end.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Ended {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.unwrap_or_else(|error| panic!("start {command:?}: {error}"));
    let id = child.id();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(BOUND) else {
        let _ = Command::new("kill").args(["-KILL", &id.to_string()]).status();
        panic!("{command:?} does not end");
    };
    let output = output.expect("its output can be read");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ended { code: output.status.code(), stderr: text(&output.stderr), stdout: text(&output.stdout) }
}

/// Starts an authority in `home`, which must refuse.
#[track_caller]
pub(crate) fn serve(home: &Path, settings: &str) -> Ended {
    run(&mut Authority::command(home, settings, "127.0.0.1:0"))
}

/// The `annul` binary with these arguments, without any variable of this process that it knows.
pub(crate) fn annul(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary("annul"));
    command.args(arguments);
    for name in ["ANNUL_URL", "ANNUL_CLIENT_ID", "ANNUL_CLIENT_SECRET"] {
        command.env_remove(name);
    }
    command
}

/// Looks again and again until `look` finds something.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    let mut look = look;
    async move {
        let asked = Instant::now();
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(asked.elapsed() < BOUND, "{caller}: not within {BOUND:?}: {what}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// Asserts that an answer is the named error, whole: what happened, what to do, and for whom.
#[track_caller]
pub(crate) fn is_problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.body["code"].as_str()), (status, Some(code)), "{}", answer.body);
    for member in ["title", "detail", "hint", "request_id"] {
        assert!(answer.body[member].as_str().is_some_and(|text| !text.is_empty()), "no {member}: {}", answer.body);
    }
    if status == 503 {
        assert!(answer.headers.contains_key("retry-after"), "a 503 says when to come back");
    }
}

/// Revokes each subject and returns the positions.
pub(crate) async fn revoke_all(authority: &Authority, subjects: &[&str]) -> Vec<String> {
    let mut positions = Vec::new();
    for subject in subjects {
        let answer = authority.revoke(json!({"targets": [format!("subject:{subject}")]})).await;
        positions.push(answer.text("position").to_owned());
    }
    positions
}

/// Asserts that the authority still has every one of these revocations.
pub(crate) async fn still_has(authority: &Authority, positions: &[String]) {
    for position in positions {
        let answer = authority.admin().get(&format!("/v1/revocations/{position}")).await;
        assert_eq!(answer.status, 200, "the acknowledged revocation at {position} is lost: {}", answer.body);
    }
}

/// Counts the round trips that prove a view fresh: its age falls at each.
#[derive(Default)]
pub(crate) struct Proofs {
    seen: u32,
    last_age: u64,
}

impl Proofs {
    /// How many there were between the statuses looked at so far.
    pub(crate) fn look(&mut self, status: &Value) -> u32 {
        let age = status["age_ms"].as_u64().unwrap_or(u64::MAX);
        self.seen += u32::from(age < self.last_age);
        self.last_age = age;
        self.seen
    }
}

/// Waits until the authority has written down who follows it, with its routes: from then on reports
/// write nothing, and what happens to the disk is nothing to them.
pub(crate) async fn until_known(authority: &Authority, service: &Service) {
    let mut proofs = Proofs::default();
    eventually("the authority knows the service", async || {
        let (status, seen) = (service.status().await, authority.admin().get("/statusz").await.body);
        let known = seen["replicas"][0]["routes"] == status["routes"];
        (known && proofs.look(&status) >= 2).then_some(())
    })
    .await;
}
