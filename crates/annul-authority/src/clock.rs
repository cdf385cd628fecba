//! The authority's only clock.
//!
//! It is handed in once, at the start, and read at the edge of each verb; nothing below the verbs
//! knows the time. Tests hand in a [`ManualClock`] and step it, backwards too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use annul_core::time::{Moment, Monotonic, UnixMillis, UnixSeconds};

/// Something that knows the time.
pub trait TimeSource: Send + Sync {
    /// The wall clock. It may step in either direction.
    fn wall(&self) -> UnixMillis;
    /// A clock that never steps back. It need not count time spent suspended: the authority uses it
    /// to age what verifiers reported, and an age that is too small only confirms later.
    fn mono(&self) -> Monotonic;
}

/// A handle on the clock; clones read the same one.
#[derive(Clone)]
pub struct Clock {
    source: Arc<dyn TimeSource>,
    /// The latest wall time that was read, or that the store remembers from before this start.
    latest: Arc<AtomicU64>,
}

impl Clock {
    /// The machine's clocks.
    #[must_use]
    pub fn system() -> Self {
        Self::from_source(Arc::new(SystemClock { started: Instant::now() }))
    }

    /// A clock of the caller's making.
    #[must_use]
    pub fn from_source(source: Arc<dyn TimeSource>) -> Self {
        Self { source, latest: Arc::new(AtomicU64::new(0)) }
    }

    /// The wall clock in milliseconds: the resolution of a commit.
    #[must_use]
    pub fn millis(&self) -> UnixMillis {
        let now = self.source.wall();
        self.latest.fetch_max(now.0, Ordering::Relaxed);
        now
    }

    /// The latest that the wall clock has read here, since this start or, as far as the store
    /// remembers it, before. Tokens may carry times up to it, also when the clock has
    /// stepped back since.
    #[must_use]
    pub fn latest(&self) -> UnixMillis {
        self.millis().max(UnixMillis(self.latest.load(Ordering::Relaxed)))
    }

    /// Counts a time as read: what the store dates its last work by, which an earlier process did.
    pub(crate) fn recall(&self, earlier: UnixMillis) {
        self.latest.fetch_max(earlier.0, Ordering::Relaxed);
    }

    /// The wall clock in whole seconds: the resolution of a token.
    #[must_use]
    pub fn seconds(&self) -> UnixSeconds {
        self.millis().floor()
    }

    /// The clock that only moves forward.
    #[must_use]
    pub fn mono(&self) -> Monotonic {
        self.source.mono()
    }

    /// Both clocks at once.
    #[must_use]
    pub fn moment(&self) -> Moment {
        Moment { wall: self.seconds(), mono: self.mono() }
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Clock({} ms)", self.millis().0)
    }
}

struct SystemClock {
    started: Instant,
}

impl TimeSource for SystemClock {
    fn wall(&self) -> UnixMillis {
        // A clock before 1970 reads as 1970: every token is then too young, none too old.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn mono(&self) -> Monotonic {
        Monotonic(self.started.elapsed())
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock {
    wall: AtomicU64,
    mono: AtomicU64,
}

impl ManualClock {
    /// A clock that reads `wall` and has been running for no time.
    #[must_use]
    pub fn at(wall: UnixMillis) -> Arc<Self> {
        Arc::new(Self { wall: AtomicU64::new(wall.0), mono: AtomicU64::new(0) })
    }

    /// Lets `duration` pass on both clocks.
    pub fn advance(&self, duration: Duration) {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.wall.fetch_add(millis, Ordering::SeqCst);
        self.mono.fetch_add(millis, Ordering::SeqCst);
    }

    /// Sets the wall clock, as an administrator or NTP would; the other clock does not notice.
    pub fn set_wall(&self, wall: UnixMillis) {
        self.wall.store(wall.0, Ordering::SeqCst);
    }
}

impl TimeSource for ManualClock {
    fn wall(&self) -> UnixMillis {
        UnixMillis(self.wall.load(Ordering::SeqCst))
    }

    fn mono(&self) -> Monotonic {
        Monotonic(Duration::from_millis(self.mono.load(Ordering::SeqCst)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_time_stays_when_the_clock_steps_back() {
        let source = ManualClock::at(UnixMillis(10_000));
        let clock = Clock::from_source(source.clone());
        assert_eq!(clock.clone().seconds(), UnixSeconds(10));
        source.set_wall(UnixMillis(4_000));
        assert_eq!((clock.millis(), clock.latest()), (UnixMillis(4_000), UnixMillis(10_000)));
        source.set_wall(UnixMillis(12_000));
        assert_eq!(clock.latest(), UnixMillis(12_000));
    }
}
