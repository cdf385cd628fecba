//! DPoP proofs, signed by the key that they name: what anybody may send without having logged in.
//!
//! The bytes are the header's JSON, a newline and the payload's. The verdict must be that of [`oracle`],
//! which shares nothing with annul, and `jsonwebtoken` must verify and read whatever is accepted. The
//! oracle says nothing of keys that are written otherwise than ours; of those, none may be accepted
//! whose public part is another.

mod oracle;

use std::sync::LazyLock;

use annul_core::time::UnixSeconds;
use annul_core::token::{HttpUri, Nonce, PROOF_ALGORITHMS, Proof, ProofError, ProofExpect};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::Value;

const NOW: u64 = 1_800_000_000;
const METHOD: &str = "POST";
const ADDRESS: &str = "https://auth.example/oauth2/token";
const ACCESS_TOKEN: &str = "an access token";

static KEY: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("any 32 bytes are a seed"));
static ADDRESS_READ: LazyLock<HttpUri> = LazyLock::new(|| HttpUri::parse(ADDRESS).expect("it is an address"));

/// Holds the promise to these bytes.
pub fn check(bytes: &[u8]) {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return };
    let (header, payload) = (&bytes[..end], &bytes[end + 1..]);
    let proof = sign(header, payload);
    match (verify(&proof, METHOD), oracle::judge(&proof, header, payload)) {
        (Ok(verified), Ok(())) => holds(&verified, &proof, header),
        (Ok(_), Err(why)) => panic!("accepted although {why}: {proof}"),
        (Err(refused), Ok(())) if oracle::is_plain(header, payload) => {
            panic!("refused as {refused}, and nothing is wrong with {proof}")
        }
        (Err(_), _) => {}
    }
}

/// What is true of every verified proof.
fn holds(verified: &Proof, proof: &str, header: &[u8]) {
    assert_eq!(verify(proof, METHOD).as_ref(), Ok(verified), "what verified once verifies again");
    assert_eq!(verify(proof, "GET"), Err(ProofError::Method), "it is for one method");
    assert!(verified.last_second() >= UnixSeconds(NOW), "it is remembered for as long as it could be sent again");
    let twice = Proof::verify([proof.as_bytes(), proof.as_bytes()], &expect(METHOD));
    assert_eq!(twice, Err(ProofError::Repeated));

    let header: Value = serde_json::from_slice(header).expect("an accepted header is JSON");
    let known = ["alg", "typ", "jwk"];
    if header.as_object().expect("an accepted header is an object").keys().any(|name| !known.contains(&name.as_str())) {
        return;
    }
    let mut validation = Validation::new(jsonwebtoken::Algorithm::EdDSA);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let read = jsonwebtoken::decode::<Value>(proof, &DecodingKey::from_ed_der(KEY.public_key().as_ref()), &validation);
    let read = read.expect("another library verifies what annul verifies");
    assert_eq!(read.claims["jti"], verified.jti());
}

fn expect(method: &str) -> ProofExpect<'_> {
    ProofExpect {
        method,
        uri: &ADDRESS_READ,
        now: UnixSeconds(NOW),
        algorithms: &PROOF_ALGORITHMS,
        access_token: Some(ACCESS_TOKEN),
        key: None,
        nonce: Nonce::NotDemanded,
    }
}

fn verify(proof: &str, method: &str) -> Result<Proof, ProofError> {
    Proof::verify([proof.as_bytes()], &expect(method))
}

fn sign(header: &[u8], payload: &[u8]) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = KEY.sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}
