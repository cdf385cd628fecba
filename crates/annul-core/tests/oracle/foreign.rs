//! Foreign tokens have no position and are dated in whole seconds by a clock that is not ours. What
//! existed when an entry was made must be dead; only the second of the entry and the issuer's skew
//! may be refused without need.

use annul_core::algebra::{Cell, Cutoff, Reach, Reading, Until};
use annul_core::fold::Asked;
use annul_core::position::Position;
use annul_core::target::TargetKind;
use annul_core::time::{UnixMillis, UnixSeconds};
use proptest::prelude::*;

/// A moment in a stretch short enough that everything happens close together.
fn millis() -> impl Strategy<Value = u64> {
    1_000_000..1_012_000u64
}

fn revoked(commits: &[u64], reading: Reading) -> bool {
    let asked = Asked { kind: TargetKind::Subject, cutoff: Cutoff::Now, reach: Reach::Both, foreign: true };
    let cells = commits.iter().enumerate().map(|(index, commit)| {
        let fields = asked.admit(UnixMillis(*commit)).unwrap().fields;
        Cell::of(fields, Position::new(1, index as u64 + 1), Until::Never)
    });
    cells.reduce(Cell::absorb).is_some_and(|cell| cell.judge(&reading).is_some())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_foreign_now_kills_what_existed_and_errs_by_skew_and_a_second_at_most(
        commits in prop::collection::vec(millis(), 1..4),
        issued in millis(),
        skew in 0..4u64,
        ahead in 0..=1_000u64,
    ) {
        // The issuer's clock runs ahead by some part of the skew that it is allowed.
        let iat = UnixSeconds((issued + ahead * skew) / 1000);
        let dead = revoked(&commits, Reading::Foreign { issued: Some(iat), skew });
        let existed = commits.iter().any(|commit| issued <= *commit);
        let clearly_later = commits.iter().all(|commit| issued >= commit + 1000 * (skew + 1));
        prop_assert!(dead || !existed, "a token that existed lives");
        prop_assert!(!dead || !clearly_later, "a token from well after the entries is refused");
        prop_assert!(revoked(&commits, Reading::Foreign { issued: None, skew }), "no iat is older than every cutoff");
    }
}
