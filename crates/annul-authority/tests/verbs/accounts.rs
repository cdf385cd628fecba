//! Accounts and clients: one name space, secrets that show nowhere.

use annul_authority::verbs::accounts::{AccountRequest, LoginRequest, PasswordRequest};
use annul_authority::verbs::audit::AuditQuery;
use annul_authority::verbs::clients::ClientRequest;
use annul_authority::verbs::settings::SettingsRequest;

use crate::world::{World, code, target};

fn account(name: &str) -> AccountRequest {
    AccountRequest { username: name.to_owned(), password: "correct horse".to_owned().into() }
}

fn reset(password: &str) -> PasswordRequest {
    PasswordRequest { password: password.to_owned().into(), keep: None, reason: None, wait: None }
}

fn client(id: &str, scopes: &[&str]) -> ClientRequest {
    let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    ClientRequest { client_id: id.to_owned(), scopes, ..ClientRequest::default() }
}

fn with_password(name: &str, password: &str) -> LoginRequest {
    LoginRequest {
        username: name.to_owned(),
        password: password.to_owned().into(),
        client_id: None,
        device: None,
        audience: None,
        scope: None,
        refresh_token: false,
        exchange: false,
    }
}

#[tokio::test]
async fn a_login_needs_the_password_and_tells_an_unknown_name_from_a_wrong_one_by_nothing() {
    let mut world = World::new().await;
    world.authority.create_account(&world.caller, account("alice")).await.unwrap();
    let token = world.authority.login(with_password("alice", "correct horse")).await.unwrap();
    assert_eq!(token.subject, "alice");
    world.assert_active(&token.access_token, "logged in").await;
    let wrong = world.authority.login(with_password("alice", "wrong horse")).await.unwrap_err();
    for name in ["nobody", "", &"x".repeat(2000)] {
        let unknown = world.authority.login(with_password(name, "correct horse")).await.unwrap_err();
        assert_eq!((unknown.code(), unknown.to_string()), (wrong.code(), wrong.to_string()));
    }
    assert_eq!(wrong.code(), "invalid_credentials");
}

#[tokio::test]
async fn a_new_password_ends_every_session_and_the_old_one_is_worth_nothing() {
    let mut world = World::new().await;
    world.authority.create_account(&world.caller, account("alice")).await.unwrap();
    let old = world.authority.login(with_password("alice", "correct horse")).await.unwrap();
    let change = reset("battery staple");
    let revoked = world.authority.set_password(&world.caller, "alice", change).await.unwrap();
    assert_eq!(revoked.sessions, 1);
    world.assert_revoked(&old.access_token, "the old password's session").await;
    assert_eq!(code(world.authority.login(with_password("alice", "correct horse")).await), "invalid_credentials");
    let new = world.authority.login(with_password("alice", "battery staple")).await.unwrap();
    world.assert_active(&new.access_token, "the new password").await;

    let short = reset("short");
    assert_eq!(code(world.authority.set_password(&world.caller, "alice", short).await), "password_length");
    world.assert_active(&new.access_token, "nothing was changed").await;
}

#[tokio::test]
async fn a_deleted_account_is_gone_with_its_sessions() {
    let mut world = World::new().await;
    world.authority.create_account(&world.caller, account("alice")).await.unwrap();
    let token = world.authority.login(with_password("alice", "correct horse")).await.unwrap();
    world.authority.delete_account(&world.caller, "alice").await.unwrap();
    world.assert_revoked(&token.access_token, "deleted").await;
    assert_eq!(code(world.authority.login(with_password("alice", "correct horse")).await), "invalid_credentials");
    assert_eq!(code(world.authority.delete_account(&world.caller, "alice").await), "account_unknown");
    assert!(world.authority.list_accounts().await.unwrap().accounts.is_empty());
}

#[tokio::test]
async fn accounts_and_clients_share_one_name_space() {
    let world = World::new().await;
    world.authority.create_client(&world.caller, client("shop", &["annul.read"])).await.unwrap();
    world.authority.create_account(&world.caller, account("alice")).await.unwrap();
    assert_eq!(code(world.authority.create_account(&world.caller, account("shop")).await), "name_taken");
    assert_eq!(code(world.authority.create_client(&world.caller, client("alice", &[])).await), "name_taken");
    assert_eq!(code(world.authority.create_account(&world.caller, account("alice")).await), "account_exists");
    assert_eq!(code(world.authority.create_client(&world.caller, client("shop", &[])).await), "client_exists");
}

#[tokio::test]
async fn a_client_proves_itself_by_its_secret_and_may_what_it_was_given() {
    let world = World::new().await;
    let made = world.authority.create_client(&world.caller, client("reader", &["annul.read"])).await.unwrap();
    let secret = made.client_secret.as_ref().unwrap().expose();
    assert!(secret.starts_with("annul_cs_") && secret.len() == "annul_cs_".len() + 43);
    let reader = world.authority.authenticate_client("reader", secret).await.unwrap();
    reader.require("annul.read").unwrap();
    assert_eq!(code(reader.require("annul.admin")), "insufficient_scope");
    for (id, given) in [("reader", ""), ("reader", "annul_cs_"), ("nobody", secret), ("admin", secret)] {
        assert_eq!(code(world.authority.authenticate_client(id, given).await), "invalid_client");
    }
    let (id, admin_secret) = &world.admin;
    let admin = world.authority.authenticate_client(id, admin_secret.expose()).await.unwrap();
    for scope in annul_authority::verbs::clients::OWN_SCOPES {
        admin.require(scope).unwrap();
    }
    assert_eq!(
        code(world.authority.create_client(&world.caller, client("x", &["annul.everything"])).await),
        "request_invalid"
    );
}

