//! The signature: which key, which algorithm, which bytes.

use annul_core::token::{Algorithm, Expect, Key, KeySet, TokenError, verify_jws};
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::signing::*;

fn foreign() -> Expect {
    Expect::foreign(IDP, API)
}

#[test]
fn every_algorithm_verifies_what_its_key_signed_and_nothing_else() {
    for algorithm in Algorithm::ALL {
        let signer = Signer::of(algorithm);
        let keys = signer.keys(None);
        let token = signer.token(&foreign_claims());
        let verified = present(&token, &keys, &foreign()).unwrap_or_else(|error| panic!("{algorithm}: {error}"));
        assert_eq!(verified.key_id(), keys.iter().next().unwrap().id());
        assert_eq!(verify_jws(&token, &keys).unwrap(), foreign_claims().to_string().into_bytes());

        let (signed, signature) = token.rsplit_once('.').unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let others = [
            Vec::new(),
            bytes[1..].to_vec(),
            bytes[..bytes.len() - 1].to_vec(),
            [&[0], bytes.as_slice()].concat(),
            [bytes.as_slice(), &[0]].concat(),
            vec![0; bytes.len()],
            vec![0xff; bytes.len()],
            vec![1; 16_000 - signed.len()],
        ];
        for other in others {
            let forged = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&other));
            let refused = verify_jws(&forged, &keys).unwrap_err();
            let expected = if forged.len() > 16 * 1024 { TokenError::TooLarge } else { TokenError::SignatureInvalid };
            assert_eq!(refused, expected, "{algorithm}, {} bytes", other.len());
        }
    }
}

#[test]
fn an_algorithm_does_not_verify_for_another_key() {
    for algorithm in Algorithm::ALL {
        let signer = Signer::of(algorithm);
        let token = signer.sign(json!({"alg": algorithm.name(), "kid": "k"}).to_string(), foreign_claims().to_string());
        for other in Algorithm::ALL.into_iter().filter(|other| *other != algorithm) {
            let keys = Signer::of(other).keys(Some("k"));
            assert_eq!(code(present(&token, &keys, &foreign())), "alg_not_allowed", "{algorithm} by a key for {other}");
        }
    }
}

#[test]
fn jws_4_none_is_no_algorithm() {
    let claims = URL_SAFE_NO_PAD.encode(foreign_claims().to_string());
    for alg in ["none", "None", "NONE", "nOnE", "noNE", "", "hs256", "HS-256", "SHA256", "null", "HS256\u{0}"] {
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg}).to_string());
        for signature in ["", "AAAA"] {
            let token = format!("{header}.{claims}.{signature}");
            let keys = Signer::of(Algorithm::Hs256).keys(None);
            assert_eq!(code(present(&token, &keys, &foreign())), "alg_not_allowed", "{alg:?}");
            assert_eq!(code(present(&token, &KeySet::empty(), &foreign())), "alg_not_allowed", "{alg:?}");
        }
    }
}

#[test]
fn jws_4_a_stripped_signature_is_no_signature() {
    for algorithm in Algorithm::ALL {
        let signer = Signer::of(algorithm);
        let token = signer.token(&foreign_claims());
        let stripped = &token[..=token.rfind('.').unwrap()];
        assert_eq!(code(present(stripped, &signer.keys(None), &foreign())), "signature_invalid", "{algorithm}");
    }
}

#[test]
fn jws_4_a_public_key_is_no_hmac_secret() {
    use aws_lc_rs::hmac;
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let signer = Signer::of(algorithm);
        for kid in [None, Some("k")] {
            let keys = signer.keys(kid);
            let jwk = keys.iter().next().unwrap().public_jwk().unwrap();
            let material = jwk.get("n").or(jwk.get("x")).and_then(Value::as_str).unwrap();
            let forms = [
                Vec::new(),
                jwk.to_string().into_bytes(),
                material.as_bytes().to_vec(),
                URL_SAFE_NO_PAD.decode(material).unwrap(),
                keys.iter().next().unwrap().id().as_bytes().to_vec(),
            ];
            let mut header = json!({"alg": "HS256"});
            if let Some(kid) = kid {
                header["kid"] = kid.into();
            }
            for form in forms {
                let signed = format!(
                    "{}.{}",
                    URL_SAFE_NO_PAD.encode(header.to_string()),
                    URL_SAFE_NO_PAD.encode(foreign_claims().to_string())
                );
                let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &form), signed.as_bytes());
                let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag));
                assert_eq!(code(present(&token, &keys, &foreign())), "alg_not_allowed");
            }
        }
    }
}

