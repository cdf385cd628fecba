//! Curves, measured by criterion and read back from its files.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::results::{Curve, Point};

/// What the sizes of a group count. The groups are those of `benches/curves.rs`.
const GROUPS: [(&str, &str); 3] = [
    ("check of a seen token", "live tokens"),
    ("view probe, miss", "entries"),
    ("view apply, 100 entries", "entries held"),
];

/// Every curve below criterion's folder.
pub(super) fn read(criterion: &Path) -> Result<BTreeMap<String, Curve>> {
    GROUPS
        .iter()
        .map(|(group, along)| {
            let folder = criterion.join(group);
            let mut points = Vec::new();
            for entry in std::fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
                let entry = entry?;
                if let Ok(at) = entry.file_name().to_string_lossy().parse() {
                    points.push(point(at, &entry.path().join("new/estimates.json"))?);
                }
            }
            points.sort_by_key(|point| point.at);
            Ok(((*group).to_owned(), Curve { along: (*along).to_owned(), points }))
        })
        .collect()
}

fn point(at: u64, path: &Path) -> Result<Point> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let estimates: Value = serde_json::from_str(&text)?;
    let median = &estimates["median"];
    let figure = |value: &Value| -> Result<f64> {
        let figure = value.as_f64().context("criterion's estimate is a number")?;
        Ok(format!("{figure:.4e}").parse()?)
    };
    let interval = &median["confidence_interval"];
    Ok(Point {
        at,
        low: figure(&interval["lower_bound"])?,
        median: figure(&median["point_estimate"])?,
        high: figure(&interval["upper_bound"])?,
    })
}
