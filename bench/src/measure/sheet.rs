//! What a subject hands back: every round of every series, and the facts of its set-up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// Nanoseconds of CPU time of the measuring thread, per operation.
    #[serde(rename = "ns CPU")]
    CpuNanos,
    /// Nanoseconds on the wall, per operation.
    #[serde(rename = "ns")]
    Nanos,
    /// Microseconds on the wall.
    #[serde(rename = "us")]
    Micros,
    /// Microseconds of the server's CPU, per request.
    #[serde(rename = "us server CPU")]
    ServerMicros,
    /// Milliseconds on the wall.
    #[serde(rename = "ms")]
    Millis,
    /// Seconds on the wall.
    #[serde(rename = "s")]
    Seconds,
    /// Operations per second.
    #[serde(rename = "/s")]
    PerSecond,
    /// Bytes.
    #[serde(rename = "B")]
    Bytes,
}

impl Unit {
    /// As it stands behind a number.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::CpuNanos => "ns CPU",
            Self::Nanos => "ns",
            Self::Micros => "us",
            Self::ServerMicros => "us server CPU",
            Self::Millis => "ms",
            Self::Seconds => "s",
            Self::PerSecond => "/s",
            Self::Bytes => "B",
        }
    }
}

/// The rounds of one contestant, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// What the figures count.
    pub unit: Unit,
    /// The figures.
    pub rounds: Vec<f64>,
}

/// All that one subject measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sheet {
    /// By the contestant's name.
    pub series: BTreeMap<String, Series>,
    /// Versions, sizes, counts: what one has to know to read the figures.
    pub facts: BTreeMap<String, Value>,
}

impl Sheet {
    /// Appends the figure of one round, at six significant digits.
    pub fn round(&mut self, name: &str, unit: Unit, figure: f64) {
        let series = self.series.entry(name.to_owned()).or_insert(Series { unit, rounds: Vec::new() });
        series.rounds.push(format!("{figure:.5e}").parse().unwrap_or(figure));
    }

    /// Keeps a fact.
    pub fn fact(&mut self, name: &str, value: impl Into<Value>) {
        self.facts.insert(name.to_owned(), value.into());
    }
}
