//! The feed of the golden vectors: whoever holds its seed can sign anything for it.

use std::sync::LazyLock;

use annul_core::feed::head::{FeedKey, FeedSigner, Head, SignedHead};
use annul_core::position::Position;
use annul_core::record::Chain;
use annul_core::time::UnixMillis;
use serde_json::Value;

pub(crate) const LOG: &str = "log-golden";

/// The place before the first record.
pub(crate) const START: Position = Position::new(1, 0);

const VECTORS: &str = include_str!("../../conformance/formats/v0/feed.json");

pub(crate) static GOLDEN: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(VECTORS).expect("JSON"));

/// A text of the vectors.
pub(crate) fn text(name: &str) -> &'static str {
    GOLDEN[name].as_str().expect("the vectors have it")
}

pub(crate) static SEED: LazyLock<[u8; 32]> = LazyLock::new(|| {
    let hex = text("seed");
    std::array::from_fn(|index| u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).expect("hexadecimal"))
});

static SIGNER: LazyLock<FeedSigner> = LazyLock::new(|| FeedSigner::from_seed(&SEED).expect("a seed is a key"));

pub(crate) fn signer() -> &'static FeedSigner {
    &SIGNER
}

pub(crate) fn key() -> &'static FeedKey {
    SIGNER.key()
}

pub(crate) fn head(at: Position, chain: Chain, hash_key: &str, nonce: Option<String>) -> SignedHead {
    let (log, hash_key) = (LOG.to_owned(), hash_key.to_owned());
    signer().sign_head(Head { log, at, chain, revision: 1, hash_key, issued: UnixMillis(1_800_000_000_123), nonce })
}

/// Four copies with one bit of one byte changed, at places that the bytes themselves choose.
pub(crate) fn damaged(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let draw = *blake3::hash(bytes).as_bytes();
    (0..4).filter(|_| !bytes.is_empty()).map(move |copy| {
        let [place, bit] =
            [8 * copy, 8 * copy + 4].map(|at| u32::from_le_bytes(draw[at..at + 4].try_into().expect("four bytes")));
        let mut damaged = bytes.to_vec();
        damaged[place as usize % bytes.len()] ^= 1 << (bit % 8);
        damaged
    })
}
