//! A place in the authority's log.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The place of one record in the authority's log: dense within an epoch and in commit order (I3).
///
/// Written `epoch:seq` everywhere, in the claim `lpos`, in the feed and in answers. Ordered by
/// epoch, then by sequence; positions of two logs are not comparable and never meet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Counts the histories of a log; it rises with every failover, move and restore.
    pub epoch: u32,
    /// Counts records within the epoch, from 1; 0 is the place before the first record.
    pub seq: u64,
}

impl Position {
    /// The largest sequence that a JSON number carries exactly in every language.
    pub const MAX_SEQ: u64 = (1 << 53) - 1;

    /// The position `epoch:seq`.
    #[must_use]
    pub const fn new(epoch: u32, seq: u64) -> Self {
        Self { epoch, seq }
    }

    /// The position a record must have to follow this one within the epoch.
    #[must_use]
    pub const fn next(self) -> Self {
        Self { epoch: self.epoch, seq: self.seq + 1 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.seq)
    }
}

/// The text is not a position: it must read `epoch:seq`, both in plain decimal without sign or
/// leading zero, the sequence at most 2^53 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PositionError;

impl fmt::Display for PositionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a position reads epoch:sequence, such as 1:42")
    }
}

impl std::error::Error for PositionError {}

impl FromStr for Position {
    type Err = PositionError;

    /// Reads exactly what [`Display`](fmt::Display) writes and nothing else, so that one position
    /// has one text.
    fn from_str(text: &str) -> Result<Self, PositionError> {
        let (epoch, seq) = text.split_once(':').ok_or(PositionError)?;
        let position =
            Self { epoch: u32::try_from(plain_decimal(epoch)?).map_err(|_| PositionError)?, seq: plain_decimal(seq)? };
        if position.seq > Self::MAX_SEQ { Err(PositionError) } else { Ok(position) }
    }
}

fn plain_decimal(digits: &str) -> Result<u64, PositionError> {
    let leading_zero = digits.len() > 1 && digits.starts_with('0');
    if leading_zero || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(PositionError);
    }
    digits.parse().map_err(|_| PositionError)
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Position;

    #[test]
    fn a_position_has_one_text() {
        assert_eq!("3:42".parse(), Ok(Position::new(3, 42)));
        assert_eq!(Position::new(3, 42).to_string(), "3:42");
        for text in [
            "",
            "3",
            ":",
            "3:",
            ":4",
            "+3:4",
            "03:4",
            "3:04",
            "3:-4",
            "3:4 ",
            "3:4:5",
            "4294967296:0",
            "1:9007199254740992",
        ] {
            assert!(text.parse::<Position>().is_err(), "{text:?} was taken for a position");
        }
    }

    #[test]
    fn epochs_order_before_sequences() {
        assert!(Position::new(2, 0) > Position::new(1, 900));
        assert_eq!(Position::new(1, 1).next(), Position::new(1, 2));
    }
}
