//! Credentials and lookup ids: what a change ends, what it leaves, and who may ask for it.

use annul_authority::authority::Caller;
use annul_authority::error::VerbError;
use annul_authority::verbs::accounts::{AccountRequest, LoginRequest, PasswordRequest};
use annul_authority::verbs::audit::AuditQuery;
use annul_authority::verbs::credentials::{CredentialChanged, OwnPasswordRequest, SecureRequest};
use annul_authority::verbs::logout::{LogoutRequest, LogoutScope};
use annul_authority::verbs::lookup_id::{LookupIdRequest, OwnLookupIdRequest};
use annul_authority::verbs::presented::PresentedToken;
use annul_authority::verbs::revocations::KeptState;
use annul_authority::verbs::sessions::{DeviceBody, TokenAnswer};
use annul_authority::verbs::subjects::SubjectBlock;
use serde_json::Value;

use crate::world::{World, code, login, target};

const FIRST: &str = "correct horse";
const SECOND: &str = "battery staple";

#[tokio::test]
async fn a_user_who_changes_the_password_keeps_the_device_they_change_it_on() {
    let mut world = World::new().await;
    let (phone, laptop, bob) = with_devices(&world).await;
    let changed =
        world.authority.change_password(alice(), "alice", own(FIRST, SECOND, Some(&phone.sid))).await.unwrap();
    assert_eq!((changed.sessions, changed.kept), (1, Some(KeptState::Kept)));
    let next = changed.access_token.unwrap();
    world.assert_active(&next, "the kept device's new token").await;
    world.assert_revoked_by(&phone.access_token, changed.position, "its old one").await;
    world.assert_revoked_by(&laptop.access_token, changed.position, "the other device").await;
    world.assert_active(&bob.access_token, "another user").await;
    assert_eq!(world.next_code(&laptop.sid).await, "session_revoked");
    assert_eq!(world.next_code(&phone.sid).await, "issued");
    assert_eq!(code(log_in(&world, "alice", FIRST).await), "invalid_credentials");
    let again = log_in(&world, "alice", SECOND).await.unwrap();
    world.assert_active(&again.access_token, "a login with the new password, in the same second").await;
}

#[tokio::test]
async fn only_the_present_password_changes_anything_and_unknown_names_are_told_by_nothing() {
    let mut world = World::new().await;
    let (phone, ..) = with_devices(&world).await;
    let head = world.head().await;
    let wrong = world.authority.change_password(alice(), "alice", own(SECOND, SECOND, None)).await.unwrap_err();
    let secured = world.authority.secure_account(alice(), "alice", secure(SECOND)).await.unwrap_err();
    let renamed = world.authority.change_own_lookup_id(alice(), "alice", rename(SECOND)).await.unwrap_err();
    for name in ["nobody", "", &"x".repeat(2000)] {
        let unknown = [
            world.authority.change_password(Caller::account(name), name, own(FIRST, SECOND, None)).await.unwrap_err(),
            world.authority.secure_account(Caller::account(name), name, secure(FIRST)).await.unwrap_err(),
            world.authority.change_own_lookup_id(Caller::account(name), name, rename(FIRST)).await.unwrap_err(),
        ];
        for (unknown, known) in unknown.iter().zip([&wrong, &secured, &renamed]) {
            assert_eq!((unknown.code(), unknown.to_string()), ("invalid_credentials", known.to_string()));
        }
    }
    assert_eq!(world.head().await, head);
    world.assert_active(&phone.access_token, "nothing was ended").await;
    let weak = world.authority.change_password(alice(), "alice", own(FIRST, "short", None)).await;
    assert_eq!(code(weak), "password_length");
    // The audit says that it was tried and not with what.
    let events = world.authority.audit(AuditQuery { limit: Some(100), ..AuditQuery::default() }).await.unwrap().events;
    for action in ["account.password.failed", "account.secure.failed", "account.lookup_id.failed"] {
        let tried: Vec<_> = events.iter().filter(|event| event.action == action).collect();
        assert_eq!(tried.len(), 4, "{action}");
        assert!(tried.iter().all(|event| event.actor == "annul" && event.target.is_none()));
    }
}

