//! Claims about keys, issuers, settings, accounts and clients.

use annul_core::algebra::{Cutoff, Reach};
use annul_core::record::{Record, RecordBody};
use annul_core::settings::IssuerRecord;

use super::log::all_lines;
use super::*;
use crate::model::{Account, AuthMethod, IdempotencyKey, KeyChange, SubjectChange, SubjectPart, SubjectState};
use crate::store::{KillKey, SigningKeys};

/// Nothing of a killed key can sign or be published again.
pub async fn a_killed_key_is_erased_and_unpublished(bench: Bench) {
    let bench = bench.with_log().await;
    bench.open("s1", "alice").await;
    let kill = KillKey {
        key: target("key:print-k1"),
        reason: Some("leaked".to_owned()),
        changes: vec![KeyChange::Activate { kid: "k2".to_owned() }, KeyChange::Add(key("k3", KeyState::Reserve))],
        also: vec![entry("issuer", Cutoff::Now, Reach::Both)],
    };
    let out = bench.store.kill_key(act(), kill).await.unwrap();
    assert_eq!((out.positions.len(), out.sessions.ended), (2, 1));
    let entry = bench.store.revocation(out.positions[0]).await.unwrap().unwrap();
    assert_eq!((entry.target, entry.reason.as_deref()), (target("key:print-k1"), Some("leaked")));
    let keys = states(&bench).await;
    assert_eq!(keys, [("k1", KeyState::Killed), ("k2", KeyState::Active), ("k3", KeyState::Reserve)].map(owned));
    assert!(bench.store.keys().await.unwrap()[0].sealed.is_empty());
    assert_eq!(last_issuer(&bench).await.keys, [json!({"kty": "EC", "kid": "k2"}), json!({"kty": "EC", "kid": "k3"})]);
    let back = bench.store.change_keys(act(), vec![KeyChange::Activate { kid: "k1".to_owned() }]).await;
    assert_eq!(refused(back).code(), "key_state");
    let back = bench.store.change_keys(act(), vec![KeyChange::Add(key("k1", KeyState::Reserve))]).await;
    assert_eq!(refused(back), Refused::KeyExists { kid: "k1".to_owned() });

    // A plain revocation of a key of ours is the same kill.
    bench.revoke("key:print-k2", Cutoff::Always, Reach::Access).await;
    assert_eq!(states(&bench).await[1].1, KeyState::Killed);
    assert_eq!(last_issuer(&bench).await.keys.len(), 1);
    let not_a_key = KillKey { key: target("subject:a"), reason: None, changes: Vec::new(), also: Vec::new() };
    assert_eq!(refused(bench.store.kill_key(act(), not_a_key).await), Refused::NotAKey);
}

/// Reserve, active, retired, forgotten; each step published before the next is of use.
pub async fn keys_move_one_way(bench: Bench) {
    let bench = bench.with_log().await;
    assert!(bench.store.keys().await.unwrap().iter().all(|key| key.published == Some(START)));
    let activate = |kid: &str| vec![KeyChange::Activate { kid: kid.to_owned() }];
    bench.pass(1);
    let attempt = IdempotencyKey { client: "tester".to_owned(), key: "k".to_owned(), request: [1; 32] };
    let once = Act { idempotency: Some(attempt), ..act() };
    let promoted = bench.store.change_keys(once.clone(), activate("k2")).await.unwrap().keys;
    assert_eq!(promoted, Some(SigningKeys { active: Some("k2".to_owned()), reserve: None, promoted: true }));
    assert_eq!(states(&bench).await, [("k1", KeyState::Retired), ("k2", KeyState::Active)].map(owned));
    assert_eq!(last_issuer(&bench).await.keys.len(), 2, "a retired key still verifies");
    assert_eq!(refused(bench.store.change_keys(act(), activate("k1")).await).code(), "key_state");
    assert_eq!(refused(bench.store.change_keys(act(), activate("k9")).await).code(), "key_unknown");
    let forget = || bench.store.change_keys(act(), vec![KeyChange::Forget { kid: "k1".to_owned() }]);
    assert_eq!(refused(forget().await).code(), "key_state");
    let added = bench.store.change_keys(act(), vec![KeyChange::Add(key("k3", KeyState::Reserve))]).await.unwrap().keys;
    let k3 = Some("k3".to_owned());
    assert_eq!(added, Some(SigningKeys { active: Some("k2".to_owned()), reserve: k3, promoted: false }));
    assert_eq!(bench.store.answered(once).await.unwrap().unwrap().keys, promoted, "as they were then");
    bench.pass(LIFE + 2 * MARGIN);
    forget().await.unwrap();
    assert_eq!(last_issuer(&bench).await.keys, [json!({"kty": "EC", "kid": "k2"}), json!({"kty": "EC", "kid": "k3"})]);
}

