//! `scenarios/rows.toml`: every strategy, and whether it works.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

/// How many strategies the project has set out to serve.
pub(crate) const TOTAL: usize = 57;

/// The state of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Its scenario passes over real processes and its page tells when to choose it.
    Works,
    /// Not built yet.
    Planned,
}

/// Every row and its state.
pub(crate) fn read(root: &Path) -> Result<BTreeMap<String, State>> {
    let path = root.join("scenarios/rows.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let rows: BTreeMap<String, State> = toml::from_str(&text).with_context(|| format!("parse {}", path.display()))?;
    ensure!(rows.len() == TOTAL, "rows.toml lists {} rows, there are {TOTAL}", rows.len());
    Ok(rows)
}