#[tokio::test]
async fn a_session_of_somebody_else_is_kept_by_nobody() {
    let mut world = World::new().await;
    let (phone, _, bob) = with_devices(&world).await;
    let theirs = || Some(bob.sid.clone());
    let changes = [
        world.authority.change_password(alice(), "alice", own(FIRST, SECOND, Some(&bob.sid))).await,
        world.authority.secure_account(alice(), "alice", SecureRequest { keep: theirs(), ..secure(FIRST) }).await,
        world.authority.set_password(&world.caller, "alice", PasswordRequest { keep: theirs(), ..reset(SECOND) }).await,
    ];
    for change in changes {
        assert_eq!(code(change), "session_unknown");
    }
    world.assert_active(&phone.access_token, "nothing was changed").await;
    world.assert_active(&bob.access_token, "nor for the other").await;
    log_in(&world, "alice", FIRST).await.unwrap();
}

#[tokio::test]
async fn a_lost_answer_to_a_change_is_given_again() {
    let mut world = World::new().await;
    let (phone, ..) = with_devices(&world).await;
    let once = |request: [u8; 32]| alice().with_idempotency("k", request);
    let change = || own(FIRST, SECOND, Some(&phone.sid));
    let first = world.authority.change_password(once([1; 32]), "alice", change()).await.unwrap();
    // The password so far is not the present one any more, and the answer is the same.
    let again = world.authority.change_password(once([1; 32]), "alice", change()).await.unwrap();
    assert_eq!((again.position, again.repeated), (first.position, true));
    world.assert_active(&again.access_token.unwrap(), "the kept device's token").await;
    let other = world.authority.change_password(once([2; 32]), "alice", own("a guess of it", SECOND, None)).await;
    assert_eq!(code(other), "invalid_credentials", "a guess is not told that there was an attempt");
    let stranger = Caller::account("nobody").with_idempotency("k", [1; 32]);
    assert_eq!(code(world.authority.change_password(stranger, "nobody", change()).await), "invalid_credentials");

    let renamed = world.authority.change_own_lookup_id(alice().with_idempotency("r", [1; 32]), "alice", rename(SECOND));
    let renamed = renamed.await.unwrap();
    let again = world.authority.change_own_lookup_id(alice().with_idempotency("r", [1; 32]), "alice", rename(SECOND));
    assert_eq!(again.await.unwrap().subject, renamed.subject);
}

#[tokio::test]
async fn tokens_carry_a_fingerprint_that_is_not_the_hash_and_changes_with_the_credential() {
    let mut world = World::new().await;
    let (phone, laptop, bob) = with_devices(&world).await;
    let before = fingerprint(&mut world, &phone).await.unwrap();
    assert_eq!(fingerprint(&mut world, &laptop).await.as_ref(), Some(&before));
    assert_ne!(fingerprint(&mut world, &bob).await.as_ref(), Some(&before));
    let stored = world.store.account("alice").await.unwrap().unwrap().password;
    assert!(!stored.contains(&before) && before.len() == 22);

    // The user's own "secure my account": the password as it is, the field another.
    let request = SecureRequest { keep: Some(phone.sid.clone()), ..secure(FIRST) };
    let secured = world.authority.secure_account(alice(), "alice", request).await.unwrap();
    world.assert_revoked(&phone.access_token, "carries the old one").await;
    world.assert_revoked(&laptop.access_token, "carries the old one").await;
    world.assert_active(&secured.access_token.unwrap(), "carries the new one").await;
    let kept = world.next(&phone.sid).await;
    let logged_in = log_in(&world, "alice", FIRST).await.unwrap();
    let after = fingerprint(&mut world, &kept).await.unwrap();
    assert_eq!(fingerprint(&mut world, &logged_in).await.as_ref(), Some(&after));
    assert_ne!(before, after);
    world.assert_active(&bob.access_token, "another user").await;

    world.authority.set_password(&world.caller, "alice", reset(SECOND)).await.unwrap();
    world.assert_revoked(&logged_in.access_token, "carries the old one").await;
    let reset = log_in(&world, "alice", SECOND).await.unwrap();
    assert_ne!(fingerprint(&mut world, &reset).await.unwrap(), after);
}

