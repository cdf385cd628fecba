//! What a run ran on.

use std::collections::BTreeMap;

use crate::peers::{postgres, runtimes};
use crate::world::process::first_line;
use crate::world::workspace;

/// Peers whose version stands in our own lock file.
const CRATES: [&str; 9] =
    ["jsonwebtoken", "aws-lc-rs", "axum", "papaya", "dashmap", "scc", "hashbrown", "argon2", "criterion"];
/// Those whose version stands in the lock file of the Node peers.
const PACKAGES: [&str; 5] = ["fast-jwt", "jose", "jwt-redis", "oidc-provider", "redis"];

/// Facts of the machine and versions of the peers. What cannot be found out says why.
pub(super) fn facts() -> BTreeMap<String, String> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_else(|error| format!("{path}: {error}"));
    let field = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':').map(str::trim));
        line.unwrap_or("unknown").to_owned()
    };
    let cpus = read("/proc/cpuinfo");
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let mut facts = BTreeMap::from([
        ("processor", field(&cpus, "model name")),
        ("cores", cores.to_string()),
        ("second-level cache of a core", field(&cpus, "cache size")),
        ("memory", field(&read("/proc/meminfo"), "MemTotal")),
        ("kernel", read("/proc/sys/kernel/osrelease").trim().to_owned()),
        ("disk", filesystem(&read("/proc/mounts"))),
        ("rustc", first_line("rustc", &["--version"])),
        ("commit", first_line("git", &["-C", &workspace::project().to_string_lossy(), "rev-parse", "HEAD"])),
        ("measured on", first_line("date", &["-u", "+%Y-%m-%d %H:%M UTC"])),
        ("Redis", first_line("redis-server", &["--version"])),
        ("PostgreSQL", postgres::version()),
    ])
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect::<BTreeMap<_, _>>();
    let (node, python) = runtimes::versions();
    facts.extend([("Node".to_owned(), node), ("Python".to_owned(), python)]);
    facts.extend(crates());
    facts.extend(packages());
    let requirements = read(&workspace::project().join("bench/peers/python/requirements.txt").to_string_lossy());
    facts.extend(requirements.lines().filter_map(|line| {
        let (name, version) = line.split_once("==")?;
        Some((format!("{name} (Python)"), version.to_owned()))
    }));
    facts
}

/// The file system below `/var/tmp`, by the longest mount point that leads there.
fn filesystem(mounts: &str) -> String {
    let mount = mounts.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let (_, at, kind) = (fields.next()?, fields.next()?, fields.next()?);
        "/var/tmp".starts_with(at).then_some((at.len(), kind))
    });
    mount.max().map_or_else(|| "unknown".to_owned(), |(_, kind)| kind.to_owned())
}

fn crates() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(workspace::project().join("Cargo.lock")).unwrap_or_default();
    let lock: toml::Table = toml::from_str(&text).unwrap_or_default();
    let packages = lock.get("package").and_then(|packages| packages.as_array()).cloned().unwrap_or_default();
    let version = |name: &str| {
        // Of several versions in the lock, the newest is the one that stands here as a peer.
        let found = packages.iter().filter(|package| package.get("name").and_then(|it| it.as_str()) == Some(name));
        found.filter_map(|package| package.get("version")?.as_str()).next_back().unwrap_or("unknown").to_owned()
    };
    CRATES.iter().map(|name| (format!("{name} (Rust)"), version(name))).collect()
}

fn packages() -> Vec<(String, String)> {
    let path = workspace::project().join("bench/peers/node/package-lock.json");
    let lock: serde_json::Value =
        std::fs::read_to_string(path).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let version = |name: &str| {
        lock["packages"][format!("node_modules/{name}")]["version"].as_str().unwrap_or("unknown").to_owned()
    };
    PACKAGES.iter().map(|name| (format!("{name} (Node)"), version(name))).collect()
}
