//! Claims about groups of subjects and about keys of subjects.

use std::num::NonZeroU32;

use annul_core::algebra::{Cutoff, Reach};
use annul_core::record::{Record, RecordBody};
use annul_core::target::TargetKind;

use super::log::all_lines;
use super::*;
use crate::model::{GROUP_CLAIM, Groups, SealedSecret};

const COUNT: NonZeroU32 = NonZeroU32::new(4).unwrap();

/// A bench whose log began with groups.
async fn grouped(bench: Bench) -> Bench {
    let genesis = genesis();
    let settings = crate::store::with_group_claim(genesis.settings);
    let groups = Some(Groups { count: COUNT, since: UnixMillis(0), until: None });
    bench.store.bootstrap(Genesis { settings, groups, ..genesis }).await.unwrap();
    bench
}

/// The kinds of the targets that verifiers hold entries on.
async fn held(bench: &Bench) -> Vec<TargetKind> {
    bench.store.feed_snapshot().await.unwrap().cells.iter().map(|cell| cell.kind).collect()
}

/// What is about one user stays here and is enforced on its sessions; its group's entry goes out first.
pub async fn an_entry_about_one_user_stays_and_its_groups_watermark_goes_out(bench: Bench) {
    let bench = grouped(bench).await;
    for sid in ["s1", "s2", "s3"] {
        bench.open(sid, "alice").await;
    }
    bench.open("other", "bob").await;
    let before = all_lines(&bench).await.len();
    let ended = bench.store.end_session(act(), "s1").await.unwrap();
    let device = bench.revoke("device:alice/phone", Cutoff::Now, Reach::Both).await;
    let after = bench.open("s4", "alice").await;
    let subject = bench.revoke("subject:alice", Cutoff::Now, Reach::Both).await;
    assert_eq!(ended.sessions.ended + device.sessions.ended + subject.sessions.ended, 4);
    assert_eq!(bench.status("s1").await, SessionStatus::Ended);
    assert_revoked(bench.status("s2").await);
    assert_revoked(bench.status("s4").await);
    assert_eq!(bench.status("other").await, SessionStatus::Live);
    assert!(after.session.position >= device.head, "a login after it is dated past the watermark too");
    assert_eq!(held(&bench).await, [TargetKind::Claim], "one entry, on the group");
    let log = bench.log().await;
    let group = log.groups.unwrap().of(&target("subject:alice").hash(&log.hash_key));
    let watermark = target(&format!("claim:{GROUP_CLAIM}={group}")).hash(&log.hash_key);
    assert_eq!(bench.store.feed_snapshot().await.unwrap().cells[0].target, watermark);
    let bodies: Vec<_> =
        all_lines(&bench).await[before..].iter().map(|line| Record::from_line(&line.line).unwrap().body).collect();
    for pair in bodies.chunks(2) {
        assert!(matches!(pair, [RecordBody::Revoke(entry), RecordBody::Noop] if entry.target == watermark), "{pair:?}");
    }
}

/// A key, a token, a client, an `always` and new roles are entries of their own, as ever; and so is
/// what is about a client as a subject, whose tokens have no session.
pub async fn everything_else_travels_as_it_would_without_groups(bench: Bench) {
    let bench = grouped(bench).await;
    bench.store.add_client(act(), client("batch")).await.unwrap();
    for (text, cutoff, reach) in [
        ("subject:alice", Cutoff::Always, Reach::Both),
        ("subject:carol", Cutoff::Now, Reach::Access),
        ("subject:batch", Cutoff::Now, Reach::Both),
        ("client:web", Cutoff::Now, Reach::Both),
        ("token:t1", Cutoff::Always, Reach::Access),
    ] {
        let kind = target(text).kind();
        let known = held(&bench).await;
        bench.revoke(text, cutoff, reach).await;
        let count = |held: &[TargetKind]| held.iter().filter(|held| **held == kind).count();
        assert_eq!(count(&held(&bench).await), count(&known) + 1, "{text}");
    }
    assert!(!held(&bench).await.contains(&TargetKind::Claim), "no watermark was moved");
}

