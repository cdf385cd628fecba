//! A subject's version and record: what a change refuses, what it spares, and what tokens say of it.

use annul_authority::authority::Setup;
use annul_authority::model::MAX_VERSION;
use annul_authority::secrets::secret::Secret;
use annul_authority::verbs::clients::ClientRequest;
use annul_authority::verbs::logout::{LogoutRequest, LogoutScope};
use annul_authority::verbs::presented::PresentedToken;
use annul_authority::verbs::revocations::{KeptState, LiftRequest};
use annul_authority::verbs::sessions::TokenAnswer;
use annul_authority::verbs::subjects::{RecordUpdate, SubjectBlock, SubjectClaims, SubjectVersion, VersionReach};
use annul_authority::verbs::tokens::CheckRequest;
use annul_core::token::UnverifiedToken;
use serde_json::{Value, json};

use crate::world::{AUDIENCE, ISSUER, World, claims, code};

fn claim(token: &Secret, name: &str) -> Value {
    UnverifiedToken::parse(token.expose()).unwrap().claims().get(name).cloned().unwrap_or_default()
}

fn version(version: u64) -> SubjectVersion {
    SubjectVersion { version: Some(version), ..SubjectVersion::default() }
}

fn record(fields: &[&str]) -> RecordUpdate {
    RecordUpdate { fields: fields.iter().map(|field| (*field).to_owned()).collect(), ..RecordUpdate::default() }
}

fn setup(logout_sets_version: bool, fields: &[&str]) -> Setup {
    let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
    Setup { logout_sets_version, record_fields: fields.try_into().unwrap(), ..Setup::new(ISSUER, AUDIENCE) }
}

async fn set(world: &World, request: SubjectVersion) -> u64 {
    world.authority.set_subject_version(&world.caller, "alice", request).await.unwrap().sessions
}

async fn changed(world: &World, fields: &[&str]) -> u64 {
    world.authority.subject_record_changed(&world.caller, "alice", record(fields)).await.unwrap().sessions
}

async fn all_dead(world: &mut World, tokens: &[&TokenAnswer], what: &str) {
    for token in tokens {
        world.assert_revoked(&token.access_token, what).await;
        assert_eq!(world.next_code(&token.sid).await, "session_revoked", "{what}");
    }
}

async fn log_out(world: &World, token: &TokenAnswer, scope: LogoutScope) -> Option<Secret> {
    let request = LogoutRequest { scope, wait: None };
    world.authority.logout(PresentedToken::bearer(token.access_token.expose()), request).await.unwrap().access_token
}

#[tokio::test]
async fn a_token_of_another_version_is_refused_lower_or_higher() {
    let mut world = World::new().await;
    let unversioned = world.open("alice", "phone").await;
    let bob = world.open("bob", "phone").await;
    assert_eq!(claim(&unversioned.access_token, "ver"), Value::Null, "no version, no claim");
    assert_eq!(set(&world, version(5)).await, 1);
    let five = world.open("alice", "phone").await;
    assert_eq!(claim(&five.access_token, "ver"), 5);
    world.assert_active(&five.access_token, "the current version, in the same millisecond").await;
    // Down: the higher one is refused. Up again: neither comes back.
    assert_eq!(set(&world, version(4)).await, 1);
    let four = world.open("alice", "phone").await;
    assert_eq!(set(&world, version(5)).await, 1);
    let again = world.open("alice", "phone").await;
    assert_eq!(claim(&again.access_token, "ver"), 5);
    all_dead(&mut world, &[&unversioned, &five, &four], "another version").await;
    world.assert_active(&again.access_token, "the current version").await;
    world.assert_active(&bob.access_token, "somebody else").await;
    assert_eq!(claim(&world.next(&bob.sid).await.access_token, "ver"), Value::Null);
    assert_eq!(world.authority.subject("alice", None).await.unwrap().version, Some(5));
}

#[tokio::test]
async fn a_version_may_reach_access_only_and_sessions_go_on_with_it() {
    let mut world = World::new().await;
    let phone = world.open("alice", "phone").await;
    let access = SubjectVersion { reach: VersionReach::Access, ..SubjectVersion::default() };
    assert_eq!(set(&world, access).await, 0);
    world.assert_revoked(&phone.access_token, "without the version").await;
    let next = world.next(&phone.sid).await;
    assert_eq!(claim(&next.access_token, "ver"), 1);
    world.assert_active(&next.access_token, "with it").await;

    // A token that is checked and re-stamped goes on with its version.
    let token = Secret::new(next.access_token.expose().to_owned());
    let restamped = world.authority.check_token(CheckRequest { token, restamp: true }).await.unwrap();
    assert_eq!(claim(&restamped.access_token.unwrap(), "ver"), 1);
}

