//! Child processes that end with their handle.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// How long a child that was asked to stop may take: longer than a server drains.
const STOPPING: Duration = Duration::from_secs(30);

/// A child that answers lines with lines.
pub struct Talker {
    child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Talker {
    /// Starts `command`. What it says on standard error goes to ours.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        let stdin = child.stdin.take().context("standard input is piped")?;
        let stdout = BufReader::new(child.stdout.take().context("standard output is piped")?).lines();
        Ok(Self { child, stdin, stdout })
    }

    /// Its next line.
    ///
    /// # Errors
    /// When it has ended.
    pub fn hear(&mut self) -> Result<String> {
        match self.stdout.next() {
            Some(line) => Ok(line?),
            None => bail!("the process ended: {}", self.child.wait()?),
        }
    }

    /// Says a line and hears the answer.
    ///
    /// # Errors
    /// When it has ended.
    pub fn ask(&mut self, line: &str) -> Result<String> {
        writeln!(self.stdin, "{line}")?;
        self.stdin.flush()?;
        self.hear()
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop (SIGTERM) and returns when it has, of its own accord and without a complaint.
    ///
    /// # Errors
    /// When it ends with another status than 0, or does not end within `STOPPING` and is killed.
    pub fn stop(mut self) -> Result<()> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("a process has an id")?;
        kill_process(id, Signal::TERM)?;
        let child = &mut self.child;
        thread::scope(|scope| {
            let (tell, told) = mpsc::channel();
            scope.spawn(move || tell.send(child.wait()));
            let Ok(ended) = told.recv_timeout(STOPPING) else {
                kill_process(id, Signal::KILL)?;
                bail!("the process had not stopped after {} s", STOPPING.as_secs());
            };
            let status = ended?;
            ensure!(status.success(), "the process ended: {status}");
            Ok(())
        })
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// This program again, in another role.
///
/// # Errors
/// When the path of the running program is unknown.
pub fn myself(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments);
    Ok(command)
}

/// The first line of what a program says to these arguments, for versions; what went wrong otherwise.
#[must_use]
pub fn first_line(program: &str, arguments: &[&str]) -> String {
    match Command::new(program).args(arguments).stderr(Stdio::null()).output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned(),
        Err(error) => format!("{program}: {error}"),
    }
}
