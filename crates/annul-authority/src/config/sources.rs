//! Where settings come from, and how a text becomes a setting.

use std::path::{Path, PathBuf};

use super::ConfigError;

/// Where settings come from, besides the defaults.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The configuration file. It must exist when named here.
    pub file: Option<PathBuf>,
    /// Environment variables; those not named `ANNUL_SECTION__KEY` are left alone.
    pub environment: Vec<(String, String)>,
    /// Flags as `section.key` and value, both as text.
    pub flags: Vec<(String, String)>,
}

impl Sources {
    /// The process's environment and `annul.toml` in the working directory, if there is one.
    #[must_use]
    pub fn of_process() -> Self {
        let file = PathBuf::from("annul.toml");
        Self {
            file: file.exists().then_some(file),
            environment: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
            flags: Vec::new(),
        }
    }
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
        ConfigError::NotToml { path: path.to_owned(), detail: format!("{place}{}", error.message()) }
    })
}

/// Refuses secrets of another form than tables of texts. The reader's own error would repeat what was
/// found in place of one.
pub(super) fn refuse_odd_secrets(merged: &toml::Table) -> Result<(), ConfigError> {
    let odd = |what: &str| Err(ConfigError::Invalid { detail: format!("issuers.secrets {what}") });
    let Some(secrets) = merged.get("issuers").and_then(|issuers| issuers.get("secrets")) else { return Ok(()) };
    let Some(secrets) = secrets.as_array() else { return odd("is written as [[issuers.secrets]]") };
    for secret in secrets {
        let Some(members) = secret.as_table() else { return odd("is written as [[issuers.secrets]]") };
        if members.values().any(|value| !value.is_str()) {
            return odd("holds texts only");
        }
        let encoding = members.get("encoding").and_then(toml::Value::as_str);
        if encoding.is_some_and(|encoding| !["text", "base64"].contains(&encoding)) {
            return odd("takes the encoding text or base64");
        }
    }
    Ok(())
}

pub(super) fn refuse_unknown(table: &toml::Table, known: &toml::Table, path: &Path) -> Result<(), ConfigError> {
    let source = path.display().to_string();
    for (section, value) in table {
        let (Some(toml::Value::Table(keys)), toml::Value::Table(given)) = (known.get(section), value) else {
            return Err(unknown(section, known, &source));
        };
        if let Some(key) = given.keys().find(|key| !keys.contains_key(*key)) {
            return Err(unknown(&format!("{section}.{key}"), known, &source));
        }
    }
    Ok(())
}

/// Sets `section.key` to what `text` says, read as the type that the key has.
pub(super) fn set(
    merged: &mut toml::Table,
    known: &toml::Table,
    key: &str,
    text: &str,
    source: &str,
) -> Result<(), ConfigError> {
    let (section, name) = key.split_once('.').ok_or_else(|| unknown(key, known, source))?;
    let sample = known.get(section).and_then(|section| section.get(name)).ok_or_else(|| unknown(key, known, source))?;
    let wrong = |takes| ConfigError::Value { key: key.to_owned(), source: source.to_owned(), takes };
    let value = match sample {
        toml::Value::Integer(_) => toml::Value::Integer(text.parse().map_err(|_| wrong("a whole number"))?),
        toml::Value::Boolean(_) => toml::Value::Boolean(text.parse().map_err(|_| wrong("true or false"))?),
        toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => {
            return Err(wrong("tables, which only the file can hold"));
        }
        toml::Value::Array(_) => toml::Value::Array(
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(toml::Value::from).collect(),
        ),
        _ => toml::Value::from(text),
    };
    let section = merged.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
    if let toml::Value::Table(section) = section {
        section.insert(name.to_owned(), value);
    }
    Ok(())
}

/// Why `key` cannot be set: nobody knows it, or it is a section and has keys of its own.
fn unknown(key: &str, known: &toml::Table, source: &str) -> ConfigError {
    if let Some(first) = known.get(key).and_then(toml::Value::as_table).and_then(|keys| keys.keys().next()) {
        let (section, key) = (key.to_owned(), format!("{key}.{first}"));
        return ConfigError::Section { section, source: source.to_owned(), key };
    }
    let nearest = known
        .iter()
        .flat_map(|(section, keys)| {
            let keys = keys.as_table().into_iter().flat_map(toml::Table::keys);
            let dotted = keys.map(move |key| format!("{section}.{key}"));
            std::iter::once(section.clone()).chain(dotted)
        })
        .min_by_key(|candidate| edits(key, candidate))
        .unwrap_or_default();
    ConfigError::UnknownKey { key: key.to_owned(), source: source.to_owned(), nearest }
}

/// The number of single-byte edits between two keys (Levenshtein).
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut left = i + 1;
        let mut next = vec![left];
        for (above, b) in row.windows(2).zip(to.bytes()) {
            let [diagonal, above] = [above.first(), above.last()].map(|edits| edits.copied().unwrap_or_default());
            left = (diagonal + usize::from(a != b)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