#[tokio::test]
async fn a_backend_sets_the_fingerprint_of_its_own_users() {
    let mut world = World::new().await;
    let phone = world.open("carol", "phone").await;
    let laptop = world.open("carol", "laptop").await;
    assert_eq!(fingerprint(&mut world, &phone).await, None, "nobody said what carol logs in with");
    let changed = |credential: &str, keep: Option<&str>| CredentialChanged {
        credential: Some(credential.to_owned().into()),
        keep: keep.map(str::to_owned),
        reason: Some("password changed".to_owned()),
        wait: None,
    };
    let caller = world.caller.clone();
    let said =
        world.authority.credential_changed(&caller, "carol", changed("$2b$12$x", Some(&phone.sid))).await.unwrap();
    world.assert_revoked(&laptop.access_token, "from before").await;
    world.assert_revoked(&phone.access_token, "from before").await;
    world.assert_active(&said.access_token.unwrap(), "the kept one's").await;
    let next = world.next(&phone.sid).await;
    let first = fingerprint(&mut world, &next).await.unwrap();
    assert!(!first.contains("2b"), "never what was given");

    // Of the same for somebody else nothing can be told, and without one it is random.
    world.authority.credential_changed(&caller, "dave", changed("$2b$12$x", None)).await.unwrap();
    let dave = world.open("dave", "phone").await;
    assert_ne!(fingerprint(&mut world, &dave).await.unwrap(), first);
    world.authority.credential_changed(&caller, "carol", CredentialChanged::default()).await.unwrap();
    world.assert_revoked(&next.access_token, "carries the old one").await;
    let random = world.open("carol", "phone").await;
    assert_ne!(fingerprint(&mut world, &random).await.unwrap(), first);
    for text in ["", &"x".repeat(1025)] {
        let refused = world.authority.credential_changed(&caller, "carol", changed(text, None)).await;
        assert_eq!(code(refused), "request_invalid");
    }
    // No caller says it in claims of its own.
    let mut forged = login("eve", "phone");
    forged.claims.insert("cfp".to_owned(), first.into());
    assert_eq!(code(world.try_open(forged).await), "claim_reserved");
}

#[tokio::test]
async fn whoever_takes_another_lookup_id_is_found_by_it_only() {
    let mut world = World::new().await;
    let (phone, laptop, bob) = with_devices(&world).await;
    let before = fingerprint(&mut world, &phone).await;
    let renamed = world.authority.change_own_lookup_id(alice(), "alice", rename(FIRST)).await.unwrap();
    assert!(renamed.subject.len() == 22 && renamed.revoked.sessions == 2);
    for old in [&phone, &laptop] {
        world.assert_revoked(&old.access_token, "names the old id").await;
        assert_eq!(world.next_code(&old.sid).await, "session_revoked");
    }
    assert_eq!(code(world.try_open(login("alice", "phone")).await), "subject_retired");
    world.assert_active(&bob.access_token, "another user").await;

    let new = log_in(&world, "alice", FIRST).await.unwrap();
    assert_eq!(new.subject, renamed.subject);
    world.assert_active(&new.access_token, "the new id").await;
    assert_ne!(fingerprint(&mut world, &new).await, before, "nothing links the two ids");
    let account = world.authority.account("alice").await.unwrap();
    assert_eq!((account.username.as_str(), account.subject), ("alice", renamed.subject.clone()));
    // A backend does the same for the subject, and the account goes along.
    let request = LookupIdRequest::default();
    let again = world.authority.change_lookup_id(&world.caller, &renamed.subject, request).await.unwrap();
    world.assert_revoked(&new.access_token, "names a retired id").await;
    assert_eq!(log_in(&world, "alice", FIRST).await.unwrap().subject, again.subject);

    // A block is not left behind.
    let block = SubjectBlock::default();
    world.authority.block_subject(&world.caller, &again.subject, block).await.unwrap();
    let blocked = world.authority.change_own_lookup_id(alice(), "alice", rename(FIRST)).await;
    assert_eq!(code(blocked.map(|_| ())), "subject_blocked");
    // The name was an id once; with the account gone it is nobody's.
    world.authority.delete_account(&world.caller, "alice").await.unwrap();
    let request = AccountRequest { username: "alice".to_owned(), password: FIRST.to_owned().into() };
    assert_eq!(code(world.authority.create_account(&world.caller, request).await), "subject_retired");
}

