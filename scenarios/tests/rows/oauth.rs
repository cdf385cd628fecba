//! The endpoints that other people's clients speak: what they take back, services refuse.

use futures::future::join_all;
use scenarios::{AUDIENCE, Answer, Authority, Client, ForeignIssuer, JWT_BEARER, KeyedClient, Seen, Service, now};
use serde_json::{Value, json};

const REVOKE: &str = "/oauth2/revoke";
const TOKEN: &str = "/oauth2/token";
/// What introspection says of a token that is worth nothing, and nothing else (RFC 7662 §2.2).
const INACTIVE: &str = r#"{"active":false}"#;

/// A session of this client's with a refresh token.
pub(crate) async fn open(authority: &Authority, client: &Client, subject: &str, device: &str) -> Answer {
    let session =
        json!({"subject": subject, "client_id": client.id(), "device": {"id": device}, "refresh_token": true});
    authority.open(session).await
}

fn seen(status: u16, code: &str) -> Seen {
    Seen { status, code: code.to_owned() }
}

/// What every service has to say of a token that was revoked.
pub(crate) async fn all_refuse(services: &[Service], token: &str) {
    join_all(services.iter().map(|service| service.refuses_as_revoked(token))).await;
}

pub(crate) async fn all_accept(services: &[Service], token: &str) {
    join_all(services.iter().map(|service| service.accepts(token))).await;
}

#[tokio::test]
async fn rfc7009_reaches_resource_servers() {
    let mut authority = Authority::start();
    let services = [Service::start(&authority, "api").await, Service::start(&authority, "worker").await];
    let shop = authority.client("shop", &[]).await;
    let cart = authority.client("cart", &[]).await;
    let phone = open(&authority, &shop, "alice", "phone").await;
    let laptop = open(&authority, &shop, "alice", "laptop").await;
    let tablet = open(&authority, &shop, "alice", "tablet").await;
    let (bob, hers) = (open(&authority, &shop, "bob", "phone").await, open(&authority, &cart, "alice", "phone").await);
    let second = shop.renew(&phone).await;
    for token in [&phone, &second, &laptop, &tablet, &bob, &hers] {
        all_accept(&services, token.token()).await;
    }

    // An access token: that one is refused everywhere, and its session goes on.
    answered_nothing(&shop.revoke_token(phone.token()).await);
    all_refuse(&services, phone.token()).await;
    all_accept(&services, second.token()).await;
    let third = shop.renew(&second).await;
    all_accept(&services, third.token()).await;

    // A refresh token: it and every access token of its session, also where the hint is wrong.
    let hinted = [("token", third.refresh_token()), ("token_type_hint", "access_token")];
    answered_nothing(&shop.post_form(REVOKE, &hinted).await);
    for token in [&second, &third] {
        all_refuse(&services, token.token()).await;
    }
    shop.cannot_renew(&third).await;

    // The answer was sent when it was on disk: also when nothing else is done after it.
    answered_nothing(&shop.revoke_token(laptop.refresh_token()).await);
    authority.kill();
    authority.restart();
    join_all(services.iter().map(Service::ready)).await;
    let (shop, cart) = (again(&authority, &shop), again(&authority, &cart));
    all_refuse(&services, laptop.token()).await;
    shop.cannot_renew(&laptop).await;

    nothing_to_do_is_answered_alike(&authority, &shop, &[phone.token(), third.refresh_token(), tablet.token()]).await;
    only_its_own_client_revokes(&authority, &shop, &hers).await;

    // Her other sessions, other clients' and other users' never noticed.
    for (client, token) in [(&shop, &tablet), (&shop, &bob), (&cart, &hers)] {
        all_accept(&services, token.token()).await;
        all_accept(&services, client.renew(token).await.token()).await;
    }
    an_access_token_may_stand_for_its_session(&authority, &services).await;
    a_refresh_token_may_stand_for_its_user().await;
}

/// The same client on connections to the authority that runs now.
fn again(authority: &Authority, client: &Client) -> Client {
    Client::new(authority.url(), client.id(), client.secret())
}

#[track_caller]
fn answered_nothing(answer: &Answer) {
    assert_eq!((answer.status, &answer.body), (200, &Value::Null));
}

/// Unknown, forged and revoked already: 200 for all of them, and no entry for any. `dead` and, last, one alive.
async fn nothing_to_do_is_answered_alike(authority: &Authority, client: &Client, tokens: &[&str]) {
    let before = authority.position().await;
    let (alive, dead) = tokens.split_last().expect("one is alive");
    let forged = format!("{}{}", &alive[..alive.len() - 4], "AAAA");
    let unknown = ["x", "a.b.c", "annul_rt_x", "annul_at_x", &forged];
    for token in unknown.iter().chain(dead) {
        answered_nothing(&client.revoke_token(token).await);
    }
    assert_eq!(authority.position().await, before, "a revocation of nothing left an entry");
}