#[test]
fn jws_4_no_secret_is_made_of_a_public_key() {
    let spki = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU8UTtgW3bbEfAWnBJuZVoDCVQgPWLWZDDLoVOIZqLmEA==";
    let der = STANDARD.decode(spki).unwrap();
    let rsa_der = [&[0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01][..], &[1; 262]].concat();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{spki}\n-----END PUBLIC KEY-----\n");
    let forms: [&[u8]; 9] = [
        pem.as_bytes(),
        &[b" \t\n", pem.as_bytes()].concat(),
        &[b"# a comment before it\n", pem.as_bytes()].concat(),
        b"-----BEGIN CERTIFICATE-----\nMIIB...and so on, long enough\n-----END CERTIFICATE-----",
        &der,
        &rsa_der,
        b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqK0m1iAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA alice@example",
        b"ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABB",
        br#" {"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
    ];
    for form in forms {
        assert!(Key::secret("s", Algorithm::Hs256, form).is_err(), "{}", form.escape_ascii());
        let jwk = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(form)});
        assert!(Key::from_jwk(&jwk).is_err(), "{}", form.escape_ascii());
    }
}

#[test]
fn jws_5_keys_and_addresses_in_a_header_are_not_read() {
    let mallory = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
    let mallory = Signer::Ed25519(mallory);
    let jwk = mallory.key(None).public_jwk().unwrap();
    let honest = Signer::of(Algorithm::EdDsa);
    for header in [
        json!({"alg": "EdDSA", "jwk": jwk}),
        json!({"alg": "EdDSA", "jku": "https://mallory.example/jwks.json"}),
        json!({"alg": "EdDSA", "x5u": "https://mallory.example/cert.pem"}),
        json!({"alg": "EdDSA", "x5c": ["MIIB"]}),
        json!({"alg": "EdDSA", "jwk": "not even an object", "x5c": 7, "x5t": null}),
    ] {
        let forged = mallory.sign(header.to_string(), foreign_claims().to_string());
        assert_eq!(code(present(&forged, &honest.keys(None), &foreign())), "signature_invalid", "{header}");
        assert_eq!(code(present(&forged, &KeySet::empty(), &foreign())), "key_unknown", "{header}");
        let genuine = honest.sign(header.to_string(), foreign_claims().to_string());
        assert_eq!(code(present(&genuine, &honest.keys(None), &foreign())), "OK", "{header}");
    }
}

