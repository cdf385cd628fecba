//! The published vectors: what annul accepts, `jsonwebtoken` accepts and reads
//! alike, and no signature that `jsonwebtoken` refuses passes here.

use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::Value;

const VECTORS: &str = include_str!("../../../../../conformance/tokens.json");

/// The claims as `jsonwebtoken` reads them, with any key of the set; its dates are not compared, for
/// it reads the clock.
fn oracle(token: &str, set: &JwkSet) -> Option<Value> {
    let header = decode_header(token).ok()?;
    let mut validation = Validation::new(header.alg);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let named = |jwk: &&Jwk| header.kid.is_none() || jwk.common.key_id == header.kid;
    set.keys.iter().filter(named).find_map(|jwk| {
        let key = DecodingKey::from_jwk(jwk).ok()?;
        decode::<Value>(token, &key, &validation).ok().map(|decoded| decoded.claims)
    })
}

#[test]
fn what_is_accepted_is_accepted_elsewhere_too() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let mut compared = 0;
    for case in vectors["cases"].as_array().unwrap() {
        let (id, token) = (case["id"].as_str().unwrap(), case["token"].as_str().unwrap());
        let set: JwkSet = serde_json::from_value(vectors["keys"][case["keys"].as_str().unwrap()].clone()).unwrap();
        let outcome = crate::vectors::run(case, &crate::vectors::key_sets(&vectors));
        // ES512 and the name Ed25519 are not among the oracle's algorithms.
        let unknown_there = matches!(token.split('.').next(), Some("eyJhbGciOiJFUzUxMiJ9" | "eyJhbGciOiJFZDI1NTE5In0"));
        match (outcome, oracle(token, &set)) {
            (Ok(token), Some(claims)) => {
                assert_eq!(Value::Object(token.claims().map().clone()), claims, "{id}");
                compared += 1;
            }
            (Ok(_), None) => assert!(unknown_there, "{id} is accepted here only"),
            (Err(refused), other) => {
                assert!(refused.code() != "signature_invalid" || other.is_none(), "{id} verifies elsewhere");
            }
        }
    }
    assert!(compared > 30, "{compared}");
}
