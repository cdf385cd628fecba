//! A target by name: its text and its hash.
//!
//! The bytes are lines: our own issuer, another issuer, and texts and parts of targets.

use annul_core::target::{HashKey, Target, TargetKind};

/// Holds the promise to these bytes.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.split('\n');
    let (Some(own), Some(other)) = (lines.next(), lines.next()) else { return };
    if own.is_empty() || other.is_empty() {
        return;
    }
    let lines: Vec<&str> = lines.collect();
    let read = lines.iter().filter_map(|line| Target::parse(line, own).ok());
    let made = lines.windows(2).flat_map(|parts| {
        let one = TargetKind::ALL.map(|kind| Target::one(other, kind, parts[0]).ok());
        let two = TargetKind::ALL.map(|kind| Target::two(own, kind, parts[0], parts[1]).ok());
        one.into_iter().chain(two).flatten()
    });
    let targets: Vec<Target> = read.chain(made).take(24).collect();
    for target in &targets {
        has_one_text(target, own, other);
    }
    are_told_apart(&targets);
}

fn has_one_text(target: &Target, own: &str, other: &str) {
    for reader in [own, other, "https://third.example"] {
        let text = target.text(reader);
        if text.len() > Target::MAX_TEXT {
            assert!(Target::parse(&text, reader).is_err());
            continue;
        }
        let again = Target::parse(&text, reader).unwrap_or_else(|error| panic!("{text:?} is refused: {error}"));
        assert_eq!((&again, again.text(reader)), (target, text));
    }
    assert!(target.parts().iter().all(|part| !part.is_empty()));
}

/// Two targets have one hash if and only if they are the same issuer, kind and parts.
fn are_told_apart(targets: &[Target]) {
    let key = HashKey::from_bytes([7; 32]);
    let hashed: Vec<_> = targets.iter().map(|target| (target.hash(&key), target)).collect();
    for (index, (hash, target)) in hashed.iter().enumerate() {
        assert_ne!(*hash, target.hash(&HashKey::from_bytes([8; 32])), "the key does not matter");
        for (other_hash, other) in &hashed[..index] {
            assert_eq!(hash == other_hash, target == other, "{target:?} and {other:?}");
        }
    }
}
