//! The text of a token, any bytes.
//!
//! What is accepted has one text, is read by every reader alike, and verifies only if its signing input is
//! one that the vectors' keys really signed.

use std::collections::HashSet;
use std::sync::LazyLock;

use annul_core::time::UnixSeconds;
use annul_core::token::{Expect, KeySet, UnverifiedToken, verify_jws};
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

const VECTORS: &str = include_str!("../../conformance/tokens.json");

/// A reader that takes padding or not, and unused bits of any value: the opposite of a strict one.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

struct Vectors {
    sets: Vec<KeySet>,
    /// Whatever a key of the vectors has signed: the text before the last dot.
    signed: HashSet<String>,
}

static VECTOR_SETS: LazyLock<Vectors> = LazyLock::new(|| {
    let vectors: Value = serde_json::from_str(VECTORS).expect("the vectors are JSON");
    let sets = vectors["keys"].as_object().expect("the vectors hold key sets").values();
    let sets: Vec<_> =
        sets.filter_map(|set| KeySet::from_jwks(set.to_string().as_bytes()).ok()).map(|(keys, _)| keys).collect();
    let tokens = vectors["cases"].as_array().expect("the vectors hold cases").iter();
    let tokens = tokens.filter_map(|case| case["token"].as_str()?.rsplit_once('.'));
    Vectors { sets, signed: tokens.map(|(signed, _)| signed.to_owned()).collect() }
});

/// Holds the promise to these bytes.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let parsed = UnverifiedToken::parse(text);
    if let Ok(token) = &parsed {
        has_one_text(text);
        is_read_alike(text, token);
    }
    for keys in &VECTOR_SETS.sets {
        let payload = verify_jws(text, keys);
        if payload.is_ok() {
            let (signed, _) = text.rsplit_once('.').expect("a verified token has dots");
            assert!(VECTOR_SETS.signed.contains(signed), "nobody signed {signed}");
            assert_eq!(verify_jws(text, keys), payload, "what verified once verifies again");
        }
    }
    // However well it is made: with no key, and under an expectation of nobody, it is nobody's.
    if let Ok(token) = parsed {
        let nobody = Expect::foreign("https://nobody.invalid", "nobody");
        assert!(token.verify(&KeySet::empty(), &nobody, UnixSeconds(0)).is_err());
    }
}

/// Every part that was accepted is the text that an encoder writes for its bytes.
fn has_one_text(text: &str) {
    let parts: Vec<&str> = text.split('.').collect();
    assert_eq!(parts.len(), 3, "{text}");
    for part in parts {
        let bytes = LENIENT.decode(part).expect("a lenient reader reads what a strict one does");
        assert_eq!(LENIENT.encode(bytes), part, "a second text of the same bytes");
    }
}

/// The claims are those that an ordinary JSON reader finds in the payload.
fn is_read_alike(text: &str, token: &UnverifiedToken<'_>) {
    let payload = text.split('.').nth(1).expect("a token has a payload");
    let payload = LENIENT.decode(payload).expect("a lenient reader reads what a strict one does");
    let ordinary: Value = serde_json::from_slice(&payload).expect("an ordinary reader reads what a strict one does");
    assert_eq!(ordinary.as_object(), Some(token.claims().map()));
    for (claim, read) in [("iss", token.claims().iss()), ("sub", token.claims().sub()), ("jti", token.claims().jti())] {
        assert_eq!(ordinary.get(claim).and_then(Value::as_str), read);
    }
}
