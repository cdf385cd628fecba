//! Where the authority is and who is asking: `ANNUL_URL`, `ANNUL_CLIENT_ID`, `ANNUL_CLIENT_SECRET`,
//! or the credential file that the authority wrote at its first start.
//!
//! The secret is never an argument: arguments are visible to every user of the machine.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use reqwest::Url;

use crate::failure::{Exit, Failure};

/// How to reach the authority.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Authority")]
pub(crate) struct Connection {
    /// The authority's address
    #[arg(long, global = true, value_name = "URL", env = "ANNUL_URL", default_value = "http://127.0.0.1:7400")]
    pub(crate) url: String,
    /// File with ANNUL_CLIENT_ID and ANNUL_CLIENT_SECRET, read when they are not in the environment
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "ANNUL_CREDENTIAL",
        default_value = "./annul-data/admin.credential"
    )]
    pub(crate) credential: PathBuf,
    /// Trust the certificates in this PEM file for the authority, besides the system's
    #[arg(long, global = true, value_name = "FILE", env = "ANNUL_TLS_ROOT")]
    pub(crate) tls_root: Option<PathBuf>,
    /// Send the credential over plain HTTP to an address that is not this machine
    #[arg(long, global = true)]
    pub(crate) allow_plain_http: bool,
}

/// A client id and its secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credential {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl Credential {
    /// The credential that a file holds.
    pub(crate) fn from_file(path: &Path) -> Result<Self, Failure> {
        read_file(path)
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credential({})", self.id)
    }
}

impl Connection {
    /// The authority's address, refused when a credential sent there could be read on the way.
    pub(crate) fn base(&self) -> Result<Url, Failure> {
        let url = Url::parse(&self.url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some())
            .ok_or_else(|| {
                Failure::usage(format!("{:?} is not an http or https URL", self.url))
                    .with_hint("set ANNUL_URL or --url")
            })?;
        if url.scheme() == "http" && !is_loopback(&url) && !self.allow_plain_http {
            return Err(Failure::usage(format!(
                "{url} is plain HTTP to another machine; the secret would be readable"
            ))
            .with_hint("use https, or --allow-plain-http on a network you trust"));
        }
        Ok(url)
    }

    /// The credential, from the environment or the file.
    pub(crate) fn credential(&self) -> Result<Credential, Failure> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        match (variable(ID), variable(SECRET)) {
            (Some(id), Some(secret)) => Ok(Credential { id, secret }),
            (None, None) => Credential::from_file(&self.credential),
            (Some(_), None) => Err(Failure::usage(format!("{ID} is set but {SECRET} is not"))),
            (None, Some(_)) => Err(Failure::usage(format!("{SECRET} is set but {ID} is not"))),
        }
    }
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        None => false,
        Some("localhost") => true,
        Some(host) => host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
    }
}

fn read_file(path: &Path) -> Result<Credential, Failure> {
    let shown = path.display();
    let missing = |what: String| {
        Failure::new(Exit::NotPermitted, format!("no credential: {ID} and {SECRET} are not set, and {what}")).with_hint(
            "run beside the authority's data directory, name the file with --credential, or set both variables",
        )
    };
    let mut text = String::new();
    let file = File::open(path).map_err(|error| missing(format!("{shown} cannot be read ({error})")))?;
    file.take(MAX_FILE)
        .read_to_string(&mut text)
        .map_err(|error| missing(format!("{shown} cannot be read ({error})")))?;
    parse_file(&text).ok_or_else(|| missing(format!("{shown} does not hold them")))
}

fn parse_file(text: &str) -> Option<Credential> {
    let value = |name: &str| {
        text.lines()
            .filter_map(|line| line.trim().split_once('='))
            .find(|(key, _)| key.trim() == name)
            .map(|(_, value)| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    };
    Some(Credential { id: value(ID)?, secret: value(SECRET)? })
}

const ID: &str = "ANNUL_CLIENT_ID";
const SECRET: &str = "ANNUL_CLIENT_SECRET";
/// A credential file has two short lines; more than this is another file.
const MAX_FILE: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_file_holds_both_lines() {
        let credential = parse_file("# admin\nANNUL_CLIENT_ID=admin\nANNUL_CLIENT_SECRET=s3=cret\n").unwrap();
        assert_eq!(credential, Credential { id: "admin".into(), secret: "s3=cret".into() });
        assert!(parse_file("ANNUL_CLIENT_ID=admin\n").is_none());
        assert!(parse_file("ANNUL_CLIENT_ID=\nANNUL_CLIENT_SECRET=x\n").is_none());
    }

    #[test]
    fn a_credential_does_not_print_its_secret() {
        let credential = Credential { id: "admin".into(), secret: "hidden".into() };
        assert!(!format!("{credential:?}").contains("hidden"));
    }

    #[test]
    fn only_this_machine_is_loopback() {
        let loopback = |url: &str| is_loopback(&Url::parse(url).unwrap());
        assert!(loopback("http://127.0.0.1:7400"));
        assert!(loopback("http://127.8.8.8"));
        assert!(loopback("http://[::1]:7400"));
        assert!(loopback("http://localhost"));
        assert!(!loopback("http://localhost.evil.example"));
        assert!(!loopback("http://10.0.0.1"));
    }
}
