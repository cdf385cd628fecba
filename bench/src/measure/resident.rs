//! Memory as the kernel counts it, so that allocators, arenas and padding are all in it.

use anyhow::{Context as _, Result};

/// Resident bytes of a process.
///
/// # Errors
/// When the process is gone.
pub fn bytes(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("the process is gone")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("the kernel tells VmRSS")?;
    let kilobytes: u64 = line.split_whitespace().nth(1).context("VmRSS is a number")?.parse()?;
    Ok(kilobytes * 1024)
}
