//! Points in time, handed in by the caller.
//!
//! The crate never reads a clock. Wall-clock seconds judge what a token says of itself; the
//! monotonic clock judges the age of the view. They are two types so that they cannot be mixed:
//! a verdict about freshness must not move when somebody sets the wall clock.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Whole seconds since 1970-01-01T00:00:00Z, as in RFC 7519 `NumericDate` rounded down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixSeconds(pub u64);

impl UnixSeconds {
    /// This moment and `seconds` more, saturating.
    #[must_use]
    pub const fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// This moment less `seconds`, saturating at the epoch.
    #[must_use]
    pub const fn minus(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }
}

impl fmt::Display for UnixSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z: the resolution of an authority's commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The second this moment lies in.
    #[must_use]
    pub const fn floor(self) -> UnixSeconds {
        UnixSeconds(self.0 / 1000)
    }

    /// The first whole second strictly after this moment: the time cutoff of a `now` on a
    /// foreign issuer, whose tokens are dated in whole seconds.
    #[must_use]
    pub const fn next_second(self) -> UnixSeconds {
        UnixSeconds(self.0 / 1000 + 1)
    }
}

/// A reading of a clock that never steps and that counts suspended time (`CLOCK_BOOTTIME`).
/// Only differences between two readings of one process mean anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(pub Duration);

impl Monotonic {
    /// The time from `earlier` to this reading; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// This reading and `duration` more.
    #[must_use]
    pub const fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// This reading less `duration`, saturating at zero.
    #[must_use]
    pub const fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration))
    }
}

/// One instant read on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock, for `exp`, `nbf`, `iat` and until.
    pub wall: UnixSeconds,
    /// The clock that ages the view.
    pub mono: Monotonic,
}
