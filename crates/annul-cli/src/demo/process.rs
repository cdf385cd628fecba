//! A child process that cannot outlive this one.
//!
//! Three ropes hold it: all are killed at the end, whatever the end was; each is killed when its
//! handle is dropped; and it ends by itself when its stdin closes, which it does with this process.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::Problem;
use crate::credential::Credential;

/// What a process is started with.
pub(crate) struct Role<'a> {
    pub(crate) name: &'a str,
    pub(crate) arguments: Vec<String>,
    pub(crate) credential: Option<&'a Credential>,
}

/// Every process of the demonstration, and the directory they run in.
#[derive(Clone)]
pub(crate) struct Children {
    directory: PathBuf,
    all: Arc<Mutex<Vec<Arc<Mutex<Child>>>>>,
}

/// A running role.
pub(crate) struct Process {
    name: String,
    child: Arc<Mutex<Child>>,
    stdin: Option<ChildStdin>,
    stdout: Option<Lines<BufReader<ChildStdout>>>,
    first_line: String,
}

impl Children {
    pub(crate) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), all: Arc::default() }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Starts this binary again in a role, and returns once it has said that it is ready.
    pub(crate) async fn start(&self, role: Role<'_>) -> Result<Process, Problem> {
        let log = File::options().create(true).append(true).open(self.directory.join(format!("{}.log", role.name)))?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("demo-role")
            .args(&role.arguments)
            .current_dir(&self.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ANNUL_")) {
            command.env_remove(name);
        }
        if let Some(credential) = role.credential {
            command.env("ANNUL_CLIENT_ID", &credential.id).env("ANNUL_CLIENT_SECRET", &credential.secret);
        }
        let mut child = command.spawn()?;
        let stdin = child.stdin.take();
        let mut stdout = child.stdout.take().map(|stdout| BufReader::new(stdout).lines());
        let child = Arc::new(Mutex::new(child));
        self.all.lock().await.push(Arc::clone(&child));
        let first_line = match &mut stdout {
            Some(lines) => timeout(START, lines.next_line()).await,
            None => Ok(Ok(None)),
        };
        let Ok(Ok(Some(first_line))) = first_line else {
            return Err(format!("the process {} did not start; see {}.log", role.name, role.name).into());
        };
        Ok(Process { name: role.name.to_owned(), child, stdin, stdout, first_line })
    }

    /// Kills every process and waits until each is gone.
    pub(crate) async fn end(&self) {
        for child in self.all.lock().await.drain(..) {
            // One that has ended already cannot be killed, which is as well.
            let _ = child.lock().await.kill().await;
        }
    }
}

impl Process {
    /// The address of its first line, `listening http://…`.
    pub(crate) fn url(&self) -> Result<String, Problem> {
        let url = self.first_line.strip_prefix("listening ");
        url.map(str::to_owned).ok_or_else(|| format!("{} does not say where it listens", self.name).into())
    }

    /// Its stdin and the rest of its stdout, for whoever talks to it that way.
    pub(crate) fn pipes(&mut self) -> Option<(ChildStdin, Lines<BufReader<ChildStdout>>)> {
        Some((self.stdin.take()?, self.stdout.take()?))
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub(crate) async fn kill(&self) -> Result<(), Problem> {
        self.child.lock().await.kill().await?;
        Ok(())
    }
}

/// A process of the demonstration starts in a fraction of a second; a loaded machine gets this.
const START: Duration = Duration::from_secs(20);
