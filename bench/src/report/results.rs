//! `bench/results.json`: all that one run found out, and nothing else.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::spread::Spread;
use crate::measure::{Form, Series, Sheet};

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Results {
    /// Whether the figures count.
    pub(super) form: Form,
    /// What it ran on, and the versions of what it measured.
    pub(super) machine: BTreeMap<String, String>,
    /// The sheets, by subject.
    pub(super) subjects: BTreeMap<String, Sheet>,
    /// Curves, by name.
    pub(super) curves: BTreeMap<String, Curve>,
    /// Instructions per hot path.
    pub(super) counts: BTreeMap<String, u64>,
}

/// How a figure grows with a size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Curve {
    /// What the sizes count.
    pub(super) along: String,
    /// By ascending size.
    pub(super) points: Vec<Point>,
}

/// A figure at a size, in nanoseconds on the wall, with the bounds of its confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Point {
    pub(super) at: u64,
    pub(super) low: f64,
    pub(super) median: f64,
    pub(super) high: f64,
}

impl Results {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("parse {}", path.display()))
    }

    pub(super) fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    pub(super) fn series(&self, subject: &str, name: &str) -> Option<&Series> {
        self.subjects.get(subject)?.series.get(name)
    }

    /// The spread of one figure against another, round by round of the same run.
    pub(super) fn ratio(&self, subject: &str, over: &str, under: &str) -> Option<Spread> {
        let (over, under) = (self.series(subject, over)?, self.series(subject, under)?);
        let ratios = over.rounds.iter().zip(&under.rounds).map(|(over, under)| over / under);
        Spread::of(&ratios.collect::<Vec<_>>())
    }
}
