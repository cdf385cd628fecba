//! Lengths of time as people write them: `500ms`, `2s`, `15m`, `24h`, `30d`.
//!
//! One reader for the configuration and for `wait` in requests, so that a length has one spelling.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time that is read and written as text with a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// Milliseconds the longest span has: about 285 years, so that arithmetic on it cannot overflow.
    const MAX_MILLIS: u64 = 9_000_000_000_000;

    const UNITS: [(&'static str, u64); 5] =
        [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

    /// The span of that many seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Reads an unsigned whole number followed by `ms`, `s`, `m`, `h` or `d`, and nothing else.
    pub fn parse(text: &str) -> Result<Self, SpanError> {
        let unit_at = text.find(|character: char| !character.is_ascii_digit()).ok_or(SpanError)?;
        let (number, unit) = text.split_at(unit_at);
        let scale = Self::UNITS.iter().find(|(name, _)| *name == unit).ok_or(SpanError)?.1;
        let number: u64 = number.parse().map_err(|_| SpanError)?;
        let millis = number.checked_mul(scale).filter(|millis| *millis <= Self::MAX_MILLIS).ok_or(SpanError)?;
        Ok(Self(Duration::from_millis(millis)))
    }

    /// Whole seconds, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0.as_secs()
    }
}

impl fmt::Display for Span {
    /// Writes the largest unit that divides the span.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let (unit, scale) = Self::UNITS
            .into_iter()
            .find(|(_, scale)| millis > 0 && millis.is_multiple_of(u128::from(*scale)))
            .unwrap_or(("s", 1000));
        write!(f, "{}{unit}", millis / u128::from(scale))
    }
}

/// The text is not a length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanError;

impl fmt::Display for SpanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a length of time is a whole number and a unit: 500ms, 2s, 15m, 24h or 30d")
    }
}

impl std::error::Error for SpanError {}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_reads_what_it_writes() {
        for text in ["500ms", "2s", "15m", "24h", "30d", "90s", "0s"] {
            let span = Span::parse(text).unwrap();
            assert_eq!(Span::parse(&span.to_string()), Ok(span), "{text}");
        }
        assert_eq!(Span::parse("24h").unwrap().to_string(), "1d");
        assert_eq!(Span::parse("1500ms").unwrap().0, Duration::from_millis(1500));
    }

    #[test]
    fn a_span_without_a_unit_or_beyond_reason_is_refused() {
        for text in ["", "5", "s", "-5s", "5 s", "5S", "1.5s", "99999999999999999999s", "9999999999999d", "5sec"] {
            assert!(Span::parse(text).is_err(), "{text:?} was taken for a span");
        }
    }
}
