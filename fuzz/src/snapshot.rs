//! A whole view at one position: bytes as they are, and contents that the feed key vouches for.

use std::collections::BTreeMap;

use annul_core::feed::snapshot::{Snapshot, StoredState};
use annul_core::record::HashedCell;
use annul_core::target::TargetHash;
use annul_core::time::UnixSeconds;
use annul_core::view::{KeptContents, View, ViewContents};
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::golden::{self, LOG};

/// Holds the promise to these bytes.
pub fn check(bytes: &[u8]) {
    // As they are: only what the golden key signed.
    if let Ok(snapshot) = Snapshot::from_bytes(bytes, golden::key(), LOG) {
        let golden = URL_SAFE_NO_PAD.decode(golden::text("snapshot")).expect("the vectors are base64url");
        let golden = Snapshot::from_bytes(&golden, golden::key(), LOG);
        assert_eq!(Ok(snapshot), golden);
    }
    if let Ok(state) = StoredState::from_bytes(bytes) {
        assert_eq!(StoredState::from_bytes(&state.to_bytes()).as_ref(), Ok(&state));
        assert!(golden::damaged(bytes).all(|damaged| StoredState::from_bytes(&damaged).is_err()), "rot is not seen");
    }
    // As the words of an authority that may write anything, counts included.
    if let Some(signed) = sign(bytes) {
        vouched_for(&signed);
    }
}

/// The bytes with the header's digest put right and the header signed: what else it says stands.
fn sign(bytes: &[u8]) -> Option<Vec<u8>> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (header, cells) = (&bytes[..end], &bytes[end + 1..]);
    let mut header: Value = serde_json::from_slice(header).ok()?;
    if header.get("snapshot").is_some() {
        header = header["snapshot"].take();
    }
    let digest = URL_SAFE_NO_PAD.encode(blake3::hash(cells).as_bytes());
    header.as_object_mut()?.insert("digest".to_owned(), digest.into());
    let pair = Ed25519KeyPair::from_seed_unchecked(&*golden::SEED).expect("a seed is a key");
    let signature = pair.sign(format!("annul snapshot v0\n{header}").as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(signature.as_ref());
    let mut signed = format!("{{\"snapshot\":{header},\"signature\":\"{signature}\"}}\n").into_bytes();
    signed.extend_from_slice(cells);
    Some(signed)
}

fn vouched_for(bytes: &[u8]) {
    let Ok(snapshot) = Snapshot::from_bytes(bytes, golden::key(), LOG) else { return };
    assert!(snapshot.cells.iter().is_sorted_by(|one, next| one.target < next.target), "each hash once, in order");
    let written = snapshot.to_bytes(golden::signer());
    assert_eq!(Snapshot::from_bytes(&written, golden::key(), LOG).as_ref(), Ok(&snapshot));
    for damaged in golden::damaged(bytes) {
        assert!(Snapshot::from_bytes(&damaged, golden::key(), LOG).is_err(), "a damaged snapshot was taken");
    }
    is_what_a_view_holds(snapshot);
}

/// A view that takes the snapshot holds, target by target, what a map of its cells holds.
fn is_what_a_view_holds(snapshot: Snapshot) {
    let mut model: BTreeMap<TargetHash, HashedCell> = BTreeMap::new();
    for cell in &snapshot.cells {
        match cell.cell {
            Some(_) => model.insert(cell.target, cell),
            None => model.remove(&cell.target),
        };
    }
    let (view, mut writer) = View::new();
    let Snapshot { at: position, settings, issuers, cells, .. } = snapshot;
    let named: Vec<TargetHash> = cells.iter().map(|cell| cell.target).collect();
    let contents =
        ViewContents { position, settings, issuers, cells, kept: KeptContents::default(), forgotten: UnixSeconds(0) };
    writer.replace(contents).expect("an empty view has room");
    assert_eq!(view.position(), Some(position));
    let held = writer.contents().expect("a view with a position has contents").cells;
    let held: BTreeMap<TargetHash, HashedCell> = held.iter().map(|cell| (cell.target, cell)).collect();
    assert_eq!(held, model);
    for target in named {
        assert_eq!(view.cell(&target), model.get(&target).and_then(|cell| cell.cell));
    }
}
