//! Seeded histories over bad networks. A failing seed is named in the panic's test and replays.

use crate::authority::config;
use crate::world::{Faults, Parent, World};

const BAD: Faults = Faults { lost: 80, repeated: 80, flipped: 20, cut: 20, longest_delay: 400, no_streams: false };
const CLEAN: Faults = Faults { lost: 0, repeated: 0, flipped: 0, cut: 0, longest_delay: 5, no_streams: false };

/// One follower of the authority, one that can only poll, and a chain of two relays with followers.
fn build(seed: u64, ring_records: usize, faults: Faults) -> World {
    let mut world = World::new(seed, ring_records, faults);
    world.add(config("direct", seed + 1), Parent::Authority, false);
    let near = world.add(config("near", seed + 2), Parent::Authority, true);
    let far = world.add(config("far", seed + 3), Parent::Relay(near), true);
    world.add(config("behind-near", seed + 4), Parent::Relay(near), false);
    world.add(config("behind-far", seed + 5), Parent::Relay(far), false);
    world
}

fn live_through(world: &mut World, rounds: u64) {
    for _ in 0..rounds {
        for _ in 0..world.random(4) {
            let (byte, now) = (world.random(256) as u8, world.moment());
            if world.random(5) == 0 {
                world.authority.lift(byte, now);
            } else {
                world.authority.revoke(byte, now);
            }
        }
        match world.random(100) {
            0 => world.authority.compact(),
            1..=3 => {
                let node = world.random(world.nodes.len() as u64) as usize;
                world.restart(node);
            }
            _ => {}
        }
        let pause = world.random(400);
        world.run(pause);
    }
}

#[test]
fn i4_i5_i15_i17_i18_bad_networks_never_lie_and_recover() {
    for seed in 0..40 {
        println!("seed {seed}");
        let mut world = build(seed, 40, BAD);
        live_through(&mut world, 150);
        world.faults = CLEAN;
        world.run(90_000);
        world.assert_caught_up();
    }
}

#[test]
fn i17_polling_gives_the_same_view_as_streaming() {
    for seed in 0..5 {
        let mut world = build(seed, 40, Faults { no_streams: true, ..CLEAN });
        live_through(&mut world, 60);
        world.run(60_000);
        world.assert_caught_up();
    }
}

#[test]
fn i18_a_quiet_clean_network_is_live_at_once_and_costs_little() {
    let mut world = build(1, 1000, CLEAN);
    world.run(3_000);
    world.assert_caught_up();
    let (snapshots, changes) = (world.snapshots_served, world.changes_served);
    world.run(60_000);
    world.assert_caught_up();
    assert_eq!(world.snapshots_served, snapshots, "a live follower takes no snapshot");
    assert_eq!(world.changes_served, changes, "a live follower on a stream does not poll");
}

#[test]
fn i18_recovery_from_a_partition_takes_no_flood_of_snapshots() {
    let mut world = build(2, 40, CLEAN);
    world.run(3_000);
    world.faults = Faults { lost: 1000, ..CLEAN };
    for byte in 0..200 {
        let now = world.moment();
        world.authority.revoke(byte, now);
        world.run(200);
    }
    world.authority.compact();
    let before = world.snapshots_served;
    world.faults = CLEAN;
    world.run(60_000);
    world.assert_caught_up();
    let taken = world.snapshots_served - before;
    assert!(taken <= 16, "{taken} snapshots for five nodes");
}
