//! The peers on Node and Python. Each is a process that does one round when it is asked and answers
//! with nanoseconds per token, so that its rounds stand between ours.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::world::keys::Signer;
use crate::world::process::{Talker, first_line};
use crate::world::{AUDIENCE, HMAC_ISSUER, ISSUER, workspace};

/// The tokens, keys and expectations that a peer is started with.
///
/// # Errors
/// When the file cannot be written.
pub fn write_tokens(dir: &Path, signed: &[(&Signer, &[String])]) -> Result<PathBuf> {
    let algorithms: serde_json::Map<String, Value> = signed
        .iter()
        .map(|(signer, tokens)| {
            let described = json!({ "jwk": signer.jwk_for_peers(), "tokens": tokens });
            (signer.signing().name().to_owned(), described)
        })
        .collect();
    let path = dir.join("tokens.json");
    let text = json!({ "issuers": [ISSUER, HMAC_ISSUER], "audience": AUDIENCE, "algorithms": algorithms }).to_string();
    std::fs::write(&path, text)?;
    Ok(path)
}

/// The Node peers, with the packages of the lock file.
///
/// # Errors
/// When `npm ci` has not been run or Node does not start.
pub fn node(tokens: &Path, redis_port: u16) -> Result<Peer> {
    let mut command = Command::new("node");
    command.arg(workspace::project().join("bench/peers/node/peer.mjs")).arg(tokens).arg(redis_port.to_string());
    Peer::start(&mut command)
}

/// The Python peer, in the virtual environment that `bench/run` made.
///
/// # Errors
/// When the environment is missing.
pub fn python(tokens: &Path) -> Result<Peer> {
    let mut command = Command::new(python_program());
    command.arg(workspace::project().join("bench/peers/python/peer.py")).arg(tokens);
    Peer::start(&mut command)
}

fn python_program() -> PathBuf {
    workspace::project().join("target/bench/venv/bin/python")
}

/// The version of a runtime's program.
#[must_use]
pub fn versions() -> (String, String) {
    (first_line("node", &["--version"]), first_line(&python_program().to_string_lossy(), &["--version"]))
}

/// A running peer.
pub struct Peer(Talker);

impl Peer {
    fn start(command: &mut Command) -> Result<Self> {
        let mut talker = Talker::start(command)?;
        let ready = talker.hear()?;
        anyhow::ensure!(ready == "ready", "the peer said: {ready}");
        Ok(Self(talker))
    }

    /// Nanoseconds per token of one round of this work.
    ///
    /// # Errors
    /// When the peer does not know the work or refused a token.
    pub fn round(&mut self, work: &str, algorithm: &str, operations: usize) -> Result<f64> {
        let answer = self.0.ask(&format!("{work} {algorithm} {operations}"))?;
        answer.parse().with_context(|| format!("{work} {algorithm}: {answer}"))
    }
}
