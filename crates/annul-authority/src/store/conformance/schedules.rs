//! Claims about revocations for later, and about what is kept of the verifiers' bounds.

use annul_core::algebra::{Cutoff, Reach};
use annul_core::feed::log::{ReplicaId, ReplicaStatus};
use annul_core::feed::report::{ReplicaState, RouteCounts};

use super::*;
use crate::model::{IdempotencyKey, Schedule, StepState};
use crate::store::{ExposureFilter, NewSchedule, SchedulePlan};

fn at(id: &str, targets: &[&str], due: UnixSeconds) -> NewSchedule {
    let revocations = targets.iter().map(|text| entry(text, Cutoff::Now, Reach::Both)).collect();
    let plan = SchedulePlan::At { due: UnixMillis(due.0 * 1000), expected: 0 };
    NewSchedule { id: id.to_owned(), revocations, plan }
}

fn done(schedule: &Schedule) -> Vec<u64> {
    let ended = schedule.steps.iter().filter_map(|step| match step.state {
        StepState::Done { sessions, .. } => Some(sessions),
        _ => None,
    });
    ended.collect()
}

/// The entry and the note that it was made are one transaction; `now` is the position of the entry.
pub async fn a_scheduled_step_is_done_once_and_not_before_its_time(bench: Bench) {
    let bench = bench.with_log().await;
    bench.open("s1", "alice").await;
    let attempt = IdempotencyKey { client: "tester".to_owned(), key: "k".to_owned(), request: [1; 32] };
    let act = Act { idempotency: Some(attempt), ..act() };
    let due = bench.now().plus(60);
    let before = bench.log().await.head;
    let kept = bench.store.schedule(act.clone(), at("a", &["subject:alice"], due)).await.unwrap();
    let again = bench.store.schedule(act.clone(), at("b", &["subject:alice"], due)).await.unwrap();
    assert_eq!(again, kept, "the same attempt is one schedule");
    assert_eq!(bench.store.answered_schedule(act.clone()).await.unwrap().as_ref(), Some(&kept));
    assert_eq!(refused(bench.store.answered(act.clone()).await), Refused::IdempotencyConflict, "it appended nothing");
    assert_eq!(bench.store.answered_schedule(super::act()).await.unwrap(), None, "an act without a key has no other");
    assert_eq!(bench.log().await.head, before, "nothing is appended before its time");

    bench.pass(59);
    assert_eq!(bench.store.run_step("a").await.unwrap(), None);
    assert_eq!(bench.status("s1").await, SessionStatus::Live);
    bench.pass(1);
    bench.open("s2", "alice").await;
    let next = bench.store.next_due().await.unwrap().unwrap();
    assert_eq!((next.id.as_str(), next.due), ("a", UnixMillis(due.0 * 1000)));
    let ran = bench.store.run_step("a").await.unwrap().unwrap();
    assert_eq!(done(&ran), [2], "both were there before the entry");
    let head = bench.log().await.head;
    bench.open("s3", "alice").await;
    assert_eq!(bench.store.run_step("a").await.unwrap(), None);
    assert_eq!((bench.log().await.head, bench.store.next_due().await.unwrap()), (head, None));
    assert_revoked(bench.status("s1").await);
    assert_eq!(bench.status("s3").await, SessionStatus::Live);
    assert_eq!(bench.store.answered_schedule(act).await.unwrap().as_ref(), Some(&ran), "as it stands now");
    assert_eq!(bench.store.schedule_named("a").await.unwrap(), Some(ran));
}

/// All targets of a step or none; the next schedule is not held up.
pub async fn a_refused_step_leaves_no_trace_and_is_not_tried_again(bench: Bench) {
    let bench = bench.with_log().await;
    bench.open("s1", "alice").await;
    bench.open("s2", "bob").await;
    let due = bench.now().plus(60);
    bench.store.schedule(act(), at("a", &["subject:bob", "session:s1"], due)).await.unwrap();
    bench.store.schedule(act(), at("b", &["subject:bob"], due)).await.unwrap();
    bench.store.end_session(act(), "s1").await.unwrap();
    bench.pass(60);
    let head = bench.log().await.head;
    let refusal = refused(bench.store.run_step("a").await);
    assert_eq!((refusal.code(), bench.log().await.head), ("session_ended", head));
    bench.store.refuse_step("a", refusal.code(), refusal.to_string()).await.unwrap();
    let kept = bench.store.schedule_named("a").await.unwrap().unwrap();
    assert!(matches!(&kept.steps[0].state, StepState::Refused { code, .. } if code == "session_ended"));
    assert_eq!(bench.store.next_due().await.unwrap().unwrap().id, "b");
    assert_eq!(done(&bench.store.run_step("b").await.unwrap().unwrap()), [1]);
}

