//! Starting: on nothing, on what is there, with the wrong key or issuer.

use std::time::Duration;

use annul_authority::authority::{Authority, Setup};
use annul_authority::clock::Clock;
use annul_authority::secrets::sealing::MasterKey;
use annul_authority::store::{Genesis, Limits};
use annul_core::settings::Settings;

use crate::world::{AUDIENCE, ISSUER, World, empty_store};

fn setup() -> Setup {
    Setup::new(ISSUER, AUDIENCE)
}

async fn restart(world: &World, master: [u8; 32], setup: Setup) -> Result<Authority, &'static str> {
    let clock = Clock::from_source(world.clock.clone());
    let started = Authority::start(world.store.clone(), clock, MasterKey::from_bytes(master), setup).await;
    match started {
        Ok(started) => {
            assert!(started.first.is_none(), "only the first start makes a credential");
            Ok(started.authority)
        }
        Err(error) => {
            assert!(!error.hint().is_empty());
            Err(error.code())
        }
    }
}

#[tokio::test]
async fn a_second_start_goes_on_with_the_same_keys() {
    let world = World::new().await;
    let token = world.open("alice", "phone").await;
    let again = restart(&world, [7; 32], setup()).await.unwrap();
    assert_eq!(again.jwks(), world.authority.jwks());
    assert_eq!(again.log_id(), world.authority.log_id());
    assert_eq!(again.feed_signer().key().fingerprint(), world.authority.feed_signer().key().fingerprint());
    again.next_token(&token.sid).await.unwrap();
}

#[tokio::test]
async fn a_wrong_master_key_starts_nothing_and_loses_nothing() {
    let world = World::new().await;
    let before = world.head().await;
    assert_eq!(restart(&world, [8; 32], setup()).await.unwrap_err(), "wrong_master_key");
    assert_eq!(world.head().await, before);
    restart(&world, [7; 32], setup()).await.unwrap();
}

#[tokio::test]
async fn a_log_is_not_given_to_another_issuer() {
    let world = World::new().await;
    let other = Setup::new("https://other.example", AUDIENCE);
    assert_eq!(restart(&world, [7; 32], other).await.unwrap_err(), "issuer_changed");
    assert_eq!(restart(&world, [7; 32], Setup::new("", AUDIENCE)).await.unwrap_err(), "setting_missing");
    assert_eq!(restart(&world, [7; 32], Setup::new(ISSUER, "")).await.unwrap_err(), "setting_missing");
    let long = Setup { token_life: Duration::from_secs(3600), ..setup() };
    assert_eq!(restart(&world, [7; 32], long).await.unwrap_err(), "life_beyond_longest");
}

#[tokio::test]
async fn a_log_whose_targets_were_hashed_in_another_way_is_not_started() {
    let world = World::new().await;
    let made = world.store.log().await.unwrap();
    let genesis = Genesis {
        log: made.log,
        hash_key: made.hash_key,
        sealed_feed_key: made.sealed_feed_key,
        settings: Settings { hash_key: "46WAr3s5tGA".to_owned(), ..made.settings },
        groups: None,
        keys: Vec::new(),
        clients: Vec::new(),
    };
    let clock = Clock::from_source(world.clock.clone());
    let (store, _dir) = empty_store(Limits::default(), clock.clone());
    let before = store.bootstrap(genesis).await.unwrap();
    let started = Authority::start(store.clone(), clock, MasterKey::from_bytes([7; 32]), setup()).await;
    let error = started.unwrap_err();
    assert_eq!(error.code(), "other_target_hash");
    assert!(error.hint().contains("left as it is"), "{}", error.hint());
    assert_eq!(store.log().await.unwrap(), before, "nothing was written");
}

#[tokio::test]
async fn a_clock_set_back_neither_revives_nor_refuses_what_positions_decide() {
    let mut world = World::new().await;
    let old = world.open("alice", "phone").await;
    world.revoke(crate::world::target("subject:alice")).await;
    let now = world.authority.clock().millis();
    world.clock.set_wall(annul_core::time::UnixMillis(now.0 - 30_000));
    world.assert_revoked(&old.access_token, "revoked before the step").await;
    let new = world.open("alice", "phone").await;
    world.assert_active(&new.access_token, "opened after the step").await;
    world.revoke(crate::world::target("subject:alice")).await;
    world.assert_revoked(&new.access_token, "revoked after the step").await;
}