#[test]
fn jws_5_kid_is_a_name_and_nothing_else() {
    let signer = Signer::of(Algorithm::EdDsa);
    let keys = signer.keys(Some("k"));
    let long = "k".repeat(4096);
    for kid in
        ["", "K", "k ", " k", "k\0", "../k", "../../dev/null", "' OR 1=1 --", "k|k", "*", "%6b", "\u{212a}", &long]
    {
        let header = json!({"alg": "EdDSA", "kid": kid}).to_string();
        let token = signer.sign(header, foreign_claims().to_string());
        assert_eq!(code(present(&token, &keys, &foreign())), "key_unknown", "{kid:?}");
    }
    // A key of the set without a kid is not asked for by one.
    let token = signer.sign(r#"{"alg":"EdDSA","kid":"k"}"#, foreign_claims().to_string());
    assert_eq!(code(present(&token, &signer.keys(None), &foreign())), "key_unknown");
    assert_eq!(code(present(&token, &keys, &foreign())), "OK");
}

#[test]
fn an_unknown_key_is_only_said_of_a_token_that_could_stand() {
    let signer = Signer::of(Algorithm::EdDsa);
    let gone = |changes| {
        let token = signer.token(&with(foreign_claims(), changes));
        code(present(&token, &KeySet::empty(), &foreign()))
    };
    assert_eq!(gone(json!({})), "key_unknown");
    assert_eq!(gone(json!({"exp": NOW.0 - 60})), "token_expired");
    assert_eq!(gone(json!({"aud": "other"})), "audience_mismatch");
    assert_eq!(gone(json!({"iss": "https://other.example"})), "issuer_mismatch");
}

#[test]
fn without_kid_exactly_one_key_must_fit() {
    let (ed, es) = (Signer::of(Algorithm::EdDsa), Signer::of(Algorithm::Es256));
    let token = ed.token(&foreign_claims());
    let mixed: KeySet = [ed.key(Some("a")), es.key(Some("b"))].into_iter().collect();
    assert_eq!(code(present(&token, &mixed, &foreign())), "OK");
    let other = Signer::Ed25519(Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap());
    let several: KeySet = [ed.key(Some("a")), other.key(Some("b"))].into_iter().collect();
    assert_eq!(code(present(&token, &several, &foreign())), "key_ambiguous");
    assert_eq!(code(present(&token, &es.keys(None), &foreign())), "alg_not_allowed");
}

#[test]
fn keys_of_one_kid_are_told_apart_by_algorithm_or_not_at_all() {
    let (ed, es) = (Signer::of(Algorithm::EdDsa), Signer::of(Algorithm::Es256));
    let other = Signer::Ed25519(Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap());
    let token = ed.sign(r#"{"alg":"EdDSA","kid":"k"}"#, foreign_claims().to_string());
    let by_algorithm: KeySet = [ed.key(Some("k")), es.key(Some("k"))].into_iter().collect();
    assert_eq!(code(present(&token, &by_algorithm, &foreign())), "OK");
    let ambiguous: KeySet = [ed.key(Some("k")), other.key(Some("k"))].into_iter().collect();
    assert_eq!(code(present(&token, &ambiguous, &foreign())), "key_ambiguous");
}

#[test]
fn secrets_without_kid_are_tried_in_turn() {
    let signer = Signer::of(Algorithm::Hs256);
    let token = signer.token(&foreign_claims());
    let other = Key::secret("older", Algorithm::Hs256, &[5; 32]).unwrap();
    let keys: KeySet = [other.clone(), signer.key(Some("newer"))].into_iter().collect();
    assert_eq!(present(&token, &keys, &foreign()).unwrap().key_id(), "newer");
    let neither: KeySet = [other, Key::secret("oldest", Algorithm::Hs256, &[6; 32]).unwrap()].into_iter().collect();
    assert_eq!(code(present(&token, &neither, &foreign())), "signature_invalid");
}

#[test]
fn jws_6_an_ecdsa_signature_is_r_and_s_of_fixed_length() {
    let signer = Signer::of(Algorithm::Es256);
    let keys = signer.keys(None);
    let token = signer.token(&foreign_claims());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let raw = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let (r, s) = raw.split_at(32);
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad,
        0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let integer = |bytes: &[u8]| {
        let sign: &[u8] = if bytes[0] & 0x80 == 0 { &[] } else { &[0] };
        [&[2, u8::try_from(bytes.len() + sign.len()).unwrap()], sign, bytes].concat()
    };
    let der = |r: &[u8], s: &[u8]| {
        let inner = [integer(r), integer(s)].concat();
        [&[0x30, u8::try_from(inner.len()).unwrap()], inner.as_slice()].concat()
    };
    let zero = [0; 32];
    let cases: [(&str, Vec<u8>); 9] = [
        ("DER", der(r, s)),
        ("r = s = 0", [zero, zero].concat()),
        ("r = 0", [&zero, s].concat()),
        ("s = 0", [r, &zero].concat()),
        ("r = n", [&ORDER, s].concat()),
        ("s = n", [r, &ORDER].concat()),
        ("r = s = n", [ORDER, ORDER].concat()),
        ("three numbers", [r, s, s].concat()),
        ("as long as ES384's", [&zero[..16], r, &zero[..16], s].concat()),
    ];
    for (name, forged) in cases {
        let forged = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(forged));
        assert_eq!(code(present(&forged, &keys, &foreign())), "signature_invalid", "{name}");
    }
}

#[test]
fn jws_7_another_valid_signature_is_the_same_token() {
    let signer = Signer::of(Algorithm::Es256);
    let claims = with(foreign_claims(), json!({"jti": null}));
    let (one, other) = (signer.token(&claims), signer.token(&claims));
    assert_ne!(one, other, "ECDSA signatures are random");
    let keys = signer.keys(None);
    let (one, other) = (present(&one, &keys, &foreign()).unwrap(), present(&other, &keys, &foreign()).unwrap());
    assert_eq!(one.digest(), other.digest());
    assert_eq!(one.token_target(), other.token_target());
}

#[test]
fn bcp_1_only_listed_algorithms_run() {
    let signer = Signer::of(Algorithm::EdDsa);
    let token = signer.token(&foreign_claims());
    let keys = signer.keys(None);
    for (allowed, answer) in [
        (vec![Algorithm::EdDsa], "OK"),
        (vec![Algorithm::Es256, Algorithm::EdDsa], "OK"),
        (vec![Algorithm::Es256], "alg_not_allowed"),
        (vec![], "alg_not_allowed"),
    ] {
        assert_eq!(code(present(&token, &keys, &foreign().with_algorithms(allowed))), answer);
    }
}

#[test]
fn bcp_1_a_key_that_names_its_alg_verifies_no_other() {
    let signer = Signer::of(Algorithm::Rs256);
    let jwk = with(signer.key(None).public_jwk().unwrap(), json!({"alg": null}));
    let any = [Key::from_jwk(&jwk).unwrap()].into_iter().collect();
    let bound = [Key::from_jwk(&with(jwk, json!({"alg": "PS256"}))).unwrap()].into_iter().collect();
    for algorithm in
        Algorithm::ALL.into_iter().filter(|algorithm| matches!(algorithm.name().as_bytes()[0], b'R' | b'P'))
    {
        let token = Signer::of(algorithm).token(&foreign_claims());
        assert_eq!(code(present(&token, &any, &foreign())), "OK", "{algorithm}");
        let answer = if algorithm == Algorithm::Ps256 { "OK" } else { "alg_not_allowed" };
        assert_eq!(code(present(&token, &bound, &foreign())), answer, "{algorithm}");
    }
}

#[test]
fn bcp_1_a_key_from_the_network_verifies_exactly_one_algorithm() {
    let jwk = with(Signer::of(Algorithm::Rs256).key(None).public_jwk().unwrap(), json!({"alg": null}));
    let (keys, skipped) = KeySet::from_values(&[jwk]);
    assert_eq!(skipped, []);
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| algorithm.name().as_bytes()[1] == b'S') {
        let token = Signer::of(algorithm).token(&foreign_claims());
        let answer = if algorithm == Algorithm::Rs256 { "OK" } else { "alg_not_allowed" };
        assert_eq!(code(present(&token, &keys, &foreign())), answer, "{algorithm}");
    }
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_symmetric()) {
        let named = Signer::of(algorithm).key(None).public_jwk().unwrap();
        let (keys, _) = KeySet::from_values(&[named]);
        let algorithms: Vec<_> = keys.iter().flat_map(|key| key.algorithms()).collect();
        assert_eq!(algorithms, [algorithm]);
    }
    let served = keys.iter().next().unwrap().public_jwk().unwrap();
    assert_eq!(served["alg"], "RS256", "whoever reads it from here is bound as well");
}

