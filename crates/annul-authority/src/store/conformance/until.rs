//! Claims about how long entries are kept, and that forgetting changes nothing.

use crate::store::tables::CLOCK_ERROR;
use annul_core::algebra::{Cutoff, Reach, Until};
use annul_core::position::Position;
use annul_core::target::TargetKind;

use super::log::everything;
use super::*;
use crate::store::MAX_PAGE;

/// Longest life, leeway and skew, counted from the commit rounded up.
pub async fn until_outlasts_every_token_that_matches(bench: Bench) {
    let bench = bench.with_log().await;
    let newest = START.next_second().plus(LIFE).plus(MARGIN);
    for (text, cutoff, expected) in [
        ("subject:alice", Cutoff::Now, Until::At(newest)),
        ("subject:alice", Cutoff::Before(bench.now()), Until::At(newest)),
        ("session:unknown", Cutoff::Always, Until::At(newest)),
        ("token:j1", Cutoff::Always, Until::At(newest)),
        ("subject:alice", Cutoff::Always, Until::Never),
        ("key:print", Cutoff::Always, Until::Never),
    ] {
        assert_eq!(until(&bench, entry(text, cutoff, Reach::Both)).await, expected, "{text}");
    }
    let exp = bench.now().plus(100);
    let known = NewRevocation { exp: Some(exp), ..entry("token:j2", Cutoff::Always, Reach::Both) };
    assert_eq!(until(&bench, known).await, Until::At(exp.plus(MARGIN)));
}

/// A shorter life set today does not shorten the tokens of yesterday.
pub async fn until_outlasts_tokens_from_when_lives_were_longer(bench: Bench) {
    let bench = bench.with_log().await.with_foreign().await;
    let before = bench.log().await.settings;
    let shorter = Settings { revision: 2, longest_life: 60, ..before };
    bench.store.publish_settings(act(), shorter).await.unwrap();
    bench.store.put_issuer(act(), foreign_issuer(60)).await.unwrap();
    let outstanding = START.next_second().plus(LIFE);
    bench.pass(10);
    let own = entry("subject:alice", Cutoff::Now, Reach::Both);
    let theirs = NewRevocation { target: foreign("bob"), ..own.clone() };
    for new in [own.clone(), theirs.clone()] {
        assert_eq!(until(&bench, new).await, Until::At(outstanding.plus(MARGIN)));
    }
    bench.pass(LIFE);
    let short = bench.now().plus(1 + 60 + MARGIN);
    for new in [own, theirs] {
        assert_eq!(until(&bench, new).await, Until::At(short), "all longer tokens are gone");
    }
}

/// A caller may ask for longer, never for shorter.
pub async fn until_is_the_callers_only_where_it_is_longer(bench: Bench) {
    let bench = bench.with_log().await;
    let least = START.next_second().plus(LIFE).plus(MARGIN);
    let asked = |wish, cutoff| NewRevocation { until: Some(wish), ..entry("subject:alice", cutoff, Reach::Both) };
    let early = bench.store.revoke(act(), revoke(vec![asked(least.minus(1), Cutoff::Now)])).await;
    assert_eq!(refused(early), Refused::UntilTooEarly { least });
    let never = bench.store.revoke(act(), revoke(vec![asked(least, Cutoff::Always)])).await;
    assert_eq!(refused(never), Refused::UntilNotAllowed);
    assert_eq!(until(&bench, asked(least.plus(9), Cutoff::Now)).await, Until::At(least.plus(9)));
}

