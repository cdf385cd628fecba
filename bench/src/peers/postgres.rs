//! PostgreSQL with the settings it comes with, driven by its own `pgbench`: one row per commit.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

const TABLE: &str = "CREATE TABLE revocations (seq bigserial PRIMARY KEY, handle bytea NOT NULL, cutoff bigint NOT NULL, \
    until bigint NOT NULL, body bytea NOT NULL)";
const INSERT: &str = "INSERT INTO revocations (handle, cutoff, until, body) VALUES \
    (decode('00112233445566778899aabbccddeeff', 'hex'), 1, 2, convert_to(repeat('x', 128), 'UTF8'));\n";
/// The account that the server runs as when we are root: it refuses to be root.
const ACCOUNT: &str = "postgres";

/// A cluster of its own. It ends with its handle.
pub struct Cluster {
    programs: PathBuf,
    dir: PathBuf,
    port: u16,
}

impl Cluster {
    /// Makes and starts a cluster below `dir`, which must be readable by others.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start.
    pub fn start(dir: &Path) -> Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let cluster = Self { programs: programs()?, dir: dir.join("postgres"), port };
        std::fs::create_dir(&cluster.dir)?;
        std::fs::write(cluster.dir.join("insert.sql"), INSERT)?;
        if rustix::process::geteuid().is_root() {
            check(Command::new("chown").args(["-R", ACCOUNT]).arg(&cluster.dir))?;
        }
        let data = cluster.dir.join("data");
        check(cluster.program("initdb").args(["--auth=trust", "-U", "postgres", "-D"]).arg(&data))?;
        let options = format!("-p {port} -h 127.0.0.1 -c max_connections=300 -c unix_socket_directories=");
        let log = cluster.dir.join("log");
        check(cluster.program("pg_ctl").args(["-w", "-o", &options, "-l"]).arg(log).arg("-D").arg(&data).arg("start"))?;
        check(cluster.client("psql").args(["-q", "-c", TABLE]))?;
        Ok(cluster)
    }

    /// Commits of one row per second, when each of so many clients makes so many, connections kept; the
    /// time it takes to connect is not in it.
    ///
    /// # Errors
    /// When pgbench fails.
    pub fn commits_per_second(&self, clients: usize, each: usize) -> Result<f64> {
        let mut command = self.client("pgbench");
        command.args(["-n", "-M", "prepared", "-j", "2", "-c", &clients.to_string(), "-t", &each.to_string(), "-f"]);
        let output = command.arg(self.dir.join("insert.sql")).arg("postgres").output().context("start pgbench")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
        rate.with_context(|| format!("pgbench said: {text}{}", String::from_utf8_lossy(&output.stderr)))
    }

    fn client(&self, name: &str) -> Command {
        let mut command = self.program(name);
        command.args(["-h", "127.0.0.1", "-U", "postgres", "-p", &self.port.to_string()]);
        command
    }

    /// A program of PostgreSQL's, as somebody who is not root.
    fn program(&self, name: &str) -> Command {
        let path = self.programs.join(name);
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", ACCOUNT, "--regid", ACCOUNT, "--clear-groups"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        command.current_dir(&self.dir).stdin(Stdio::null());
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.dir.join("data");
        let _ = check(self.program("pg_ctl").args(["-m", "immediate", "-D"]).arg(data).arg("stop"));
    }
}

/// The newest PostgreSQL that Debian's packages installed.
fn programs() -> Result<PathBuf> {
    let installed = std::fs::read_dir("/usr/lib/postgresql").context("PostgreSQL is not installed")?;
    let newest = installed.filter_map(|entry| entry.ok().map(|entry| entry.path().join("bin"))).max();
    newest.context("PostgreSQL is not installed")
}

/// Its version, as it says itself.
#[must_use]
pub fn version() -> String {
    programs().map_or_else(
        |error| error.to_string(),
        |bin| crate::world::process::first_line(&bin.join("postgres").to_string_lossy(), &["--version"]),
    )
}

fn check(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("start {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