#[test]
fn bcp_3_a_key_of_one_issuer_never_verifies_for_another() {
    let (idp, annul) = (Signer::of(Algorithm::EdDsa), Signer::of(Algorithm::Es256));
    let forged = idp.token(&own_claims());
    assert_eq!(code(present(&forged, &annul.keys(None), &own())), "alg_not_allowed");
    assert_eq!(code(present(&forged, &idp.keys(None), &foreign())), "issuer_mismatch");
    let forged = idp.sign(r#"{"alg":"EdDSA","typ":"at+jwt","kid":"k"}"#, own_claims().to_string());
    assert_eq!(code(present(&forged, &annul.keys(Some("k")), &own())), "alg_not_allowed");
    assert_eq!(code(present(&forged, &KeySet::empty(), &own())), "key_unknown");
}

#[test]
fn the_payload_of_a_bare_jws_need_not_be_json() {
    let signer = Signer::of(Algorithm::EdDsa);
    for payload in [&b""[..], b"\xff\x00", b"plain", b"{\"a\":1,\"a\":2}"] {
        let token = signer.sign(r#"{"alg":"EdDSA"}"#, payload);
        assert_eq!(verify_jws(&token, &signer.keys(None)).unwrap(), payload);
        let crit = signer.sign(r#"{"alg":"EdDSA","crit":["x"]}"#, payload);
        assert_eq!(verify_jws(&crit, &signer.keys(None)), Err(TokenError::CritUnsupported));
    }
}

#[test]
fn keys_and_verified_tokens_are_shared_between_threads() {
    fn shared<T: Clone + Send + Sync + 'static>(_: &T) {}
    let signer = Signer::of(Algorithm::EdDsa);
    let keys = signer.keys(None);
    shared(&keys);
    shared(&present(&signer.token(&foreign_claims()), &keys, &foreign()).unwrap());
}