/// What verifiers are told of foreign issuers.
pub async fn issuers_are_published_replaced_and_removed(bench: Bench) {
    let bench = bench.with_log().await.with_foreign().await;
    assert_eq!(bench.store.issuers().await.unwrap(), [foreign_issuer(LIFE)]);
    bench.store.put_issuer(act(), foreign_issuer(60)).await.unwrap();
    assert_eq!(last_issuer(&bench).await, foreign_issuer(60).record);
    let snapshot = bench.store.feed_snapshot().await.unwrap();
    assert_eq!(snapshot.issuers.iter().map(|record| record.issuer.as_str()).collect::<Vec<_>>(), [OWN, FOREIGN]);
    bench.store.remove_issuer(act(), FOREIGN).await.unwrap();
    let gone = last_issuer(&bench).await;
    assert!(gone.removed && gone.keys.is_empty());
    assert!(bench.store.issuers().await.unwrap().is_empty());
    assert_eq!(refused(bench.store.remove_issuer(act(), FOREIGN).await).code(), "issuer_unknown");
    assert_eq!(refused(bench.store.remove_issuer(act(), OWN).await), Refused::OwnIssuer);
    let mut usurper = foreign_issuer(60);
    OWN.clone_into(&mut usurper.record.issuer);
    assert_eq!(refused(bench.store.put_issuer(act(), usurper).await), Refused::OwnIssuer);
}

/// Two changes from the same reading cannot both win.
pub async fn settings_move_by_one_revision(bench: Bench) {
    let bench = bench.with_log().await;
    let read = bench.log().await.settings;
    let longer = Settings { revision: 2, longest_life: 1800, ..read.clone() };
    bench.store.publish_settings(act(), longer.clone()).await.unwrap();
    assert_eq!(bench.log().await.settings, longer);
    assert_eq!(last_issuer(&bench).await.longest_life, 1800, "our issuer says the same");
    let conflict = refused(bench.store.publish_settings(act(), longer).await);
    assert_eq!(conflict, Refused::SettingsConflict { current: 2 });
    let other_log = Settings { revision: 3, issuer: "https://else.example".to_owned(), ..read };
    assert_eq!(refused(bench.store.publish_settings(act(), other_log).await).code(), "settings_conflict");
}

/// A claim that becomes a target reaches the sessions that have it already.
pub async fn sessions_are_found_by_claims_that_became_targets(bench: Bench) {
    let bench = bench.with_log().await;
    let mut claims = Claims::new();
    claims.insert("tenant".to_owned(), "acme".into());
    bench.store.open_session(act(), NewSession { claims, ..bench.login("s1", "alice") }).await.unwrap();
    assert_eq!(bench.revoke("claim:tenant=acme", Cutoff::Now, Reach::Sessions).await.sessions.ended, 0);
    assert_eq!(bench.status("s1").await, SessionStatus::Live);
    let read = bench.log().await.settings;
    let more = Settings { revision: 2, claims: vec!["tenant".to_owned()], ..read };
    bench.store.publish_settings(act(), more).await.unwrap();
    assert_revoked(bench.status("s1").await);
    let new = NewSession { claims: Claims::new(), ..bench.login("s2", "alice") };
    bench.store.open_session(act(), new).await.unwrap();
    assert_eq!(bench.revoke("subject:alice", Cutoff::Now, Reach::Sessions).await.sessions.ended, 1);
}

