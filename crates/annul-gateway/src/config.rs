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

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

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

/// A text that no log shows.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A length of time, written `500ms`, `60s`, `5m` or `1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is no length of time; write 500ms, 60s, 5m or 1h");
        let split = text.find(|character: char| !character.is_ascii_digit()).ok_or_else(bad)?;
        let (number, unit) = text.split_at(split);
        let unit: u64 = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(bad()),
        };
        let millis = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(bad)?;
        Ok(Self(Duration::from_millis(millis)))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
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

/// A number of a file, or one that came as text by a flag or the environment.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NonZeroU32, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a number above zero")]
    enum Written {
        Number(NonZeroU32),
        Text(String),
    }
    match Written::deserialize(deserializer)? {
        Written::Number(number) => Ok(number),
        Written::Text(text) => {
            text.parse().map_err(|_| serde::de::Error::custom(format!("{text:?} is no number above zero")))
        }
    }
}

/// Where settings come from, besides the defaults.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The configuration file.
    pub file: Option<PathBuf>,
    /// Environment variables; those not named `ANNUL_SECTION__KEY` are left alone.
    pub environment: Vec<(String, String)>,
    /// Flags as `section.key` and value.
    pub flags: Vec<(String, String)>,
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

/// Why there is no configuration to start with. Nothing was started.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file could not be read.
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// Unknown keys, and values that do not read.
    Invalid {
        /// What was found and what was expected.
        detail: String,
    },
    /// A value that contradicts another or cannot work.
    Refused {
        /// `section.key`.
        key: &'static str,
        /// Why.
        why: &'static str,
    },
    /// Plain HTTP on an address that others can reach.
    PlainBeyondLoopback {
        /// The address.
        listen: SocketAddr,
    },
}

impl ConfigError {
    /// The error's stable name.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "config_unreadable",
            Self::Invalid { .. } => "config_invalid",
            Self::Refused { .. } => "config_refused",
            Self::PlainBeyondLoopback { .. } => "plain_http_refused",
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, detail } => write!(f, "{} cannot be read: {detail}", path.display()),
            Self::Invalid { detail } => write!(f, "the configuration does not read: {detail}"),
            Self::Refused { key, why } => write!(f, "{key} is refused: {why}"),
            Self::PlainBeyondLoopback { listen } => write!(
                f,
                "refusing to serve plain HTTP on {listen}: tokens would travel unprotected; give gateway.tls_cert and \
                 gateway.tls_key, or set gateway.allow_insecure on a network that only the proxy shares"
            ),
        }
    }
}

impl std::error::Error for ConfigError {}

fn read_file(path: &Path) -> Result<toml::Table, ConfigError> {
    let unreadable = |detail: String| ConfigError::Unreadable { path: path.to_owned(), detail };
    let size = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
    if size > MAX_FILE {
        return Err(unreadable(format!("it has {size} bytes, a configuration at most {MAX_FILE}")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    text.parse().map_err(|error: toml::de::Error| ConfigError::Invalid {
        detail: format!("{}: {}", path.display(), error.to_string().trim_end()),
    })
}

/// Sets a key to a text. All values but one read from text; `true` and `false` become booleans.
fn set(merged: &mut toml::Table, section: &str, key: &str, text: &str) {
    let value = text.parse().map_or_else(|_| toml::Value::from(text), toml::Value::Boolean);
    let section = merged.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
    if let toml::Value::Table(section) = section {
        section.insert(key.to_owned(), value);
    }
}

/// Bytes a configuration file may have; a larger one is some other file.
const MAX_FILE: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    fn minimal() -> Sources {
        Sources {
            flags: vec![pair("authority.client_id", "gateway"), pair("authority.client_secret", "s")],
            ..Sources::default()
        }
    }

    #[test]
    fn a_minimal_configuration_is_loopback_closed_and_sixty_seconds() {
        let config = Config::load(&minimal()).unwrap();
        assert_eq!(config.gateway.listen.to_string(), "127.0.0.1:7401");
        assert_eq!(config.verifier.max_staleness, Span(Duration::from_secs(60)));
        assert_eq!(config.verifier.on_stale, OnStaleConfig::Closed);
        assert!(!config.feed.is_set() && !config.introspection.is_set());
    }

    #[test]
    fn a_number_is_one_wherever_it_is_given() {
        let mut sources = minimal();
        sources.environment = vec![pair("ANNUL_GATEWAY__CONNECTIONS", "7")];
        assert_eq!(Config::load(&sources).unwrap().gateway.connections.get(), 7);
        for wrong in ["0", "-1", "many", ""] {
            sources.environment = vec![pair("ANNUL_GATEWAY__CONNECTIONS", wrong)];
            assert_eq!(Config::load(&sources).unwrap_err().code(), "config_invalid", "{wrong:?}");
        }
    }

    #[test]
    fn flags_win_over_the_environment() {
        let mut sources = minimal();
        sources.environment = vec![
            pair("ANNUL_VERIFIER__AUDIENCE", "env"),
            pair("ANNUL_VERIFIER__ISSUER", "https://env"),
            pair("ANNUL_URL", "x"),
        ];
        sources.flags.push(pair("verifier.audience", "flag"));
        let config = Config::load(&sources).unwrap();
        assert_eq!((config.verifier.audience.as_str(), config.verifier.issuer.as_str()), ("flag", "https://env"));
    }

    #[test]
    fn an_unknown_key_is_named() {
        for (source, name) in [("ANNUL_VERIFIER__AUDIENC", "audienc"), ("ANNUL_VERIFER__AUDIENCE", "verifer")] {
            let mut sources = minimal();
            sources.environment = vec![pair(source, "x")];
            let error = Config::load(&sources).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        for (key, value) in [
            ("authority.client_id", ""),
            ("verifier.audience", ""),
            ("verifier.issuer", ""),
            ("verifier.max_staleness", "soon"),
            ("verifier.on_stale", "open"),
            ("verifier.open_until", "5m"),
            ("gateway.listen", "0.0.0.0:80"),
            ("gateway.tls_cert", "cert.pem"),
            ("introspection.client_id", "x"),
            ("feed.client_secret", "x"),
        ] {
            let mut sources = minimal();
            sources.flags.push(pair(key, value));
            assert!(Config::load(&sources).is_err(), "{key}={value} was accepted");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let config = Config::load(&minimal()).unwrap();
        assert!(!format!("{config:?}").contains("\"s\""));
    }
}
