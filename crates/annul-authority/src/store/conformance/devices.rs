//! Claims about devices: their times follow from sessions and entries, and never contradict them.

use annul_core::algebra::{Cutoff, Reach};

use super::*;
use crate::store::DeviceTimes;

/// One line per device: as its last login described it, with the client of that login.
pub async fn devices_tell_their_last_login_and_logout(bench: Bench) {
    let bench = bench.with_log().await;
    bench.open("old", "alice").await;
    bench.pass(10);
    let described = Device {
        id: "phone".to_owned(),
        os: Some("Android 16".to_owned()),
        agent: Some("Firefox".to_owned()),
        ..Device::default()
    };
    let new = NewSession {
        device: Some(described.clone()),
        client_id: Some("app".to_owned()),
        ..bench.login("new", "alice")
    };
    bench.store.open_session(act(), new).await.unwrap();
    bench.pass(10);
    on(&bench, "laptops", "laptop").await;
    bench.open("bobs", "bob").await;
    let none = NewSession { device: None, ..bench.login("none", "alice") };
    bench.store.open_session(act(), none).await.unwrap();

    let devices = bench.store.devices_of("alice").await.unwrap();
    let ids: Vec<_> = devices.iter().map(|times| times.device.id.as_str()).collect();
    assert_eq!(ids, ["laptop", "phone"], "the newest login first; a session without a device has none");
    let expected = DeviceTimes {
        device: described,
        client_id: Some("app".to_owned()),
        last_login: UnixMillis(START.0 + 10_000),
        last_logout: None,
        logged_in: true,
    };
    assert_eq!(devices[1], expected);

    // Logged out: both of its sessions, by one entry; the laptop is not.
    bench.pass(10);
    bench.revoke("device:alice/phone", Cutoff::Now, Reach::Both).await;
    let logout = UnixMillis(START.0 + 30_000);
    assert_eq!(of(&bench, "phone").await, DeviceTimes { last_logout: Some(logout), logged_in: false, ..expected });
    assert_eq!(of(&bench, "laptop").await.last_logout, None);
    for sid in ["old", "new"] {
        assert_revoked(bench.status(sid).await);
    }

    // A new login in the same millisecond lives, and the logout is not later than it.
    bench.open("again", "alice").await;
    let times = of(&bench, "phone").await;
    assert_eq!((times.last_login, times.last_logout, times.logged_in), (logout, Some(logout), true));
    assert_eq!(bench.status("again").await, SessionStatus::Live);
    assert_revoked(bench.status("new").await);
}

/// Whatever ends its last session is its logout; what ends another before is not.
pub async fn a_device_is_logged_out_when_its_last_session_ends(bench: Bench) {
    let bench = bench.with_log().await;
    bench.open("first", "alice").await;
    bench.pass(1);
    bench.open("second", "alice").await;
    bench.pass(1);
    bench.store.end_session(act(), "second").await.unwrap();
    let times = of(&bench, "phone").await;
    assert_eq!((times.last_logout, times.logged_in), (None, true), "the first session goes on");
    bench.pass(1);
    bench.store.end_session(act(), "first").await.unwrap();
    let times = of(&bench, "phone").await;
    assert_eq!((times.last_logout, times.logged_in), (Some(UnixMillis(START.0 + 3000)), false));

    // An entry that reaches many reaches this device too; a lift takes it back.
    bench.open("third", "alice").await;
    bench.pass(1);
    let all = bench.revoke("issuer", Cutoff::Now, Reach::Both).await.positions;
    let times = of(&bench, "phone").await;
    assert_eq!((times.last_logout, times.logged_in), (Some(UnixMillis(START.0 + 4000)), false));
    bench.store.lift(act(), all).await.unwrap();
    let times = of(&bench, "phone").await;
    assert_eq!((times.last_logout, times.logged_in), (Some(UnixMillis(START.0 + 3000)), true));

    // One that expires was not logged out.
    bench.pass(3601);
    let times = of(&bench, "phone").await;
    assert_eq!((times.last_logout, times.logged_in), (Some(UnixMillis(START.0 + 3000)), false));
    assert!(bench.store.devices_of("nobody").await.unwrap().is_empty());
}

async fn on(bench: &Bench, sid: &str, device: &str) {
    let device = Some(Device { id: device.to_owned(), ..Device::default() });
    bench.store.open_session(act(), NewSession { device, ..bench.login(sid, "alice") }).await.unwrap();
}

async fn of(bench: &Bench, device: &str) -> DeviceTimes {
    let devices = bench.store.devices_of("alice").await.unwrap();
    devices.into_iter().find(|times| times.device.id == device).unwrap()
}
