//! A disk that is slow to make things durable, or that fails to: by strace, at the system call.
//!
//! Only what is on disk is acknowledged. While the disk takes its time, whatever needs no disk goes
//! on; when it fails, every acknowledgement is refused by name and nothing acknowledged is lost.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use scenarios::{Authority, Process, Service};
use serde_json::json;

use crate::support::{BOUND, Proofs, eventually, is_problem, revoke_all, still_has, until_known};

/// The calls by which a file is made durable.
const SYNC: &str = "fsync,fdatasync";

/// An injection into a running process, undone when dropped.
struct Injection {
    strace: Child,
    traced: u32,
}

impl Injection {
    /// Attaches to the process and has its calls done as `how` says: an injection in strace's words.
    ///
    /// # Panics
    /// If this user may not trace: a fault that is not injected is not known to be survived.
    fn into(process: &Process, how: &str) -> Self {
        let strace = Command::new("strace")
            .args(["--follow-forks", "--quiet=all", "--output=/dev/null", &format!("--trace={SYNC}")])
            .arg(format!("--inject={SYNC}:{how}"))
            .arg(format!("--attach={}", process.id()))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace is missing; ./test installs the package strace");
        let mut injection = Self { strace, traced: process.id() };
        injection.wait_until_attached();
        injection
    }

    fn wait_until_attached(&mut self) {
        let asked = Instant::now();
        while !self.traces_every_thread() {
            let ended = self.strace.try_wait().expect("it can be waited for");
            assert!(
                ended.is_none() && asked.elapsed() < BOUND,
                "strace cannot trace process {}: {ended:?}; run this suite as root, where tracing is permitted \
                 (CAP_SYS_PTRACE, and no seccomp profile that forbids ptrace)",
                self.traced
            );
            std::thread::yield_now();
        }
    }

    fn traces_every_thread(&self) -> bool {
        let Ok(threads) = std::fs::read_dir(format!("/proc/{}/task", self.traced)) else { return false };
        let tracer = format!("TracerPid:\t{}\n", self.strace.id());
        let mut statuses =
            threads.map_while(Result::ok).map(|thread| std::fs::read_to_string(thread.path().join("status")));
        statuses.all(|status| status.is_ok_and(|status| status.contains(&tracer)))
    }
}

impl Drop for Injection {
    fn drop(&mut self) {
        // Asked to end it detaches; a tracer that was killed would take the traced process along.
        let _ = Command::new("kill").args(["-INT", &self.strace.id().to_string()]).status();
        let _ = self.strace.wait();
    }
}

#[tokio::test]
async fn no_answer_leaves_before_a_slow_disk_has_it_and_the_order_stays() {
    const DELAY: Duration = Duration::from_millis(1_500);
    let mut authority = Authority::start();
    let service = Service::start_with(&authority, "api", |options| options.max_staleness_ms = 4_000).await;
    let alice = authority.login("alice", "phone").await;
    let bob = authority.login("bob", "phone").await;
    service.accepts(alice.token()).await;
    until_known(&authority, &service).await;

    let slow = Injection::into(authority.process(), &format!("delay_enter={}", DELAY.as_micros()));
    // Clients at once, each in order: whoever asks after an answer gets a later place.
    let client = async |client: u64| {
        let mut positions = Vec::new();
        for index in 0..3 {
            let asked = Instant::now();
            let targets = json!({"targets": [format!("subject:c{client}-{index}")]});
            let answer = authority.revoke(targets).await;
            assert!(asked.elapsed() >= DELAY, "answered after {:?}, before the disk had it", asked.elapsed());
            positions.push(answer.text("position").to_owned());
        }
        positions
    };
    let asked = Instant::now();
    let writes = async { futures::future::join_all((0..6).map(client)).await };
    // Meanwhile tokens are checked and issued, and the view stays fresh by round trips.
    let reads = async {
        let mut proofs = Proofs::default();
        eventually("the service outlives its staleness beside the slow writes", async || {
            let sent = Instant::now();
            service.accepts(bob.token()).await;
            authority.next_token(bob.sid()).await.expect_status(200);
            assert!(sent.elapsed() < DELAY, "a read waited {:?} for the disk", sent.elapsed());
            let seen = proofs.look(&service.status().await);
            (seen >= 3 && asked.elapsed() > Duration::from_millis(6_000)).then_some(())
        })
        .await;
    };
    let (written, ()) = tokio::join!(writes, reads);
    for positions in &written {
        let sequences: Vec<u64> =
            positions.iter().map(|at| at.trim_start_matches("1:").parse().expect("a sequence")).collect();
        assert!(sequences.is_sorted(), "a slow disk has reordered {positions:?}");
    }
    // Eighteen writes cost fewer than eighteen delays: they share commits.
    assert!(asked.elapsed() < DELAY * 18, "the writes waited one by one: {:?}", asked.elapsed());

    // Killed while the disk is asked: who was not answered may find it done or not, and who was does.
    let admin = authority.admin().clone();
    let last = admin.try_post("/v1/revocations", json!({"targets": ["subject:alice"]}));
    let kill = async {
        tokio::task::yield_now().await;
        authority.kill();
    };
    let (unanswered, ()) = tokio::join!(last, kill);
    drop(slow);
    assert!(unanswered.is_none(), "an answer left before the disk had it: {unanswered:?}");
    authority.restart();
    still_has(&authority, &written.concat()).await;
}

