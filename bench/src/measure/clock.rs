//! The clocks. Nanosecond figures are thread CPU time: what else runs on the machine is not in them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::time::{ClockId, clock_gettime};

/// CPU time that this thread has used.
#[must_use]
pub fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Nanoseconds of this thread's CPU that one of `operations` took.
pub fn cpu_nanos_each(operations: usize, work: impl FnOnce()) -> f64 {
    let before = thread_cpu();
    work();
    nanos_each(thread_cpu() - before, operations)
}

/// Nanoseconds on the wall that one of `operations` took.
pub fn wall_nanos_each(operations: usize, work: impl FnOnce()) -> f64 {
    let before = Instant::now();
    work();
    nanos_each(before.elapsed(), operations)
}

/// A length of time divided among operations, in nanoseconds.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a figure of a benchmark")]
pub fn nanos_each(time: Duration, operations: usize) -> f64 {
    time.as_nanos() as f64 / operations.max(1) as f64
}

/// User and system time that a process has used, all threads together. Its grain is the kernel's
/// clock tick, 10 ms: measure seconds with it.
///
/// # Errors
/// When there is no such process.
pub fn process_cpu(pid: u32) -> Result<Duration> {
    const TICKS_PER_SECOND: u64 = 100;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
    // The command's name stands in parentheses and may hold anything; after it come numbers.
    let after_name = stat.rsplit_once(')').context("an unknown form of /proc/pid/stat")?.1;
    let field = |index: usize| -> Result<u64> {
        Ok(after_name.split_whitespace().nth(index).context("/proc/pid/stat is short")?.parse()?)
    };
    Ok(Duration::from_millis((field(11)? + field(12)?) * 1000 / TICKS_PER_SECOND))
}

/// The middle of these; of an even number, the mean of the two in the middle. 0 for none.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which this part of them lies, between two neighbours in proportion. 0 for none.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an index into a short list"
)]
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = part.clamp(0.0, 1.0) * last as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (place - place.floor())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_neighbours() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(&[4.0, 1.0]) - 2.5).abs() < 1e-9);
        assert!((quantile(&[0.0, 10.0], 0.25) - 2.5).abs() < 1e-9);
        assert!(median(&[]).abs() < 1e-9);
    }

    #[test]
    fn the_cpu_time_of_this_process_grows_and_of_no_process_is_an_error() {
        assert!(process_cpu(std::process::id()).is_ok());
        assert!(process_cpu(u32::MAX).is_err());
    }
}
