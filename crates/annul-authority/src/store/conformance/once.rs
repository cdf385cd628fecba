//! Claims about ids that may be used once.

use super::*;
use crate::store::{FirstUse, UseOnce};
use futures::future::join_all;

/// The first use of an id takes it, whatever it is used for again; realms have nothing in common.
pub async fn an_id_is_used_once_in_its_realm(bench: Bench) {
    let empty = bench.store.use_once(once(&bench, "a", "1")).await;
    assert_eq!(empty, Err(StoreError::NotBootstrapped));
    let bench = bench.with_log().await;
    let head = bench.log().await.head;
    assert_eq!(bench.store.use_once(once(&bench, "a", "1")).await, Ok(FirstUse::Fresh));
    assert_eq!(bench.store.use_once(once(&bench, "a", "1")).await, Ok(FirstUse::Used));
    let later = UseOnce { until: bench.now().plus(3600), ..once(&bench, "a", "1") };
    assert_eq!(bench.store.use_once(later).await, Ok(FirstUse::Used));
    for (realm, id) in [("a", "2"), ("b", "1"), ("a1", ""), ("", "a1"), ("a", "")] {
        assert_eq!(bench.store.use_once(once(&bench, realm, id)).await, Ok(FirstUse::Fresh), "{realm:?} {id:?}");
    }
    assert_eq!(bench.log().await.head, head, "nothing is appended");
}

/// Of many attempts at once exactly one is the first.
pub async fn of_two_who_use_an_id_at_once_one_is_first(bench: Bench) {
    let bench = bench.with_log().await;
    for round in 0..10 {
        let id = round.to_string();
        let uses = (0..16).map(|_| bench.store.use_once(once(&bench, "a", &id)));
        let fresh = join_all(uses).await.into_iter().filter(|answer| *answer == Ok(FirstUse::Fresh)).count();
        assert_eq!(fresh, 1, "round {round}");
    }
}

/// Clean-up takes it when its time is over by more than any clock is trusted to be wrong.
pub async fn a_used_id_is_forgotten_only_when_nothing_with_it_can_be_accepted(bench: Bench) {
    let bench = bench.with_log().await;
    for number in 0..25 {
        bench.store.use_once(once(&bench, "a", &number.to_string())).await.unwrap();
    }
    let before = once(&bench, "a", "7");
    bench.pass(61);
    while bench.store.prune(10).await.unwrap().more {}
    assert_eq!(bench.store.use_once(before.clone()).await, Ok(FirstUse::Used), "its time is just over");
    bench.pass(3 * 3600);
    let mut removed = 0;
    loop {
        let pruned = bench.store.prune(10).await.unwrap();
        removed += pruned.rows;
        if !pruned.more {
            break;
        }
    }
    assert!(removed >= 25, "{removed} rows removed");
    assert_eq!(bench.store.use_once(before).await, Ok(FirstUse::Fresh), "forgotten, long after it could be used");
}

fn once(bench: &Bench, realm: &str, id: &str) -> UseOnce {
    UseOnce { realm: realm.to_owned(), id: id.to_owned(), until: bench.now().plus(60) }
}
