//! Token exchange: what a session inherits, and that it dies with what it descends from.

use std::sync::Arc;

use annul_authority::authority::Caller;
use annul_authority::model::{AuthMethod, ClientMetadata, ClientRecord, GrantType, SubjectNames};
use annul_authority::secrets::secret::Secret;
use annul_authority::verbs::exchange::ExchangeRequest;
use annul_authority::verbs::granted::Granted;
use annul_authority::verbs::issuers::IssuerRequest;
use annul_authority::verbs::oauth_clients::OAuthClient;
use annul_authority::verbs::revocations::RevokeRequest;
use annul_authority::verbs::sessions::OpenSession;
use annul_core::time::UnixMillis;
use annul_core::token::UnverifiedToken;
use serde_json::{Value, json};

use crate::idp::Idp;
use crate::world::{AUDIENCE, FOREIGN, ISSUER, World, claims, code, login, target};

/// A confidential client that may exchange tokens and use assertions, and nothing else.
pub(crate) fn client(client_id: &str) -> OAuthClient {
    OAuthClient::of(Arc::new(record(client_id)))
}

fn record(client_id: &str) -> ClientRecord {
    let metadata = ClientMetadata { grant_types: GrantType::ALL.to_vec(), ..ClientMetadata::default() };
    ClientRecord {
        client_id: client_id.to_owned(),
        secret_hash: vec![1],
        scopes: vec!["read".to_owned()],
        created: UnixMillis(0),
        metadata,
    }
}

pub(crate) fn said(token: &Secret) -> Value {
    Value::Object(UnverifiedToken::parse(token.expose()).unwrap().claims().map().clone())
}

fn sid(token: &Secret) -> String {
    said(token)["sid"].as_str().unwrap().to_owned()
}

pub(crate) fn of(token: &Secret) -> ExchangeRequest {
    ExchangeRequest { subject_token: token.clone(), actor_token: None, audience: Vec::new(), scope: None }
}

async fn exchange(world: &World, by: &str, token: &Secret) -> Secret {
    let granted = world.authority.exchange(&Caller::client(by), &client(by), of(token)).await.unwrap();
    granted.access_token
}

async fn refused(world: &World, by: &OAuthClient, request: ExchangeRequest) -> &'static str {
    code(world.authority.exchange(&Caller::client(&by.client_id), by, request).await.map(|_: Granted| ()))
}

/// The tokens of three sessions, each opened with the one before.
async fn descendants(world: &World, root: &Secret) -> Vec<Secret> {
    let mut line = vec![root.clone()];
    for by in ["gateway", "orders", "stock"] {
        let next = exchange(world, by, line.last().unwrap()).await;
        line.push(next);
    }
    line
}

#[tokio::test]
async fn tx_5_revoking_the_root_kills_everything_derived_from_it_to_depth_3() {
    for reached in ["session", "subject:alice", "device:alice/phone", "claim:tenant=tenant-of-alice", "issuer"] {
        let mut world = World::new().await;
        let root = world.open("alice", "phone").await;
        let other = world.open("bob", "phone").await;
        let line = descendants(&world, &root.access_token).await;
        let others = descendants(&world, &other.access_token).await;
        for token in line.iter().chain(&others) {
            world.assert_active(token, reached).await;
        }
        let text = if reached == "session" { format!("session:{}", root.sid) } else { reached.to_owned() };
        world.revoke(target(text)).await;
        for (depth, token) in line.iter().enumerate() {
            world.assert_revoked(token, &format!("{reached} at depth {depth}")).await;
            assert_eq!(world.next_code(&sid(token)).await, "session_revoked", "{reached} at depth {depth}");
        }
        if reached != "issuer" {
            for (depth, token) in others.iter().enumerate() {
                world.assert_active(token, &format!("{reached} is not bob's at depth {depth}")).await;
                assert_eq!(world.next_code(&sid(token)).await, "issued");
            }
        }
    }
}

