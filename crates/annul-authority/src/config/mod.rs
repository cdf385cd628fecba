//! The authority's configuration.
//!
//! Weakest first: the defaults of each section, `annul.toml`, environment variables named
//! `ANNUL_SECTION__KEY`, flags. A key that nobody knows is an error that names the source and the
//! nearest known key: a misspelt security setting must not be a setting left at its default.
//!
//! ```toml
//! [server]
//! listen = "0.0.0.0:7400"
//! tls_cert = "/etc/annul/tls.pem"
//! tls_key = "/etc/annul/tls.key"
//!
//! [tokens]
//! issuer = "https://auth.example"
//! audience = "api"
//! life = "5m"
//! ```

mod error;
mod feed;
mod limits;
mod network;
mod secrets;
mod server;
mod sessions;
mod sources;
mod store;
mod tokens;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::span::Span;

pub use error::ConfigError;
use error::refused;
pub use feed::FeedConfig;
pub use limits::LimitsConfig;
pub use network::Network;
pub use secrets::{Encoding, IssuersConfig, SecretConfig};
pub use server::{DpopNonce, ServerConfig};
pub use sessions::{SessionsConfig, SubjectsConfig};
pub use sources::Sources;
use sources::{read_file, refuse_odd_secrets, refuse_unknown, set};
pub use store::{KeysConfig, StoreConfig, StoreKind};
pub use tokens::{GroupsConfig, TokensConfig};

/// Everything that can be configured, one field per section of `annul.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How the server is reached.
    pub server: ServerConfig,
    /// Where state is kept.
    pub store: StoreConfig,
    /// What tokens look like.
    pub tokens: TokensConfig,
    /// Into how many groups users fall.
    pub groups: GroupsConfig,
    /// How long sessions live.
    pub sessions: SessionsConfig,
    /// What changes with the users themselves.
    pub subjects: SubjectsConfig,
    /// How the feed is served.
    pub feed: FeedConfig,
    /// How signing keys are kept.
    pub keys: KeysConfig,
    /// What of foreign issuers is configured and not kept in the store.
    pub issuers: IssuersConfig,
    /// What is bounded, and by how much.
    pub limits: LimitsConfig,
}

/// Prefix of the environment variables that are settings.
const ENVIRONMENT_PREFIX: &str = "ANNUL_";

impl Config {
    /// Reads and merges `sources`, weakest first, and checks the result.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let known = Self::known_keys();
        let mut merged = toml::Table::new();
        if let Some(path) = &sources.file {
            let table = read_file(path)?;
            refuse_unknown(&table, &known, path)?;
            merged = table;
        }
        for (name, value) in &sources.environment {
            let Some(rest) = name.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
            let Some((section, key)) = rest.split_once("__") else { continue };
            let key = format!("{}.{}", section.to_ascii_lowercase(), key.to_ascii_lowercase());
            set(&mut merged, &known, &key, value, &format!("environment variable {name}"))?;
        }
        for (key, value) in &sources.flags {
            set(&mut merged, &known, key, value, "command line")?;
        }
        refuse_odd_secrets(&merged)?;
        // Read from a table and not from a text, the error shows no line of the file, and names the key.
        let config: Self = toml::Value::Table(merged).try_into().map_err(|error: toml::de::Error| {
            ConfigError::Invalid { detail: error.to_string().trim_end().replace('\n', " ") }
        })?;
        config.check()?;
        Ok(config)
    }

    /// What one key alone cannot show: settings that contradict each other.
    fn check(&self) -> Result<(), ConfigError> {
        self.tokens.check()?;
        self.groups.check()?;
        self.sessions.check()?;
        self.server.check()?;
        if self.issuers.secrets.iter().any(|secret| secret.issuer == self.tokens.issuer) {
            return refused("issuers.secrets", "the authority's own tokens are signed by keys that only it has");
        }
        self.feed.check()?;
        self.limits.check()
    }

    /// Every key with a value of its type. `Option`s are filled, for a serialised `None` is no key.
    fn known_keys() -> toml::Table {
        let mut full = Self::default();
        full.server.tls_cert = Some(PathBuf::new());
        full.server.tls_key = Some(PathBuf::new());
        full.server.public_url = Some(String::new());
        full.server.tls_client_ca = Some(PathBuf::new());
        full.sessions.refresh_window = Some(Span::default());
        full.keys.master_key = Some(PathBuf::new());
        full.issuers.secrets = vec![SecretConfig::sample()];
        toml::Table::try_from(&full).expect("the configuration holds only strings, numbers, booleans and arrays")
    }
}

#[cfg(test)]
mod tests;
