//! A directory on a real disk that is gone after the run.
//!
//! Durable figures need a disk, and a temporary directory may lie in memory; `/var/tmp` outlives a
//! boot (FHS §5.15), so it does not. It is readable by others because PostgreSQL does not run as root.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

/// Makes the directory.
///
/// # Errors
/// When `/var/tmp` cannot be written.
pub fn on_disk() -> Result<TempDir> {
    let dir = tempfile::Builder::new()
        .prefix("annul-bench-")
        .tempdir_in("/var/tmp")
        .context("make a directory in /var/tmp")?;
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755))?;
    Ok(dir)
}

/// The root of the project.
#[must_use]
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}