/// Verifiers hold them for good, so there may only be so many; a kill is never refused for it.
pub async fn what_only_a_lift_ends_is_counted_and_capped(bench: Bench) {
    let bench = bench.with_log().await;
    let mut last = None;
    for subject in ["a", "b", "c"] {
        last = Some(bench.revoke(&format!("subject:{subject}"), Cutoff::Always, Reach::Both).await.positions[0]);
    }
    assert_eq!(bench.store.count_without_until().await.unwrap(), 3);
    let one_more = || bench.try_revoke("subject:d", Cutoff::Always, Reach::Both);
    assert_eq!(refused(one_more().await), Refused::TooManyWithoutUntil { most: 3 });
    bench.revoke("subject:a", Cutoff::Always, Reach::Access).await;
    bench.revoke("key:stolen", Cutoff::Always, Reach::Access).await;
    bench.revoke("subject:d", Cutoff::Now, Reach::Both).await;
    bench.store.lift(act(), vec![last.unwrap()]).await.unwrap();
    assert_eq!(bench.store.count_without_until().await.unwrap(), 3);
    assert_eq!(refused(one_more().await), Refused::TooManyWithoutUntil { most: 3 }, "the key counts too");
}

/// Its session's length bounds the entry; unknown, it has no bound.
pub async fn a_foreign_session_lapses_only_where_its_length_is_known(bench: Bench) {
    let bench = bench.with_log().await.with_foreign().await;
    let session = Target::one(FOREIGN, TargetKind::Session, "f1").unwrap();
    let new = NewRevocation { target: session, ..entry("subject:x", Cutoff::Always, Reach::Both) };
    assert_eq!(until(&bench, new.clone()).await, Until::Never);
    let known = IssuerConfig { longest_session: Some(7200), ..foreign_issuer(LIFE) };
    bench.store.put_issuer(act(), known).await.unwrap();
    let expected = START.next_second().plus(7200).plus(LIFE).plus(MARGIN);
    assert_eq!(until(&bench, new).await, Until::At(expected));
}

/// A store that is never cleaned and one that always is answer alike; what is in force stays.
pub async fn clean_up_changes_no_answer(bench: Bench) {
    let bench = bench.with_log().await;
    let long = NewSession { life: 86_400, ..bench.login("long", "alice") };
    bench.store.open_session(act(), long).await.unwrap();
    bench.open("short", "bob").await;
    bench.revoke("subject:alice", Cutoff::Now, Reach::Both).await;
    bench.revoke("subject:bob", Cutoff::Now, Reach::Access).await;
    bench.revoke("subject:eve", Cutoff::Always, Reach::Both).await;
    let forever = bench.log().await.head.at;
    bench
        .store
        .kill_key(
            act(),
            crate::store::KillKey { key: target("key:print-k1"), reason: None, changes: Vec::new(), also: Vec::new() },
        )
        .await
        .unwrap();
    // Through the second in which the last token lapses, the skew included, the entries stand, and
    // for as long again as the authority's clock may have been wrong.
    bench.pass(1 + LIFE + MARGIN + 5 + CLOCK_ERROR);
    assert_eq!(bench.store.feed_snapshot().await.unwrap().cells.len(), 4);
    bench.pass(1);
    let before = bench.store.feed_snapshot().await.unwrap();
    assert_eq!(before.cells.len(), 2);
    let pruned = bench.store.prune(MAX_PAGE).await.unwrap();
    assert!(pruned.rows >= 3 && !pruned.more, "{pruned:?}");
    assert_eq!(bench.store.feed_snapshot().await.unwrap().cells, before.cells);
    assert_revoked(bench.status("long").await);
    let kept: Vec<Position> = bench.store.revocations(everything()).await.unwrap().iter().map(|e| e.at).collect();
    assert!(kept.contains(&forever), "what reaches sessions is kept for the longest session life");
    assert_eq!(kept.len(), 3);

    bench.pass(2 * 86_400);
    while bench.store.prune(1).await.unwrap().more {}
    assert_eq!(bench.store.session("long").await.unwrap(), None);
    assert_eq!(bench.store.revocations(everything()).await.unwrap().len(), 2);
    assert_eq!(bench.store.feed_snapshot().await.unwrap().cells, before.cells);
}

async fn until(bench: &Bench, new: NewRevocation) -> Until {
    let at = bench.store.revoke(act(), revoke(vec![new])).await.unwrap().positions[0];
    bench.store.revocation(at).await.unwrap().unwrap().until
}
