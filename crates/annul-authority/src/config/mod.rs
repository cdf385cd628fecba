//! The authority's configuration.
//!
//! Weakest first: the defaults below, `annul.toml`, environment variables named
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
mod network;
mod secrets;
mod server;
mod sources;

use std::path::PathBuf;

use annul_core::token::HttpUri;
use serde::{Deserialize, Serialize};

use crate::model::{MAX_GRACE, MAX_GROUPS, RecordFields};
use crate::setup::TokenKey;
use crate::span::Span;
use crate::verbs::refresh::RefreshRevocation;

pub use error::ConfigError;
pub use network::Network;
pub use secrets::{Encoding, IssuersConfig, SecretConfig};
pub use server::{DpopNonce, ServerConfig};
pub use sources::Sources;
use sources::{read_file, refuse_odd_secrets, refuse_unknown, set};

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

/// `[store]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// `sqlite`, or `memory`: forgets everything when it stops.
    pub kind: StoreKind,
    /// The directory of database, lock file, master key and admin credential.
    pub data: PathBuf,
}

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// One file on this machine's disk, durable.
    Sqlite,
    /// Nothing survives the process.
    Memory,
}

/// `[tokens]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokensConfig {
    /// The `iss` of the authority's tokens. Fixed at the first start.
    pub issuer: String,
    /// The `aud` of a token whose request names none.
    pub audience: String,
    /// How long an access token lives.
    pub life: Span,
    /// `ES256`, `EdDSA`, `RS256` or `PS256`.
    pub algorithm: String,
    /// What signs the tokens of sessions: `signing`, or `per_subject`, a key of each user's own by which
    /// only the authority can verify.
    pub key: TokenKey,
    /// The longest life any own token may have; verifiers refuse longer ones.
    pub longest_life: Span,
    /// The largest leeway any verifier may be configured with.
    pub max_leeway: Span,
    /// By how much any two clocks of the deployment may differ.
    pub clock_skew: Span,
    /// The claims that can be revoked by, besides the registered names.
    pub claims: Vec<String>,
    /// Those of `claims` on which an entry makes every route ask.
    pub ask_on: Vec<String>,
}

/// `[groups]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GroupsConfig {
    /// How many there are; 0 for none. Verifiers then hold one entry per group in place of one per
    /// user, and ask about tokens that are older than it.
    pub count: u32,
}

/// `[sessions]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionsConfig {
    /// How long a session may stay unused.
    pub idle: Span,
    /// How long a session may live at all.
    pub absolute: Span,
    /// How long a refresh that is repeated gets the same answer, in whole seconds.
    pub rotation_grace: Span,
    /// How long before the last access token expires a refresh token may be used at the earliest, and
    /// then until `exchange_after` past it; any time unless given.
    pub refresh_window: Option<Span>,
    /// How long before it expires an access token that is its own refresh credential may be exchanged.
    pub exchange_before: Span,
    /// How long after it has expired it still may.
    pub exchange_after: Span,
    /// What revoking a refresh token ends: its `session`, or all that its `subject` holds.
    pub refresh_revocation: RefreshRevocation,
    /// The cookies that a logout through a browser deletes, by name.
    pub logout_cookies: Vec<String>,
}

/// `[subjects]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SubjectsConfig {
    /// Whether every logout sets the user's next version, so that it means everywhere.
    pub logout_sets_version: bool,
    /// The fields of a user record, as `name=access` (its change renews tokens, sessions go on) or
    /// `name=both` (the user logs in again). Those named `login` and `logout` change by themselves.
    pub record_fields: RecordFields,
}

/// `[feed]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeedConfig {
    /// How often an open stream shows that it is alive.
    pub heartbeat: Span,
    /// How long a signing key is published before its first use, unless every counted verifier has
    /// it earlier.
    pub key_lead: Span,
    /// How many of the newest records are served from memory.
    pub ring: u32,
    /// How many streams may be open at once.
    pub streams: u32,
    /// How many snapshots may be in flight at once.
    pub snapshots: u32,
    /// How often the keys of a foreign issuer given by URL are fetched.
    pub jwks_refresh: Span,
}

