//! Where a refresh token is kept between runs: the application's affair, with a file as one answer.

use std::fs::{self, File, OpenOptions};
use std::future::Future;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};

use super::token::RefreshToken;

/// Why a refresh token could not be kept, in the application's words.
pub type KeepError = Box<dyn std::error::Error + Send + Sync>;

/// What [`KeepRefreshToken`] answers with.
pub type Keeping<'k, T> = Pin<Box<dyn Future<Output = T> + Send + 'k>>;

/// Keeps a session's refresh token: in a file, a keyring, a database.
///
/// A closure `Fn(RefreshToken) -> Future<Output = Result<(), KeepError>>` is one too.
pub trait KeepRefreshToken: Send + Sync + 'static {
    /// Keeps `token` in place of the one before. After `Ok` the next start of the application finds
    /// it; until then the holder uses neither it nor what came with it. After an error the same token
    /// comes again.
    fn keep<'k>(&'k self, token: &'k RefreshToken) -> Keeping<'k, Result<(), KeepError>>;

    /// The token that was kept last, if others may keep one in the same place: several processes of
    /// one user that share a session. It is asked before each refresh, so that a process goes on with
    /// what another got. `None`, the default, stands for the holder's own.
    fn kept(&self) -> Keeping<'_, Option<RefreshToken>> {
        Box::pin(std::future::ready(None))
    }
}

impl<K, F> KeepRefreshToken for K
where
    K: Fn(RefreshToken) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), KeepError>> + Send + 'static,
{
    fn keep<'k>(&'k self, token: &'k RefreshToken) -> Keeping<'k, Result<(), KeepError>> {
        Box::pin(self(token.clone()))
    }
}

/// Keeps nothing: the session is of no use after the process.
pub(super) struct InMemory;

impl KeepRefreshToken for InMemory {
    fn keep<'k>(&'k self, _: &'k RefreshToken) -> Keeping<'k, Result<(), KeepError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// The refresh token in a file that only its owner can read.
///
/// It is written whole to a neighbour, flushed, renamed over the old one, and the directory flushed:
/// after a crash there is the old token or the new one. Processes that share the file share the
/// session.
#[derive(Clone, Debug)]
pub struct RefreshTokenFile {
    path: PathBuf,
}

/// Bytes of the file that are read. A refresh token has far fewer.
const LONGEST: u64 = 4096;
/// Counts what this process has written, so that no two writes share a neighbour.
static WRITES: AtomicU64 = AtomicU64::new(0);

impl RefreshTokenFile {
    /// The file at `path`, which need not exist; its directory has to.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The token in the file; `None` when there is no file.
    ///
    /// # Errors
    /// When the file cannot be read, or holds no token.
    pub fn read(&self) -> io::Result<Option<RefreshToken>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut text = String::new();
        file.take(LONGEST + 1).read_to_string(&mut text)?;
        if text.len() as u64 > LONGEST || text.trim().is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file holds no refresh token"));
        }
        Ok(Some(RefreshToken::new(text.trim())))
    }

    /// Writes `token` in place of what was there. `Ok` means on disk.
    ///
    /// # Errors
    /// When the system does not; the file is then as it was.
    pub fn write(&self, token: &RefreshToken) -> io::Result<()> {
        // A name of its own: another process, or another holder in this one, may be writing at the same time.
        let write = WRITES.fetch_add(1, Ordering::Relaxed);
        let next = self.path.with_extension(format!("{}.{write}.next", std::process::id()));
        let written = write_private(&next, token.expose()).and_then(|()| fs::rename(&next, &self.path));
        if written.is_err() {
            // Not there is as good as removed.
            let _ = fs::remove_file(&next);
        }
        written?;
        let dir = self.path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(dir)?.sync_all()
    }
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

impl KeepRefreshToken for RefreshTokenFile {
    fn keep<'k>(&'k self, token: &'k RefreshToken) -> Keeping<'k, Result<(), KeepError>> {
        let (file, token) = (self.clone(), token.clone());
        Box::pin(async move {
            tokio::task::spawn_blocking(move || file.write(&token)).await??;
            Ok(())
        })
    }

    fn kept(&self) -> Keeping<'_, Option<RefreshToken>> {
        let file = self.clone();
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || file.read()).await;
            // What cannot be read is not another's; the holder goes on with its own.
            read.ok().and_then(Result::ok).flatten()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_holds_the_last_token_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("session");
        let file = RefreshTokenFile::at(&path);
        assert_eq!(file.read().unwrap(), None);
        for text in ["a longer one", "second"] {
            file.write(&text.into()).unwrap();
            assert_eq!(file.read().unwrap(), Some(text.into()));
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        fs::write(&path, "  \n").unwrap();
        assert!(file.read().is_err(), "an empty file is no token");
        assert!(RefreshTokenFile::at(dir.path().join("none/session")).write(&"x".into()).is_err());
    }

    #[test]
    fn who_writes_at_once_writes_whole_and_nobody_elses() {
        let dir = tempfile::tempdir().unwrap();
        let names = ["session.alice", "session.bob"];
        std::thread::scope(|scope| {
            for name in names.into_iter().cycle().take(8) {
                let file = RefreshTokenFile::at(dir.path().join(name));
                scope.spawn(move || (0..50).for_each(|_| file.write(&name.into()).unwrap()));
            }
        });
        for name in names {
            assert_eq!(RefreshTokenFile::at(dir.path().join(name)).read().unwrap(), Some(name.into()));
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left beside them");
    }
}