#[tokio::test]
async fn tx_5_revoking_one_in_the_middle_spares_those_above() {
    let mut world = World::new().await;
    let root = world.open("alice", "phone").await;
    let line = descendants(&world, &root.access_token).await;
    world.revoke(target(format!("session:{}", sid(&line[1])))).await;
    world.assert_active(&line[0], "above").await;
    for token in &line[1..] {
        world.assert_revoked(token, "it and those below").await;
    }
    let by_client = exchange(&world, "reports", &line[0]).await;
    world.revoke(target("client:reports")).await;
    world.assert_revoked(&by_client, "its own client").await;
    world.assert_active(&line[0], "another client's").await;
}

/// What stands in no token of the descendants still ends them where tokens are issued.
#[tokio::test]
async fn tx_5_an_issue_judges_the_ancestors_by_all_that_they_can_be_revoked_by() {
    let world = World::new().await;
    let root = world.open("alice", "phone").await;
    let line = descendants(&world, &root.access_token).await;
    world.revoke(target("client:app-of-alice")).await;
    for token in &line {
        assert_eq!(world.next_code(&sid(token)).await, "session_revoked");
    }
    assert_eq!(refused(&world, &client("late"), of(&line[3])).await, "session_revoked");
}

async fn accepting(idp: &Idp, subjects: Option<SubjectNames>) -> World {
    let world = World::new().await;
    let request = IssuerRequest { subjects, ..idp.request() };
    world.authority.add_issuer(&world.caller, request, None).await.unwrap();
    world
}

#[tokio::test]
async fn tx_5_a_foreign_session_or_subject_that_is_revoked_kills_what_was_derived_here() {
    for text in ["session:f1", "subject:alice"] {
        let idp = Idp::new();
        let mut world = accepting(&idp, Some(SubjectNames::Apart)).await;
        let root = idp.token(&world, "alice", json!({ "sid": "f1", "jti": "j1" }));
        let other = idp.token(&world, "bob", json!({ "sid": "f2", "jti": "j2" }));
        let line = descendants(&world, &root).await;
        let others = descendants(&world, &other).await;
        assert_eq!(said(&line[3])["sub"], format!("{FOREIGN}|alice"), "kept apart from our own alice");
        world.revoke(RevokeRequest { issuer: Some(FOREIGN.to_owned()), ..target(text) }).await;
        for (depth, token) in line.iter().enumerate() {
            world.assert_revoked(token, &format!("{text} at depth {depth}")).await;
            if depth > 0 {
                assert_eq!(world.next_code(&sid(token)).await, "session_revoked", "{text} at depth {depth}");
            }
        }
        for token in &others {
            world.assert_active(token, "of another").await;
        }
    }
}

#[tokio::test]
async fn an_issuer_that_is_not_trusted_with_logins_opens_no_session() {
    let idp = Idp::new();
    let world = accepting(&idp, None).await;
    let token = idp.token(&world, "alice", json!({ "jti": "j1" }));
    assert_eq!(refused(&world, &client("api"), of(&token)).await, "opens_no_session");
    let shared = IssuerRequest { subjects: Some(SubjectNames::Shared), ..idp.request() };
    world.authority.add_issuer(&world.caller, shared, None).await.unwrap();
    assert_eq!(said(&exchange(&world, "api", &token).await)["sub"], "alice");
}

