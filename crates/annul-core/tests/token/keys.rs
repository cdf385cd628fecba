//! Loading keys: exact lengths, no weak keys, no private members, RFC 7638 names.

use annul_core::token::{Algorithm, JwkError, Key, KeySet, MAX_JWKS, MAX_KEYS, Malformed};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::signing::*;

fn refusal(jwk: &Value) -> JwkError {
    Key::from_jwk(jwk).expect_err("a key that must not load")
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// RFC 7638 §3.1.
const RFC_7638_N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";

fn rfc_7638() -> Value {
    json!({"kty": "RSA", "n": RFC_7638_N, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"})
}

fn ed25519() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
}

fn p256() -> Value {
    json!({
        "kty": "EC", "crv": "P-256",
        "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs", "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
    })
}

#[test]
fn jwk_2_ids_are_rfc_7638_thumbprints() {
    let id = |jwk: &Value| Key::from_jwk(jwk).unwrap().id().to_owned();
    assert_eq!(id(&rfc_7638()), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", "RFC 7638 section 3.1");
    assert_eq!(id(&ed25519()), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", "RFC 8037 appendix A.3");
    assert_eq!(id(&p256()), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I", "RFC 9449 section 6.1");
    let renamed = with(ed25519(), json!({"kid": "other", "alg": "EdDSA", "use": "sig", "x-anything": [1]}));
    assert_eq!(id(&renamed), id(&ed25519()), "only the required members count");
    // SHA-256 of {"k":...,"kty":"oct"}, taken with another tool.
    let oct = json!({"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"});
    assert_eq!(id(&oct), "y_x3gCJnL6oKGBBIXScabduwxTVy2Wd2bzRVEUbdUzc");
    assert_eq!(id(&with(oct, json!({"kid": "partner"}))), "partner", "a secret goes by its name");
}

#[test]
fn jwk_1_what_cannot_be_used_is_skipped_and_spoils_nothing() {
    let set = json!({"keys": [
        rfc_7638(),
        {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA", "kid": "future"},
        with(p256(), json!({"use": "enc"})),
        with(p256(), json!({"key_ops": ["deriveKey"]})),
        with(ed25519(), json!({"kid": "good", "key_ops": ["verify"], "use": "sig", "x5c": 7})),
        {"kty": "OKP", "crv": "X25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kty": "OKP", "crv": "Ed448", "x": "AAAA"},
        {"kty": "EC", "crv": "secp256k1", "x": "AAAA", "y": "AAAA"},
        "not an object",
        {},
        with(rfc_7638(), json!({"alg": "RSA-OAEP"})),
    ], "extra": true});
    let (keys, skipped) = KeySet::from_jwks(set.to_string().as_bytes()).unwrap();
    assert_eq!(keys.iter().map(|key| key.kid().unwrap()).collect::<Vec<_>>(), ["2011-04-29", "good"]);
    let reasons: Vec<_> = skipped.iter().map(|key| (key.index, key.reason)).collect();
    assert_eq!(
        reasons,
        [
            (1, JwkError::Algorithm),
            (2, JwkError::Purpose),
            (3, JwkError::Purpose),
            (5, JwkError::Curve),
            (6, JwkError::Curve),
            (7, JwkError::Curve),
            (8, JwkError::Member("kty")),
            (9, JwkError::Member("kty")),
            (10, JwkError::Algorithm),
        ]
    );
    assert_eq!(skipped[0].kid.as_deref(), Some("future"));
}

#[test]
fn jwk_1_a_set_is_an_object_with_keys() {
    for json in ["{}", r#"{"keys":{}}"#, r#"{"keys":null}"#, &rfc_7638().to_string()] {
        assert_eq!(KeySet::from_jwks(json.as_bytes()).unwrap_err(), JwkError::Set, "{json}");
    }
    for (json, malformed) in [
        ("[]", Malformed::NotObject),
        ("", Malformed::Json),
        (r#"{"keys":[],"keys":[]}"#, Malformed::DuplicateMember),
        (r#"{"keys":[{"kty":"oct","kty":"EC"}]}"#, Malformed::DuplicateMember),
    ] {
        assert_eq!(KeySet::from_jwks(json.as_bytes()).unwrap_err(), JwkError::Malformed(malformed), "{json}");
    }
    assert!(KeySet::from_jwks(br#"{"keys":[]}"#).unwrap().0.is_empty());
    let many = json!({"keys": vec![ed25519(); MAX_KEYS + 1]}).to_string();
    assert_eq!(KeySet::from_jwks(many.as_bytes()).unwrap_err(), JwkError::Set);
    let long = format!("{}{{\"keys\":[]}}", " ".repeat(MAX_JWKS));
    assert_eq!(KeySet::from_jwks(long.as_bytes()).unwrap_err(), JwkError::Set);
}

#[test]
fn jwk_1_private_members_are_refused_and_never_served() {
    for member in ["d", "p", "q", "dp", "dq", "qi", "oth"] {
        for jwk in [rfc_7638(), ed25519(), p256()] {
            assert_eq!(refusal(&with(jwk, json!({ member: "AQAB" }))), JwkError::Private, "{member}");
        }
    }
    let served = Key::from_jwk(&with(ed25519(), json!({"kid": "k", "k": "AQAB", "x5u": "https://a", "ext": true})));
    let expected = with(ed25519(), json!({"kid": "k", "alg": "EdDSA", "use": "sig"}));
    assert_eq!(served.unwrap().public_jwk(), Some(expected), "what is served is made anew");
    let secret = json!({"kty": "oct", "k": encode(SECRET)});
    assert_eq!(Key::from_jwk(&secret).unwrap().public_jwk(), None);
}

#[test]
fn jwk_1_a_secret_has_no_place_among_public_keys() {
    let values = [json!({"kty": "oct", "k": encode(SECRET), "kid": "s"}), ed25519()];
    let (keys, skipped) = KeySet::from_values(&values);
    assert_eq!(keys.len(), 1);
    assert_eq!(skipped[0].reason, JwkError::Secret);
    let set = json!({ "keys": values }).to_string();
    assert_eq!(KeySet::from_jwks(set.as_bytes()).unwrap().0.len(), 2, "a local file may hold secrets");
}

#[test]
fn jwk_1_members_have_their_types_and_one_spelling() {
    for (jwk, member) in [(rfc_7638(), "n"), (rfc_7638(), "e"), (p256(), "x"), (p256(), "y"), (ed25519(), "x")] {
        let text = jwk[member].as_str().unwrap().to_owned();
        for other in [json!(7), json!([text]), json!(format!("{text}=")), json!(format!(" {text}")), json!("a+/b")] {
            assert!(Key::from_jwk(&with(jwk.clone(), json!({ member: other }))).is_err(), "{member}: {other}");
        }
        assert_eq!(refusal(&with(jwk.clone(), json!({ member: null }))), JwkError::Member(member_name(member)));
    }
    for (member, value) in [("kid", json!(7)), ("alg", json!(7)), ("use", json!(7)), ("kty", json!(7))] {
        assert_eq!(refusal(&with(ed25519(), json!({ member: value }))), JwkError::Member(member_name(member)));
    }
    for kid in [String::new(), "k".repeat(513)] {
        assert_eq!(refusal(&with(ed25519(), json!({"kid": kid}))), JwkError::Kid);
    }
    // The last character of 32 bytes has two unused bits.
    assert!(Key::from_jwk(&with(ed25519(), json!({"x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURp"}))).is_err());
}

fn member_name(name: &str) -> &'static str {
    ["n", "e", "x", "y", "kid", "alg", "use", "kty"].into_iter().find(|known| *known == name).unwrap()
}

#[test]
fn jwk_1_alg_belongs_to_the_keys_type() {
    for (jwk, algs) in [
        (rfc_7638(), ["ES256", "EdDSA", "HS256", "none", "rs256"]),
        (p256(), ["ES384", "ES512", "EdDSA", "RS256", "HS256"]),
        (ed25519(), ["ES256", "Ed448", "HS256", "RS256", "none"]),
        (json!({"kty": "oct", "k": encode(SECRET)}), ["RS256", "ES256", "EdDSA", "none", "A128KW"]),
    ] {
        for alg in algs {
            assert_eq!(refusal(&with(jwk.clone(), json!({"alg": alg}))), JwkError::Algorithm, "{alg}");
        }
    }
    let named = with(ed25519(), json!({"alg": "Ed25519"}));
    assert_eq!(Key::from_jwk(&named).unwrap().algorithms().collect::<Vec<_>>(), [Algorithm::EdDsa]);
}

#[test]
fn jwk_1_only_keys_for_verifying_load() {
    for (member, value) in [
        ("use", json!("enc")),
        ("use", json!("SIG")),
        ("use", json!("")),
        ("key_ops", json!([])),
        ("key_ops", json!(["sign"])),
        ("key_ops", json!("verify")),
        ("key_ops", json!({"verify": true})),
        ("key_ops", json!(["encrypt", "wrapKey"])),
    ] {
        assert_eq!(refusal(&with(p256(), json!({ member: value }))), JwkError::Purpose, "{member}: {value}");
    }
    assert!(Key::from_jwk(&with(p256(), json!({"use": "sig", "key_ops": ["sign", "verify"]}))).is_ok());
}

#[test]
fn jws_6_rsa_keys_have_a_sound_size_and_form() {
    let n = URL_SAFE_NO_PAD.decode(RFC_7638_N).unwrap();
    let rsa = |n: &[u8], e: &[u8]| Key::from_jwk(&json!({"kty": "RSA", "n": encode(n), "e": encode(e)})).map(|_| ());
    let f4 = [1, 0, 1];
    assert_eq!(rsa(&n, &f4), Ok(()));
    assert_eq!(rsa(&[&[0], n.as_slice()].concat(), &f4), Err(JwkError::LeadingZero));
    assert_eq!(rsa(&n, &[0, 1, 0, 1]), Err(JwkError::LeadingZero));
    assert_eq!(rsa(&n, &[]), Err(JwkError::LeadingZero));
    assert_eq!(rsa(&[], &f4), Err(JwkError::LeadingZero));
    assert_eq!(rsa(&n, &[0]), Err(JwkError::LeadingZero));

    let of_bits = |bits: usize| {
        let mut n: Vec<u8> = n.iter().copied().cycle().take(bits.div_ceil(8)).collect();
        n[0] = 1 << ((bits - 1) % 8);
        // Adjusted until no small prime divides it.
        (0..=255)
            .map(|last| {
                *n.last_mut().unwrap() = last;
                n.clone()
            })
            .find_map(|n| match rsa(&n, &f4) {
                Err(JwkError::RsaWeak) => None,
                other => Some(other),
            })
    };
    for bits in [512, 1024, 2040, 2047, 8193, 8200, 16_384, 100_000] {
        assert_eq!(of_bits(bits), Some(Err(JwkError::RsaSize)), "{bits}");
    }
    for bits in [2048, 2049, 3072, 4096, 8192] {
        assert_eq!(of_bits(bits), Some(Ok(())), "{bits}");
    }
    for e in [&[1][..], &[2], &[4], &[1, 0, 0], &[0xff; 5], &[3, 0, 0, 0, 1], &[1; 256]] {
        assert_eq!(rsa(&n, e), Err(JwkError::RsaExponent), "{e:?}");
    }
    for e in [&[3][..], &[17], &[1, 0, 0, 0, 1], &[1, 0xff, 0xff, 0xff, 0xff]] {
        assert_eq!(rsa(&n, e), Ok(()), "{e:?}");
    }
}

#[test]
fn jws_6_weak_rsa_moduli_are_refused() {
    let n = URL_SAFE_NO_PAD.decode(RFC_7638_N).unwrap();
    let weak = |n: &[u8]| Key::rsa(None, &[Algorithm::Rs256], n, &[1, 0, 1]).err();
    let mut even = n.clone();
    *even.last_mut().unwrap() &= 0xfe;
    assert_eq!(weak(&even), Some(JwkError::RsaWeak));
    // 3 times something: the sum of the bytes decides, since 256 is 1 modulo 3.
    let rest = n.iter().map(|byte| u32::from(*byte)).sum::<u32>() % 3;
    let mut by_three = n.clone();
    by_three[1] = by_three[1].wrapping_sub(u8::try_from(rest).unwrap());
    assert_eq!(weak(&by_three), Some(JwkError::RsaWeak));
    let marked = URL_SAFE_NO_PAD.decode(include_str!("roca_modulus.txt").trim()).unwrap();
    assert_eq!(weak(&marked), Some(JwkError::RsaWeak), "CVE-2017-15361");
}

#[test]
fn jws_6_ec_points_have_exact_length_and_lie_on_their_curve() {
    let x = URL_SAFE_NO_PAD.decode(p256()["x"].as_str().unwrap()).unwrap();
    let y = URL_SAFE_NO_PAD.decode(p256()["y"].as_str().unwrap()).unwrap();
    let ec = |x: &[u8], y: &[u8]| Key::from_jwk(&with(p256(), json!({"x": encode(x), "y": encode(y)}))).err();
    assert_eq!(ec(&x, &y), None);
    assert_eq!(ec(&[&[0], x.as_slice()].concat(), &y), Some(JwkError::Length));
    assert_eq!(ec(&x[1..], &y), Some(JwkError::Length));
    assert_eq!(ec(&x, &[]), Some(JwkError::Length));
    assert_eq!(ec(&x, &x), Some(JwkError::Point), "not on the curve");
    assert_eq!(ec(&[0; 32], &[0; 32]), Some(JwkError::Point));
    assert_eq!(ec(&[0xff; 32], &y), Some(JwkError::Point), "beyond the field");
    assert_eq!(refusal(&with(p256(), json!({"crv": "P-384"}))), JwkError::Length);
    assert_eq!(refusal(&with(p256(), json!({"crv": "p-256"}))), JwkError::Curve);

    let compressed = [&[2 + (y[31] & 1)], x.as_slice()].concat();
    let hybrid = [&[6 + (y[31] & 1)], x.as_slice(), &y].concat();
    for point in [compressed, hybrid, vec![0], vec![]] {
        assert_eq!(Key::ec(None, Algorithm::Es256, &point).err(), Some(JwkError::Length), "{point:?}");
    }
    assert_eq!(Key::ec(None, Algorithm::EdDsa, &[4; 65]).err(), Some(JwkError::Algorithm));
}

#[test]
fn jws_6_ed25519_points_of_small_order_are_refused_in_every_spelling() {
    let hex = |text: &str| -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    };
    // Every encoding that decodes to one of the eight points, lenient readers included.
    let encodings = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    ];
    for encoding in encodings {
        let refused = refusal(&with(ed25519(), json!({"x": encode(&hex(encoding))})));
        assert!(matches!(refused, JwkError::SmallOrder | JwkError::Point), "{encoding}: {refused}");
    }
    // Not canonical though of large order: 2 + p and 18 + p.
    for low in [0xef, 0xff] {
        let mut point = [0xff; 32];
        (point[0], point[31]) = (low, 0x7f);
        assert_eq!(refusal(&with(ed25519(), json!({"x": encode(&point)}))), JwkError::Point);
    }
    for length in [0, 31, 33, 64] {
        assert_eq!(refusal(&with(ed25519(), json!({"x": encode(&vec![9; length])}))), JwkError::Length, "{length}");
    }
}

#[test]
fn jws_6_secrets_are_as_long_as_their_hash() {
    for (algorithm, shortest) in [(Algorithm::Hs256, 32), (Algorithm::Hs384, 48), (Algorithm::Hs512, 64)] {
        for length in [0, 1, shortest - 1] {
            assert_eq!(Key::secret("s", algorithm, &vec![b'x'; length]).err(), Some(JwkError::SecretTooShort));
        }
        assert!(Key::secret("s", algorithm, &vec![b'x'; shortest]).is_ok());
    }
    let of_length = |length| {
        let jwk = json!({"kty": "oct", "k": encode(&vec![b'x'; length])});
        Key::from_jwk(&jwk).map(|key| key.algorithms().count())
    };
    assert_eq!(of_length(31), Err(JwkError::SecretTooShort));
    assert_eq!([of_length(32), of_length(48), of_length(64)], [Ok(1), Ok(2), Ok(3)]);
    assert_eq!(Key::secret("s", Algorithm::Es256, SECRET).err(), Some(JwkError::Algorithm));
    assert_eq!(Key::secret("", Algorithm::Hs256, SECRET).err(), Some(JwkError::Kid));
}

#[test]
fn a_public_jwk_reads_back_as_the_same_key() {
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_symmetric()) {
        let key = Signer::of(algorithm).key(Some("k"));
        let again = Key::from_jwk(&key.public_jwk().unwrap()).unwrap();
        assert_eq!((again.id(), again.kid()), (key.id(), Some("k")));
        assert_eq!(again.algorithms().collect::<Vec<_>>(), [algorithm]);
    }
}

#[test]
fn a_key_is_held_once() {
    let mut keys = KeySet::empty();
    let key = Key::from_jwk(&with(ed25519(), json!({"kid": "a"}))).unwrap();
    keys.insert(key.clone());
    keys.insert(key);
    assert_eq!(keys.len(), 1);
    keys.insert(Key::from_jwk(&with(ed25519(), json!({"kid": "b"}))).unwrap());
    assert_eq!((keys.len(), keys.with_kid("a").count()), (2, 1));
}
