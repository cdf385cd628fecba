//! A whole view at one position: as the authority signs it, and as a follower keeps it on disk.
//!
//! ```text
//! snapshot   {"snapshot":{"v":0,"log","at","chain","epochs","settings","issuers","cells":N,"base","digest"},
//!            "signature"}
//!            N cells, packed
//! state      {"state":{"v":0,"feed_key","hash_key","view":{…}|null,"kept":{"cells":M,"base"}}}
//!            the N cells of the view, then the M that are kept besides, packed
//!            {"digest":"…"}
//! ```
//!
//! A header is one line of JSON; how cells are packed is told in `packed.rs`. A snapshot's digest is BLAKE3
//! over its packed cells and stands in the signed header. A state's digest is over all before it: it finds a torn or rotten file, it does
//! not authenticate it; the state directory is as private as the follower's memory.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::feed::FeedError;
use crate::feed::head::{FORMAT, FeedKey, FeedSigner, Signed, check_version};
use crate::packed::{PackedCells, Packing};
use crate::position::Position;
use crate::record::{Chain, EpochStart};
use crate::settings::{IssuerRecord, Settings};
use crate::target::HashKey;
use crate::time::UnixSeconds;
use crate::view::KeptContents;

/// Everything a view holds at one position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The log's id.
    pub log: String,
    /// The position all of this is the state at.
    pub at: Position,
    /// The chain there.
    pub chain: Chain,
    /// How each epoch after the first began, oldest first, for a reader that comes from an earlier one. None in
    /// a stored state, which is read only where it was written.
    pub epochs: Vec<EpochStart>,
    /// The settings in force.
    pub settings: Settings,
    /// Every issuer, removed ones included.
    pub issuers: Vec<IssuerRecord>,
    /// Every cell with something in force.
    pub cells: PackedCells,
}

impl Snapshot {
    /// Bytes a snapshot may have: some twenty million cells, which a verifier should not be asked
    /// to hold in memory beside the view it replaces.
    pub const MAX_BYTES: usize = 1 << 29;

    /// Bytes the header line may have: the key sets of every accepted issuer.
    pub const MAX_HEADER: usize = 16 << 20;

    /// Whether `at` is a place of the history that this is the state of: of the epoch of [`Snapshot::at`], or,
    /// in an earlier one, not above the place at which the next one forked off.
    #[must_use]
    pub fn has(&self, at: Position) -> bool {
        if at.epoch == self.at.epoch {
            return at <= self.at;
        }
        let next = self.epochs.binary_search_by_key(&at.epoch, |start| start.fork.epoch);
        next.ok().and_then(|index| self.epochs.get(index)).is_some_and(|next| at <= next.fork)
    }

    /// The snapshot's bytes, signed.
    #[must_use]
    pub fn to_bytes(&self, signer: &FeedSigner) -> Vec<u8> {
        let cells = self.cells.counted_from(self.at);
        let contents = WireContents::of(self, cells.packing());
        let digest = URL_SAFE_NO_PAD.encode(blake3::hash(cells.bytes()).as_bytes());
        let header = WireSnapshot { v: FORMAT, contents, digest };
        let raw = serde_json::to_string(&header).expect("the wire form holds only strings, numbers and JSON values");
        let signed = signer.sign(SNAPSHOT_DOMAIN, raw);
        let signature = URL_SAFE_NO_PAD.encode(signed.signature);
        let mut bytes = format!("{{\"snapshot\":{},\"signature\":\"{signature}\"}}\n", signed.raw).into_bytes();
        bytes.extend_from_slice(cells.bytes());
        bytes
    }