/// What was done stays; what waits is gone.
pub async fn a_cancelled_schedule_does_nothing_more(bench: Bench) {
    let bench = bench.with_log().await;
    for age in [30, 20, 10] {
        let new = NewSession { auth_time: bench.now().minus(age), ..bench.login(&format!("s{age}"), "alice") };
        bench.store.open_session(act(), new).await.unwrap();
    }
    let revocations = vec![entry("subject:alice", Cutoff::Now, Reach::Both)];
    let new = NewSchedule { id: "a".to_owned(), revocations, plan: SchedulePlan::Over { seconds: 60 } };
    bench.store.schedule(act(), new).await.unwrap();
    let ran = bench.store.run_step("a").await.unwrap().unwrap();
    assert_eq!(done(&ran), [1], "the first slice is due at once");
    let cancelled = bench.store.cancel_schedule(act(), "a").await.unwrap();
    assert_eq!((done(&cancelled), bench.store.next_due().await.unwrap()), (vec![1], None));
    bench.pass(120);
    assert_eq!(bench.store.run_step("a").await.unwrap(), None);
    assert_revoked(bench.status("s30").await);
    assert_eq!(bench.status("s20").await, SessionStatus::Live);
    assert_eq!(refused(bench.store.cancel_schedule(act(), "a").await).code(), "schedule_over");
    assert_eq!(refused(bench.store.cancel_schedule(act(), "x").await).code(), "schedule_unknown");
}

/// The one that is due first leads; those with nothing left to do are kept for thirty days.
pub async fn schedules_are_listed_by_their_time_and_forgotten_when_over(bench: Bench) {
    let bench = bench.with_log().await;
    for (id, ahead) in [("late", 300), ("soon", 60), ("over", 100)] {
        bench.store.schedule(act(), at(id, &["subject:alice"], bench.now().plus(ahead))).await.unwrap();
    }
    bench.store.cancel_schedule(act(), "over").await.unwrap();
    let ids = |schedules: Vec<Schedule>| schedules.into_iter().map(|schedule| schedule.id).collect::<Vec<_>>();
    assert_eq!(ids(bench.store.schedules().await.unwrap()), ["soon", "late", "over"]);
    bench.pass(31 * 24 * 3600);
    while bench.store.prune(100).await.unwrap().more {}
    assert_eq!(ids(bench.store.schedules().await.unwrap()), ["soon", "late"], "what waits is never forgotten");
}

/// Oldest logins first, about as many in each slice, and nobody who logs in meanwhile.
pub async fn slices_part_the_live_sessions_by_their_logins(bench: Bench) {
    let bench = bench.with_log().await;
    for login in 0..12 {
        let new = NewSession {
            auth_time: bench.now().minus(100 - login),
            ..bench.login(&format!("s{login}"), &format!("u{login}"))
        };
        bench.store.open_session(act(), new).await.unwrap();
    }
    bench.store.end_session(act(), "s5").await.unwrap();
    let revocations = || vec![entry("client:web", Cutoff::Now, Reach::Both)];
    let new = |id: &str| NewSchedule {
        id: id.to_owned(),
        revocations: revocations(),
        plan: SchedulePlan::Over { seconds: 20 },
    };
    let rehearsed = bench.store.rehearse_schedule(act(), new("a")).await.unwrap();
    assert_eq!(bench.store.next_due().await.unwrap(), None, "a rehearsal keeps nothing");
    let kept = bench.store.schedule(act(), new("a")).await.unwrap();
    assert_eq!(kept, rehearsed);
    let expected: Vec<u64> = kept.steps.iter().map(|step| step.expected).collect();
    assert_eq!((expected.iter().sum::<u64>(), expected.len()), (11, 4), "{expected:?}");
    assert!(expected.iter().all(|count| (2..=3).contains(count)), "{expected:?}");
    assert_eq!(kept.steps[0].due, kept.created);
    assert_eq!(kept.steps[3].due.0, kept.created.0 + 20_000);

    bench.pass(10);
    bench.open("new", "u1").await;
    let mut ended = Vec::new();
    bench.pass(10);
    while let Some(next) = bench.store.next_due().await.unwrap() {
        ended = done(&bench.store.run_step(&next.id).await.unwrap().unwrap());
    }
    assert_eq!(ended, expected);
    assert_eq!(bench.status("new").await, SessionStatus::Live, "it logged in after the asking");
    assert_revoked(bench.status("s11").await);
}