/// `[keys]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeysConfig {
    /// The file with the master key under which signing keys are encrypted. Without it one is made
    /// beside the data, where it protects nothing.
    pub master_key: Option<PathBuf>,
}

/// `[limits]`: bytes, and requests per second. Each scope is a lane of its own for each client, so
/// a client that floods one lane can still use the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Bytes a request body may have.
    pub body: u32,
    /// How long a request body may take to arrive.
    pub request: Span,
    /// Connections that may be open at once.
    pub connections: u32,
    /// `annul.issue` requests of one client per second.
    pub issue: u32,
    /// `annul.revoke` requests of one client per second.
    pub revoke: u32,
    /// `annul.read` requests of one client per second.
    pub read: u32,
    /// `annul.follow` requests of one client per second.
    pub follow: u32,
    /// `annul.admin` requests of one client per second.
    pub admin: u32,
    /// Logins from one address per second, and half as many for one username.
    pub login: u32,
    /// Other requests without a valid credential from one address per second.
    pub anonymous: u32,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { kind: StoreKind::Sqlite, data: PathBuf::from("./annul-data") }
    }
}

impl Default for TokensConfig {
    fn default() -> Self {
        Self {
            issuer: "http://127.0.0.1:7400".to_owned(),
            audience: "api".to_owned(),
            life: Span::seconds(300),
            algorithm: "ES256".to_owned(),
            key: TokenKey::default(),
            longest_life: Span::seconds(900),
            max_leeway: Span::seconds(60),
            clock_skew: Span::seconds(5),
            claims: vec!["roles".to_owned(), "scope".to_owned(), "tenant".to_owned()],
            ask_on: Vec::new(),
        }
    }
}

impl Default for SessionsConfig {
    fn default() -> Self {
        Self {
            idle: Span::seconds(14 * 86_400),
            absolute: Span::seconds(90 * 86_400),
            rotation_grace: Span::seconds(15),
            refresh_window: None,
            exchange_before: Span::seconds(600),
            exchange_after: Span::seconds(0),
            refresh_revocation: RefreshRevocation::default(),
            logout_cookies: Vec::new(),
        }
    }
}

impl Default for FeedConfig {
    fn default() -> Self {
        Self {
            heartbeat: Span::seconds(1),
            key_lead: Span::seconds(600),
            ring: 100_000,
            streams: 10_000,
            snapshots: 32,
            jwks_refresh: Span::seconds(300),
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            body: 64 * 1024,
            request: Span::seconds(30),
            connections: 20_000,
            issue: 5000,
            revoke: 2000,
            read: 5000,
            follow: 2000,
            admin: 50,
            login: 10,
            anonymous: 200,
        }
    }
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

