//! A running `annul serve`, the release binary beside this one.

use std::path::Path;
use std::process::{Command, Stdio};

use annul::AuthorityClient;
use anyhow::{Context as _, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::process::Talker;
use super::{AUDIENCE, ISSUER};

/// Rates that no measurement reaches: they would be what is measured.
const NO_RATE: &str = "1000000";

/// An authority with SQLite on disk. It ends with its handle.
pub struct Authority {
    process: Talker,
    url: String,
    id: String,
    secret: String,
}

impl Authority {
    /// Starts one in `home`, with these sections appended to its configuration.
    ///
    /// # Errors
    /// When the binary has not been built or does not start.
    pub fn start(home: &Path, sections: &str) -> Result<Self> {
        let binary = std::env::current_exe()?.with_file_name("annul");
        if !binary.exists() {
            bail!("{} is missing; build it first: cargo build --release --bin annul", binary.display());
        }
        let lanes = ["issue", "revoke", "read", "follow", "admin", "login", "anonymous"];
        let limits: String = lanes.iter().map(|lane| format!("{lane} = {NO_RATE}\n")).collect();
        let config = home.join("annul.toml");
        let text = format!("[tokens]\nissuer = \"{ISSUER}\"\naudience = \"{AUDIENCE}\"\n[limits]\n{limits}{sections}");
        std::fs::write(&config, text).context("write annul.toml")?;
        let mut command = Command::new(binary);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(&config)
            .arg("--data")
            .arg(home.join("data"));
        command.stderr(Stdio::null()).env_remove("ANNUL_URL");
        let mut process = Talker::start(&mut command)?;
        let first = process.hear()?;
        let url = first.strip_prefix("listening ").with_context(|| format!("annul serve said: {first}"))?.to_owned();
        let credential = std::fs::read_to_string(home.join("data/admin.credential")).context("the admin credential")?;
        let value = |name: &str| {
            let line = credential.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.map(str::to_owned).with_context(|| format!("{name} in the credential"))
        };
        let (id, secret) = (value("ANNUL_CLIENT_ID")?, value("ANNUL_CLIENT_SECRET")?);
        Ok(Self { process, url, id, secret })
    }

    /// Where it listens, `http://127.0.0.1:port`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Stops it as an operator would: what is in flight is answered, the database closed. What is in its
    /// home stays, and it can be started there again.
    ///
    /// # Errors
    /// When it does not stop.
    pub fn stop(self) -> Result<()> {
        self.process.stop()
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Id and secret of a client with every scope.
    #[must_use]
    pub fn credential(&self) -> (&str, &str) {
        (&self.id, &self.secret)
    }

    /// The value of an `Authorization` header with that credential.
    #[must_use]
    pub fn authorization(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.id, self.secret)))
    }

    /// A client with that credential, for what is not timed.
    ///
    /// # Errors
    /// When it cannot be configured.
    pub fn client(&self) -> Result<AuthorityClient> {
        let client = AuthorityClient::builder(&self.url).credentials(&self.id, &self.secret).build();
        client.map_err(|error| anyhow!("{error}"))
    }
}