#[tokio::test]
async fn tx_4_the_derived_token_has_no_more_than_the_one_it_was_exchanged_for() {
    let mut world = World::new().await;
    let auth_time = world.now() - 40;
    let root = world.try_open(OpenSession { auth_time: Some(auth_time), ..login("alice", "phone") }).await.unwrap();
    world.advance(100);
    let request = ExchangeRequest { scope: Some("read".to_owned()), ..of(&root.access_token) };
    let granted = world.authority.exchange(&Caller::client("api"), &client("api"), request).await.unwrap();
    assert_eq!((granted.scope.as_deref(), granted.token_type), (Some("read"), "Bearer"));
    assert_eq!(granted.issued_token_type, Some("urn:ietf:params:oauth:token-type:access_token"));
    let derived = said(&granted.access_token);
    let before = said(&root.access_token);
    assert_eq!(derived["exp"], before["exp"], "it ends when the other ends");
    assert_eq!((&derived["auth_time"], &derived["scope"]), (&json!(auth_time), &json!("read")));
    assert_eq!((&derived["client_id"], &derived["sub"]), (&json!("api"), &json!("alice")));
    assert_eq!(derived["origin"], json!([{ "iss": ISSUER, "sid": root.sid }]));
    assert_eq!((&derived["tenant"], &derived["device_id"]), (&before["tenant"], &before["device_id"]));
    assert_ne!(derived["sid"], before["sid"]);
    world.assert_active(&granted.access_token, "derived").await;
    let wider = ExchangeRequest { scope: Some("read write".to_owned()), ..of(&granted.access_token) };
    assert_eq!(refused(&world, &client("api"), wider).await, "invalid_scope");
    // Nothing that is issued later outlives it either.
    world.advance(300);
    assert_eq!(world.next_code(derived["sid"].as_str().unwrap()).await, "session_expired");
}

#[tokio::test]
async fn at_5_an_audience_is_the_configured_one_or_the_tokens_unless_the_client_opens_sessions() {
    let world = World::new().await;
    let root = world.open("alice", "phone").await;
    let to = |audience: &str| ExchangeRequest { audience: vec![audience.to_owned()], ..of(&root.access_token) };
    assert_eq!(refused(&world, &client("api"), to("payroll")).await, "audience_refused");
    let issuing = ClientRecord { scopes: vec!["annul.issue".to_owned(), "read".to_owned()], ..record("api") };
    let issuing = OAuthClient::of(Arc::new(issuing));
    let granted = world.authority.exchange(&Caller::client("api"), &issuing, to("payroll")).await.unwrap();
    assert_eq!(said(&granted.access_token)["aud"], "payroll");
    let both = vec!["payroll".to_owned(), AUDIENCE.to_owned()];
    let request = ExchangeRequest { audience: both.clone(), ..of(&granted.access_token) };
    let kept = world.authority.exchange(&Caller::client("api"), &client("api"), request).await.unwrap();
    assert_eq!(said(&kept.access_token)["aud"], json!(both));
}

#[tokio::test]
async fn tx_3_a_token_that_is_revoked_forged_or_of_no_session_is_not_exchanged() {
    let world = World::new().await;
    let root = world.open("alice", "phone").await;
    let garbage = Secret::new(format!("{}A", root.access_token.expose()));
    assert_ne!(refused(&world, &client("api"), of(&garbage)).await, "issued");
    let machine = world.authority.client_credentials(&client("machine"), None, Vec::new()).await;
    assert_eq!(code(machine.map(|_| ())), "invalid_client", "the client has to be there");
    world.revoke(target(format!("session:{}", root.sid))).await;
    assert_eq!(refused(&world, &client("api"), of(&root.access_token)).await, "token_revoked");
    let expired = world.open("bob", "phone").await;
    world.advance(400);
    assert_eq!(refused(&world, &client("api"), of(&expired.access_token)).await, "token_expired");
}