    /// Whether the server listens on loopback only.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.server.listen.ip().is_loopback()
    }

    /// Whether the server speaks TLS.
    #[must_use]
    pub const fn has_tls(&self) -> bool {
        self.server.tls_cert.is_some()
    }

    /// What one key alone cannot show: settings that contradict each other.
    fn check(&self) -> Result<(), ConfigError> {
        let refuse = |key: &'static str, why: &'static str| Err(ConfigError::Refused { key, why });
        if self.tokens.issuer.is_empty() {
            return refuse("tokens.issuer", "it names the authority in every token and cannot be empty");
        }
        if self.tokens.audience.is_empty() {
            return refuse("tokens.audience", "a token without audience would be accepted by everybody");
        }
        if self.tokens.life.as_secs() == 0 {
            return refuse("tokens.life", "a token lives at least one second");
        }
        if self.tokens.life > self.tokens.longest_life {
            return refuse("tokens.life", "it is longer than tokens.longest_life, so every verifier would refuse it");
        }
        if let Some(claim) = self.tokens.ask_on.iter().find(|claim| !self.tokens.claims.contains(claim)) {
            return Err(ConfigError::AskOnUnknown { claim: claim.clone() });
        }
        if self.groups.count > MAX_GROUPS {
            return refuse("groups.count", "it is at most 1048576; with more, entries per user are as good");
        }
        if self.sessions.idle.as_secs() == 0 || self.sessions.absolute < self.sessions.idle {
            return refuse("sessions.idle", "it is at least a second and at most sessions.absolute");
        }
        if self.sessions.rotation_grace > Span::seconds(MAX_GRACE) {
            return refuse(
                "sessions.rotation_grace",
                "it is at most 60s: that long a spent refresh token is worth a new one",
            );
        }
        if self.sessions.refresh_window.is_some_and(|window| window.as_secs() == 0) {
            return refuse("sessions.refresh_window", "it is at least a second; leave it out to refresh at any time");
        }
        if !self.sessions.logout_cookies.iter().all(|name| is_cookie_name(name)) {
            return refuse("sessions.logout_cookies", "each is the name of a cookie: letters, digits, -, _ and .");
        }
        if self.server.tls_cert.is_some() != self.server.tls_key.is_some() {
            return refuse("server.tls_cert", "tls_cert and tls_key are given together");
        }
        if self.server.tls_client_ca.is_some() && !self.has_tls() {
            return refuse(
                "server.tls_client_ca",
                "it asks for certificates on TLS connections: give tls_cert and tls_key",
            );
        }
        if self.server.client_cert_header && self.server.trusted_proxies.is_empty() {
            return refuse(
                "server.client_cert_header",
                "it is believed from server.trusted_proxies only, and there are none",
            );
        }
        if self.server.public_url.as_deref().is_some_and(|url| HttpUri::parse(url).is_none()) {
            return refuse("server.public_url", "it is an http or https address");
        }
        if self.issuers.secrets.iter().any(|secret| secret.issuer == self.tokens.issuer) {
            return refuse("issuers.secrets", "the authority's own tokens are signed by keys that only it has");
        }
        if self.feed.heartbeat.0.is_zero() {
            return refuse("feed.heartbeat", "it is at least a millisecond");
        }
        if self.limits.body < MIN_BODY {
            return refuse("limits.body", "a report or a key set needs at least 4096 bytes");
        }
        if !self.is_loopback() && !self.has_tls() && !self.server.allow_insecure {
            return Err(ConfigError::PlainBeyondLoopback { listen: self.server.listen });
        }
        Ok(())
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

/// Whether a text can stand in a `Set-Cookie` header as a name. RFC 6265 allows a few characters more,
/// which nobody uses.
fn is_cookie_name(name: &str) -> bool {
    (1..=MAX_COOKIE_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// Bytes a cookie's name may have.
const MAX_COOKIE_NAME: usize = 128;

/// The smallest `limits.body` with which the protocol itself still works.
const MIN_BODY: u32 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, Sources) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("annul.toml");
        std::fs::write(&path, text).unwrap();
        (dir, Sources { file: Some(path), ..Sources::default() })
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn flags_win_over_the_environment_over_the_file_over_the_defaults() {
        let (_dir, mut sources) = file("[tokens]\nlife = \"1m\"\naudience = \"shop\"\nissuer = \"https://file\"\n");
        sources.environment =
            vec![pair("ANNUL_TOKENS__LIFE", "2m"), pair("ANNUL_TOKENS__ISSUER", "https://env"), pair("ANNUL_URL", "x")];
        sources.flags = vec![pair("tokens.life", "3m"), pair("tokens.claims", "roles, tenant")];
        let config = Config::load(&sources).unwrap();
        assert_eq!(config.tokens.life, Span::seconds(180));
        assert_eq!(config.tokens.issuer, "https://env");
        assert_eq!(config.tokens.audience, "shop");
        assert_eq!(config.tokens.claims, ["roles", "tenant"]);
        assert_eq!(config.sessions, SessionsConfig::default());
    }

    #[test]
    fn a_value_of_the_wrong_form_is_refused_with_its_key() {
        for (text, key) in [
            ("[server]\nlisten = \"0.0*0.0:7400\"\n", "server.listen"),
            ("[tokens]\nlife = 7\n", "tokens.life"),
            ("[limits]\nadmin = -1\n", "limits.admin"),
            ("[store]\nkind = \"paper\"\n", "store.kind"),
        ] {
            let (_dir, sources) = file(text);
            let error = Config::load(&sources).unwrap_err();
            assert!(matches!(error, ConfigError::Invalid { .. }) && error.to_string().contains(key), "{error}");
        }
    }

    #[test]
    fn an_unknown_key_is_named_with_the_nearest_known_one() {
        let (_dir, sources) = file("[tokens]\nlongest_live = \"1m\"\n");
        let error = Config::load(&sources).unwrap_err();
        let ConfigError::UnknownKey { key, nearest, .. } = &error else { panic!("{error}") };
        assert_eq!((key.as_str(), nearest.as_str()), ("tokens.longest_live", "tokens.longest_life"));

        let (_dir, sources) = file("[tokens_]\n");
        let ConfigError::UnknownKey { nearest, .. } = Config::load(&sources).unwrap_err() else { panic!() };
        assert_eq!(nearest, "tokens");

        let sources = Sources { environment: vec![pair("ANNUL_SERVER__LISTN", "x")], ..Sources::default() };
        let ConfigError::UnknownKey { nearest, source, .. } = Config::load(&sources).unwrap_err() else { panic!() };
        assert_eq!(nearest, "server.listen");
        assert!(source.contains("ANNUL_SERVER__LISTN"));
    }

    #[test]
    fn a_section_given_as_a_value_is_told_that_it_has_keys() {
        for text in ["tokens = \"a\"\n", "[[tokens]]\nlife = \"1m\"\n"] {
            let (_dir, sources) = file(text);
            let error = Config::load(&sources).unwrap_err();
            let ConfigError::Section { section, source, key } = &error else { panic!("{error}") };
            assert_eq!((section.as_str(), error.code()), ("tokens", "config_value_invalid"));
            assert!(source.contains("annul.toml") && key.starts_with("tokens."), "{error}");
        }
        let sources = Sources { flags: vec![pair("tokens", "a")], ..Sources::default() };
        let error = Config::load(&sources).unwrap_err().to_string();
        assert!(error.starts_with("tokens (command line) is a section"), "{error}");
        let sources = Sources { environment: vec![pair("ANNUL_TOKENS", "a")], ..Sources::default() };
        assert!(Config::load(&sources).is_ok(), "a variable without a key is not a setting of ours");
    }

    #[test]
    fn the_fields_of_a_user_record_are_a_list_in_every_source() {
        let (_dir, mut sources) = file("[subjects]\nrecord_fields = [\"role=access\", \"login=both\"]\n");
        let from_file = Config::load(&sources).unwrap().subjects;
        sources.file = None;
        sources.environment = vec![
            pair("ANNUL_SUBJECTS__RECORD_FIELDS", "login=both, role=access"),
            pair("ANNUL_SUBJECTS__LOGOUT_SETS_VERSION", "true"),
        ];
        let from_environment = Config::load(&sources).unwrap().subjects;
        assert_eq!(from_file.record_fields, from_environment.record_fields);
        assert!(from_environment.logout_sets_version && !from_file.logout_sets_version);
        sources.flags = vec![pair("subjects.record_fields", "role=sessions")];
        let error = Config::load(&sources).unwrap_err().to_string();
        assert!(error.contains("role=sessions") && error.contains("name=both"), "{error}");
    }

    #[test]
    fn plain_http_beyond_loopback_is_refused_unless_it_is_asked_for() {
        let mut sources = Sources { flags: vec![pair("server.listen", "0.0.0.0:7400")], ..Sources::default() };
        assert!(matches!(Config::load(&sources), Err(ConfigError::PlainBeyondLoopback { .. })));
        sources.flags.push(pair("server.allow_insecure", "true"));
        assert!(Config::load(&sources).is_ok());
    }

    #[test]
    fn settings_that_cannot_work_are_refused_by_name() {
        for (key, value) in [
            ("tokens.issuer", ""),
            ("tokens.audience", ""),
            ("tokens.life", "1h"),
            ("tokens.life", "five"),
            ("tokens.ask_on", "plan"),
            ("sessions.idle", "0s"),
            ("server.tls_cert", "cert.pem"),
            ("server.allow_insecure", "yes"),
            ("server.tls_client_ca", "ca.pem"),
            ("server.client_cert_header", "true"),
            ("server.trusted_proxies", "10.0.0.1/8"),
            ("server.public_url", "auth.example"),
            ("server.dpop_nonce", "sometimes"),
            ("limits.body", "1"),
            ("sessions.logout_cookies", "sid,a b"),
            ("limits.issue", "many"),
            ("store.kind", "oracle"),
            ("server.listen", "localhost"),
        ] {
            let sources = Sources { flags: vec![pair(key, value)], ..Sources::default() };
            let error = Config::load(&sources).map(|_| ()).unwrap_err().to_string();
            assert!(!error.is_empty(), "{key}={value}");
        }
    }

    #[test]
    fn a_file_that_is_not_toml_or_not_there_is_named() {
        let (_dir, sources) = file("[tokens\n");
        assert!(matches!(Config::load(&sources), Err(ConfigError::NotToml { .. })));
        let sources = Sources { file: Some(PathBuf::from("/nonexistent/annul.toml")), ..Sources::default() };
        assert!(matches!(Config::load(&sources), Err(ConfigError::Unreadable { .. })));
    }

    #[test]
    fn secrets_of_issuers_are_tables_of_the_file_and_no_error_repeats_one() {
        const SECRET: &str = "hunter2-hunter2-hunter2-hunter2-hunter2";
        let section = |more: &str| {
            format!("[[issuers.secrets]]\nissuer = \"https://idp\"\nname = \"shared\"\nalgorithm = \"HS256\"\n{more}\n")
        };
        let (_dir, sources) = file(&section(&format!("secret = \"{SECRET}\"")));
        let config = Config::load(&sources).unwrap();
        assert_eq!(config.issuers.secrets[0].secret.as_ref().unwrap().expose(), SECRET);
        assert!(!format!("{config:?}").contains(SECRET));
        for text in [
            section(&format!("secrte = \"{SECRET}\"")),
            section(&format!("secret = [\"{SECRET}\"]")),
            section(&format!("encoding = \"{SECRET}\"")),
            section(&format!("secret = \"{SECRET}")),
            format!("[issuers]\nsecrets = [\"{SECRET}\"]\n"),
            format!("[issuers]\nsecrets = \"{SECRET}\"\n"),
        ] {
            let (_dir, sources) = file(&text);
            let error = Config::load(&sources).unwrap_err();
            assert!(!error.to_string().contains(SECRET), "{error}");
            assert!(!format!("{error:?}").contains(SECRET), "{error:?}");
        }
        let environment = vec![pair("ANNUL_ISSUERS__SECRETS", SECRET)];
        let error = Config::load(&Sources { environment, ..Sources::default() }).unwrap_err();
        assert!(matches!(error, ConfigError::Value { .. }) && !error.to_string().contains(SECRET), "{error}");
        let (_dir, sources) = file(&section("").replace("https://idp", "http://127.0.0.1:7400"));
        assert!(matches!(Config::load(&sources), Err(ConfigError::Refused { key: "issuers.secrets", .. })));
    }

    #[test]
    fn the_defaults_are_a_configuration() {
        assert_eq!(Config::load(&Sources::default()), Ok(Config::default()));
    }

    #[test]
    fn the_page_names_every_key_with_its_default() {
        let page = include_str!("../../../../docs/reference/configuration.md");
        let defaults = toml::Table::try_from(Config::default()).unwrap();
        let text = |value: &toml::Value| match value {
            toml::Value::String(text) => text.clone(),
            toml::Value::Array(items) => items.iter().filter_map(toml::Value::as_str).collect::<Vec<_>>().join(","),
            other => other.to_string(),
        };
        let mut rows = 0;
        for (section, keys) in &Config::known_keys() {
            for key in keys.as_table().unwrap().keys() {
                let default = defaults.get(section).and_then(|section| section.get(key)).map(text).unwrap_or_default();
                let cell = if default.is_empty() { String::new() } else { format!("`{default}` ") };
                let row = format!("| `{section}.{key}` | {cell}|");
                assert!(page.contains(&row), "the page lacks the row {row}");
                rows += 1;
            }
        }
        assert_eq!(page.lines().filter(|line| line.starts_with("| `")).count(), rows, "the page has rows for no key");
    }
}
