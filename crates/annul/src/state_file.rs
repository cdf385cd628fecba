//! Where a view is kept over a restart, so that a verifier starts with what it knew.
//!
//! One file, written whole to a neighbour, flushed, renamed over the old one, and the directory
//! flushed: after a crash there is the old state or the new one. It holds the log's hash key and is
//! readable by its owner only. A file that turns out to be unreadable is set aside, never deleted,
//! and the verifier starts from a snapshot.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::error::ConfigError;

const STATE: &str = "view.state";
const NEXT: &str = "view.state.next";
const SET_ASIDE: &str = "view.state.corrupt";
const LOCK: &str = "lock";

/// The state directory of one verifier. Held locked: two verifiers on one directory would undo each
/// other's progress.
#[derive(Debug)]
pub(crate) struct StateFile {
    dir: PathBuf,
    _lock: File,
}

impl StateFile {
    /// Takes the directory, made with mode 0700 where it does not exist.
    pub(crate) fn open(dir: &Path) -> Result<Self, ConfigError> {
        let unusable = |cause: String| ConfigError::StateDir { path: dir.to_owned(), cause };
        private_dir(dir).map_err(|error| unusable(error.to_string()))?;
        let lock = private(&dir.join(LOCK)).map_err(|error| unusable(error.to_string()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { dir: dir.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                Err(unusable("another process uses it; each instance needs a directory of its own".to_owned()))
            }
            Err(TryLockError::Error(error)) => Err(unusable(error.to_string())),
        }
    }

    /// What was stored last, `None` on a first start. At most `limit` bytes are read: a longer file
    /// was not written by this version and reads as an error.
    pub(crate) fn read(&self, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.dir.join(STATE)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is longer than {limit} bytes")));
        }
        Ok(Some(bytes))
    }

    /// Stores `bytes` in place of what was there. `Ok` means on disk.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let next = self.dir.join(NEXT);
        let mut file = private(&next)?;
        file.set_len(0)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&next, self.dir.join(STATE))?;
        File::open(&self.dir)?.sync_all()
    }

    /// Moves an unreadable state out of the way; where it is now.
    pub(crate) fn set_aside(&self) -> io::Result<PathBuf> {
        let aside = self.dir.join(SET_ASIDE);
        fs::rename(self.dir.join(STATE), &aside)?;
        Ok(aside)
    }
}

fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

fn private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_last_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/state");
        let file = StateFile::open(&path).unwrap();
        assert_eq!(file.read(10).unwrap(), None);
        file.write(b"a longer one").unwrap();
        file.write(b"second").unwrap();
        assert_eq!(file.read(6).unwrap().as_deref(), Some(b"second".as_slice()));
        assert!(file.read(5).is_err(), "a file beyond the bound is not read into memory");
        drop(file);
        assert_eq!(StateFile::open(&path).unwrap().read(6).unwrap().as_deref(), Some(b"second".as_slice()));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let file = StateFile::open(&path).unwrap();
        file.write(b"secret").unwrap();
        assert_eq!(fs::metadata(path.join(STATE)).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_second_verifier_on_the_directory_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let _first = StateFile::open(dir.path()).unwrap();
        let second = StateFile::open(dir.path()).unwrap_err();
        assert_eq!(second.code(), "state_dir_unusable");
    }

    #[test]
    fn an_unreadable_state_is_kept_beside() {
        let dir = tempfile::tempdir().unwrap();
        let file = StateFile::open(dir.path()).unwrap();
        file.write(b"garbage").unwrap();
        let aside = file.set_aside().unwrap();
        assert_eq!(file.read(100).unwrap(), None);
        assert_eq!(fs::read(aside).unwrap(), b"garbage");
    }
}