/// A token of another client's is refused and stays as it is; whoever names no client is told so.
async fn only_its_own_client_revokes(authority: &Authority, client: &Client, others: &Answer) {
    let before = authority.position().await;
    for token in [others.token(), others.refresh_token()] {
        client.revoke_token(token).await.expect_invalid_grant("token_of_another_client");
        let stranger = Client::new(authority.url(), client.id(), "a guess").revoke_token(token).await;
        assert_eq!((stranger.status, &stranger.body["error"]), (401, &json!("invalid_client")));
    }
    assert_eq!(authority.position().await, before);
    assert_eq!(authority.audited("token.revoke.other_client").await.len(), 2);
}

/// For a client that was registered so, its session goes with it, and no other.
async fn an_access_token_may_stand_for_its_session(authority: &Authority, services: &[Service]) {
    let desk = json!({"client_id": "desk", "scopes": [], "revoke_session_with_access_token": true});
    let desk = authority.register(desk).await;
    let (phone, laptop) =
        (open(authority, &desk, "alice", "phone").await, open(authority, &desk, "alice", "laptop").await);
    let next = desk.renew(&phone).await;
    answered_nothing(&desk.revoke_token(phone.token()).await);
    all_refuse(services, next.token()).await;
    desk.cannot_renew(&next).await;
    all_accept(services, desk.renew(&laptop).await.token()).await;
}

/// Where it is configured so, all that the user has goes with it, and nothing of anybody else.
async fn a_refresh_token_may_stand_for_its_user() {
    let authority = Authority::start_with("[sessions]\nrefresh_revocation = \"subject\"");
    let services = [Service::start(&authority, "api").await];
    let shop = authority.client("shop", &[]).await;
    let (phone, laptop) =
        (open(&authority, &shop, "alice", "phone").await, open(&authority, &shop, "alice", "laptop").await);
    let bob = open(&authority, &shop, "bob", "phone").await;
    answered_nothing(&shop.revoke_token(phone.refresh_token()).await);
    for token in [&phone, &laptop] {
        all_refuse(&services, token.token()).await;
        shop.cannot_renew(token).await;
    }
    let back = open(&authority, &shop, "alice", "phone").await;
    answered_nothing(&shop.revoke_token(phone.refresh_token()).await);
    all_accept(&services, back.token()).await;
    all_accept(&services, shop.renew(&bob).await.token()).await;
}

#[tokio::test]
async fn jwt_bearer_assertion() {
    let mut authority = Authority::start();
    let services = [Service::start(&authority, "api").await, Service::start(&authority, "worker").await];
    let idp = ForeignIssuer::register_with(&authority, json!({"subjects": "shared"})).await;
    let app = authority.register(json!({"client_id": "app", "scopes": [], "grant_types": [JWT_BEARER]})).await;
    let robot = KeyedClient::register(&authority, "robot", json!({})).await;

    // As a grant: the identity provider says who it is, signed, and that is good once.
    let asserted = |subject: &str| idp.token(subject, 0, for_the_authority());
    let (first, second) = (asserted("alice"), asserted("alice"));
    let granted = app.assert(&first).await.expect_status(200);
    let sibling = app.assert(&second).await.expect_status(200);
    assert_eq!((granted.claim("sub"), granted.claim("client_id")), (json!("alice"), json!("app")));
    assert!(granted.body["refresh_token"].is_null(), "the next token comes with the next assertion");
    app.assert(&first).await.expect_invalid_grant("assertion_used");

    // As client authentication: a client without a secret proves its key, each time with another assertion.
    let proof = robot.proof(json!({}));
    let own = robot.post_form_proven(TOKEN, &MACHINE, &proof).await.expect_status(200);
    assert_eq!(own.claim("client_id"), "robot");
    refused_client(&robot.post_form_proven(TOKEN, &MACHINE, &proof).await);
    for token in [&granted, &sibling, &own] {
        all_accept(&services, token.token()).await;
    }
    each_is_used_once_by_whom_it_was_meant_for(&app, &idp, &robot).await;

    // What was used stays used, although the process that heard of it is gone.
    let (last, last_proof) = (asserted("bob"), robot.proof(json!({})));
    app.assert(&last).await.expect_status(200);
    robot.post_form_proven(TOKEN, &MACHINE, &last_proof).await.expect_status(200);
    authority.kill();
    authority.restart();
    let app = again(&authority, &app);
    for assertion in [&last, &first] {
        app.assert(assertion).await.expect_invalid_grant("assertion_used");
    }
    for proof in [&last_proof, &proof] {
        refused_client(&robot.post_form_proven(TOKEN, &MACHINE, proof).await);
    }
    let bob = app.assert(&asserted("bob")).await.expect_status(200);
    let own_again = robot.post_form(TOKEN, &MACHINE).await.expect_status(200);

    // The tokens are ordinary ones: each dies with its revocation, by the client that proves itself in its way.
    answered_nothing(&app.revoke_token(granted.token()).await);
    answered_nothing(&robot.post_form(REVOKE, &[("token", own.token())]).await);
    for token in [&granted, &own] {
        all_refuse(&services, token.token()).await;
    }
    for token in [&sibling, &bob, &own_again] {
        all_accept(&services, token.token()).await;
    }
    // And what is revoked of the identity provider's user is revoked here, for tokens and for assertions.
    let unused = asserted("alice");
    authority.revoke(json!({"issuer": idp.name(), "targets": ["subject:alice"], "cutoff": "always"})).await;
    all_refuse(&services, sibling.token()).await;
    app.assert(&unused).await.expect_invalid_grant("token_revoked");
    all_accept(&services, bob.token()).await;
    a_backend_asserts_by_its_own_key(&authority, &app, &services).await;
}

