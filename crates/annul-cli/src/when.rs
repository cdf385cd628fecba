//! Times and durations as people write and read them on a command line.
//!
//! A time is RFC 3339 or whole Unix seconds; a duration is a number with `ms`, `s`, `m`, `h` or `d`.
//! Everything is UTC, for the authority's clock is.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use annul_authority::http::confirm::LONGEST_WAIT;
use annul_core::time::{UnixMillis, UnixSeconds};

/// A time given by a person. A fraction of a second is rounded up, as a `before` cutoff demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeArg(pub(crate) UnixSeconds);

impl FromStr for TimeArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(|seconds| Self(UnixSeconds(seconds))).map_err(|_| bad_time(text));
        }
        parse_rfc3339(text).map(Self).ok_or_else(|| bad_time(text))
    }
}

fn bad_time(text: &str) -> String {
    format!("{text:?} is neither RFC 3339 (2026-11-22T03:00:00Z) nor whole Unix seconds")
}

fn parse_rfc3339(text: &str) -> Option<UnixSeconds> {
    let bytes = text.as_bytes();
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if bytes.len() < 20 || !text.is_ascii() || separators.iter().any(|&(at, byte)| bytes[at] != byte) {
        return None;
    }
    if !matches!(bytes[10], b'T' | b't' | b' ') {
        return None;
    }
    let field = |from: usize, to: usize| digits(&text[from..to]);
    let (year, month, day) = (field(0, 4)?, field(5, 7)?, field(8, 10)?);
    let (hour, minute, second) = (field(11, 13)?, field(14, 16)?, field(17, 19)?);
    let in_range = (1..=12).contains(&month) && day >= 1 && day <= days_in(year, month);
    if !in_range || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction, zone) = match text[19..].strip_prefix('.') {
        None => ("", &text[19..]),
        Some(rest) => {
            let end = rest.find(|character: char| !character.is_ascii_digit())?;
            if end == 0 {
                return None;
            }
            rest.split_at(end)
        }
    };
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    let seconds = seconds - offset(zone)? + i64::from(fraction.bytes().any(|digit| digit != b'0'));
    u64::try_from(seconds).ok().map(UnixSeconds)
}

fn offset(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = zone[1..].split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

fn digits(text: &str) -> Option<i64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) { None } else { text.parse().ok() }
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar. Years are counted from
/// March, so that the leap day is the last of its year.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

/// A duration given by a person, such as `2s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DurationArg(pub(crate) Duration);

impl DurationArg {
    /// In milliseconds, as the authority takes it.
    pub(crate) fn millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl FromStr for DurationArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is not a duration; write 500ms, 2s, 5m, 1h or 30d");
        let split = text.find(|character: char| !character.is_ascii_digit()).ok_or_else(bad)?;
        let (number, unit) = text.split_at(split);
        let number: u64 = number.parse().map_err(|_| bad())?;
        let unit_millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(bad()),
        };
        number.checked_mul(unit_millis).map(|millis| Self(Duration::from_millis(millis))).ok_or_else(bad)
    }
}

impl fmt::Display for DurationArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&span(self.millis()))
    }
}

/// How long the authority is asked to wait, no longer than it does: it would cut a longer wait short, and
/// the answer would say that not all had confirmed within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WaitArg(DurationArg);

impl WaitArg {
    /// In milliseconds, as the authority takes it.
    pub(crate) fn millis(self) -> u64 {
        self.0.millis()
    }

    pub(crate) const fn duration(self) -> Duration {
        self.0.0
    }
}

impl FromStr for WaitArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wait: DurationArg = text.parse()?;
        if wait.0 > LONGEST_WAIT {
            return Err(format!("the authority waits {} s at most", LONGEST_WAIT.as_secs()));
        }
        Ok(Self(wait))
    }
}

impl fmt::Display for WaitArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whole seconds given by a person, as a bare number or as a duration such as `5m`. A fraction is refused
/// rather than cut: `900ms` would become nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SecondsArg(pub(crate) u64);

impl FromStr for SecondsArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(seconds) = text.parse() {
            return Ok(Self(seconds));
        }
        let duration: DurationArg = text.parse()?;
        if duration.0.subsec_nanos() != 0 {
            return Err(format!("{text:?} is not whole seconds"));
        }
        Ok(Self(duration.0.as_secs()))
    }
}

