//! Numbers that choose what is done and when something is broken.

use std::time::{SystemTime, UNIX_EPOCH};

/// The variable that holds the seed of a run to be repeated.
const SEED: &str = "SEED";

/// Dice. The same seed gives the same throws; what they hit is also up to the machine.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice by the variable `SEED`, else by the clock; the seed is printed, so that a failing run
    /// can be repeated.
    ///
    /// # Panics
    /// If `SEED` is no number.
    #[expect(clippy::new_without_default, reason = "two of them differ, which no default does")]
    pub fn new() -> Self {
        let given = std::env::var(SEED).ok().map(|seed| seed.parse().expect("SEED is a number"));
        let by_clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.subsec_nanos());
        let seed = given.unwrap_or_else(|| u64::from(by_clock()));
        eprintln!("dice: {SEED}={seed}");
        Self(seed).apart(0)
    }

    /// Other dice, one for each number, which throw the same whatever these have thrown since.
    #[must_use]
    pub fn apart(&self, number: u64) -> Self {
        // Neighbouring seeds would throw alike; an odd multiplier spreads them, and zero would stay zero.
        Self(self.0.wrapping_add(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        // xorshift: good enough to choose by.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    /// One of these.
    pub fn one_of<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        let bound = u64::try_from(choices.len()).ok().filter(|bound| *bound > 0)?;
        choices.get(usize::try_from(self.below(bound)).ok()?)
    }
}
