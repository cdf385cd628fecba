//! A child process that ends with its handle.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long a process may take to say where it listens. A debug build on a busy machine with two
/// cores hashes its first credential within it many times over.
const START: Duration = Duration::from_secs(60);

/// How often a process is looked at while waiting for its end.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// A running process and the address it printed.
#[derive(Debug)]
pub struct Process {
    child: Child,
    url: String,
}

impl Process {
    /// Starts `command` and waits for its first line, `listening http://…`. Its later output goes
    /// to this process's standard error.
    ///
    /// # Panics
    /// If it does not start or says something else within a minute.
    pub fn listening(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("start {command:?}: {error}"));
        let stdout = child.stdout.take().expect("stdout is piped");
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line.clone()).is_err() {
                    eprintln!("{line}");
                }
            }
        });
        let first = receiver.recv_timeout(START);
        let Some(url) = first.as_deref().ok().and_then(|line| line.strip_prefix("listening ")) else {
            let _ = child.kill();
            panic!("{command:?} said {first:?} instead of where it listens");
        };
        Self { child, url: url.to_owned() }
    }

    /// The address it listens on, `http://127.0.0.1:port`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal by name: `INT`, `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "process {} takes no SIG{name}", self.id());
    }

    /// Suspends it, and returns when none of its threads runs any more; `CONT` wakes it.
    ///
    /// # Panics
    /// If it still runs after ten seconds.
    pub fn pause(&self) {
        self.signal("STOP");
        let asked = Instant::now();
        while !self.is_stopped() {
            assert!(asked.elapsed() < Duration::from_secs(10), "process {} does not stop", self.id());
            std::thread::yield_now();
        }
    }

    fn is_stopped(&self) -> bool {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.id())).expect("the process is there");
        let stopped = |status: String| status.lines().any(|line| line.starts_with("State:\tT"));
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("status")).ok()).all(stopped)
    }

    /// How it ended.
    ///
    /// # Panics
    /// If it still runs after `bound`.
    pub fn ended_within(&mut self, bound: Duration) -> ExitStatus {
        let asked = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(asked.elapsed() < bound, "process {} still runs after {bound:?}", self.id());
            #[expect(
                clippy::disallowed_methods,
                reason = "between two looks at a state that is waited for with a bound"
            )]
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Ends it with SIGKILL, as a power cut would, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The resident memory of the process, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("the process runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("the kernel tells VmRSS");
        let kilobytes: u64 = line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).expect("VmRSS is a number");
        kilobytes * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A binary of this workspace, built beside the running test.
///
/// # Panics
/// If it has not been built.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let folder = test.parent().and_then(|deps| deps.parent()).expect("tests lie in target/<profile>/deps");
    let path = folder.join(name);
    assert!(path.exists(), "{} is missing; build it first: cargo build --workspace", path.display());
    path
}

/// A file opened to be appended to, as a process's standard error.
pub(crate) fn append_to(path: &Path) -> Stdio {
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
    file.unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}
