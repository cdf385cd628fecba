//! The floor of everything durable: one write of 8 kB into a file that is already there, and the
//! `fdatasync` behind it.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::Result;

const BLOCK: usize = 8192;
const BLOCKS: u64 = 1024;

/// A file of 8 MiB, written before.
pub struct Journal {
    file: File,
    next: u64,
}

impl Journal {
    /// Makes the file in `dir`.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn create(dir: &Path) -> Result<Self> {
        let file = File::create(dir.join("floor.journal"))?;
        for block in 0..BLOCKS {
            file.write_all_at(&[1; BLOCK], block * BLOCK as u64)?;
        }
        file.sync_all()?;
        Ok(Self { file, next: 0 })
    }

    /// One durable write.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn commit(&mut self) -> Result<()> {
        self.file.write_all_at(&[2; BLOCK], self.next * BLOCK as u64)?;
        self.file.sync_data()?;
        self.next = (self.next + 1) % BLOCKS;
        Ok(())
    }
}
