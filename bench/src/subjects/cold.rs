//! How soon a verifier that starts with nothing holds ten million entries: from its own file, and from
//! a snapshot over loopback HTTP; and what an entry takes on the wire.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use annul_core::feed::head::{FeedKey, FeedSigner};
use annul_core::feed::snapshot::{Snapshot, StoredState};
use annul_core::packed::PackedCells;
use annul_core::position::Position;
use annul_core::record::Chain;
use annul_core::time::UnixSeconds;
use annul_core::view::KeptContents;
use anyhow::{Result, anyhow, ensure};
use std::io::Write as _;
use tokio::runtime::Runtime;

use crate::measure::{Contestant, Form, Sheet, Unit, clock, side_by_side};
use crate::world::standin::{self, Standin};
use crate::world::{cells, workspace};

/// How long ten million entries may take to be dropped.
const GONE_WITHIN: Duration = Duration::from_secs(120);

/// Measures the subject.
pub(super) fn measure(form: Form) -> Result<Sheet> {
    let mut sheet = Sheet::default();
    let count = form.of(10_000_000, 20_000);
    sheet.fact("entries", count);
    let standin = Standin::start(Vec::new(), cells::random(count, 71).collect())?;
    let bytes = standin.snapshot_bytes();
    sheet.fact("snapshot bytes", bytes);
    #[expect(clippy::cast_precision_loss, reason = "a figure of a benchmark")]
    sheet.round("snapshot, bytes per entry", Unit::Bytes, bytes as f64 / count as f64);
    if bytes > Snapshot::MAX_BYTES {
        sheet.fact(
            "refused",
            format!("a snapshot of {count} entries has {bytes} bytes, and {} are allowed", Snapshot::MAX_BYTES),
        );
        return Ok(sheet);
    }
    let runtime = standin::runtime()?;
    let dir = workspace::on_disk()?;
    let stored = store(dir.path(), count)?;
    sheet.fact("file bytes", stored);
    let at = Position::new(1, count as u64 + 1);
    side_by_side(
        &mut sheet,
        form.rounds(),
        &mut [
            Contestant::new("verifier, from its file", Unit::Seconds, || {
                let before = standin.snapshots_served();
                let seconds = start(&runtime, standin.builder()?.state_dir(dir.path()), at)?;
                ensure!(standin.snapshots_served() == before, "the file was not used");
                Ok(seconds)
            }),
            Contestant::new("verifier, over loopback HTTP", Unit::Seconds, || start(&runtime, standin.builder()?, at)),
        ],
    )?;
    Ok(sheet)
}

/// Seconds until a verifier is ready at this position.
fn start(runtime: &Runtime, builder: annul::VerifierBuilder, at: Position) -> Result<f64> {
    let started = Instant::now();
    let verifier = runtime.block_on(standin::ready(builder))?;
    let seconds = clock::nanos_each(started.elapsed(), 1) / 1e9;
    ensure!(verifier.view().position() == Some(at), "the verifier stands at {:?}", verifier.view().position());
    drop(verifier);
    // Its task, and the memory it held, are to be gone before the next one starts.
    runtime.block_on(async {
        tokio::time::timeout(GONE_WITHIN, async {
            while runtime.metrics().num_alive_tasks() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    })?;
    Ok(seconds)
}

/// Writes the state of a verifier that held all this and stopped, in the follower's own format; how
/// many bytes it has.
fn store(dir: &Path, count: usize) -> Result<usize> {
    let at = Position::new(1, count as u64 + 1);
    let state = StoredState {
        feed_key: feed_key()?,
        hash_key: standin::hash_key(),
        view: Some(Snapshot {
            log: standin::LOG.to_owned(),
            at,
            chain: Chain::genesis(standin::LOG),
            epochs: Vec::new(),
            settings: standin::settings(),
            issuers: standin::issuers(Vec::new()),
            cells: PackedCells::of(at, cells::random(count, 71).collect()),
        }),
        kept: KeptContents::default(),
        forgotten: UnixSeconds(0),
    };
    let bytes = state.to_bytes();
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(dir.join("view.state"))?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    Ok(bytes.len())
}

fn feed_key() -> Result<FeedKey> {
    Ok(FeedSigner::from_seed(&standin::FEED_SEED).map_err(|error| anyhow!("{error}"))?.key().clone())
}
