//! The gateway's configuration.
//!
//! Weakest first: the defaults, a TOML file, environment variables named `ANNUL_SECTION__KEY`, flags.
//! A key that nobody knows is an error that names where it stands and what is known there.
//!
//! ```toml
//! [gateway]
//! listen = "127.0.0.1:7401"
//!
//! [authority]
//! url = "https://auth.example"
//! client_id = "gateway"
//! client_secret = "…"
//!
//! [verifier]
//! issuer = "https://auth.example"
//! audience = "api"
//! max_staleness = "60s"
//! ```

mod error;
mod sources;
mod values;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

pub use error::ConfigError;
pub use sources::Sources;
use sources::{no_value_for_a_section, read_file, set};
use values::count;
pub use values::{Secret, Span};

/// Everything that can be configured, one field per section.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How the gateway is reached.
    pub gateway: GatewayConfig,
    /// Whose feed it follows.
    pub authority: AuthorityConfig,
    /// Which tokens it accepts, and how stale its view may be.
    pub verifier: VerifierConfig,
    /// Who may introspect. Without it there is no `/v1/introspect`.
    pub introspection: ClientConfig,
    /// Who may follow the feed through this gateway. Without it the feed is not relayed.
    pub feed: ClientConfig,
    /// Further issuers whose tokens are accepted; each must be known to the authority.
    pub foreign: Vec<ForeignConfig>,
}

/// `[gateway]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// Address and port. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The certificate chain as PEM. With it and `tls_key`, the gateway speaks TLS only.
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key as PEM.
    pub tls_key: Option<PathBuf>,
    /// Serve plain HTTP beyond loopback all the same: on a network that only the proxy shares.
    pub allow_insecure: bool,
    /// Connections open at once, those of followers included.
    #[serde(deserialize_with = "count")]
    pub connections: NonZeroU32,
}

/// `[authority]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthorityConfig {
    /// The authority's address.
    pub url: String,
    /// A client with the scope `annul.follow`, and `annul.read` where a route asks.
    pub client_id: String,
    /// That client's secret.
    pub client_secret: Secret,
    /// Certificates to trust for the authority, as PEM, in place of the system's.
    pub tls_root: Option<PathBuf>,
    /// The fingerprint of the feed key. Without it, the key that the authority shows first is taken.
    pub feed_key: Option<String>,
}

/// `[verifier]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VerifierConfig {
    /// The `iss` of the authority's tokens.
    pub issuer: String,
    /// The `aud` that names what stands behind this gateway.
    pub audience: String,
    /// Under which name it reports to the authority.
    pub name: String,
    /// Under which instance of that name; made up at each start where it is not given.
    pub instance: Option<String>,
    /// Where the view is kept between starts.
    pub state: Option<PathBuf>,
    /// How old the view may be.
    pub max_staleness: Span,
    /// What happens when it is older.
    pub on_stale: OnStaleConfig,
    /// With `on_stale = "open"`: the second age, past which the gateway is closed after all.
    pub open_until: Option<Span>,
    /// By how much the clocks of issuer and gateway may differ.
    pub leeway: Option<Span>,
}

/// What a check does when the view is too old.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnStaleConfig {
    /// Answer 503 until the view is fresh.
    #[default]
    Closed,
    /// Ask the authority.
    Ask,
    /// Accept what is not known to be revoked, up to `open_until`.
    Open,
}

/// A client id and its secret. Both or neither.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientConfig {
    /// The client's id.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: Secret,
}

impl ClientConfig {
    /// Whether a client is configured.
    #[must_use]
    pub const fn is_set(&self) -> bool {
        !self.client_id.is_empty()
    }
}

/// `[[foreign]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignConfig {
    /// The exact `iss`.
    pub issuer: String,
    /// The `aud` that is expected in its tokens.
    pub audience: String,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7401)),
            tls_cert: None,
            tls_key: None,
            allow_insecure: false,
            connections: const { NonZeroU32::new(20_000).expect("not zero") },
        }
    }
}

impl Default for AuthorityConfig {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:7400".to_owned(),
            client_id: String::new(),
            client_secret: Secret::default(),
            tls_root: None,
            feed_key: None,
        }
    }
}

impl Default for VerifierConfig {
    fn default() -> Self {
        Self {
            issuer: "http://127.0.0.1:7400".to_owned(),
            audience: "api".to_owned(),
            name: "gateway".to_owned(),
            instance: None,
            state: None,
            max_staleness: Span(Duration::from_secs(60)),
            on_stale: OnStaleConfig::Closed,
            open_until: None,
            leeway: None,
        }
    }
}

impl Config {
    /// Reads and merges `sources`, weakest first, and checks the result.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut merged = match &sources.file {
            Some(path) => read_file(path)?,
            None => toml::Table::new(),
        };
        for (name, value) in &sources.environment {
            let Some((section, key)) = name.strip_prefix("ANNUL_").and_then(|rest| rest.split_once("__")) else {
                continue;
            };
            set(&mut merged, &section.to_ascii_lowercase(), &key.to_ascii_lowercase(), value);
        }
        for (name, value) in &sources.flags {
            let (section, key) = name.split_once('.').unwrap_or((name, ""));
            set(&mut merged, section, key, value);
        }
        no_value_for_a_section(&merged)?;
        let config: Self = merged.try_into().map_err(|error: toml::de::Error| ConfigError::Invalid {
            detail: error.to_string().trim_end().to_owned(),
        })?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let refuse = |key: &'static str, why: &'static str| Err(ConfigError::Refused { key, why });
        if self.authority.client_id.is_empty() || self.authority.client_secret.expose().is_empty() {
            return refuse(
                "authority.client_id",
                "the feed needs a client id and secret; make one with `annul clients add gateway --scope follow`",
            );
        }
        if self.verifier.issuer.is_empty() || self.verifier.audience.is_empty() {
            return refuse("verifier.audience", "without issuer and audience everybody's tokens would be accepted");
        }
        if (self.verifier.on_stale == OnStaleConfig::Open) != self.verifier.open_until.is_some() {
            return refuse(
                "verifier.open_until",
                "it stands together with on_stale = \"open\", and states for how long",
            );
        }
        if self.gateway.tls_cert.is_some() != self.gateway.tls_key.is_some() {
            return refuse("gateway.tls_cert", "tls_cert and tls_key are given together");
        }
        for (key, client) in [("introspection.client_id", &self.introspection), ("feed.client_id", &self.feed)] {
            if client.is_set() == client.client_secret.expose().is_empty() {
                return refuse(key, "client_id and client_secret are given together");
            }
        }
        let reachable = !self.gateway.listen.ip().is_loopback();
        if reachable && self.gateway.tls_cert.is_none() && !self.gateway.allow_insecure {
            return Err(ConfigError::PlainBeyondLoopback { listen: self.gateway.listen });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
