//! Keys that are refused at load although a library would take them.

use super::jwk::JwkError;

/// The smallest RSA modulus (RFC 7518 §3.3).
pub const MIN_RSA_BITS: usize = 2048;

/// The largest RSA modulus: beyond it one verification takes longer than a denial of service needs.
pub const MAX_RSA_BITS: usize = 8192;

/// The longest RSA exponent, as in the cryptographic library: a long one makes verification as slow
/// as signing.
pub const MAX_RSA_EXPONENT_BITS: usize = 33;

pub(super) fn check_rsa(n: &[u8], e: &[u8]) -> Result<(), JwkError> {
    if n.first().is_none_or(|byte| *byte == 0) || e.first().is_none_or(|byte| *byte == 0) {
        return Err(JwkError::LeadingZero);
    }
    if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits(n)) {
        return Err(JwkError::RsaSize);
    }
    let exponent_is_one = e == [1];
    let exponent_is_even = e.last().is_none_or(|byte| byte.is_multiple_of(2));
    if exponent_is_one || exponent_is_even || bits(e) > MAX_RSA_EXPONENT_BITS {
        return Err(JwkError::RsaExponent);
    }
    if SMALL_PRIMES.iter().any(|prime| remainder(n, *prime) == 0) || is_roca(n) {
        return Err(JwkError::RsaWeak);
    }
    Ok(())
}

fn bits(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

const SMALL_PRIMES: [u32; 39] = [
    2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109,
    113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

fn remainder(number: &[u8], divisor: u32) -> u32 {
    number.iter().fold(0, |rest, byte| ((rest << 8) | u32::from(*byte)) % divisor)
}

/// Whether the modulus bears the mark of CVE-2017-15361: modulo each small prime it is a power of
/// 65537. A sound modulus passes for one with odds under 2^-27.
fn is_roca(n: &[u8]) -> bool {
    SMALL_PRIMES.iter().all(|prime| {
        let wanted = remainder(n, *prime);
        let generator = 65_537 % prime;
        let mut power = 1;
        loop {
            if power == wanted {
                return true;
            }
            power = power * generator % prime;
            if power == 1 {
                return false;
            }
        }
    })
}

/// y of the points whose order divides 8, little-endian, without the sign of x: 0, 1, -1 and the two
/// of order 8. Under such a key one signature fits many messages.
const SMALL_ORDER_Y: [[u8; 32]; 5] = [
    [0; 32],
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

/// 2^255 - 19, little-endian.
const ED25519_PRIME: [u8; 32] = {
    let mut prime = [0xff; 32];
    prime[0] = 0xed;
    prime[31] = 0x7f;
    prime
};

pub(super) fn check_ed25519(point: &[u8]) -> Result<(), JwkError> {
    let mut y: [u8; 32] = point.try_into().map_err(|_| JwkError::Length)?;
    y[31] &= 0x7f;
    // y and y + p are one point; written the second way it would slip past a list of the first.
    if y.iter().rev().ge(ED25519_PRIME.iter().rev()) {
        return Err(JwkError::Point);
    }
    if SMALL_ORDER_Y.contains(&y) { Err(JwkError::SmallOrder) } else { Ok(()) }
}

/// Whether bytes given as a secret are in truth a public key in one of its usual forms. Whoever can
/// read the key could sign with it.
pub(super) fn looks_like_a_public_key(bytes: &[u8]) -> bool {
    const PEM: &[u8] = b"-----BEGIN ";
    const SSH: [&[u8]; 3] = [b"ssh-", b"ecdsa-sha2-", b"sk-"];
    let text = bytes.trim_ascii_start();
    let pem = bytes.windows(PEM.len()).any(|window| window == PEM);
    let ssh = SSH.iter().any(|prefix| text.starts_with(prefix));
    let jwk = text.starts_with(b"{") && super::json::read_object(bytes.trim_ascii()).is_ok();
    pem || ssh || jwk || is_public_key_der(bytes)
}

/// `SubjectPublicKeyInfo` (a sequence of a sequence that opens with an object identifier) or
/// `RSAPublicKey` (a sequence of integers), of exactly the length it says.
fn is_public_key_der(bytes: &[u8]) -> bool {
    let Some(inner) = der_content(bytes, 0x30) else { return false };
    match inner.first() {
        Some(0x30) => inner.get(2) == Some(&0x06),
        Some(0x02) => bytes.starts_with(&[0x30, 0x82]) || bytes.starts_with(&[0x30, 0x81]),
        _ => false,
    }
}

fn der_content(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let (&first, rest) = bytes.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81 => rest.split_first().map(|(length, rest)| (usize::from(*length), rest))?,
        0x82 => rest.split_first_chunk().map(|(length, rest)| (usize::from(u16::from_be_bytes(*length)), rest))?,
        _ => return None,
    };
    (first == tag && length == rest.len()).then_some(rest)
}
