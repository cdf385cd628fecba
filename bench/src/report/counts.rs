//! Instruction counts of the hot paths: read from gungraun's files and held against the baselines in
//! `bench/counts.toml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::world::process::first_line;
use crate::world::workspace;

const BASELINES: &str = "bench/counts.toml";
const HEAD: &str = "# Instructions that the hot paths take, written by `bench/run --counts --bless` and guarded in CI.\n\
    # Another compiler may count otherwise; whoever blesses says in the commit why a count rose.\n\n";

/// What is on record.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Baselines {
    /// By how much a count may rise, or fall unnoticed, in per cent.
    tolerance_percent: u64,
    /// The compiler that was counted with.
    rustc: String,
    /// Instructions by hot path.
    instructions: BTreeMap<String, u64>,
}

/// What to do with the counts of this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// Hold them against the baselines.
    Compare,
    /// Make them the baselines.
    Bless,
}

/// Reads the counts that gungraun left below `folder` and does with them as asked.
///
/// # Errors
/// When a hot path takes more instructions than the tolerance allows, or so many fewer that the
/// baseline guards nothing any more; every such path is printed.
pub fn check(folder: &Path, what: Counts) -> Result<()> {
    let counted = read(folder)?;
    let path = workspace::project().join(BASELINES);
    let on_record: Baselines = toml::from_str(&std::fs::read_to_string(&path).context("read bench/counts.toml")?)?;
    let rustc = first_line("rustc", &["--version"]);
    if what == Counts::Bless {
        let blessed = Baselines { rustc, instructions: counted, ..on_record };
        return Ok(std::fs::write(path, format!("{HEAD}{}", toml::to_string(&blessed)?))?);
    }
    let mut strayed = 0;
    for name in counted.keys().filter(|name| !on_record.instructions.contains_key(*name)) {
        println!("FAIL {name}: nothing on record");
        strayed += 1;
    }
    for (name, baseline) in &on_record.instructions {
        let count = *counted.get(name).with_context(|| format!("{name} was not counted"))?;
        let allowed = baseline * on_record.tolerance_percent / 100;
        let inside = count.abs_diff(*baseline) <= allowed;
        println!("{} {name}: {count} instructions, {baseline} on record", if inside { "ok  " } else { "FAIL" });
        strayed += usize::from(!inside);
    }
    if strayed > 0 {
        bail!(
            "{strayed} hot paths are not on record or strayed by more than {} % from what {:?} counted; this is {rustc}. If it is meant, run bench/run --counts --bless and say why in the commit",
            on_record.tolerance_percent,
            on_record.rustc
        );
    }
    Ok(())
}

/// The counts that gungraun left, by the name of the benchmark.
pub(super) fn read(folder: &Path) -> Result<BTreeMap<String, u64>> {
    let mut counts = BTreeMap::new();
    for path in summaries(folder)? {
        let summary: Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
        let name = summary["function_name"].as_str().context("the benchmark's name")?.to_owned();
        let count = instructions(&summary).with_context(|| format!("no instructions in {}", path.display()))?;
        counts.insert(name, count);
    }
    if counts.is_empty() {
        bail!("gungraun left no summary below {}", folder.display());
    }
    Ok(counts)
}

fn summaries(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name == "summary.json") {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// The count named `Ir` of the newest run, wherever this version of the format keeps it.
fn instructions(value: &Value) -> Option<u64> {
    match value {
        Value::Object(members) => members.iter().find_map(|(name, member)| match name.as_str() {
            "Ir" => newest(member),
            _ => instructions(member),
        }),
        Value::Array(elements) => elements.iter().find_map(instructions),
        _ => None,
    }
}

fn newest(metric: &Value) -> Option<u64> {
    match metric {
        Value::Number(number) => number.as_u64(),
        Value::Object(members) => {
            let inner = ["values", "new"].iter().find_map(|name| members.get(*name));
            inner.and_then(newest)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_newest_count_is_found_with_and_without_an_older_one() {
        let alone = json!({ "profiles": [{ "total": { "Ir": { "values": { "new": 7 } } } }] });
        let beside = json!({ "Ir": { "diffs": { "factor": 1.5 }, "values": { "new": 7, "old": 5 } } });
        assert_eq!((instructions(&alone), instructions(&beside)), (Some(7), Some(7)));
        assert_eq!(instructions(&json!({ "Dr": 1 })), None);
    }
}