    /// Reads and verifies a snapshot of `log`: the header's signature first, then the digest of
    /// the cells, and only then their count and meaning.
    pub fn from_bytes(bytes: &[u8], key: &FeedKey, log: &str) -> Result<Self, FeedError> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(FeedError::TooLarge { what: "a snapshot", limit: Self::MAX_BYTES });
        }
        let (header, cells) = first_line(bytes, NOT_A_SNAPSHOT)?;
        let wire: WireSignedSnapshot<'_> = serde_json::from_str(header).map_err(|_| NOT_A_SNAPSHOT)?;
        let signed = Signed::new(wire.snapshot, wire.signature)?;
        signed.verify(key, SNAPSHOT_DOMAIN)?;
        check_version(&signed.raw, NOT_A_SNAPSHOT)?;
        let header: WireSnapshot = serde_json::from_str(&signed.raw).map_err(|_| NOT_A_SNAPSHOT)?;
        if header.contents.log != log {
            return Err(FeedError::OtherLog { named: header.contents.log });
        }
        if header.digest != URL_SAFE_NO_PAD.encode(blake3::hash(cells).as_bytes()) {
            return Err(FeedError::Contents);
        }
        match header.contents.with_cells(cells)? {
            (snapshot, []) => Ok(snapshot),
            _ => Err(FeedError::Contents),
        }
    }
}

/// What a follower keeps on disk, so that a restart neither forgets a revocation nor fetches
/// everything again.
///
/// It contains the log's hash key: the file must be readable by its owner only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredState {
    /// The pinned feed key.
    pub feed_key: FeedKey,
    /// The key that hashes targets.
    pub hash_key: HashKey,
    /// The view, once there was one.
    pub view: Option<Snapshot>,
    /// What the view held besides; nothing without a view.
    pub kept: KeptContents,
    /// The wall second up to which the view had dropped expired entries.
    pub forgotten: UnixSeconds,
}

impl StoredState {
    /// The state's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let view = self.view.as_ref().map(|view| (view, view.cells.counted_from(view.at)));
        let at = self.view.as_ref().map(|view| view.at).unwrap_or_default();
        let kept = PackedCells::of(at, self.kept.cells.clone());
        let wire = WireState {
            state: WireStateHeader {
                v: FORMAT,
                feed_key: self.feed_key.to_jwk(),
                hash_key: URL_SAFE_NO_PAD.encode(self.hash_key.expose()),
                forgotten: self.forgotten,
                view: view.as_ref().map(|(view, cells)| WireContents::of(view, cells.packing())),
                kept: kept.packing(),
                kept_forgotten: self.kept.forgotten,
            },
        };
        let mut bytes = serde_json::to_vec(&wire).expect("the wire form holds only strings, numbers and JSON values");
        bytes.push(b'\n');
        if let Some((_, cells)) = view {
            bytes.extend_from_slice(cells.bytes());
            bytes.extend_from_slice(kept.bytes());
        }
        let digest = URL_SAFE_NO_PAD.encode(blake3::hash(&bytes).as_bytes());
        bytes.extend_from_slice(format!("{{\"digest\":\"{digest}\"}}\n").as_bytes());
        bytes
    }

    /// Reads a state; anything torn, rotten or written by a later version is refused whole.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FeedError> {
        if bytes.len() > Snapshot::MAX_BYTES {
            return Err(FeedError::TooLarge { what: "a stored state", limit: Snapshot::MAX_BYTES });
        }
        let (header, rest) = first_line(bytes, NOT_A_STATE)?;
        let body_end = bytes.len().checked_sub(STATE_TRAILER).ok_or(NOT_A_STATE)?;
        let (body, trailer) = bytes.split_at(body_end);
        let digest = URL_SAFE_NO_PAD.encode(blake3::hash(body).as_bytes());
        if trailer != format!("{{\"digest\":\"{digest}\"}}\n").as_bytes() {
            return Err(FeedError::Contents);
        }
        let cells = rest.get(..rest.len().saturating_sub(STATE_TRAILER)).ok_or(NOT_A_STATE)?;
        Self::from_parts(header, cells)
    }

    fn from_parts(header: &str, cells: &[u8]) -> Result<Self, FeedError> {
        #[derive(Deserialize)]
        struct AnyState<'a> {
            #[serde(borrow)]
            state: &'a RawValue,
        }
        let any: AnyState<'_> = serde_json::from_str(header).map_err(|_| NOT_A_STATE)?;
        check_version(any.state.get(), NOT_A_STATE)?;
        let state: WireStateHeader = serde_json::from_str(any.state.get()).map_err(|_| NOT_A_STATE)?;
        let (view, kept) = match state.view {
            None => (None, (PackedCells::default(), cells)),
            Some(contents) => {
                let (view, beside) = contents.with_cells(cells)?;
                let kept = PackedCells::read(state.kept, view.at, beside).ok_or(FeedError::Contents)?;
                (Some(view), kept)
            }
        };
        let (kept, []) = kept else { return Err(FeedError::Contents) };
        Ok(Self {
            feed_key: FeedKey::from_jwk(&state.feed_key)?,
            hash_key: hash_key_from_text(&state.hash_key).ok_or(NOT_A_STATE)?,
            view,
            kept: KeptContents { cells: kept.iter().collect(), forgotten: state.kept_forgotten },
            forgotten: state.forgotten,
        })
    }
}