const MACHINE: [(&str, &str); 1] = [("grant_type", "client_credentials")];

/// The claims by which an assertion is for the authority, and for a minute.
fn for_the_authority() -> Value {
    json!({"aud": scenarios::ISSUER, "exp": now() + 60})
}

#[track_caller]
fn refused_client(answer: &Answer) {
    assert_eq!((answer.status, &answer.body["error"]), (401, &json!("invalid_client")), "{}", answer.body);
}

/// Whoever comes at once with one assertion, one of them is served; one for somebody else, or for a later day,
/// serves nobody.
async fn each_is_used_once_by_whom_it_was_meant_for(app: &Client, idp: &ForeignIssuer, robot: &KeyedClient) {
    let (grant, proof) = (idp.token("alice", 0, for_the_authority()), robot.proof(json!({})));
    let (granted, proven) = (
        join_all((0..8).map(|_| app.assert(&grant))).await,
        join_all((0..8).map(|_| robot.post_form_proven(TOKEN, &MACHINE, &proof))).await,
    );
    for answers in [granted, proven] {
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    }
    // What was refused is not used up: the same `jti` is good once it is for whom it should be.
    let soon = now() + 60;
    let same = |audience: &str| idp.token("alice", 0, json!({"aud": audience, "exp": soon, "jti": "the-same"}));
    app.assert(&same(AUDIENCE)).await.expect_invalid_grant("audience_mismatch");
    app.assert(&same(scenarios::ISSUER)).await.expect_status(200);
    app.assert(&same(scenarios::ISSUER)).await.expect_invalid_grant("assertion_used");
    for (claims, code) in [
        (json!({"exp": soon}), "audience_mismatch"),
        (json!({"aud": [scenarios::ISSUER, AUDIENCE], "exp": soon}), "audience_mismatch"),
        (json!({"aud": scenarios::ISSUER, "exp": now() + 700}), "life_too_long"),
        (json!({"aud": scenarios::ISSUER, "iat": now() - 120, "exp": now() - 60}), "token_expired"),
        (json!({"aud": scenarios::ISSUER, "exp": soon, "jti": null}), "claim_invalid"),
    ] {
        app.assert(&idp.token("alice", 0, claims)).await.expect_invalid_grant(code);
    }
    for claims in [
        json!({"aud": AUDIENCE}),
        json!({"aud": [scenarios::ISSUER, AUDIENCE]}),
        json!({"exp": now() + 3700}),
        json!({"iat": now() - 120, "exp": now() - 60}),
        json!({"iss": "app"}),
    ] {
        refused_client(&robot.post_form_proven(TOKEN, &MACHINE, &robot.proof(claims)).await);
    }
}

/// A backend that may open sessions says by its own key who its user is; another client's key says nothing.
async fn a_backend_asserts_by_its_own_key(authority: &Authority, app: &Client, services: &[Service]) {
    let members = json!({"scopes": ["annul.issue"], "grant_types": [JWT_BEARER]});
    let backend = KeyedClient::register(authority, "backend", members).await;
    let other = KeyedClient::register(authority, "other", json!({"grant_types": [JWT_BEARER]})).await;
    let assertion = backend.assertion("carol", json!({}));
    // Both at once: one assertion says who calls, another one for whom.
    let form = [("grant_type", JWT_BEARER), ("assertion", assertion.as_str())];
    let carol = backend.post_form(TOKEN, &form).await.expect_status(200);
    backend.post_form(TOKEN, &form).await.expect_invalid_grant("assertion_used");
    app.assert(&other.assertion("carol", json!({}))).await.expect_invalid_grant("opens_no_session");
    all_accept(services, carol.token()).await;
    authority.revoke(json!({"targets": ["subject:carol"]})).await;
    all_refuse(services, carol.token()).await;
}

