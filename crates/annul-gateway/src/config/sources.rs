//! Where settings come from, and how a text becomes a setting.

use std::path::{Path, PathBuf};

use super::ConfigError;

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

/// Bytes a configuration file may have; a larger one is some other file.
const MAX_FILE: u64 = 1024 * 1024;

pub(super) fn read_file(path: &Path) -> Result<toml::Table, ConfigError> {
    let unreadable = |detail: String| ConfigError::Unreadable { path: path.to_owned(), detail };
    let size = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
    if size > MAX_FILE {
        return Err(unreadable(format!("it has {size} bytes, a configuration at most {MAX_FILE}")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    text.parse().map_err(|error: toml::de::Error| {
        // The line itself is not shown: it may hold a secret.
        let line = error.span().map(|span| 1 + text.bytes().take(span.start).filter(|byte| *byte == b'\n').count());
        let place = line.map_or_else(String::new, |line| format!("line {line}: "));
        ConfigError::Invalid { detail: format!("{}: {place}{}", path.display(), error.message()) }
    })
}

/// Refuses what is no section without repeating it: it may be a secret, as in `feed = "relay:secret"`.
pub(super) fn no_value_for_a_section(merged: &toml::Table) -> Result<(), ConfigError> {
    match merged.iter().find(|(_, value)| !value.is_table() && !value.is_array()) {
        Some((name, _)) => {
            Err(ConfigError::Invalid { detail: format!("{name} is no section; keys stand in sections, as [feed]") })
        }
        None => Ok(()),
    }
}

/// Sets a key to a text. All values but one read from text; `true` and `false` become booleans.
pub(super) fn set(merged: &mut toml::Table, section: &str, key: &str, text: &str) {
    let value = text.parse().map_or_else(|_| toml::Value::from(text), toml::Value::Boolean);
    let section = merged.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
    if let toml::Value::Table(section) = section {
        section.insert(key.to_owned(), value);
    }
}