/// An account can never take a client's id, nor a client an account's.
pub async fn accounts_and_clients_share_one_name_space(bench: Bench) {
    let bench = bench.with_log().await;
    let account = |username: &str, subject: &str| Account {
        username: username.to_owned(),
        subject: subject.to_owned(),
        password: "$argon2id$".to_owned(),
        created: START,
    };
    let add = |account| async { bench.store.add_account(act(), account).await };
    add(account("alice", "u1")).await.unwrap();
    assert_eq!(refused(add(account("alice", "u2")).await), Refused::AccountExists);
    for taken in [account("admin", "u2"), account("bob", "admin"), account("bob", "u1")] {
        assert_eq!(refused(add(taken).await), Refused::NameTaken);
    }
    for name in ["alice", "u1"] {
        assert_eq!(refused(bench.store.add_client(act(), client(name)).await), Refused::NameTaken);
    }
    bench.store.add_client(act(), client("api")).await.unwrap();
    assert_eq!(refused(bench.store.add_client(act(), client("api")).await), Refused::ClientExists);
    assert_eq!(bench.store.clients().await.unwrap(), [client("admin"), client("api")]);
    assert_eq!(bench.store.client("api").await.unwrap(), Some(client("api")));
    bench.store.remove_client(act(), "api").await.unwrap();
    assert_eq!(refused(bench.store.remove_client(act(), "api").await), Refused::ClientUnknown);

    assert_eq!(bench.store.accounts("").await.unwrap().len(), 1);
    assert!(bench.store.accounts("alice").await.unwrap().is_empty());
    bench.store.remove_account(act(), "alice").await.unwrap();
    assert_eq!(refused(bench.store.remove_account(act(), "alice").await), Refused::AccountUnknown);
    add(account("alice", "u1")).await.unwrap();
}

/// Whoever gets a removed account's name is somebody else.
pub async fn a_removed_accounts_name_passes_on_nothing_of_its_user(bench: Bench) {
    let bench = bench.with_log().await;
    let bob = || Account {
        username: "bob".to_owned(),
        subject: "bob".to_owned(),
        password: "hash".to_owned(),
        created: START,
    };
    bench.store.add_account(act(), bob()).await.unwrap();
    bench.store.set_claims(act(), "bob", roles(&["admin"])).await.unwrap();
    let parts = vec![SubjectPart::Version(7), SubjectPart::Record];
    let change = SubjectChange { parts, reach: Reach::Access };
    bench.store.change_subject(act(), "bob", change, None).await.unwrap();
    bench.store.set_subject_key(act(), "bob", "second".to_owned()).await.unwrap();
    let at = bench.store.block(act(), target("subject:bob")).await.unwrap().positions[0];
    bench.store.remove_account(act(), "bob").await.unwrap();
    let left = SubjectState { blocked: Some(at), key: "second".to_owned(), ..SubjectState::default() };
    assert_eq!(bench.state_of("bob").await, left, "neither what forbids nor what voids signatures goes");

    bench.store.unblock(act(), target("subject:bob")).await.unwrap();
    bench.store.add_account(act(), bob()).await.unwrap();
    let none = NewSession { claims: Claims::new(), ..bench.login("s", "bob") };
    assert!(bench.store.open_session(act(), none).await.unwrap().session.claims.is_empty());
}

/// A machine and a user can never have one subject, whoever comes first.
pub async fn a_client_and_a_user_are_never_one_subject(bench: Bench) {
    let bench = bench.with_log().await;
    bench.open("s", "reports").await;
    bench.store.set_claims(act(), "batch", roles(&["admin"])).await.unwrap();
    for taken in ["reports", "batch"] {
        assert_eq!(refused(bench.store.add_client(act(), client(taken)).await), Refused::NameTaken, "{taken}");
    }
    bench.store.end_session(act(), "s").await.unwrap();
    assert_eq!(refused(bench.store.add_client(act(), client("reports")).await), Refused::NameTaken, "it is kept");

    bench.store.add_client(act(), client("job")).await.unwrap();
    assert_eq!(refused(bench.store.open_session(act(), bench.login("t", "job")).await), Refused::NameTaken);
    // What is set for a client goes with it, and a block stays: the same id can be a client's again.
    bench.store.set_claims(act(), "job", roles(&["admin"])).await.unwrap();
    let at = bench.store.block(act(), target("subject:job")).await.unwrap().positions[0];
    bench.store.remove_client(act(), "job").await.unwrap();
    bench.store.add_client(act(), client("job")).await.unwrap();
    assert_eq!(bench.state_of("job").await, SubjectState { blocked: Some(at), ..SubjectState::default() });
}