#[tokio::test]
async fn tx_4_whoever_acts_stands_outermost_and_what_ends_the_actor_ends_the_token() {
    for reached in ["session", "subject:robot"] {
        let mut world = World::new().await;
        let root = world.open("alice", "phone").await;
        let robot = world.open("robot", "rack").await;
        let with = |token: &Secret, actor: &Secret| ExchangeRequest { actor_token: Some(actor.clone()), ..of(token) };
        let asked = with(&root.access_token, &robot.access_token);
        let first = world.authority.exchange(&Caller::client("api"), &client("api"), asked).await.unwrap();
        let act = |token: &Secret| said(token)["act"].clone();
        let by_robot = json!({ "iss": ISSUER, "sub": "robot", "client_id": "app-of-robot" });
        assert_eq!(act(&first.access_token), by_robot);
        let second = exchange(&world, "orders", &first.access_token).await;
        assert_eq!(act(&second), by_robot, "handed on");
        let carol = world.open("carol", "desk").await;
        let asked = with(&second, &carol.access_token);
        let third = world.authority.exchange(&Caller::client("stock"), &client("stock"), asked).await.unwrap();
        let chain = json!({ "iss": ISSUER, "sub": "carol", "client_id": "app-of-carol", "act": by_robot });
        assert_eq!(act(&third.access_token), chain);

        let text = if reached == "session" { format!("session:{}", robot.sid) } else { reached.to_owned() };
        world.revoke(target(text)).await;
        world.assert_active(&root.access_token, "alice herself").await;
        for token in [&first.access_token, &second, &third.access_token] {
            world.assert_revoked(token, reached).await;
        }
    }
}

#[tokio::test]
async fn tx_4_a_token_that_names_its_actor_is_exchanged_for_nobody_else() {
    let world = World::new().await;
    let may_act = |names: Value| OpenSession { claims: claims(json!({ "may_act": names })), ..login("alice", "phone") };
    let meant = world.try_open(may_act(json!({ "sub": "robot" }))).await.unwrap();
    assert_eq!(refused(&world, &client("api"), of(&meant.access_token)).await, "actor_refused");
    let mallory = world.open("mallory", "phone").await;
    let by = |actor: &Secret| ExchangeRequest { actor_token: Some(actor.clone()), ..of(&meant.access_token) };
    assert_eq!(refused(&world, &client("api"), by(&mallory.access_token)).await, "actor_refused");
    let robot = world.open("robot", "rack").await;
    assert!(world.authority.exchange(&Caller::client("api"), &client("api"), by(&robot.access_token)).await.is_ok());
    let by_client = world.try_open(may_act(json!({ "client_id": "api" }))).await.unwrap();
    exchange(&world, "api", &by_client.access_token).await;
    let unreadable = world.try_open(may_act(json!("anybody"))).await.unwrap();
    assert_eq!(refused(&world, &client("api"), of(&unreadable.access_token)).await, "actor_refused");
}

#[tokio::test]
async fn a_line_of_descent_is_not_cut_but_refused_when_it_is_too_long() {
    let world = World::new().await;
    let mut token = world.open("alice", "phone").await.access_token;
    for depth in 0..8 {
        token = exchange(&world, &format!("c{depth}"), &token).await;
    }
    assert_eq!(said(&token)["origin"].as_array().unwrap().len(), 8);
    assert_eq!(refused(&world, &client("c8"), of(&token)).await, "too_many_ancestors");
}

#[tokio::test]
async fn a_bound_token_is_not_exchanged_by_somebody_who_only_says_who_he_is() {
    let world = World::new().await;
    let thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    let bound = serde_json::from_value(json!({ "jkt": thumbprint })).unwrap();
    let opened = OpenSession { confirmation: Some(bound), ..login("alice", "phone") };
    let root = world.try_open(opened).await.unwrap();
    let metadata = ClientMetadata { token_endpoint_auth_method: AuthMethod::None, ..record("app").metadata };
    let mut public = OAuthClient::of(Arc::new(ClientRecord { metadata, ..record("app") }));
    assert_eq!(refused(&world, &public, of(&root.access_token)).await, "request_invalid");
    public.proof = Some(serde_json::from_value(json!({ "jkt": thumbprint })).unwrap());
    let granted = world.authority.exchange(&Caller::client("app"), &public, of(&root.access_token)).await.unwrap();
    assert_eq!((granted.token_type, &said(&granted.access_token)["cnf"]["jkt"]), ("DPoP", &json!(thumbprint)));
}