pub(super) fn hash_key_from_text(text: &str) -> Option<HashKey> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    bytes.try_into().ok().map(HashKey::from_bytes)
}

const SNAPSHOT_DOMAIN: &str = "annul snapshot v0\n";
const NOT_A_SNAPSHOT: FeedError = FeedError::Malformed { what: "a snapshot" };
const NOT_A_STATE: FeedError = FeedError::Malformed { what: "a stored state" };

/// Bytes of `{"digest":"…"}\n` with 43 characters of base64url.
const STATE_TRAILER: usize = "{\"digest\":\"\"}\n".len() + 43;

fn first_line(bytes: &[u8], otherwise: FeedError) -> Result<(&str, &[u8]), FeedError> {
    let (line, rest) = split_line(bytes, Snapshot::MAX_HEADER).ok_or(otherwise.clone())?;
    Ok((std::str::from_utf8(line).map_err(|_| otherwise)?, rest))
}

/// The bytes before the first newline, and those behind it; `None` when the line has more than `longest` bytes.
fn split_line(bytes: &[u8], longest: usize) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().take(longest.saturating_add(1)).position(|byte| *byte == b'\n')?;
    let (line, rest) = bytes.split_at_checked(end)?;
    Some((line, rest.split_first()?.1))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSignedSnapshot<'a> {
    #[serde(borrow)]
    snapshot: &'a RawValue,
    signature: &'a str,
}

#[derive(Serialize, Deserialize)]
struct WireSnapshot {
    v: u32,
    #[serde(flatten)]
    contents: WireContents,
    digest: String,
}

#[derive(Serialize, Deserialize)]
struct WireContents {
    log: String,
    at: Position,
    chain: Chain,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    epochs: Vec<EpochStart>,
    settings: Settings,
    issuers: Vec<IssuerRecord>,
    #[serde(flatten)]
    packing: Packing,
}

impl WireContents {
    fn of(snapshot: &Snapshot, packing: Packing) -> Self {
        Self {
            log: snapshot.log.clone(),
            at: snapshot.at,
            chain: snapshot.chain,
            epochs: snapshot.epochs.clone(),
            settings: snapshot.settings.clone(),
            issuers: snapshot.issuers.clone(),
            packing,
        }
    }

    /// The snapshot with the cells that come first in `packed`, and what stands behind them.
    fn with_cells(self, packed: &[u8]) -> Result<(Snapshot, &[u8]), FeedError> {
        let Self { log, at, chain, epochs, settings, issuers, packing } = self;
        let ends = epochs.iter().map(|start| start.fork.epoch).chain([at.epoch]);
        if !ends.is_sorted_by(|earlier, later| earlier < later) {
            return Err(FeedError::Contents);
        }
        let (cells, behind) = PackedCells::read(packing, at, packed).ok_or(FeedError::Contents)?;
        Ok((Snapshot { log, at, chain, epochs, settings, issuers, cells }, behind))
    }
}

#[derive(Serialize)]
struct WireState {
    state: WireStateHeader,
}

#[derive(Serialize, Deserialize)]
struct WireStateHeader {
    v: u32,
    feed_key: serde_json::Value,
    hash_key: String,
    #[serde(default)]
    forgotten: UnixSeconds,
    view: Option<WireContents>,
    #[serde(default)]
    kept: Packing,
    #[serde(default)]
    kept_forgotten: UnixSeconds,
}