#[tokio::test]
async fn a_version_keeps_the_session_that_asked() {
    let mut world = World::new().await;
    let phone = world.open("alice", "phone").await;
    let laptop = world.open("alice", "laptop").await;
    let keep = SubjectVersion { keep: Some(phone.sid.clone()), ..SubjectVersion::default() };
    let done = world.authority.set_subject_version(&world.caller, "alice", keep).await.unwrap();
    assert_eq!((done.kept, done.sessions), (Some(KeptState::Kept), 1));
    let next = done.access_token.unwrap();
    assert_eq!(claim(&next, "ver"), 1);
    world.assert_active(&next, "the kept session").await;
    world.assert_revoked(&phone.access_token, "its token from before").await;
    all_dead(&mut world, &[&laptop], "the other one").await;
    let bob = world.open("bob", "phone").await;
    let other = SubjectVersion { keep: Some(bob.sid), ..SubjectVersion::default() };
    assert_eq!(code(world.authority.set_subject_version(&world.caller, "alice", other).await), "session_unknown");
}

#[tokio::test]
async fn a_version_is_undone_by_no_lift_and_bounded() {
    let mut world = World::new().await;
    let phone = world.open("alice", "phone").await;
    let done = world.authority.set_subject_version(&world.caller, "alice", version(MAX_VERSION)).await.unwrap();
    let positions = done.revocations.iter().map(|item| item.position).collect();
    let lift = LiftRequest { positions, ..LiftRequest::default() };
    assert_eq!(code(world.authority.lift(&world.caller, lift).await), "emitted_by_state");
    world.assert_revoked(&phone.access_token, "still").await;
    let beyond = world.authority.set_subject_version(&world.caller, "alice", version(MAX_VERSION + 1)).await;
    assert_eq!(code(beyond), "request_invalid");
    // A logout never fails for want of a number.
    set(&world, SubjectVersion::default()).await;
    assert_eq!(world.authority.subject("alice", None).await.unwrap().version, Some(1));
}

#[tokio::test]
async fn nobody_else_sets_the_claims_of_the_state() {
    let world = World::new().await;
    for name in ["ver", "updated_at"] {
        let request = SubjectClaims { claims: claims(json!({ name: 1 })), ..SubjectClaims::default() };
        assert_eq!(code(world.authority.set_subject_claims(&world.caller, "alice", request).await), "claim_reserved");
    }
}

#[tokio::test]
async fn every_logout_is_a_logout_everywhere_where_it_sets_the_version() {
    let mut world = World::with(setup(true, &[])).await;
    for scope in [LogoutScope::Local, LogoutScope::Device, LogoutScope::Global] {
        let phone = world.open("alice", "phone").await;
        let laptop = world.open("alice", "laptop").await;
        let before = world.authority.subject("alice", None).await.unwrap().version.unwrap_or_default();
        log_out(&world, &phone, scope).await;
        world.assert_revoked(&phone.access_token, "logged out").await;
        all_dead(&mut world, &[&laptop], "everywhere").await;
        assert_eq!(world.authority.subject("alice", None).await.unwrap().version, Some(before + 1));
        let again = world.open("alice", "phone").await;
        world.assert_active(&again.access_token, "a new login").await;
    }

    // Said twice, also by the backend, it logs out once.
    let phone = world.open("alice", "phone").await;
    world.authority.log_out(&world.caller, &phone.sid, None).await.unwrap();
    let later = world.open("alice", "phone").await;
    log_out(&world, &phone, LogoutScope::Local).await;
    world.authority.log_out(&world.caller, &phone.sid, None).await.unwrap();
    world.assert_active(&later.access_token, "logged in after the logout").await;

    // All others: the bearer's session goes on with the next version.
    let laptop = world.open("alice", "laptop").await;
    let next = log_out(&world, &laptop, LogoutScope::Others).await.unwrap();
    world.assert_active(&next, "this device").await;
    assert_eq!(claim(&next, "ver"), world.authority.subject("alice", None).await.unwrap().version.unwrap());
    all_dead(&mut world, &[&later], "another device").await;
}

#[tokio::test]
async fn a_logout_is_of_one_session_where_nothing_else_is_configured() {
    let mut world = World::new().await;
    let phone = world.open("alice", "phone").await;
    let laptop = world.open("alice", "laptop").await;
    log_out(&world, &phone, LogoutScope::Local).await;
    world.assert_active(&laptop.access_token, "another device").await;
    assert_eq!(world.authority.subject("alice", None).await.unwrap().version, None);
}

