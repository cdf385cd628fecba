//! How every figure is taken: in rounds, one contestant after the other, and all rounds are kept.

pub mod clock;
pub mod pin;
pub mod resident;
pub mod sheet;

use anyhow::{Context as _, Result};

pub use self::sheet::{Series, Sheet, Unit};

/// How long a run is meant to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// The run whose figures count.
    Full,
    /// A short one that shows that everything still runs. Its figures mean nothing.
    Quick,
}

impl Form {
    /// Rounds of each contestant, besides the first, which only warms up.
    #[must_use]
    pub const fn rounds(self) -> usize {
        self.of(9, 3)
    }

    /// The one amount or the other.
    #[must_use]
    pub const fn of<T: Copy>(self, full: T, quick: T) -> T {
        match self {
            Self::Full => full,
            Self::Quick => quick,
        }
    }
}

/// One of the things that are measured side by side.
pub struct Contestant<'a> {
    name: String,
    unit: Unit,
    round: Box<dyn FnMut() -> Result<f64> + 'a>,
}

impl<'a> Contestant<'a> {
    /// A contestant whose `round` does a fair amount of work and returns the figure of that round.
    pub fn new(name: impl Into<String>, unit: Unit, round: impl FnMut() -> Result<f64> + 'a) -> Self {
        Self { name: name.into(), unit, round: Box::new(round) }
    }
}

/// Runs all contestants side by side: a warm-up round each, then `rounds` times every one of them, in
/// turn forwards and backwards, so that what drifts on the machine drifts under all of them.
///
/// # Errors
/// The first round that fails ends the run, named.
pub fn side_by_side(sheet: &mut Sheet, rounds: usize, contestants: &mut [Contestant<'_>]) -> Result<()> {
    for contestant in contestants.iter_mut() {
        (contestant.round)().with_context(|| format!("warm up {}", contestant.name))?;
    }
    for round in 0..rounds {
        let count = contestants.len();
        for turn in 0..count {
            let contestant = &mut contestants[if round % 2 == 0 { turn } else { count - 1 - turn }];
            let figure = (contestant.round)().with_context(|| format!("round {round} of {}", contestant.name))?;
            sheet.round(&contestant.name, contestant.unit, figure);
        }
    }
    Ok(())
}
