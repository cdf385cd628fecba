//! The one place of this crate that reads a clock.
//!
//! The view's age is measured on a clock that never steps and that counts suspended time: a laptop
//! or a frozen container that wakes up after an hour must find its view an hour old.

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use annul_core::time::{Moment, Monotonic, UnixSeconds};

thread_local! {
    /// The millisecond of the monotonic clock in which this thread last read the wall clock, and what it read.
    static WALL: Cell<((u64, u32), UnixSeconds)> = const { Cell::new(((u64::MAX, 0), UnixSeconds(0))) };
}

/// Both clocks, now. To read one takes a good part of what a token seen before takes in all. Of the wall
/// clock only seconds are wanted, so a thread reads it once in a millisecond.
pub(crate) fn now() -> Moment {
    let mono = monotonic();
    let millisecond = (mono.0.as_secs(), mono.0.subsec_millis());
    let (read_in, read) = WALL.get();
    if read_in == millisecond {
        return Moment { wall: read, mono };
    }
    let wall = wall();
    WALL.set((millisecond, wall));
    Moment { wall, mono }
}

fn wall() -> UnixSeconds {
    // A clock before 1970 reads as 1970: every token is then "not yet valid", which errs to refusal.
    UnixSeconds(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

fn monotonic() -> Monotonic {
    #[cfg(target_os = "linux")]
    const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Boottime;
    // Elsewhere the plain monotonic clock of the platform, which on Apple systems stands still
    // while the machine sleeps; deployments are on Linux.
    #[cfg(not(target_os = "linux"))]
    const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

    let reading = rustix::time::clock_gettime(CLOCK);
    let seconds = u64::try_from(reading.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(reading.tv_nsec).unwrap_or(0);
    Monotonic(Duration::new(seconds, nanos))
}

#[cfg(test)]
mod tests {
    use super::now;

    #[test]
    fn the_monotonic_clock_moves_forward() {
        let (first, second) = (now(), now());
        assert!(second.mono >= first.mono);
        assert!(first.wall.0 > 1_700_000_000, "the wall clock counts seconds since 1970");
    }
}
