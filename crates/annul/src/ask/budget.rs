//! How many calls may leave a process in a second.

use std::sync::PoisonError;
use std::time::Duration;

use annul_core::time::Monotonic;

use crate::sync::Mutex;

/// A bucket that holds one second's worth of calls and refills evenly.
#[derive(Debug)]
pub(crate) struct Budget {
    per_second: u32,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    left: u32,
    since: Monotonic,
}

impl Budget {
    /// A full bucket of `per_second` calls, at least one.
    pub(crate) fn new(per_second: u32) -> Self {
        let bucket = Bucket { left: per_second, since: Monotonic::default() };
        Self { per_second, bucket: Mutex::new(bucket) }
    }

    /// Takes one call out of the bucket; `false` when there is none. Of callers at once each is
    /// counted, also when their clocks were read in another order.
    pub(crate) fn take(&self, now: Monotonic) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let share = Duration::from_secs(1) / self.per_second;
        let refill = now.since(bucket.since).as_nanos() / share.as_nanos();
        if refill >= u128::from(self.per_second) {
            *bucket = Bucket { left: self.per_second, since: now };
        } else if let Ok(refill) = u32::try_from(refill) {
            bucket.left = (bucket.left + refill).min(self.per_second);
            bucket.since = bucket.since.plus(share * refill);
        }
        let some = bucket.left > 0;
        bucket.left = bucket.left.saturating_sub(1);
        some
    }
}
