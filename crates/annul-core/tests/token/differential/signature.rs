//! Defects of the signature.

use annul_core::token::Algorithm;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::defect::{Case, Defect, claims, defect, header, jwk};
use crate::signing::Signer;

/// The order of P-256's group, big-endian.
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The order of Ed25519's group, little-endian.
const ED25519_ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

pub(super) fn defects() -> Vec<Defect> {
    let ecdsa = |change: Change<'_>| vec![signed_and(Algorithm::Es256, change)];
    vec![
        defect("JWS-4 damaged", "a bit of the signature, the payload or the header is another", |signer| {
            let token = sound(signer);
            let parts: Vec<Vec<u8>> = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
            let damaged = (0..3).flat_map(|part| [(part, 0.3), (part, 0.9)]).map(|(part, place)| {
                let mut parts = parts.clone();
                let place = (parts[part].len() as f64 * place) as usize;
                parts[part][place] ^= 1;
                parts.iter().map(|part| URL_SAFE_NO_PAD.encode(part)).collect::<Vec<_>>().join(".")
            });
            damaged.collect()
        }),
        defect("JWS-6 length", "the signature is a byte longer or shorter, or doubled", |signer| {
            let changes: [Change<'_>; 5] = [
                &|raw| raw[1..].to_vec(),
                &|raw| raw[..raw.len() - 1].to_vec(),
                &|raw| [raw, &[0]].concat(),
                &|raw| [&[0], raw].concat(),
                &|raw| [raw, raw].concat(),
            ];
            changes.into_iter().map(|change| with_signature(&sound(signer), change)).collect()
        }),
        Defect {
            id: "JWS-4 another key",
            what: "signed by another key of the same kind",
            cases: vec![
                by_another(&Signer::of(Algorithm::Es256), &Signer::of(Algorithm::Es256)),
                by_another(
                    &Signer::of(Algorithm::EdDsa),
                    &Signer::Ed25519(Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap()),
                ),
            ],
        },
        Defect {
            id: "JWS-4 public key as secret",
            what: "`HS256`, and the public key in some writing as the secret",
            cases: [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa].into_iter().map(confused).collect(),
        },
        Defect {
            id: "JWS-6 ECDSA in DER",
            what: "an ECDSA signature as a sequence of two integers",
            cases: ecdsa(&der),
        },
        Defect {
            id: "JWS-6 ECDSA of nothing",
            what: "r or s are zero, or the group's order",
            cases: vec![
                signed_and(Algorithm::Es256, &|_| vec![0; 64]),
                signed_and(Algorithm::Es256, &|raw| [&raw[..32], &[0; 32]].concat()),
                signed_and(Algorithm::Es256, &|_| P256_ORDER.repeat(2)),
                signed_and(Algorithm::Es384, &|_| vec![0; 96]),
            ],
        },
        Defect {
            id: "JWS-7 second ECDSA signature",
            what: "s is replaced by n - s, which anybody can do (sound)",
            cases: ecdsa(&|raw| [&raw[..32], &minus(&P256_ORDER, &raw[32..])].concat()),
        },
        Defect {
            id: "JWS-6 Ed25519, s not reduced",
            what: "the group's order is added to s",
            cases: vec![signed_and(Algorithm::EdDsa, &|raw| [&raw[..32], &plus(&raw[32..], &ED25519_ORDER)].concat())],
        },
    ]
}

/// What becomes of a signature's bytes.
type Change<'c> = &'c dyn Fn(&[u8]) -> Vec<u8>;

/// A token by the one, presented as the other's.
fn by_another(expected: &Signer, signer: &Signer) -> Case {
    Case::new(expected, sound(signer))
}

fn sound(signer: &Signer) -> String {
    signer.sign(header(signer).to_string(), claims().to_string())
}

fn with_signature(token: &str, change: Change<'_>) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = change(&URL_SAFE_NO_PAD.decode(signature).unwrap());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn signed_and(algorithm: Algorithm, change: Change<'_>) -> Case {
    let signer = Signer::of(algorithm);
    Case::new(&signer, with_signature(&sound(&signer), change))
}

/// A token under HS256 whose secret is the text of the public key.
fn confused(algorithm: Algorithm) -> Case {
    let signer = Signer::of(algorithm);
    let public = jwk(&signer).to_string();
    let secret = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, public.as_bytes());
    let header = json!({"alg": "HS256", "typ": "at+jwt"}).to_string();
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims().to_string()));
    let tag = aws_lc_rs::hmac::sign(&secret, message.as_bytes());
    Case::new(&signer, format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag)))
}

fn der(raw: &[u8]) -> Vec<u8> {
    let integer = |number: &[u8]| {
        let number: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
        let sign = if number[0] >= 0x80 { vec![0] } else { Vec::new() };
        [vec![2, (sign.len() + number.len()) as u8], sign, number].concat()
    };
    let both = [integer(&raw[..32]), integer(&raw[32..])].concat();
    [vec![0x30, both.len() as u8], both].concat()
}

/// Big-endian.
fn minus(from: &[u8], number: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    let mut difference: Vec<u8> = from
        .iter()
        .zip(number)
        .rev()
        .map(|(from, byte)| {
            let rest = i16::from(*from) - i16::from(*byte) - borrow;
            borrow = i16::from(rest < 0);
            rest.rem_euclid(256) as u8
        })
        .collect();
    difference.reverse();
    difference
}

/// Little-endian.
fn plus(one: &[u8], other: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    let digits = one.iter().zip(other).map(|(one, other)| {
        let sum = u16::from(*one) + u16::from(*other) + carry;
        carry = sum >> 8;
        sum as u8
    });
    digits.collect()
}