#[tokio::test]
async fn a_device_that_logs_out_takes_all_its_sessions_along() {
    let mut world = World::new().await;
    let (older, newer, laptop) =
        (world.open("alice", "phone").await, world.open("alice", "phone").await, world.open("alice", "laptop").await);
    let scope = |scope| LogoutRequest { scope, wait: None };
    let out = world
        .authority
        .logout(PresentedToken::bearer(newer.access_token.expose()), scope(LogoutScope::Device))
        .await
        .unwrap();
    assert_eq!(out.sessions, 2);
    world.assert_revoked(&older.access_token, "an older session of the device").await;
    world.assert_revoked(&newer.access_token, "the session that logged out").await;
    world.assert_active(&laptop.access_token, "another device").await;
    let again = world.open("alice", "phone").await;
    world.assert_active(&again.access_token, "a new login, in the same second").await;
    let devices = world.authority.devices_of("alice").await.unwrap().devices;
    assert_eq!(devices.iter().map(|device| device.logged_in).collect::<Vec<_>>(), [true, true]);

    let mut without = login("alice", "none");
    without.device = None;
    let bare = world.try_open(without).await.unwrap();
    let refused =
        world.authority.logout(PresentedToken::bearer(bare.access_token.expose()), scope(LogoutScope::Device)).await;
    assert_eq!(code(refused), "request_invalid");
    world.revoke(target("subject:alice")).await;
    let devices = world.authority.devices_of("alice").await.unwrap().devices;
    assert!(devices.iter().all(|device| !device.logged_in && device.last_logout_at >= Some(device.last_login_at)));
}

/// Alice logged in on two devices, and Bob.
async fn with_devices(world: &World) -> (TokenAnswer, TokenAnswer, TokenAnswer) {
    for name in ["alice", "bob"] {
        let request = AccountRequest { username: name.to_owned(), password: FIRST.to_owned().into() };
        world.authority.create_account(&world.caller, request).await.unwrap();
    }
    let phone = log_in(world, "alice", FIRST).await.unwrap();
    let laptop = log_in_on(world, "alice", FIRST, "laptop").await.unwrap();
    (phone, laptop, log_in(world, "bob", FIRST).await.unwrap())
}

async fn log_in(world: &World, name: &str, password: &str) -> Result<TokenAnswer, VerbError> {
    log_in_on(world, name, password, "phone").await
}

async fn log_in_on(world: &World, name: &str, password: &str, device: &str) -> Result<TokenAnswer, VerbError> {
    let request = LoginRequest {
        username: name.to_owned(),
        password: password.to_owned().into(),
        client_id: None,
        device: Some(DeviceBody { id: device.to_owned(), ..DeviceBody::default() }),
        audience: None,
        scope: None,
        refresh_token: false,
        exchange: false,
    };
    world.authority.login(request).await
}

async fn fingerprint(world: &mut World, token: &TokenAnswer) -> Option<String> {
    let claims = world.check(token.access_token.expose()).await.claims.unwrap();
    claims.get("cfp").and_then(Value::as_str).map(str::to_owned)
}

fn alice() -> Caller {
    Caller::account("alice")
}

fn own(current: &str, password: &str, keep: Option<&str>) -> OwnPasswordRequest {
    OwnPasswordRequest {
        current: current.to_owned().into(),
        password: password.to_owned().into(),
        keep: keep.map(str::to_owned),
        wait: None,
    }
}

fn secure(password: &str) -> SecureRequest {
    SecureRequest { password: password.to_owned().into(), keep: None, wait: None }
}

fn rename(password: &str) -> OwnLookupIdRequest {
    OwnLookupIdRequest { password: password.to_owned().into(), wait: None }
}

fn reset(password: &str) -> PasswordRequest {
    PasswordRequest { password: password.to_owned().into(), keep: None, reason: None, wait: None }
}
