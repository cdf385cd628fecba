//! The snapshot: built from the store when somebody asks, shared by those who ask soon after.

use std::sync::Arc;
use std::time::Duration;

use annul_core::feed::snapshot::Snapshot;
use annul_core::packed::PackedCells;
use annul_core::position::Position;
use bytes::Bytes;
use futures::stream;
use tokio::time::Instant;

use super::{Feed, FeedRefusal};

/// A snapshot as it is sent.
pub(super) struct BuiltSnapshot {
    at: Position,
    built: Instant,
    bytes: Bytes,
}

/// How old a built snapshot may be and still be handed out: it spares the store when many followers
/// start at once, and whoever takes it catches up from the ring.
const SNAPSHOT_AGE: Duration = Duration::from_secs(2);
/// Bytes of a snapshot handed to a connection at once.
const SNAPSHOT_CHUNK: usize = 64 * 1024;
/// How long a reader may hold one of the slots. One that reads more slowly goes on reading, for the
/// bytes are shared, but keeps nobody else waiting.
const SLOT_TIME: Duration = Duration::from_secs(60);

impl Feed {
    /// The newest snapshot's bytes in chunks. A slot is held until the last chunk is taken, and
    /// not for long.
    pub async fn snapshot(&self) -> Result<axum::body::Body, FeedRefusal> {
        let slot = Arc::clone(&self.0.snapshots).try_acquire_owned().map_err(|_| self.busy())?;
        let bytes = self.built_snapshot().await?;
        let (reading, read) = tokio::sync::oneshot::channel::<()>();
        tokio::spawn(async move {
            let _slot = slot;
            // Ends when the reader is done or gone, which drops the other half, or when its time is over.
            let _ = tokio::time::timeout(SLOT_TIME, read).await;
        });
        let chunks = stream::unfold((bytes, reading), |(mut rest, reading)| async move {
            if rest.is_empty() {
                return None;
            }
            let chunk = rest.split_to(rest.len().min(SNAPSHOT_CHUNK));
            Some((Ok::<_, std::convert::Infallible>(chunk), (rest, reading)))
        });
        Ok(axum::body::Body::from_stream(chunks))
    }

    async fn built_snapshot(&self) -> Result<Bytes, FeedRefusal> {
        let mut last = self.0.snapshot.lock().await;
        let head = self.log().point().at;
        if let Some(built) = &*last
            && (built.at == head || built.built.elapsed() < SNAPSHOT_AGE)
        {
            return Ok(built.bytes.clone());
        }
        let built = Instant::now();
        let state = self.0.store.feed_snapshot().await?;
        let at = state.log.head.at;
        let signer = Arc::clone(&self.0.signer);
        // Hashing and signing a million cells takes a while; other requests go on meanwhile.
        let bytes = tokio::task::spawn_blocking(move || {
            let snapshot = Snapshot {
                log: state.log.log,
                at,
                chain: state.log.head.chain,
                epochs: Vec::new(),
                settings: state.log.settings,
                issuers: state.issuers,
                cells: PackedCells::of(at, state.cells),
            };
            snapshot.to_bytes(&signer)
        });
        let bytes = Bytes::from(bytes.await.map_err(|_| self.busy())?);
        *last = Some(BuiltSnapshot { at, built, bytes: bytes.clone() });
        Ok(bytes)
    }
}
