//! The command line as a person or a script would use it.

use std::io::Write as _;
use std::process::{ExitStatus, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::api::Client;
use crate::process::binary;

/// `annul` with an address and a credential in its environment, in an empty directory.
pub struct Cli {
    environment: Vec<(&'static str, String)>,
    home: TempDir,
}

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Ran {
    /// The exit code.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl Cli {
    /// The command line of a client of the authority.
    pub fn of(client: &Client) -> Self {
        Self::at(client.url(), client.id(), client.secret())
    }

    /// The command line for the server at `url` with a client id and secret.
    pub fn at(url: &str, id: &str, secret: &str) -> Self {
        let environment = vec![
            ("ANNUL_URL", url.to_owned()),
            ("ANNUL_CLIENT_ID", id.to_owned()),
            ("ANNUL_CLIENT_SECRET", secret.to_owned()),
        ];
        Self { environment, home: tempfile::tempdir().expect("a temporary directory") }
    }

    /// Whether nothing was written into its directory.
    pub fn is_untouched(&self) -> bool {
        std::fs::read_dir(self.home.path()).expect("the directory is there").next().is_none()
    }

    /// Runs `annul` with these arguments and no terminal, to its end.
    pub async fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with_input(arguments, "").await
    }

    /// Runs a script as a person would type it, with `annul` on the path, these variables and no
    /// terminal; it ends at the first command that fails.
    pub async fn script(&self, script: &str, variables: &[(&str, String)]) -> Ran {
        let folder = binary("annul").parent().expect("a binary lies in a folder").to_owned();
        let before = std::env::var("PATH").expect("there is a path");
        let output = tokio::process::Command::new("sh")
            .args(["-euc", script])
            .current_dir(self.home.path())
            .env_remove("ANNUL_TLS_ROOT")
            .env("PATH", format!("{}:{before}", folder.display()))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap_or_else(|error| panic!("{script}: {error}"));
        Ran::of(output)
    }

    /// The same as [`run`](Self::run), with a text on its standard input.
    pub async fn run_with_input(&self, arguments: &[&str], input: &str) -> Ran {
        let mut stdin = tempfile::tempfile_in(self.home.path()).expect("a temporary file");
        stdin.write_all(input.as_bytes()).expect("the input is written");
        std::io::Seek::rewind(&mut stdin).expect("a file can be read from its start");
        let output = tokio::process::Command::new(binary("annul"))
            .args(arguments)
            .current_dir(self.home.path())
            .env_remove("ANNUL_TLS_ROOT")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::from(stdin))
            .output()
            .await
            .unwrap_or_else(|error| panic!("annul {arguments:?}: {error}"));
        Ran::of(output)
    }
}

impl Ran {
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("annul prints text");
        Self { code: code(output.status), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// This, which must have ended with `code`.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// The JSON it printed.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }

    /// The lines it printed, with runs of spaces as one.
    pub fn lines(&self) -> Vec<String> {
        self.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| panic!("annul was ended by a signal: {status}"))
}
