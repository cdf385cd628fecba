//! What refreshing leaves on the disk, and what of it comes back when the sessions are over.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use annul_authority::clock::{Clock, TimeSource};
use annul_authority::store::{SqliteOptions, SqliteStore, Store as _};
use annul_core::time::{Monotonic, UnixMillis};
use anyhow::{Context as _, Result, anyhow, ensure};
use tokio::runtime::Runtime;

use super::callers::{Caller, Endpoint, Enough, open_sessions, refresh, share};
use crate::measure::{Form, Sheet, Unit};
use crate::world::authority::Authority;
use crate::world::workspace;

const CALLERS: usize = 64;
/// The sessions' whole life: longer than the measurement.
const LIVES: &str = "[sessions]\nidle = \"1h\"\nabsolute = \"1h\"\n";
/// How far the clock of the clean-up is ahead: the sessions are over, and so is the time that the
/// store keeps them, and lines of the log, for clocks that are wrong.
const AHEAD: Duration = Duration::from_secs(26 * 3600);
/// Rows that one step of the clean-up removes of each kind, as `annul serve` does.
const STEP: usize = 1000;

/// Opens sessions, refreshes them round after round, lets them expire, and opens as many again; the
/// directory is weighed in between.
pub(super) fn growth(form: Form, runtime: &Runtime, sheet: &mut Sheet) -> Result<()> {
    let sessions = form.of(10_000, 256);
    let refreshes = CALLERS * form.of(400, 8);
    let dir = workspace::on_disk()?;
    let home = dir.path();
    Authority::start(home, LIVES)?.stop()?;
    let mut callers = open(home, runtime, sessions)?;
    let mut before = Weight::of(home)?;
    sheet.fact("store, sessions", sessions);
    sheet.fact("store, refreshes in all", refreshes * form.rounds());
    sheet.fact("store, 1 opened", before.to_string());
    let mut serving = 0;
    for _ in 0..form.rounds() {
        serving = serving.max(refresh_all(home, runtime, &mut callers, refreshes)?);
        let after = Weight::of(home)?;
        sheet.round("annul, store, growth for each refresh", Unit::Bytes, after.beyond(&before, refreshes));
        before = after;
    }
    sheet.fact("store, 2 refreshed", before.to_string());
    sheet.fact("store, 2 while serving, at most", format!("{serving} B"));
    let removed = runtime.block_on(clean_up(home))?;
    sheet.fact("store, 3 rows that the clean-up removed", removed);
    sheet.fact("store, 3 cleaned up", Weight::of(home)?.to_string());
    let mut callers = open(home, runtime, sessions)?;
    refresh_all(home, runtime, &mut callers, refreshes)?;
    sheet.fact("store, 4 as many sessions opened and refreshed for one round again", Weight::of(home)?.to_string());
    Ok(())
}

fn open(home: &Path, runtime: &Runtime, sessions: usize) -> Result<Vec<Caller>> {
    let authority = Authority::start(home, LIVES)?;
    let tokens = runtime.block_on(open_sessions(&authority, sessions))?;
    authority.stop()?;
    Ok(share(tokens, CALLERS))
}

/// Refreshes so many times; the bytes of the directory before the authority was stopped.
fn refresh_all(home: &Path, runtime: &Runtime, callers: &mut Vec<Caller>, refreshes: usize) -> Result<u64> {
    let authority = Authority::start(home, LIVES)?;
    let each = refreshes / CALLERS;
    let refreshed = runtime.block_on(refresh(&Endpoint::of(&authority), callers, Enough::Each(each)))?;
    ensure!(refreshed.count == refreshes, "{} refreshes instead of {refreshes}", refreshed.count);
    let serving = directory_bytes(home)?;
    authority.stop()?;
    Ok(serving)
}

/// The rows that the clean-up of `annul serve` removes once the sessions are over.
async fn clean_up(home: &Path) -> Result<u64> {
    let clock = Clock::from_source(Arc::new(Ahead));
    let opened = SqliteStore::open(&home.join("data"), SqliteOptions::default(), clock);
    let store = opened.map_err(|error| anyhow!("{error}"))?;
    let mut rows = 0;
    loop {
        let pruned = store.prune(STEP).await?;
        rows += pruned.rows;
        if !pruned.more {
            return Ok(rows);
        }
    }
}

/// The machine's wall clock, [`AHEAD`].
struct Ahead;

impl TimeSource for Ahead {
    fn wall(&self) -> UnixMillis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + AHEAD;
        UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn mono(&self) -> Monotonic {
        Monotonic::default()
    }
}

/// A data directory whose authority has stopped.
struct Weight {
    bytes: u64,
    page: u64,
    pages: u64,
    free: u64,
}

impl Weight {
    /// The counts are those in the database's header (SQLite's file format, 1.3), which are exact when
    /// there is no write-ahead log beside it.
    fn of(home: &Path) -> Result<Self> {
        let database = home.join("data/annul.db");
        ensure!(!home.join("data/annul.db-wal").exists(), "the authority has not folded its write-ahead log");
        let mut header = [0; 100];
        File::open(&database)
            .and_then(|mut file| file.read_exact(&mut header))
            .context("read the database's header")?;
        let number = |at: usize, length: usize| {
            header[at..at + length].iter().fold(0, |number: u64, byte| number << 8 | u64::from(*byte))
        };
        let (page, pages, free) = (number(16, 2), number(28, 4), number(36, 4));
        ensure!(page * pages == std::fs::metadata(&database)?.len(), "the header's count of pages is not the file's");
        Ok(Self { bytes: directory_bytes(home)?, page, pages, free })
    }

    /// Bytes more than there were `before`, for each refresh.
    #[expect(clippy::cast_precision_loss, reason = "a figure of a benchmark")]
    fn beyond(&self, before: &Self, refreshes: usize) -> f64 {
        (self.bytes as f64 - before.bytes as f64) / refreshes as f64
    }
}

impl std::fmt::Display for Weight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { bytes, page, pages, free } = self;
        write!(f, "{bytes} B in all, {pages} pages of {page} B, {free} of them free")
    }
}

/// Bytes of all files in the data directory.
fn directory_bytes(home: &Path) -> Result<u64> {
    std::fs::read_dir(home.join("data"))?.map(|file| Ok(file?.metadata()?.len())).sum()
}
