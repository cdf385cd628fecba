//! `oidc-provider`, on Node: what a refresh costs where nothing is committed.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::world::process::Talker;
use crate::world::{AUDIENCE, workspace};

const CLIENT: &str = "bench";
const SECRET: &str = "a-secret-that-protects-nothing-at-all";

/// A running server with one client. It ends with its handle.
pub struct OidcProvider {
    process: Talker,
    url: String,
}

impl OidcProvider {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// When `npm ci` has not been run or Node does not start.
    pub fn start() -> Result<Self> {
        let mut command = Command::new("node");
        command.arg(workspace::project().join("bench/peers/node/oidc.mjs")).args([CLIENT, SECRET, AUDIENCE]);
        let mut process = Talker::start(command.env("NODE_ENV", "production"))?;
        let first = process.hear()?;
        let url = first.strip_prefix("listening ").with_context(|| format!("oidc-provider said: {first}"))?.to_owned();
        Ok(Self { process, url })
    }

    /// Refresh tokens, each of a grant of its own.
    ///
    /// # Errors
    /// When the server has ended.
    pub fn open(&mut self, count: usize) -> Result<Vec<String>> {
        let answer = self.process.ask(&count.to_string())?;
        let tokens: Vec<String> = serde_json::from_str(&answer).with_context(|| format!("it said: {answer}"))?;
        ensure!(tokens.len() == count, "{} tokens instead of {count}", tokens.len());
        Ok(tokens)
    }

    /// Where it listens, `http://127.0.0.1:port`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The value of an `Authorization` header of its client.
    #[must_use]
    pub fn authorization(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{SECRET}")))
    }
}
