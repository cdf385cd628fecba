//! Passwords: argon2id on a bounded queue.
//!
//! A hash costs tens of milliseconds and tens of megabytes on purpose, so at most a few run at once
//! and at most a few more wait; whoever comes after that is told to come back instead of being
//! queued for minutes. A login by a name that does not exist takes the same path and time as one
//! with a wrong password.

use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::PasswordHasher as _;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::error::VerbError;
use crate::secrets::secret::Secret;

/// Bytes of a password: more only costs time to copy.
pub const MAX_PASSWORD: usize = 1024;
/// Characters of a new password (NIST SP 800-63B: at least 8).
pub const MIN_PASSWORD: usize = 8;
/// Hashes that may wait for each one that runs. At about 30 ms a hash the last in line waits half a
/// second, which is as long as a login should take.
const WAITING_PER_WORKER: usize = 16;

/// The queue in front of argon2id.
#[derive(Clone)]
pub struct PasswordQueue {
    running: Arc<Semaphore>,
    /// Running and waiting together.
    admitted: Arc<Semaphore>,
    hasher: Argon2<'static>,
    memory: Arc<Memory>,
    /// Verified in place of an account that does not exist.
    decoy: Arc<str>,
}

impl PasswordQueue {
    /// A queue that runs at most `workers` hashes at once, with the parameters OWASP recommends.
    pub fn new(workers: usize) -> Result<Self, VerbError> {
        Self::with_params(workers, Params::default())
    }

    fn with_params(workers: usize, params: Params) -> Result<Self, VerbError> {
        let workers = workers.max(1);
        let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let decoy = hash_now(&hasher, b"no account has this password, and none can")?;
        Ok(Self {
            running: Arc::new(Semaphore::new(workers)),
            admitted: Arc::new(Semaphore::new(workers * (1 + WAITING_PER_WORKER))),
            hasher,
            memory: Arc::default(),
            decoy: decoy.into(),
        })
    }

    /// The hash to store for a new password, as a PHC string.
    ///
    /// # Errors
    /// [`VerbError::PasswordLength`] outside the bounds, [`VerbError::Busy`] when too many wait.
    pub async fn hash(&self, password: Secret) -> Result<String, VerbError> {
        if password.expose().len() > MAX_PASSWORD || password.expose().chars().count() < MIN_PASSWORD {
            return Err(VerbError::PasswordLength);
        }
        let hasher = self.hasher.clone();
        self.run(move || hash_now(&hasher, password.expose().as_bytes())).await?
    }

    /// Whether `password` is the one behind `stored`. Without a stored hash the answer is no, after
    /// the same work.
    pub async fn verify(&self, password: Secret, stored: Option<String>) -> Result<bool, VerbError> {
        if password.expose().len() > MAX_PASSWORD {
            return Ok(false);
        }
        let known = stored.is_some();
        let phc = stored.unwrap_or_else(|| self.decoy.as_ref().to_owned());
        let memory = Arc::clone(&self.memory);
        self.run(move || memory.matches(password.expose().as_bytes(), &phc).unwrap_or(false) && known).await
    }

    /// Gives back the memory that hashes were computed in, to be called now and then: what is still
    /// needed is taken anew.
    pub fn release_memory(&self) {
        self.memory.spare().clear();
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, VerbError> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| VerbError::Busy)?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| VerbError::Busy)?;
        // The permits move into the work: a caller that goes away does not make room before the
        // hash it asked for is done.
        let task = spawn_blocking(move || {
            let _permits = (admitted, running);
            work()
        });
        task.await.map_err(|_| VerbError::Busy)
    }
}

impl std::fmt::Debug for PasswordQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PasswordQueue").field("free", &self.admitted.available_permits()).finish_non_exhaustive()
    }
}

/// Memory that hashes were computed in and the next ones are computed in again: to get tens of fresh
/// megabytes from the system takes a noticeable part of a hash's time. There is as much as hashes have
/// run at once.
#[derive(Default)]
struct Memory {
    spare: Mutex<Vec<Vec<Block>>>,
}

impl Memory {
    /// Whether the password is the one behind a PHC string; `None` for one that does not read.
    fn matches(&self, password: &[u8], phc: &str) -> Option<bool> {
        let stored = PasswordHash::new(phc).ok()?;
        let algorithm = Algorithm::try_from(stored.algorithm.as_str()).ok()?;
        let version = stored.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
        let params = Params::try_from(&stored).ok()?;
        let (salt, expected) = (stored.salt.as_ref()?, stored.hash.as_ref()?);
        let mut blocks = self.spare().pop().unwrap_or_default();
        blocks.resize(blocks.len().max(params.block_count()), Block::new());
        let mut given = vec![0; expected.as_bytes().len()];
        let hasher = Argon2::new(algorithm, version, params);
        let hashed = hasher.hash_password_into_with_memory(password, salt.as_ref(), &mut given, &mut blocks);
        self.spare().push(blocks);
        hashed.ok()?;
        Some(given.ct_eq(expected.as_bytes()).into())
    }

    fn spare(&self) -> std::sync::MutexGuard<'_, Vec<Vec<Block>>> {
        // It is whole after every statement, so a panic elsewhere cannot have broken it.
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hash_now(hasher: &Argon2<'static>, password: &[u8]) -> Result<String, VerbError> {
    hasher.hash_password(password).map(|hash| hash.to_string()).map_err(|_| VerbError::NoRandomness)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quick(workers: usize) -> PasswordQueue {
        PasswordQueue::with_params(workers, Params::new(8, 1, 1, None).unwrap()).unwrap()
    }

    fn password(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only() {
        let queue = quick(1);
        let stored = queue.hash(password("correct horse")).await.unwrap();
        assert!(stored.starts_with("$argon2id$"));
        assert!(queue.verify(password("correct horse"), Some(stored.clone())).await.unwrap());
        assert!(!queue.verify(password("wrong horse"), Some(stored)).await.unwrap());
    }

    #[tokio::test]
    async fn an_unknown_name_is_hashed_like_a_known_one_and_never_matches() {
        let queue = quick(1);
        assert!(!queue.verify(password("no account has this password, and none can"), None).await.unwrap());
        let params = |phc: &str| PasswordHash::new(phc).unwrap().params.to_string();
        let stored = queue.hash(password("correct horse")).await.unwrap();
        assert_eq!(params(&stored), params(&queue.decoy), "the decoy costs what an account costs");
    }

    #[tokio::test]
    async fn a_full_queue_says_busy_and_serves_again_when_there_is_room() {
        let queue = quick(1);
        let all = Arc::clone(&queue.admitted).try_acquire_many_owned(1 + 16).unwrap();
        assert!(matches!(queue.hash(password("correct horse")).await, Err(VerbError::Busy)));
        drop(all);
        queue.hash(password("correct horse")).await.unwrap();
    }

    #[tokio::test]
    async fn a_new_password_has_bounds() {
        let queue = quick(1);
        for text in ["", "seven77", &"x".repeat(MAX_PASSWORD + 1)] {
            assert!(matches!(queue.hash(password(text)).await, Err(VerbError::PasswordLength)));
        }
    }
}
