//! A million DPoP proofs in one minute: none twice, in bounded memory. A process of its own, so that
//! its memory is this test's.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::sync::LazyLock;

use annul_core::time::UnixSeconds;
use annul_core::token::{HttpUri, MAX_PROOF_AGE, MAX_PROOFS, ProofName, ProofsSeen, Seen};

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
/// Bytes that a million remembered proofs may need.
const MOST_MEMORY: u64 = 128 * 1024 * 1024;

/// Shows a proof that was made at `issued` to the memory at `now`.
fn show(seen: &ProofsSeen, number: usize, issued: UnixSeconds, now: UnixSeconds) -> Seen {
    static URI: LazyLock<HttpUri> =
        LazyLock::new(|| HttpUri::parse("https://auth.example/oauth2/token").expect("an address"));
    let jti = format!("proof {number}");
    let proof = ProofName { key: "a thumbprint", uri: &URI, jti: &jti, last_second: issued.plus(MAX_PROOF_AGE) };
    seen.first_use(proof, now)
}

fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
fn dp_7_a_million_proofs_fit_and_past_them_new_ones_are_refused_and_none_is_forgotten() {
    let seen = ProofsSeen::default();
    let before = resident();
    for number in 0..MAX_PROOFS {
        assert_eq!(show(&seen, number, NOW, NOW), Seen::New, "{number}");
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < MOST_MEMORY, "a million proofs need {grown} bytes");

    for number in MAX_PROOFS..MAX_PROOFS + 1000 {
        assert_eq!(show(&seen, number, NOW, NOW), Seen::Full);
    }
    for number in (0..MAX_PROOFS).step_by(997) {
        assert_eq!(show(&seen, number, NOW, NOW), Seen::Before);
    }
    assert!(resident().saturating_sub(before) < MOST_MEMORY, "refusing needs no memory");

    // In the last second of their lives all are known; after it there is room again.
    let last = NOW.plus(MAX_PROOF_AGE);
    assert_eq!(show(&seen, 0, NOW, last), Seen::Before);
    assert_eq!(show(&seen, MAX_PROOFS, last, last), Seen::Full);
    let after = last.plus(1);
    for number in 2 * MAX_PROOFS..2 * MAX_PROOFS + 1000 {
        assert_eq!(show(&seen, number, after, after), Seen::New);
    }
}

#[test]
fn dp_7_a_proof_is_told_by_its_key_address_and_name() {
    let seen = ProofsSeen::bounded(4);
    let [here, there] = ["https://auth.example/oauth2/token", "https://auth.example/oauth2/revoke"]
        .map(|address| HttpUri::parse(address).unwrap());
    let proof = ProofName { key: "a thumbprint", uri: &here, jti: "p-1", last_second: NOW.plus(MAX_PROOF_AGE) };
    assert_eq!(seen.first_use(proof, NOW), Seen::New);
    // Made again later, under a name that is spent.
    assert_eq!(seen.first_use(ProofName { last_second: NOW.plus(MAX_PROOF_AGE + 5), ..proof }, NOW), Seen::Before);
    assert_eq!(seen.first_use(ProofName { key: "another's", ..proof }, NOW), Seen::New);
    assert_eq!(seen.first_use(ProofName { uri: &there, ..proof }, NOW), Seen::New);
    assert_eq!(seen.first_use(ProofName { jti: "p-2", ..proof }, NOW), Seen::New);
    assert_eq!(seen.first_use(ProofName { jti: "p-3", ..proof }, NOW), Seen::Full);
}
