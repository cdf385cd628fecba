//! Keys that should not be loaded, with tokens that verify under them.

use annul_core::token::Algorithm;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::defect::{Case, Defect, claims, jwk};
use crate::signing::{Signer, with};

pub(super) fn defects() -> Vec<Defect> {
    let of = |algorithms: &[Algorithm], change: Value| {
        algorithms.iter().map(|algorithm| described(*algorithm, &change)).collect::<Vec<_>>()
    };
    let public = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256];
    vec![
        Defect {
            id: "JWK-1 purpose",
            what: "`use` is `enc`, or `key_ops` lacks `verify`",
            cases: [of(&public, json!({"use": "enc"})), of(&public, json!({"key_ops": ["encrypt"]}))].concat(),
        },
        Defect {
            id: "JWK-1 private",
            what: "the key is published with a private member",
            cases: of(&public, json!({"d": "AQAB"})),
        },
        Defect {
            id: "JWK-1 alg",
            what: "the key's `alg` is another key type's",
            cases: of(&public, json!({"alg": "HS256"})),
        },
        Defect {
            id: "JWS-6 short secrets",
            what: "a secret of 31, 8 or 1 bytes for HS256",
            cases: [31, 8, 1].map(|length| secret(&vec![b'k'; length])).into(),
        },
        Defect {
            id: "JWS-4 secrets that are public",
            what: "the secret is the text of a public key, as PEM or JWK",
            cases: vec![
                secret(b"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n"),
                secret(br#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#),
                secret(b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"),
            ],
        },
        Defect {
            id: "JWS-6 small order",
            what: "an Ed25519 key of small order: one signature fits every message",
            cases: vec![small_order()],
        },
        Defect {
            id: "JWS-6 exponent 1",
            what: "an RSA key whose exponent is 1: every padded hash is its own signature",
            cases: vec![exponent_one()],
        },
        Defect {
            id: "JWS-6 leading zero",
            what: "a zero before the RSA modulus or the exponent: a second writing of the key",
            cases: vec![zero_before("n"), zero_before("e")],
        },
        Defect {
            id: "JWS-6 coordinates",
            what: "an EC point off the curve, or a coordinate that is not 32 bytes long",
            cases: vec![point(|x| x[0] ^= 1), point(|x| x.insert(0, 0)), point(|x| x.truncate(31))],
        },
        Defect {
            id: "JWK-1 spelling",
            what: "`kty` or `crv` in another case",
            cases: [of(&public[..2], json!({"crv": "p-256"})), of(&public, json!({"kty": "rsa"}))].concat(),
        },
    ]
}

/// A sound token, and its key described with this change.
fn described(algorithm: Algorithm, change: &Value) -> Case {
    let signer = Signer::of(algorithm);
    let case = Case::new(&signer, signer.token(&claims()));
    Case { jwk: with(case.jwk, change.clone()), ..case }
}

fn secret(bytes: &[u8]) -> Case {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, bytes);
    let jwk = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(bytes), "alg": "HS256"});
    Case {
        token: put_together("HS256", |message| aws_lc_rs::hmac::sign(&key, message).as_ref().to_vec()),
        jwk,
        algorithm: Algorithm::Hs256,
    }
}

fn put_together(alg: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let header = json!({"alg": alg, "typ": "at+jwt"}).to_string();
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims().to_string()));
    let signature = sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The neutral point as key and as R, and s = 0: R = sB - hA holds whatever h is.
fn small_order() -> Case {
    let neutral = {
        let mut point = [0; 32];
        point[0] = 1;
        point
    };
    let signature = [neutral, [0; 32]].concat();
    Case {
        token: put_together("EdDSA", |_| signature.clone()),
        jwk: json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(neutral), "alg": "EdDSA"}),
        algorithm: Algorithm::EdDsa,
    }
}

/// Raised to the first power the padded hash is itself.
fn exponent_one() -> Case {
    const SHA256_IS: [u8; 19] =
        [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0, 0x04, 0x20];
    let pad = |message: &[u8]| {
        let hash = digest(&SHA256, message);
        let filling = 256 - 3 - SHA256_IS.len() - hash.as_ref().len();
        [&[0, 1][..], &vec![0xff; filling], &[0], &SHA256_IS, hash.as_ref()].concat()
    };
    let jwk = with(jwk(&Signer::of(Algorithm::Rs256)), json!({"e": "AQ"}));
    Case { token: put_together("RS256", pad), jwk, algorithm: Algorithm::Rs256 }
}

fn zero_before(member: &str) -> Case {
    let case = described(Algorithm::Rs256, &json!({}));
    let number = URL_SAFE_NO_PAD.decode(case.jwk[member].as_str().unwrap()).unwrap();
    let longer = URL_SAFE_NO_PAD.encode([&[0][..], &number].concat());
    Case { jwk: with(case.jwk, json!({ member: longer })), ..case }
}

fn point(change: impl Fn(&mut Vec<u8>)) -> Case {
    let case = described(Algorithm::Es256, &json!({}));
    let mut x = URL_SAFE_NO_PAD.decode(case.jwk["x"].as_str().unwrap()).unwrap();
    change(&mut x);
    Case { jwk: with(case.jwk, json!({"x": URL_SAFE_NO_PAD.encode(x)})), ..case }
}
