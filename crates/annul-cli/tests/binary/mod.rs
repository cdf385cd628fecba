//! Runs the real `annul` in a directory and environment of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The binary, run in `directory` with nothing of the environment that could steer it.
pub(crate) fn command(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_annul"));
    command.current_dir(directory).stdin(Stdio::null());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ANNUL_")) {
        command.env_remove(name);
    }
    command
}

#[allow(dead_code, reason = "every test binary compiles this module and uses a part of it")]
pub(crate) fn annul(directory: &Path, arguments: &[&str]) -> Ran {
    ran(command(directory).args(arguments).output().unwrap())
}

#[allow(dead_code, reason = "every test binary compiles this module and uses a part of it")]
pub(crate) fn annul_with_stdin(directory: &Path, arguments: &[&str], input: &[u8]) -> Ran {
    let mut child = command(directory)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // The process may end without reading all of it.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    ran(output)
}

pub(crate) fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code().expect("the process was not killed"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// An issuer of Ed25519 tokens that knows nothing of annul.
#[allow(dead_code, reason = "every test binary compiles this module and uses a part of it")]
pub(crate) struct Issuer {
    pair: Ed25519KeyPair,
}

#[allow(dead_code, reason = "every test binary compiles this module and uses a part of it")]
impl Issuer {
    pub(crate) fn new(seed: u8) -> Self {
        Self { pair: Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap() }
    }

    pub(crate) fn jwks(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref());
        json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "one", "x": x }] })
    }

    /// A JWS over any bytes.
    pub(crate) fn sign(&self, header: &Value, payload: &[u8]) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(payload));
        let signature = self.pair.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    /// A token of `https://idp.example` for `api` that is valid from second 1000 to second 1300.
    pub(crate) fn token(&self) -> String {
        self.token_with("sub", json!("alice"))
    }

    pub(crate) fn token_with(&self, name: &str, value: Value) -> String {
        let mut claims = json!({
            "iss": "https://idp.example", "aud": "api", "sub": "alice", "iat": 1000, "exp": 1300, "jti": "t1"
        });
        claims[name] = value;
        self.sign(&json!({ "alg": "EdDSA", "kid": "one" }), claims.to_string().as_bytes())
    }
}

/// A process of the binary that listens, killed when dropped.
#[allow(dead_code, reason = "every test binary compiles this module and uses a part of it")]
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) url: String,
}

#[allow(dead_code, reason = "every test binary compiles this module and uses a part of it")]
impl Server {
    pub(crate) fn start(directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = command(directory)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening ").expect("the first line says where it listens").to_owned();
        Self { child, url }
    }

    /// An authority on a free port.
    pub(crate) fn authority(directory: &Path) -> Self {
        Self::start(directory, &["serve", "--listen", "127.0.0.1:0"], &[])
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