/// Where no session is known, tokens are taken to be as old as they may be, evenly.
pub async fn slices_of_a_foreign_issuer_are_even_in_time(bench: Bench) {
    let bench = bench.with_log().await.with_foreign().await;
    let revocations = vec![NewRevocation { target: foreign("alice"), ..entry("issuer", Cutoff::Now, Reach::Both) }];
    let plan = SchedulePlan::Over { seconds: 50 };
    let kept = bench.store.schedule(act(), NewSchedule { id: "a".to_owned(), revocations, plan }).await.unwrap();
    let times: Vec<u64> = kept.steps.iter().map(|step| step.revocations[0].cutoff).map(before).collect();
    let whole = bench.now().0 + 1;
    assert_eq!(times, (1..=10).map(|slice| whole - LIFE + LIFE * slice / 10).collect::<Vec<_>>());
    bench.pass(50);
    while let Some(next) = bench.store.next_due().await.unwrap() {
        bench.store.run_step(&next.id).await.unwrap().unwrap();
    }
    let hash = foreign("alice").hash(&bench.log().await.hash_key);
    let cells = bench.store.judging_snapshot(vec![hash], None).await.unwrap().access;
    assert_eq!(cells[&hash].time.map(|time| time.time), Some(UnixSeconds(whole)));
}

fn before(cutoff: Cutoff) -> u64 {
    match cutoff {
        Cutoff::Before(time) => time.0,
        other => panic!("a slice is before a time: {other:?}"),
    }
}

/// One row for each change, and a revocation is dated by what held when it was acknowledged.
pub async fn what_bounded_the_verifiers_is_kept_as_it_changes(bench: Bench) {
    let bench = bench.with_log().await;
    let heard = |instance: &str, longest_age: u64| ReplicaStatus {
        name: "api".to_owned(),
        instance: instance.to_owned(),
        via: None,
        state: ReplicaState::Live,
        position: None,
        heard_ms_ago: 0,
        interval: 1,
        leeway: 0,
        longest_age,
        audiences: Vec::new(),
        routes: RouteCounts::default(),
        version: String::new(),
        unlisted: 0,
    };
    bench.open("s1", "alice").await;
    let begun = bench.now();
    for (instance, age) in [("a", 60), ("b", 10), ("c", 60)] {
        bench.store.remember_replicas(vec![heard(instance, age)], Vec::new()).await.unwrap();
    }
    bench.pass(5);
    let revoked = bench.revoke("subject:alice", Cutoff::Now, Reach::Both).await;
    bench.pass(5);
    let gone = ["a", "c"].map(|instance| ReplicaId::new("api", instance).unwrap());
    bench.store.remember_replicas(Vec::new(), gone.to_vec()).await.unwrap();
    let filter = |from: UnixSeconds| ExposureFilter {
        target: target("subject:alice"),
        from: UnixMillis(from.0 * 1000),
        to: UnixMillis(bench.now().plus(1000).0 * 1000),
        after: String::new(),
        limit: 10,
    };
    let exposure = bench.store.exposure(filter(begun)).await.unwrap();
    let ages: Vec<u64> = exposure.bounds.iter().map(|bound| bound.longest_age).collect();
    assert_eq!(ages, [60, 10], "the second and third changed nothing");
    let session = &exposure.sessions[0];
    assert_eq!(session.refused, Some((revoked.positions[0], revoked.committed)));
    assert_eq!(session.check_until.0, revoked.committed.0 + 60_000);
    assert!(session.verify_until > session.check_until);
    let after = UnixSeconds(session.verify_until.0 / 1000 + 1);
    assert!(bench.store.exposure(filter(after)).await.unwrap().sessions.is_empty());
}