#[tokio::test]
async fn a_removed_client_gets_no_token_even_if_it_proved_itself_before() {
    let mut world = World::new().await;
    let made = world.authority.create_client(&world.caller, client("job", &["jobs.run"])).await.unwrap();
    let proven = world.proven("job", &made).await.unwrap();
    let token = world.authority.client_credentials(&proven, None, Vec::new()).await.unwrap();
    world.assert_active(&token.access_token, "before").await;
    let once = world.caller.clone().with_idempotency("k", [1; 32]);
    world.authority.delete_client(&once, "job").await.unwrap();
    world.authority.delete_client(&once, "job").await.unwrap();
    world.assert_revoked(&token.access_token, "its client is gone").await;
    assert_eq!(code(world.authority.client_credentials(&proven, None, Vec::new()).await), "invalid_client");
}

#[tokio::test]
async fn no_client_takes_a_name_that_the_audit_gives_to_others() {
    let world = World::new().await;
    for name in ["annul", "subject:alice", "account:alice"] {
        assert_eq!(code(world.authority.create_client(&world.caller, client(name, &[])).await), "request_invalid");
    }
}

#[tokio::test]
async fn an_account_is_made_once_for_each_attempt() {
    let world = World::new().await;
    let once = world.caller.clone().with_idempotency("k", [1; 32]);
    let first = world.authority.create_account(&once, account("alice")).await.unwrap();
    world.advance(10);
    let again = world.authority.create_account(&once, account("alice")).await.unwrap();
    assert_eq!((again.username, again.created), (first.username, first.created));
    let other = world.caller.clone().with_idempotency("k", [2; 32]);
    assert_eq!(code(world.authority.create_account(&other, account("bob")).await), "idempotency_conflict");
    let of_another_client = annul_authority::authority::Caller::client("shop").with_idempotency("k", [2; 32]);
    world.authority.create_account(&of_another_client, account("bob")).await.unwrap();
}

#[tokio::test]
async fn the_last_administrator_cannot_be_deleted() {
    let world = World::new().await;
    assert_eq!(code(world.authority.delete_client(&world.caller, "admin").await), "last_admin");
    world.authority.create_client(&world.caller, client("admin-2", &["annul.admin"])).await.unwrap();
    world.authority.delete_client(&world.caller, "admin").await.unwrap();
    assert_eq!(code(world.authority.delete_client(&world.caller, "admin-2").await), "last_admin");
    assert_eq!(code(world.authority.delete_client(&world.caller, "nobody").await), "client_unknown");
}

#[tokio::test]
async fn revoking_everything_cuts_no_client_off() {
    let world = World::new().await;
    world.revoke(target("issuer")).await;
    let (id, secret) = &world.admin;
    world.authority.authenticate_client(id, secret.expose()).await.unwrap();
}

#[tokio::test]
async fn the_audit_resolves_a_position_to_who_and_why() {
    let world = World::new().await;
    let caller = world.caller.clone().with_request_id("req-1");
    world.open("alice", "phone").await;
    let request = annul_authority::verbs::revocations::RevokeRequest {
        reason: Some("stolen".to_owned()),
        ..target("subject:alice")
    };
    let outcome = world.authority.revoke(&caller, request).await.unwrap();
    let annul_authority::verbs::revocations::RevokeOutcome::Done(revoked) = outcome else {
        panic!("it was no dry run")
    };
    let query = AuditQuery { position: Some(revoked.position), ..AuditQuery::default() };
    let events = world.authority.audit(query).await.unwrap().events;
    assert_eq!(events.len(), 1);
    let event = &events[0];
    assert_eq!(event.actor, "backend");
    assert_eq!(event.target.as_deref(), Some("subject:alice"));
    assert_eq!(event.reason.as_deref(), Some("stolen"));
    assert_eq!(event.request_id.as_deref(), Some("req-1"));
}

#[tokio::test]
async fn settings_change_by_revision_and_within_bounds() {
    let mut world = World::new().await;
    let alice = world.open("alice", "phone").await;
    let change =
        SettingsRequest { claims: Some(vec!["plan".to_owned()]), longest_life: Some(1800), ..Default::default() };
    let answer = world.authority.change_settings(&world.caller, change).await.unwrap();
    assert_eq!((answer.settings.revision, answer.settings.longest_life), (2, 1800));
    world.assert_active(&alice.access_token, "issued under the settings before").await;
    assert_eq!(code(world.try_revoke(target("claim:roles=editor")).await), "claim_no_target");
    world.assert_active(&alice.access_token, "roles are no target any more").await;
    for change in [
        SettingsRequest { longest_life: Some(10), ..Default::default() },
        SettingsRequest { max_leeway: Some(100_000), ..Default::default() },
        SettingsRequest { ask_on: Some(vec!["tenant".to_owned()]), ..Default::default() },
    ] {
        assert_eq!(code(world.authority.change_settings(&world.caller, change).await), "request_invalid");
    }
    assert_eq!(world.authority.settings().revision, 2);
}

#[tokio::test]
async fn no_secret_shows_in_debug_output() {
    let world = World::new().await;
    let token = world.open("alice", "phone").await;
    let made = world.authority.create_client(&world.caller, client("shop", &[])).await.unwrap();
    let shown = format!("{token:?} {made:?} {:?} {:?} {:?}", world.authority, account("bob"), world.admin);
    let secrets = [
        token.access_token.expose(),
        made.client_secret.as_ref().unwrap().expose(),
        "correct horse",
        world.admin.1.expose(),
    ];
    for secret in secrets {
        assert!(!shown.contains(secret), "a secret shows");
    }
}
