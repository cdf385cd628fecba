//! `[store]` and `[keys]`: where state is kept, and under what key.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

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

impl Default for StoreConfig {
    fn default() -> Self {
        Self { kind: StoreKind::Sqlite, data: PathBuf::from("./annul-data") }
    }
}

/// `[keys]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeysConfig {
    /// The file with the master key under which signing keys are encrypted. Without it one is made
    /// beside the data, where it protects nothing.
    pub master_key: Option<PathBuf>,
}