/// A wall-clock time as `2026-11-22T03:00:00.123Z`.
pub(crate) fn millis_text(time: UnixMillis) -> String {
    let seconds = seconds_text(time.floor());
    format!("{}.{:03}Z", seconds.trim_end_matches('Z'), time.0 % 1000)
}

/// A wall-clock time as `2026-11-22T03:00:00Z`.
pub(crate) fn seconds_text(time: UnixSeconds) -> String {
    // Beyond the year 9999 there is no RFC 3339; a claim may still hold such a number.
    const YEAR_10000: u64 = 253_402_300_800;
    if time.0 >= YEAR_10000 {
        return format!("{} s", time.0);
    }
    let seconds = i64::try_from(time.0).expect("checked against the year 10000 above");
    let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
    let of_day = seconds.rem_euclid(86_400);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

/// A length of time in the unit a reader would choose: `812 ms`, `12.3 s`, `4 min`, `3 h`, `2 d`.
pub(crate) fn span(millis: u64) -> String {
    match millis {
        0..2_000 => format!("{millis} ms"),
        2_000..120_000 => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
        120_000..7_200_000 => format!("{} min", millis / 60_000),
        7_200_000..172_800_000 => format!("{} h", millis / 3_600_000),
        _ => format!("{} d", millis / 86_400_000),
    }
}

/// The wall clock of this machine.
pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Option<u64> {
        text.parse::<TimeArg>().ok().map(|time| time.0.0)
    }

    #[test]
    fn a_time_is_rfc_3339_or_unix_seconds() {
        assert_eq!(time("1795305600"), Some(1_795_305_600));
        assert_eq!(time("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(time("2000-02-29T12:00:00Z"), Some(951_825_600));
        assert_eq!(time("2026-11-22T05:00:00+02:00"), time("2026-11-22T03:00:00Z"));
        assert_eq!(time("2026-11-21T21:30:00-05:30"), time("2026-11-22T03:00:00Z"));
    }

    #[test]
    fn a_fraction_of_a_second_is_rounded_up() {
        assert_eq!(time("1970-01-01T00:00:09.000Z"), Some(9));
        assert_eq!(time("1970-01-01T00:00:09.001Z"), Some(10));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "yesterday",
            "-5",
            "1.5",
            "2026-11-22",
            "2026-11-22T03:00:00",
            "2026-13-22T03:00:00Z",
            "2026-02-29T03:00:00Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T03:00:00.Z",
            "2026-11-22T03:00:00+2:00",
            "2026-11-22T03:00:00é",
            "1969-12-31T23:59:59Z",
            "99999999999999999999",
        ] {
            assert_eq!(time(text), None, "{text:?} was taken for a time");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for seconds in [0, 951_782_399, 951_782_400, 1_795_305_600, 4_102_444_799, 253_402_300_799] {
            assert_eq!(time(&seconds_text(UnixSeconds(seconds))), Some(seconds));
        }
        assert_eq!(millis_text(UnixMillis(1_007)), "1970-01-01T00:00:01.007Z");
        assert_eq!(seconds_text(UnixSeconds(u64::MAX)), "18446744073709551615 s");
    }

    #[test]
    fn seconds_are_whole() {
        let seconds = |text: &str| text.parse::<SecondsArg>().ok().map(|seconds| seconds.0);
        assert_eq!((seconds("300"), seconds("5m"), seconds("2000ms")), (Some(300), Some(300), Some(2)));
        for text in ["900ms", "1500ms", "1.5", "soon"] {
            assert_eq!(seconds(text), None, "{text:?} was taken for whole seconds");
        }
    }

    #[test]
    fn a_wait_is_no_longer_than_the_authority_waits() {
        assert_eq!("60s".parse::<WaitArg>().map(WaitArg::millis), Ok(60_000));
        assert_eq!("1m".parse::<WaitArg>().map(WaitArg::millis), Ok(60_000));
        for text in ["60001ms", "61s", "2m", "1h", "999999999d", "5"] {
            assert!(text.parse::<WaitArg>().is_err(), "{text:?} was taken for a wait");
        }
    }

    #[test]
    fn a_duration_names_its_unit() {
        let millis = |text: &str| text.parse::<DurationArg>().ok().map(DurationArg::millis);
        assert_eq!(millis("2s"), Some(2000));
        assert_eq!(millis("150ms"), Some(150));
        assert_eq!(millis("1d"), Some(86_400_000));
        for text in ["2", "s", "-2s", "2 s", "1.5s", "2sec", "99999999999999999999s", "999999999999999999d"] {
            assert_eq!(millis(text), None, "{text:?} was taken for a duration");
        }
    }
}