#[tokio::test]
async fn a_record_change_renews_tokens_or_asks_for_a_login_as_its_strongest_field_says() {
    let mut world = World::with(setup(false, &["role=access", "email=access", "password=both"])).await;
    let phone = world.open("alice", "phone").await;
    assert_eq!(claim(&phone.access_token, "updated_at"), Value::Null);
    assert_eq!(changed(&world, &["role", "email"]).await, 0);
    world.assert_revoked(&phone.access_token, "an older record").await;
    let next = world.next(&phone.sid).await;
    assert_eq!(claim(&next.access_token, "updated_at"), world.now());
    world.assert_active(&next.access_token, "the record as it is").await;

    // In the same second the time stays and the token dies all the same.
    assert_eq!(changed(&world, &["role"]).await, 0);
    world.assert_revoked(&next.access_token, "an older record with the same time").await;
    let next = world.next(&phone.sid).await;
    world.advance(3);
    assert_eq!(changed(&world, &["email", "password"]).await, 1);
    all_dead(&mut world, &[&phone, &next], "a password").await;
    let again = world.open("alice", "phone").await;
    assert_eq!(claim(&again.access_token, "updated_at"), world.now());
    world.assert_active(&again.access_token, "logged in again").await;
}

#[tokio::test]
async fn an_unknown_field_is_refused_with_those_that_are_known() {
    let mut world = World::new().await;
    let phone = world.open("alice", "phone").await;
    let error = world.authority.subject_record_changed(&world.caller, "alice", record(&["role", "shoe_size"])).await;
    let error = error.unwrap_err();
    assert_eq!(error.code(), "record_field_unknown");
    assert!(error.to_string().contains("shoe_size") && error.to_string().contains("email, password, role"), "{error}");
    let too_many: Vec<&str> = vec!["role"; 129];
    for fields in [&[][..], &too_many] {
        let refused = world.authority.subject_record_changed(&world.caller, "alice", record(fields)).await;
        assert_eq!(code(refused), "request_invalid");
    }
    world.assert_active(&phone.access_token, "nothing was changed").await;
}

#[tokio::test]
async fn logins_and_logouts_change_the_record_where_they_are_fields_of_it() {
    let mut world = World::with(setup(false, &["login=both", "logout=access"])).await;
    let first = world.open("alice", "phone").await;
    assert_eq!(claim(&first.access_token, "updated_at"), world.now());
    world.assert_active(&first.access_token, "the only login").await;
    world.advance(2);
    let second = world.open("alice", "laptop").await;
    all_dead(&mut world, &[&first], "a newer login").await;
    world.assert_active(&second.access_token, "the newest login").await;
    assert_eq!(claim(&second.access_token, "updated_at"), world.now());

    let bob = world.open("bob", "phone").await;
    log_out(&world, &second, LogoutScope::Local).await;
    assert_eq!(world.next_code(&second.sid).await, "session_revoked", "it has ended");
    world.assert_active(&bob.access_token, "somebody else").await;

    // A logout that reaches access: the other session goes on.
    let mut world = World::with(setup(false, &["logout=access"])).await;
    let phone = world.open("alice", "phone").await;
    let laptop = world.open("alice", "laptop").await;
    log_out(&world, &phone, LogoutScope::Local).await;
    world.assert_revoked(&laptop.access_token, "a record from before the logout").await;
    let tv = world.open("alice", "tv").await;
    log_out(&world, &tv, LogoutScope::Device).await;
    all_dead(&mut world, &[&tv], "its device").await;
    let next = world.next(&laptop.sid).await;
    world.assert_active(&next.access_token, "the record as it is").await;
    // And everywhere still means sessions too.
    log_out(&world, &next, LogoutScope::Global).await;
    all_dead(&mut world, &[&laptop], "everywhere").await;
}

#[tokio::test]
async fn a_blocked_machine_gets_no_token_for_itself() {
    let mut world = World::new().await;
    let request =
        ClientRequest { client_id: "job".to_owned(), scopes: vec!["jobs.run".to_owned()], ..ClientRequest::default() };
    let made = world.authority.create_client(&world.caller, request).await.unwrap();
    let job = world.proven("job", &made).await.unwrap();
    let token = world.authority.client_credentials(&job, None, Vec::new()).await.unwrap();
    world.authority.block_subject(&world.caller, "job", SubjectBlock::default()).await.unwrap();
    world.assert_revoked(&token.access_token, "blocked").await;
    let refused = world.authority.client_credentials(&job, None, Vec::new()).await;
    assert_eq!(refused.unwrap_err().code(), "subject_blocked");
    world.authority.unblock_subject(&world.caller, "job", SubjectBlock::default()).await.unwrap();
    let token = world.authority.client_credentials(&job, None, Vec::new()).await.unwrap();
    world.assert_active(&token.access_token, "unblocked").await;
}
