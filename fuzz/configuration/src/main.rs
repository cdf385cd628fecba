//! A configuration: the file of an authority or a gateway, and settings from the environment and flags.
//!
//! The bytes are the file; a line `#!key=value` in it is also a flag and a variable of the environment.
//!
//! A package of its own, for it links the authority and the gateway: the other targets are built without them.
#![no_main]

use std::fmt::Display;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use annul_authority::config::{Config, ConfigError, Sources};
use annul_gateway::config::{Config as GatewayConfig, Sources as GatewaySources};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check(bytes));

/// Holds the promise to these bytes.
fn check(bytes: &[u8]) {
    let Ok(mut file) = tempfile::NamedTempFile::new() else { return };
    if file.write_all(bytes).is_err() {
        return;
    }
    let text = String::from_utf8_lossy(bytes);
    let settings: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("#!")?.split_once('=')).collect();
    let flags: Vec<_> = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let environment = settings.iter().map(|(key, value)| (variable(key), (*value).to_owned())).collect();
    authority(file.path(), &text, Vec::new(), Vec::new());
    authority(file.path(), &text, Vec::new(), flags.clone());
    authority(file.path(), &text, environment, flags.clone());
    gateway(file.path(), &text, flags);
}

fn variable(key: &str) -> String {
    format!("ANNUL_{}", key.replace('.', "__").to_uppercase())
}

fn authority(file: &Path, text: &str, environment: Vec<(String, String)>, flags: Vec<(String, String)>) {
    let sources = Sources { file: Some(file.to_owned()), environment, flags };
    match Config::load(&sources) {
        Ok(config) => comes_back(&config),
        Err(error) => {
            says_something(&error);
            names_the_key(&error, text);
        }
    }
}

/// What was read, written out and read again, is the same. Secrets are not written out.
fn comes_back(config: &Config) {
    if !config.issuers.secrets.is_empty() {
        return;
    }
    let written = toml::to_string(config).expect("a configuration can be written");
    let Ok(mut file) = tempfile::NamedTempFile::new() else { return };
    if file.write_all(written.as_bytes()).is_err() {
        return;
    }
    let sources = Sources { file: Some(file.path().to_owned()), ..Sources::default() };
    assert_eq!(Config::load(&sources).as_ref(), Ok(config), "{written}");
}

/// Whoever reads the error finds the key in it, and the file or variable it came from.
fn names_the_key(error: &ConfigError, text: &str) {
    let said = error.to_string();
    match error {
        ConfigError::UnknownKey { key, source, nearest } => {
            assert!(said.contains(key.as_str()) && said.contains(source.as_str()) && said.contains(nearest.as_str()));
            assert!(!nearest.is_empty() && nearest != key, "{said}");
        }
        ConfigError::Section { section, source, key } => {
            assert!(said.contains(section.as_str()) && said.contains(source.as_str()) && said.contains(key.as_str()));
        }
        ConfigError::Value { key, .. } => assert!(said.contains(key.as_str())),
        ConfigError::Refused { key, .. } => assert!(said.contains(key) && key.contains('.')),
        ConfigError::Invalid { detail } => {
            let sections = toml::Table::try_from(Config::default()).expect("a configuration can be written");
            assert!(sections.keys().any(|section| detail.contains(section)), "{said} names no key of {text:?}");
        }
        ConfigError::AskOnUnknown { claim } => assert!(said.contains(claim.as_str())),
        _ => {}
    }
}

fn gateway(file: &Path, text: &str, flags: Vec<(String, String)>) {
    let sources = GatewaySources { file: Some(PathBuf::from(file)), environment: Vec::new(), flags };
    match GatewayConfig::load(&sources) {
        // A gateway never starts without a credential, or without knowing whose tokens and for whom.
        Ok(config) => {
            assert!(!config.authority.client_id.is_empty() && !config.authority.client_secret.expose().is_empty());
            assert!(!config.verifier.issuer.is_empty() && !config.verifier.audience.is_empty());
            let secret = config.authority.client_secret.expose();
            let shown = format!("{config:?}");
            assert!(secret.len() < 16 || !shown.contains(secret) || text.matches(secret).count() > 1, "{shown}");
        }
        Err(error) => says_something(&error),
    }
}

fn says_something(error: &impl Display) {
    let said = error.to_string();
    assert!(said.len() > 10, "{said:?}");
}
