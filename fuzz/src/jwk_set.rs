//! A JWK set, any bytes.
//!
//! A key that is loaded has one name however it is written, can be written out and loaded again, and answers
//! any message and signature without a panic; from the network it is never a secret and has one algorithm.

use annul_core::token::{Algorithm, Key, KeySet, MAX_KEYS};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// Holds the promise to these bytes.
pub fn check(bytes: &[u8]) {
    let Ok(values) = KeySet::values(bytes) else {
        assert!(KeySet::from_jwks(bytes).is_err());
        return;
    };
    assert!(values.len() <= MAX_KEYS);
    let (keys, skipped) = KeySet::from_jwks(bytes).expect("a set that is read once is read again");
    assert!(keys.len() + skipped.len() <= values.len());
    for (index, value) in values.iter().enumerate() {
        match Key::from_jwk(value) {
            Ok(key) => {
                has_one_name(&key, value);
                can_be_passed_on(&key);
                answers_anything(&key);
            }
            Err(reason) => assert!(skipped.iter().any(|skipped| (skipped.index, skipped.reason) == (index, reason))),
        }
    }
    let (public, _) = KeySet::from_values(&values);
    for key in public.iter() {
        assert!(!key.is_secret(), "a secret came over the network");
        assert_eq!(key.algorithms().count(), 1, "the token could choose");
    }
}

/// The order in which members are written does not matter, nor does what else stands there, and the name is
/// the thumbprint of RFC 7638.
fn has_one_name(key: &Key, value: &Value) {
    let members = value.as_object().expect("a key is an object");
    let mut written: Vec<_> =
        members.iter().rev().map(|(name, value)| format!("{}:{value}", Value::from(name.as_str()))).collect();
    written.push("\"annul-fuzz\":[1,{}]".to_owned());
    let reordered = format!("{{\"keys\":[{{{}}}]}}", written.join(","));
    let (again, skipped) = KeySet::from_jwks(reordered.as_bytes()).expect("a set of one good key");
    let again = again.iter().next().unwrap_or_else(|| panic!("{skipped:?} in {reordered}"));
    assert_eq!((again.id(), again.kid()), (key.id(), key.kid()));
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let required = match text("kty").as_str() {
        "EC" => format!(r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#, text("crv"), text("x"), text("y")),
        "OKP" => format!(r#"{{"crv":"{}","kty":"OKP","x":"{}"}}"#, text("crv"), text("x")),
        "RSA" => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text("e"), text("n")),
        _ if key.kid().is_some() => return assert_eq!(key.id(), text("kid")),
        _ => format!(r#"{{"k":"{}","kty":"oct"}}"#, text("k")),
    };
    assert_eq!(key.id(), URL_SAFE_NO_PAD.encode(digest(&SHA256, required.as_bytes())));
}

fn can_be_passed_on(key: &Key) {
    let Some(public) = key.public_jwk() else { return assert!(key.is_secret()) };
    let again = Key::from_jwk(&public).expect("what is passed on can be loaded");
    assert_eq!((again.id(), again.kid()), (key.id(), key.kid()));
    assert_eq!(again.algorithms().collect::<Vec<_>>(), key.algorithms().collect::<Vec<_>>());
    for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        assert!(public.get(private).is_none(), "{private} is passed on");
    }
}

fn answers_anything(key: &Key) {
    for algorithm in Algorithm::ALL {
        for length in [0, 1, 32, 64, 96, 132, 256] {
            let signature = vec![length as u8; length];
            assert!(key.verify(algorithm, b"nobody signed this", &signature).is_err(), "{algorithm} {length}");
        }
    }
}