/// A log that gets groups later holds nothing back while a token without its group may be accepted.
pub async fn groups_begin_when_every_token_names_its_group(bench: Bench) {
    let bench = bench.with_log().await;
    let set = bench.store.set_groups(act(), Some(COUNT)).await.unwrap();
    assert_eq!(set.positions.len(), 1, "the settings were published with the claim");
    let settings = bench.log().await.settings;
    assert!(settings.claims.contains(&GROUP_CLAIM.to_owned()) && settings.ask_on == [GROUP_CLAIM]);
    let again = bench.store.set_groups(act(), Some(COUNT)).await.unwrap();
    assert!(again.positions.is_empty());

    bench.pass(LIFE + MARGIN);
    bench.revoke("subject:alice", Cutoff::Now, Reach::Both).await;
    assert_eq!(held(&bench).await, [TargetKind::Subject], "a token without its group may still be accepted");
    bench.pass(2);
    bench.revoke("subject:bob", Cutoff::Now, Reach::Both).await;
    assert_eq!(held(&bench).await.iter().filter(|kind| **kind == TargetKind::Claim).count(), 1);

    let without = Settings { revision: settings.revision + 1, ask_on: Vec::new(), ..settings.clone() };
    assert_eq!(refused(bench.store.publish_settings(act(), without.clone()).await), Refused::GroupClaimNeeded);
    bench.store.set_groups(act(), None).await.unwrap();
    bench.revoke("subject:carol", Cutoff::Now, Reach::Both).await;
    assert!(held(&bench).await.contains(&TargetKind::Subject), "without groups it travels again");
}

/// The claim outlives the groups: while a token may be accepted that an entry kept here revokes, only
/// its group's watermark says so.
pub async fn groups_that_end_leave_their_claim_until_no_watermark_counts(bench: Bench) {
    let bench = grouped(bench).await;
    bench.open("s1", "alice").await;
    bench.revoke("subject:alice", Cutoff::Now, Reach::Both).await;
    let settings = bench.log().await.settings;
    let without = Settings { revision: settings.revision + 1, ask_on: Vec::new(), ..settings };
    bench.store.set_groups(act(), None).await.unwrap();
    bench.store.set_groups(act(), None).await.unwrap();
    assert_eq!(refused(bench.store.publish_settings(act(), without.clone()).await), Refused::GroupClaimNeeded);
    bench.pass(LIFE + MARGIN + 2);
    bench.store.publish_settings(act(), without).await.unwrap();
}

/// A new string dates the subject's tokens and leaves its sessions; a new secret revokes the last by name.
pub async fn keys_of_subjects_change_with_the_entry_that_says_so(bench: Bench) {
    let bench = bench.with_log().await;
    let secret = |generation| SealedSecret { generation, sealed: vec![generation as u8; 4] };
    bench.open("s1", "alice").await;
    assert!(bench.store.set_subject_secret(act(), secret(1)).await.unwrap().positions.is_empty());
    bench.store.set_subject_key(act(), "alice", "second".to_owned()).await.unwrap();
    let snapshot = bench.store.issuing_snapshot("s1", Box::new(|_: &Issuing<'_>| Vec::new())).await.unwrap().unwrap();
    assert_eq!((snapshot.subject.key.as_str(), snapshot.status), ("second", SessionStatus::Live));
    assert_eq!(snapshot.log.subject_secret, Some(secret(1)));
    assert_eq!(held(&bench).await, [TargetKind::Subject]);

    let changed = bench.store.set_subject_secret(act(), secret(2)).await.unwrap();
    let entry = bench.store.revocation(changed.positions[0]).await.unwrap().unwrap();
    assert_eq!((entry.target, entry.cutoff), (target(&format!("key:{}", secret(1).name())), Cutoff::Always));
    assert_eq!(bench.log().await.subject_secret, Some(secret(2)));
    assert_eq!(bench.status("s1").await, SessionStatus::Live);
    let skipped = bench.store.set_subject_secret(act(), secret(4)).await;
    assert!(matches!(refused(skipped), Refused::KeyExists { .. }), "one secret follows another");
}
