//! Header and payload, signed with a key that the verifier trusts: the part that no random text reaches.
//!
//! The bytes are the header's JSON, a newline and the payload's. The verdict must be that of [`oracle`],
//! which shares nothing with annul, and `jsonwebtoken` must verify and read whatever is accepted.

mod oracle;

use annul_core::time::UnixSeconds;
use annul_core::token::{Algorithm, Expect, Key, KeySet, TokenError, UnverifiedToken, VerifiedToken};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::Value;

const SECRET: &[u8; 32] = b"a secret of exactly thirty-two b";
const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://idp.example";
const AUDIENCE: &str = "https://api.example";
const LEEWAY: u64 = 5;
const LONGEST_LIFE: u64 = 900;

/// Holds the promise to these bytes.
pub fn check(bytes: &[u8]) {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return };
    let (header, payload) = (&bytes[..end], &bytes[end + 1..]);
    let token = sign(header, payload);
    let verified = verify(&token, &key("shared", SECRET));
    match (&verified, oracle::judge(&token, header, payload)) {
        (Ok(_), Ok(())) | (Err(_), Err(_)) => {}
        (Ok(_), Err(why)) => panic!("accepted although {why}: {token}"),
        (Err(refused), Ok(())) => panic!("refused as {refused}, and nothing is wrong with {token}"),
    }
    assert!(verify(&token, &key("shared", b"another secret of thirty-two byt")).is_err(), "verified by another key");
    if let Ok(verified) = verified {
        holds(&verified, header, payload);
        is_read_alike_elsewhere(&token, header, &verified);
    }
}

/// What is true of every verified token.
fn holds(token: &VerifiedToken, header: &[u8], payload: &[u8]) {
    let again = verify(&sign(header, payload), &key("shared", SECRET)).expect("what verified once verifies again");
    assert_eq!((token.digest(), token.token_target()), (again.digest(), again.token_target()));
    let mut hasher = blake3::Hasher::new_derive_key("annul token hash v0");
    hasher.update(&(header.len() as u64).to_le_bytes()).update(header).update(payload);
    assert_eq!(token.digest(), *hasher.finalize().as_bytes(), "the digest is of what was signed and of nothing else");
    assert_eq!(token.key_id(), "shared", "the key that verified it, whatever the header says");
    assert!(token.expires().0 + LEEWAY > NOW);
}

/// `jsonwebtoken` reads no clock here and knows fewer header members, so it is asked for the signature
/// and the claims only, where the header holds nothing it has an opinion about.
fn is_read_alike_elsewhere(token: &str, header: &[u8], verified: &VerifiedToken) {
    let header: Value = serde_json::from_slice(header).expect("an accepted header is JSON");
    let known = ["alg", "typ", "kid"];
    if header.as_object().expect("an accepted header is an object").keys().any(|name| !known.contains(&name.as_str())) {
        return;
    }
    let mut validation = Validation::new(jsonwebtoken::Algorithm::HS256);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let read = jsonwebtoken::decode::<Value>(token, &DecodingKey::from_secret(SECRET), &validation);
    let read = read.expect("another library verifies what annul verifies");
    assert_eq!(read.claims.as_object(), Some(verified.claims().map()));
}

fn key(name: &str, secret: &[u8; 32]) -> KeySet {
    [Key::secret(name, Algorithm::Hs256, secret).expect("the secret is long enough")].into_iter().collect()
}

fn verify(token: &str, keys: &KeySet) -> Result<VerifiedToken, TokenError> {
    let expect = Expect::foreign(ISSUER, AUDIENCE).with_leeway(LEEWAY).with_longest_life(LONGEST_LIFE);
    UnverifiedToken::parse(token)?.verify(keys, &expect, UnixSeconds(NOW))
}

fn sign(header: &[u8], payload: &[u8]) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}
