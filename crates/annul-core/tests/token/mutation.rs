//! Hostile input changes nothing and panics nothing (I15).

use annul_core::token::{Algorithm, Expect, Key, KeySet, UnverifiedToken, verify_jws};
use proptest::prelude::*;
use serde_json::Value;

use crate::signing::*;

/// The token with another byte at every place in turn: never accepted as another token, and accepted
/// at all only if nothing that was signed has changed.
fn every_single_byte(algorithm: Algorithm, replacements: impl Fn(u8) -> Vec<u8>) {
    let signer = Signer::of(algorithm);
    let keys = signer.keys(None);
    let expect = Expect::foreign(IDP, API);
    let token = signer.token(&foreign_claims());
    let digest = present(&token, &keys, &expect).unwrap().digest();
    for place in 0..token.len() {
        for byte in replacements(token.as_bytes()[place]) {
            let mut bytes = token.clone().into_bytes();
            bytes[place] = byte;
            // A token is text; what is not UTF-8 cannot even be asked about.
            let Ok(mutated) = String::from_utf8(bytes) else { continue };
            if let Ok(verified) = present(&mutated, &keys, &expect) {
                assert_eq!(verified.digest(), digest, "byte {place} of {token} became {byte}");
                assert_eq!(mutated, token, "a second text of one token");
            }
        }
    }
}

#[test]
fn no_other_byte_makes_another_token_of_a_secret() {
    every_single_byte(Algorithm::Hs256, |_| (0..=255).collect());
}

#[test]
fn no_other_bit_makes_another_token_of_ed25519() {
    every_single_byte(Algorithm::EdDsa, |byte| (0..8).map(|bit| byte ^ (1 << bit)).collect());
}

#[test]
fn no_other_bit_makes_another_token_of_ecdsa() {
    every_single_byte(Algorithm::Es256, |byte| (0..8).map(|bit| byte ^ (1 << bit)).collect());
}

#[test]
fn no_other_bit_makes_another_token_of_rsa() {
    every_single_byte(Algorithm::Rs256, |byte| (0..8).map(|bit| byte ^ (1 << bit)).collect());
}

fn keys() -> KeySet {
    [Signer::of(Algorithm::Hs256).key(None), Signer::of(Algorithm::EdDsa).key(Some("k"))].into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_text_is_refused_and_never_panics(text in "\\PC{0,200}") {
        prop_assert!(present(&text, &keys(), &Expect::foreign(IDP, API)).is_err());
    }

    #[test]
    fn any_signed_bytes_are_judged_without_panic(header in any::<Vec<u8>>(), payload in any::<Vec<u8>>()) {
        let signer = Signer::of(Algorithm::Hs256);
        let token = signer.sign(header, payload);
        prop_assert!(present(&token, &keys(), &Expect::foreign(IDP, API)).is_err());
        let _ = verify_jws(&token, &keys());
    }

    #[test]
    fn any_json_in_any_claim_is_judged_without_panic(
        claim in prop::sample::select(vec![
            "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "client_id", "azp", "device_id", "auth_time",
            "scope", "cnf", "lpos", "origin", "tenant",
        ]),
        value in json_values(),
    ) {
        let mut claims = own_claims();
        claims[claim] = value;
        if let Ok(verified) = present_own(&claims) {
            let settings = settings(&["tenant", "scope", "aud", "cnf"], &[]);
            let facts = verified.facts(&settings, &hash_key());
            prop_assert_eq!(facts.is_ok(), verified.targets(&settings).is_ok_and(|targets| targets.len() <= 64));
        }
    }

    #[test]
    fn any_json_is_loaded_as_a_key_or_refused(
        member in prop::sample::select(vec!["kty", "crv", "x", "y", "n", "e", "k", "alg", "use", "key_ops", "kid"]),
        kty in prop::sample::select(vec!["EC", "OKP", "RSA", "oct"]),
        value in json_values(),
    ) {
        let mut jwk = serde_json::json!({
            "kty": kty, "crv": "P-256", "x": "AQAB", "y": "AQAB", "n": "AQAB", "e": "AQAB", "k": "AQAB",
        });
        jwk[member] = value;
        let _ = Key::from_jwk(&jwk);
    }

    #[test]
    fn what_parses_parses_the_same_again(payload in json_values()) {
        let signer = Signer::of(Algorithm::Hs256);
        let token = signer.sign(r#"{"alg":"HS256"}"#, payload.to_string());
        if let Ok(parsed) = UnverifiedToken::parse(&token) {
            prop_assert_eq!(Value::Object(parsed.claims().map().clone()), payload);
        }
    }
}

fn json_values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // Doubles that a reader of JSON gives back bit by bit.
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 4.0)),
        Just(Value::from(f64::MAX)),
        Just(Value::from(-f64::MAX)),
        "\\PC{0,20}".prop_map(Value::from),
        "[0-9]{1,3}:[0-9]{1,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(vec!["iss", "sid", "sub", "jkt", "x"]), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}
