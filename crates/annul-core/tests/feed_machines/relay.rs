//! Relays: they serve what they hold and say how old they are.

use annul_core::feed::MAX_HOPS;
use annul_core::feed::follower::{Fault, FollowerConfig, Input, Output};
use annul_core::feed::log::Acknowledged;
use annul_core::feed::report::{CanaryVerdict, ReplicaState, Report};
use annul_core::time::UnixMillis;
use std::time::{Duration, Instant};

use crate::authority::{config, target};
use crate::log::report;
use crate::world::{Faults, Parent, World};

const CLEAN: Faults = Faults { lost: 0, repeated: 0, flipped: 0, cut: 0, longest_delay: 5, no_streams: false };

#[test]
fn i5_a_relay_that_is_cut_off_makes_everybody_behind_it_stale() {
    let mut world = World::new(1, 1000, CLEAN);
    let relay = world.add(config("relay", 1), Parent::Authority, true);
    let child = world.add(config("child", 2), Parent::Relay(relay), false);
    world.run(10_000);
    world.assert_caught_up();
    world.cut_off(relay);
    let now = world.moment();
    world.authority.revoke(9, now);
    world.run(8_000);
    assert_eq!(world.state(child), ReplicaState::Live, "the child talks to its relay and is within its age");
    world.run(15_000);
    assert_eq!((world.state(relay), world.state(child)), (ReplicaState::Stale, ReplicaState::Stale));
    world.reconnect(relay, Parent::Authority);
    world.run(40_000);
    world.assert_caught_up();
    assert!(world.view(child).cell(&target(9)).is_some());
}

#[test]
fn replicas_behind_relays_are_known_to_the_authority_and_confirm() {
    let mut world = World::new(2, 1000, CLEAN);
    let near = world.add(config("near", 1), Parent::Authority, true);
    let far = world.add(config("far", 2), Parent::Relay(near), true);
    world.add(config("child", 3), Parent::Relay(far), false);
    world.run(10_000);
    let now = world.moment();
    let at = world.authority.revoke(9, now);
    world.run(300);
    let acknowledged = Acknowledged { at: now.mono, wall: UnixMillis(0) };
    let confirmation = world.authority.log.confirmation(at, acknowledged, world.moment().mono);
    assert_eq!((confirmation.applied, confirmation.connected), (3, 3), "{confirmation:?}");
    assert!(confirmation.confirmed);
}

#[test]
fn a_chain_of_relays_ends_at_the_hop_limit() {
    let mut world = World::new(3, 1000, CLEAN);
    let mut parent = Parent::Authority;
    for hop in 0..u64::from(MAX_HOPS) {
        parent = Parent::Relay(world.add(config(&format!("relay-{hop}"), hop), parent, true));
    }
    let allowed = world.add(config("allowed", 50), parent, false);
    let beyond = Parent::Relay(world.add(config("beyond", 51), parent, true));
    let refused = world.add(config("refused", 52), beyond, false);
    world.run(30_000);
    assert_eq!(world.state(allowed), ReplicaState::Live);
    assert_eq!(world.follower(refused).fault(), Some(&Fault::TooManyHops));
}

#[test]
fn a_relay_that_restarts_serves_a_new_follower_again() {
    let mut world = World::new(4, 1000, CLEAN);
    let relay = world.add(config("relay", 1), Parent::Authority, true);
    world.run(5_000);
    for byte in 0..200 {
        let now = world.moment();
        world.authority.revoke(byte, now);
    }
    world.run(5_000);
    world.restart(relay);
    world.add(FollowerConfig { audiences: vec!["late".to_owned()], ..config("late", 2) }, Parent::Relay(relay), false);
    world.run(20_000);
    world.assert_caught_up();
}

#[test]
fn a_canary_reaches_everybody_behind_relays_and_its_verdicts_come_back() {
    let mut world = World::new(5, 1000, CLEAN);
    let relay = world.add(config("relay", 1), Parent::Authority, true);
    let child = world.add(config("child", 2), Parent::Relay(relay), false);
    world.run(5_000);
    world.authority.log.canary("c-1", "a.b.c");
    world.run(500);
    for node in [relay, child] {
        let judge = Output::JudgeCanary { id: "c-1".to_owned(), token: "a.b.c".to_owned() };
        assert!(world.nodes[node].outputs.contains(&judge), "node {node}");
        world.input(node, Input::CanaryJudged { id: "c-1".to_owned(), verdict: CanaryVerdict::Active });
    }
    world.run(500);
    let heard = world.authority.log.canary_verdicts("c-1");
    let instances: Vec<_> = heard.iter().map(|heard| heard.instance.as_str()).collect();
    assert_eq!(instances, ["relay", "child"]);
}

#[test]
fn i18_a_relay_serves_no_snapshot_for_ever_that_its_taker_is_past() {
    let mut world = World::new(6, 1000, CLEAN);
    let near = world.add(config("near", 1), Parent::Authority, true);
    let child = world.add(config("child", 2), Parent::Relay(near), false);
    world.run(5_000);
    for byte in 0..50 {
        let now = world.moment();
        world.authority.revoke(byte, now);
    }
    world.run(2_000);
    let far = world.add(config("far", 3), Parent::Relay(near), true);
    world.run(2_000);
    world.restart(far);
    world.add(config("late", 4), Parent::Relay(far), false);
    world.run(30_000);
    world.assert_caught_up();
    assert!(world.view(child).cell(&target(9)).is_some());
}

/// What is passed up is made when it is passed up. Otherwise this takes minutes, under the lock that everything
/// else at the relay needs.
#[test]
fn i19_a_report_costs_a_relay_the_same_however_many_are_behind_it() {
    let mut world = World::new(7, 1000, CLEAN);
    let relay = world.add(config("relay", 1), Parent::Authority, true);
    world.run(5_000);
    let began = Instant::now();
    for instance in 0..5_000 {
        world.report_behind(relay, &format!("child-{instance}"), report(Some(2), 9));
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(60), "{took:?}");
    world.run(1_000);
    let replicas = world.authority.log.replicas(world.moment().mono);
    let unlisted = replicas.iter().find(|replica| replica.instance == "relay").unwrap().unlisted;
    assert_eq!((replicas.len() - 1, unlisted), (Report::MAX_BEHIND, 4_500));
}

#[test]
fn i1_a_replica_that_a_relay_cannot_list_still_counts_by_its_age() {
    let mut world = World::new(8, 1000, CLEAN);
    let relay = world.add(config("relay", 1), Parent::Authority, true);
    world.run(5_000);
    world.report_behind(relay, "lenient", report(Some(2), 900));
    world.run(10);
    for instance in 0..Report::MAX_BEHIND {
        world.report_behind(relay, &format!("child-{instance}"), report(Some(2), 9));
    }
    world.run(5_000);
    let replicas = world.authority.log.replicas(world.moment().mono);
    let relay = replicas.iter().find(|replica| replica.instance == "relay").unwrap();
    assert_eq!((relay.unlisted, relay.longest_age), (1, 900));
}