/// How a client proves itself is replaced as a whole, and told like every change of clients.
pub async fn a_client_changes_in_all_but_its_id_secret_and_scopes(bench: Bench) {
    let bench = bench.with_log().await;
    let before = bench.store.committed().borrow().client_changes;
    let bound = ClientMetadata { dpop_bound_access_tokens: true, ..ClientMetadata::default() };
    let once = || Act {
        idempotency: Some(IdempotencyKey { client: "tester".to_owned(), key: "k".to_owned(), request: [1; 32] }),
        ..act()
    };
    bench.store.change_client(once(), "admin", bound.clone()).await.unwrap();
    let expected = ClientRecord { metadata: bound, ..client("admin") };
    assert_eq!(bench.store.client("admin").await.unwrap(), Some(expected.clone()));
    assert!(bench.store.committed().borrow().client_changes > before);
    bench.store.change_client(once(), "admin", ClientMetadata::default()).await.unwrap();
    assert_eq!(bench.store.client("admin").await.unwrap(), Some(expected.clone()), "a repetition changes nothing");
    let public = ClientMetadata { token_endpoint_auth_method: AuthMethod::None, ..ClientMetadata::default() };
    assert_eq!(refused(bench.store.change_client(act(), "admin", public).await), Refused::ClientMethod);
    let nobody = bench.store.change_client(act(), "nobody", ClientMetadata::default()).await;
    assert_eq!(refused(nobody), Refused::ClientUnknown);
    assert_eq!(bench.store.client("admin").await.unwrap(), Some(expected));
}

/// A crash cannot come between a change of who may log in and the end of what they hold.
pub async fn a_removed_account_and_a_removed_client_are_revoked_in_the_same_transaction(bench: Bench) {
    let bench = bench.with_log().await;
    let account = Account {
        username: "alice".to_owned(),
        subject: "u1".to_owned(),
        password: "$argon2id$".to_owned(),
        created: START,
    };
    let repeated = |key: &str| {
        let idempotency = IdempotencyKey { client: "tester".to_owned(), key: key.to_owned(), request: [1; 32] };
        Act { idempotency: Some(idempotency), ..act().because(Some("asked".to_owned())) }
    };
    bench.store.add_account(repeated("0"), account.clone()).await.unwrap();
    bench.store.add_account(repeated("0"), account.clone()).await.unwrap();
    assert_eq!(refused(bench.store.add_account(repeated("1"), account).await), Refused::AccountExists);
    bench.open("s2", "u1").await;
    let removed = bench.store.remove_account(repeated("b"), "alice").await.unwrap();
    assert_eq!(removed.sessions.ended, 1);
    assert_revoked(bench.status("s2").await);
    assert!(bench.store.remove_account(repeated("b"), "alice").await.unwrap().repeated);

    bench.store.add_client(act(), client("api")).await.unwrap();
    let left = bench.store.remove_client(repeated("c"), "api").await.unwrap();
    assert!(bench.store.remove_client(repeated("c"), "api").await.unwrap().repeated);
    let entry = bench.store.revocation(left.positions[0]).await.unwrap().unwrap();
    assert_eq!((entry.target, entry.reach), (target("subject_client:api/api"), Reach::Access));
    assert_eq!(entry.reason.as_deref(), Some("asked"));
    // What follows from state is not lifted: it would hand a removed account its sessions back.
    for at in [removed.positions[0], left.positions[0]] {
        assert_eq!(refused(bench.store.lift(act(), vec![at]).await).code(), "emitted_by_state");
    }
}

async fn states(bench: &Bench) -> Vec<(String, KeyState)> {
    bench.store.keys().await.unwrap().into_iter().map(|key| (key.kid, key.state)).collect()
}

fn owned((kid, state): (&str, KeyState)) -> (String, KeyState) {
    (kid.to_owned(), state)
}

async fn last_issuer(bench: &Bench) -> IssuerRecord {
    let lines = all_lines(bench).await;
    let records = lines.iter().rev().map(|line| Record::from_line(&line.line).unwrap().body);
    let mut issuers =
        records.filter_map(|body| if let RecordBody::Issuer(issuer) = body { Some(issuer) } else { None });
    issuers.next().unwrap()
}