#[tokio::test]
async fn a_disk_that_fails_to_sync_refuses_every_acknowledgement_by_name_and_loses_none() {
    let mut authority = Authority::start();
    let service = Service::start_with(&authority, "api", |options| options.max_staleness_ms = 5_000).await;
    let alice = authority.login("alice", "phone").await;
    let bob = authority.login("bob", "phone").await;
    let mut revoked = revoke_all(&authority, &["alice"]).await;
    service.refuses_as_revoked(alice.token()).await;

    until_known(&authority, &service).await;
    let failing = Injection::into(authority.process(), "error=EIO");
    for subject in ["bob", "carol"] {
        let target = json!({"targets": [format!("subject:{subject}")]});
        let refused = authority.admin().post("/v1/revocations", target).await;
        is_problem(&refused, 503, "store_failed");
        for says in ["disk", "nothing was acknowledged"] {
            assert!(refused.text("detail").contains(says), "it does not say {says:?}: {}", refused.body);
        }
    }
    let login = authority.admin().post("/v1/sessions", json!({"subject": "late"})).await;
    is_problem(&login, 503, "store_failed");
    // It says so itself, and stays ready: reads, tokens and the feed would end if it were passed over.
    assert_eq!(authority.admin().get("/statusz").await.expect_status(200).text("state"), "read_only");
    authority.admin().get("/readyz").await.expect_status(200);

    // Nothing that was refused is served to anybody, what was acknowledged holds, and verifiers stay
    // fresh by round trips that write nothing.
    still_has(&authority, &revoked).await;
    let failing_since = Instant::now();
    eventually("the service outlives its staleness", async || {
        service.accepts(bob.token()).await;
        assert_eq!(service.call(alice.token()).await.status, 401);
        authority.next_token(alice.sid()).await.expect_status(403);
        (failing_since.elapsed() > Duration::from_millis(11_000)).then_some(())
    })
    .await;

    // A disk that works again is used again, and the next entry takes the place that none took.
    drop(failing);
    let answer = eventually("writes go on", async || {
        let answer = authority.admin().post("/v1/revocations", json!({"targets": ["subject:bob"]})).await;
        (answer.status == 201).then_some(answer)
    })
    .await;
    let place = |position: &str| position.trim_start_matches("1:").parse::<u64>().expect("a sequence");
    assert_eq!(place(answer.text("position")), place(&revoked[0]) + 1, "a refused write took a place in the log");
    revoked.push(answer.text("position").to_owned());
    service.refuses_as_revoked(bob.token()).await;
    assert_eq!(authority.admin().get("/statusz").await.expect_status(200).text("state"), "live");

    // And once more, ended by a kill in the middle of it.
    let failing = Injection::into(authority.process(), "error=EIO");
    let refused = authority.admin().post("/v1/revocations", json!({"targets": ["subject:dave"]})).await;
    assert_eq!(refused.status, 503, "{}", refused.body);
    authority.kill();
    drop(failing);
    authority.restart();
    still_has(&authority, &revoked).await;
    service.ready().await;
    service.refuses_as_revoked(bob.token()).await;
}
