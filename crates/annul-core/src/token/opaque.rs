//! The form of opaque tokens: a prefix, base64url, a checksum.
//!
//! ```text
//! "annul_at_" | base64url(…) | checksum
//! ```
//!
//! Prefix and checksum let scanners for leaked secrets tell a token from what only looks like one,
//! without asking anybody; so can a verifier. The checksum guards against nothing else: anybody can
//! compute it.

/// What a reference token begins with: an access token that only its authority can resolve.
pub const REFERENCE_PREFIX: &str = "annul_at_";
/// Characters of a checksum: digits of base 62 that any CRC-32 fits into.
pub const CHECKSUM: usize = 6;
/// Characters a reference token may have. Ours have half as many.
pub const MAX_REFERENCE: usize = 256;

/// The checksum of what stands before it: its CRC-32 in base 62, most significant digit first.
#[must_use]
pub fn checksum(before: &str) -> [u8; CHECKSUM] {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut rest = crc32(before.as_bytes());
    let mut checksum = [0; CHECKSUM];
    for digit in checksum.iter_mut().rev() {
        #[expect(clippy::indexing_slicing, reason = "a remainder of 62 is below 62")]
        let character = DIGITS[(rest % 62) as usize];
        *digit = character;
        rest /= 62;
    }
    checksum
}

/// Whether a text has the form of a reference token, checksum included. Nothing is believed of it.
#[must_use]
pub fn is_reference(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(REFERENCE_PREFIX) else { return false };
    let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if text.len() > MAX_REFERENCE || rest.len() <= CHECKSUM || !rest.bytes().all(is_base64url) {
        return false;
    }
    let split = text.split_at_checked(text.len() - CHECKSUM);
    split.is_some_and(|(before, given)| given.as_bytes() == checksum(before))
}

/// The CRC-32 of Ethernet and zip. A hundred bytes need no table.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_that_scanners_compute() {
        // The check value of this CRC in the catalogue of parametrised CRC algorithms, and in base 62.
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(&checksum("123456789"), b"3jZRME");
        assert_eq!(&checksum(""), b"000000");
    }

    #[test]
    fn a_reference_is_told_by_prefix_alphabet_length_and_checksum() {
        let with_checksum = |before: &str| format!("{before}{}", String::from_utf8(checksum(before).to_vec()).unwrap());
        let good = with_checksum("annul_at_AbC-_9");
        assert!(is_reference(&good));
        for at in 0..good.len() {
            let mut changed = good.clone().into_bytes();
            changed[at] = if changed[at] == b'x' { b'y' } else { b'x' };
            assert!(!is_reference(&String::from_utf8(changed).unwrap()), "character {at} may be changed");
            assert!(!is_reference(&good[..at]));
        }
        let long = "A".repeat(MAX_REFERENCE);
        for bad in ["annul_rt_AbC", "annul_at_", "annul_at_a.b", "annul_at_é", &format!("annul_at_{long}")] {
            assert!(!is_reference(&with_checksum(bad)), "{bad}");
        }
    }
}
