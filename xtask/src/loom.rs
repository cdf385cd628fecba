//! The models of concurrent code, in every interleaving that loom finds.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Runs every model.
pub(crate) fn run(root: &Path) -> Result<()> {
    // The view's table is compiled with loom's atomics by a cfg, which changes every dependency too:
    // a target directory of its own, so that nothing else is built again.
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into).join("loom");
    model(root, |cargo| {
        cargo.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", &target);
        cargo.args(["-p", "annul-core", "--release", "--test", "loom"]);
    })?;
    model(root, |cargo| {
        cargo.args(["-p", "annul", "--test", "loom"]);
    })
}

fn model(root: &Path, select: impl FnOnce(&mut Command)) -> Result<()> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.arg("test").current_dir(root);
    select(&mut cargo);
    ensure!(cargo.status().context("start cargo test")?.success(), "a model failed; its interleaving is above");
    Ok(())
}
