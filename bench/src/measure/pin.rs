//! Which core runs what. A ratio of two servers is fair only when both had the same cores.

use anyhow::{Context as _, Result};
use rustix::thread::{CpuSet, Pid, sched_setaffinity};

/// Keeps this thread, and whatever it starts from now on, on one core.
///
/// # Errors
/// When the machine has no such core.
pub fn this_thread(core: usize) -> Result<()> {
    sched_setaffinity(None, &one(core)).with_context(|| format!("core {core}"))
}

/// Keeps this thread, and whatever it starts from now on, on the first cores, so many of them.
///
/// # Errors
/// When the machine has none of them.
pub fn first(cores: usize) -> Result<()> {
    let mut set = CpuSet::new();
    (0..cores).for_each(|core| set.set(core));
    sched_setaffinity(None, &set).with_context(|| format!("the first {cores} cores"))
}

/// Lets this thread, and whatever it starts from now on, run anywhere.
///
/// # Errors
/// When the kernel refuses.
pub fn nowhere() -> Result<()> {
    let mut all = CpuSet::new();
    (0..CpuSet::MAX_CPU).for_each(|core| all.set(core));
    sched_setaffinity(None, &all).context("all cores")
}

/// Moves every thread of another process to one core.
///
/// # Errors
/// When the process is gone or the machine has no such core.
pub fn process(pid: u32, core: usize) -> Result<()> {
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).context("the process is gone")? {
        let id: i32 = thread?.file_name().to_string_lossy().parse()?;
        let id = Pid::from_raw(id).context("a thread has an id")?;
        sched_setaffinity(Some(id), &one(core)).with_context(|| format!("core {core}"))?;
    }
    Ok(())
}

fn one(core: usize) -> CpuSet {
    let mut set = CpuSet::new();
    set.set(core);
    set
}
