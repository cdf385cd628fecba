//! A figure with its spread: there is none without.

use crate::measure::Unit;
use crate::measure::clock::quantile;

/// The middle and how far the rounds lay apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) least: f64,
    pub(super) lower: f64,
    pub(super) median: f64,
    pub(super) upper: f64,
    pub(super) most: f64,
    pub(super) rounds: usize,
}

impl Spread {
    /// Of these rounds; `None` when there are none.
    pub(super) fn of(rounds: &[f64]) -> Option<Self> {
        (!rounds.is_empty()).then(|| Self {
            least: quantile(rounds, 0.0),
            lower: quantile(rounds, 0.25),
            median: quantile(rounds, 0.5),
            upper: quantile(rounds, 0.75),
            most: quantile(rounds, 1.0),
            rounds: rounds.len(),
        })
    }
}

/// A number with three significant digits, without an exponent.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 10_000.0 {
        return grouped(value);
    }
    let decimals = match size {
        _ if size >= 100.0 || size == 0.0 => 0,
        _ if size >= 10.0 => 1,
        _ if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

/// Thousands apart.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with its unit, in the size of the unit that suits it.
pub(super) fn quantity(value: f64, unit: Unit) -> String {
    let (value, unit) = match unit {
        Unit::CpuNanos if value >= 10_000.0 => (value / 1e3, "us CPU"),
        Unit::Nanos if value >= 10_000.0 => (value / 1e3, "us"),
        unit => (value, unit.text()),
    };
    match unit {
        "/s" => format!("{}/s", number(value)),
        unit => format!("{} {unit}", number(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_no_exponent() {
        let cases = [
            (0.0123, "0.012"),
            (1.234, "1.23"),
            (12.34, "12.3"),
            (123.4, "123"),
            (12_345.6, "12,346"),
            (1e7, "10,000,000"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn quantities_choose_their_unit() {
        assert_eq!(quantity(35_600.0, Unit::CpuNanos), "35.6 us CPU");
        assert_eq!(quantity(90.0, Unit::Nanos), "90.0 ns");
        assert_eq!(quantity(7500.0, Unit::PerSecond), "7500/s");
    }
}