#[tokio::test]
async fn opaque_reference_token() {
    let mut authority = Authority::start();
    let service = Service::start_with(&authority, "api", |options| options.introspects = true).await;
    let open = async |subject: &str, device: &str| {
        authority.open(json!({"subject": subject, "device": {"id": device}, "format": "reference"})).await
    };
    let (phone, laptop) = (open("alice", "phone").await, open("alice", "laptop").await);
    let (bob, jwt) = (open("bob", "phone").await, authority.login("alice", "tv").await);
    let introspected = async |token: &Answer| service.call_route("/introspect", token.token()).await;

    // Nothing to read and nothing to verify: a route that introspects takes it, no other does.
    for token in [&phone, &laptop, &bob] {
        assert!(token.token().starts_with("annul_at_") && !token.token().contains('.'), "{}", token.token());
        let claims = service.answer("/introspect", token.token()).await.expect_status(200);
        assert_eq!((&claims.body["sub"], &claims.body["sid"]), (&token.body["subject"], &token.body["sid"]));
        for route in ["/check", "/verify", "/ask"] {
            assert_eq!(service.call_route(route, token.token()).await.status, 401, "{route}");
        }
    }
    assert_ne!(phone.token(), laptop.token());
    service.accepts(jwt.token()).await;

    // Deleting it ends it, at the very next request; nothing else noticed.
    authority.admin().delete(&format!("/v1/sessions/{}", phone.sid())).await.expect_status(200);
    assert_eq!(introspected(&phone).await, seen(401, "token_revoked"));
    assert_eq!(authority.admin().introspect(phone.token()).await.expect_status(200).body.to_string(), INACTIVE);
    let said = authority.admin().introspect(laptop.token()).await.expect_status(200);
    assert_eq!((&said.body["active"], &said.body["sub"]), (&json!(true), &json!("alice")));
    for token in [&laptop, &bob] {
        assert_eq!(introspected(token).await.status, 200);
    }
    service.accepts(jwt.token()).await;
    // The next token of a session is another reference, and the old one goes on beside it.
    let next = authority.next_token(laptop.sid()).await.expect_status(200);
    assert_ne!(next.token(), laptop.token());
    for token in [&next, &laptop] {
        assert_eq!(introspected(token).await.status, 200);
    }
    authority.next_token(phone.sid()).await.expect_refusal(403, "session_revoked");

    // What the session store knew outlasts its process; while it is away nobody knows.
    authority.kill();
    assert_eq!(introspected(&bob).await.status, 503);
    authority.restart();
    service.ready().await;
    assert_eq!(introspected(&phone).await, seen(401, "token_revoked"));
    for token in [&next, &bob] {
        assert_eq!(introspected(token).await.status, 200);
    }

    // Her references go with everything else of hers, also by the mode that leaves signed tokens alone.
    authority.revoke(json!({"targets": ["subject:alice"], "reach": "sessions"})).await;
    for token in [&next, &laptop] {
        assert_eq!(introspected(token).await, seen(401, "token_revoked"));
        assert_eq!(authority.admin().introspect(token.token()).await.expect_status(200).body.to_string(), INACTIVE);
    }
    service.accepts(jwt.token()).await;
    assert_eq!(introspected(&bob).await.status, 200);
    nobody_makes_one(&authority, &service, &bob).await;
}

/// One that was changed, and one of another authority, are refused; the log and the store hear nothing of it.
async fn nobody_makes_one(authority: &Authority, service: &Service, genuine: &Answer) {
    let text = genuine.token();
    let elsewhere = Authority::start();
    let foreign = elsewhere.open(json!({"subject": "bob", "format": "reference"})).await;
    let before = authority.position().await;
    let turned = if text.as_bytes()[20] == b'A' { "B" } else { "A" };
    let changed = format!("{}{turned}{}", &text[..20], &text[21..]);
    for token in [&changed, &text[..text.len() - 1], foreign.token(), "annul_at_", "annul_at_x"] {
        let refused = service.call_route("/introspect", token).await;
        assert_eq!(refused.status, 401, "{token}: {refused:?}");
        assert_eq!(authority.admin().introspect(token).await.expect_status(200).body.to_string(), INACTIVE);
    }
    assert_eq!(authority.position().await, before);
    assert_eq!(service.call_route("/introspect", text).await.status, 200);
    let mut secrets = scenarios::Secrets::default();
    secrets.add("a reference token", text);
    secrets.assert_absent("after it was used", &[&authority.data()]);
}
