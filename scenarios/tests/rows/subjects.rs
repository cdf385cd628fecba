//! Cutoff by what is kept of the user: a version, a record, a block.

use scenarios::{Answer, Authority, Cli, Client, ForeignIssuer, Service, now};
use serde_json::{Value, json};

async fn subject(authority: &Authority, name: &str) -> Value {
    authority.admin().get(&format!("/v1/subjects/{name}")).await.expect_status(200).body
}

async fn set_version(authority: &Authority, change: Value) -> Answer {
    authority.admin().put("/v1/subjects/alice/version", change).await.expect_status(200)
}

async fn record_changed(authority: &Authority, fields: &[&str]) -> Answer {
    authority.admin().post("/v1/subjects/alice/record", json!({"fields": fields})).await.expect_status(200)
}

/// The token is refused and its session gets no other.
async fn is_over(authority: &Authority, service: &Service, login: &Answer) {
    service.refuses_as_revoked(login.token()).await;
    authority.next_token(login.sid()).await.expect_refusal(403, "session_revoked");
}

/// The same for a session with a refresh token, which is redeemed by `client`.
async fn is_over_for(client: &Client, service: &Service, last: &Answer) {
    service.refuses_as_revoked(last.token()).await;
    client.cannot_renew(last).await;
}

#[tokio::test]
async fn token_version() {
    let authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let plain = authority.login("alice", "phone").await;
    let bob = authority.login("bob", "phone").await;
    assert_eq!(plain.claim("ver"), Value::Null, "only who has a version carries one");

    // One call sets it; everything issued before is refused, a login in the same second is not.
    set_version(&authority, json!({})).await;
    let one = authority.login("alice", "phone").await;
    assert_eq!(one.claim("ver"), 1);
    is_over(&authority, &service, &plain).await;
    service.accepts(one.token()).await;

    // Up: the lower one is refused. Down: the higher one is.
    set_version(&authority, json!({"version": 7})).await;
    let seven = authority.login("alice", "phone").await;
    is_over(&authority, &service, &one).await;
    service.accepts(seven.token()).await;
    let down = set_version(&authority, json!({"version": 3})).await;
    let three = authority.login("alice", "phone").await;
    is_over(&authority, &service, &seven).await;
    service.accepts(three.token()).await;

    // Back at seven, the tokens of the first seven stay dead, also at a service that starts now.
    set_version(&authority, json!({"version": 7, "reason": "migrated"})).await;
    let again = authority.login("alice", "laptop").await;
    assert_eq!(again.claim("ver"), seven.claim("ver"));
    is_over(&authority, &service, &three).await;
    assert_eq!(service.call(seven.token()).await.status, 401);
    let late = Service::start(&authority, "late").await;
    late.refuses_as_revoked(seven.token()).await;
    for each in [&service, &late] {
        each.accepts(again.token()).await;
        each.accepts(bob.token()).await;
    }
    assert_eq!(subject(&authority, "alice").await["version"], 7);

    // No lift undoes it; only another version is another state.
    let lift = json!({"positions": [down.body["revocations"][0]["position"]]});
    let refused = authority.admin().post("/v1/revocations/lift", lift).await.expect_status(409);
    assert_eq!(refused.text("code"), "emitted_by_state");

    // Access only: sessions go on, and their next token has the version.
    set_version(&authority, json!({"reach": "access"})).await;
    service.refuses_as_revoked(again.token()).await;
    let next = authority.next_token(again.sid()).await.expect_status(200);
    assert_eq!(next.claim("ver"), 8);
    service.accepts(next.token()).await;

    // While tokens are being issued: one has the old version and is dead, or the new one and lives.
    for version in 100..130 {
        let (first, second, third) = (
            authority.next_token(again.sid()),
            set_version(&authority, json!({"version": version, "reach": "access"})),
            authority.next_token(again.sid()),
        );
        let (first, set, third) = tokio::join!(first, second, third);
        service.has_applied(set.text("position")).await;
        for issued in [first.expect_status(200), third.expect_status(200)] {
            let is_current = issued.claim("ver") == version;
            let seen = service.call(issued.token()).await;
            assert_eq!(seen.status == 200, is_current, "{seen:?}, version {}", issued.claim("ver"));
        }
    }
    service.accepts(bob.token()).await;
    logouts_set_the_version().await;
}

/// By configuration so does every logout: it then means everywhere.
async fn logouts_set_the_version() {
    let authority = Authority::start_with("[subjects]\nlogout_sets_version = true");
    let service = Service::start(&authority, "api").await;
    let bob = authority.login("bob", "phone").await;
    for round in 1..=2 {
        let phone = authority.login("alice", "phone").await;
        let laptop = authority.login("alice", "laptop").await;
        service.accepts(laptop.token()).await;
        if round == 1 {
            authority.logout(phone.token(), json!({"scope": "local"})).await.expect_status(200);
        } else {
            authority.admin().delete(&format!("/v1/sessions/{}", phone.sid())).await.expect_status(200);
        }
        let again = authority.login("alice", "phone").await;
        is_over(&authority, &service, &phone).await;
        is_over(&authority, &service, &laptop).await;
        service.accepts(again.token()).await;
        service.accepts(bob.token()).await;
        assert_eq!(
            (again.claim("ver"), subject(&authority, "alice").await["version"].clone()),
            (json!(round), json!(round))
        );
        // Said again, by a copy of the token that is over: nothing more happens.
        authority.logout(phone.token(), json!({"scope": "local"})).await.expect_status(200);
        service.accepts(again.token()).await;
        assert_eq!(subject(&authority, "alice").await["version"], round);
    }
}

#[tokio::test]
async fn record_updated() {
    let authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let client = authority.admin();
    let phone = authority.login_to_refresh("alice", "phone").await;
    let laptop = authority.login_to_refresh("alice", "laptop").await;
    let bob = authority.login_to_refresh("bob", "phone").await;

    // A role: tokens with the older record die, the sessions refresh.
    let before = now();
    record_changed(&authority, &["role"]).await;
    let mut current = Vec::new();
    for device in [&phone, &laptop] {
        service.refuses_as_revoked(device.token()).await;
        let next = client.renew(device).await;
        assert!(next.claim("updated_at").as_u64().is_some_and(|updated| (before..=now()).contains(&updated)));
        service.accepts(next.token()).await;
        current.push(next);
    }

    // Again and again, mostly within one second: every change refuses the record before it.
    for _ in 0..20 {
        let old = authority.next_token(phone.sid()).await.expect_status(200);
        let changed = record_changed(&authority, &["email", "role"]).await;
        let new = authority.next_token(phone.sid()).await.expect_status(200);
        assert!(new.claim("updated_at").as_u64() >= old.claim("updated_at").as_u64(), "it went back");
        service.has_applied(changed.text("position")).await;
        assert_eq!(service.call(old.token()).await.status, 401);
        service.accepts(new.token()).await;
    }

    // A password: log in again, but for the device that changed it.
    let keep = json!({"fields": ["role", "password"], "keep": phone.sid()});
    let kept = authority.admin().post("/v1/subjects/alice/record", keep).await.expect_status(200);
    assert_eq!(kept.text("kept"), "kept");
    service.accepts(kept.token()).await;
    authority.next_token(phone.sid()).await.expect_status(200);
    is_over(&authority, &service, &laptop).await;
    is_over_for(client, &service, &current[1]).await;
    service.refuses_as_revoked(current[0].token()).await;
    service.accepts(client.renew(&current[0]).await.token()).await;
    let again = authority.login_to_refresh("alice", "laptop").await;
    service.accepts(client.renew(&again).await.token()).await;

    // A field that nobody configured is refused, and the refusal lists those that are.
    let body = json!({"fields": ["role", "shoe_size"]});
    let unknown = authority.admin().post("/v1/subjects/alice/record", body).await.expect_status(400);
    assert_eq!(unknown.text("code"), "record_field_unknown");
    for field in ["shoe_size", "email", "password", "role"] {
        assert!(unknown.text("detail").contains(field), "{}", unknown.body);
    }
    service.accepts(again.token()).await;
    service.accepts(client.renew(&bob).await.token()).await;
    logins_and_logouts_change_the_record().await;
}

/// By configuration login and logout are changes of the record too.
async fn logins_and_logouts_change_the_record() {
    let authority = Authority::start_with("[subjects]\nrecord_fields = [\"login=both\", \"logout=access\"]");
    let service = Service::start(&authority, "api").await;
    let bob = authority.login("bob", "phone").await;
    let mut last = authority.login("alice", "phone").await;
    for _ in 0..10 {
        let newer = authority.login("alice", "laptop").await;
        assert!(newer.claim("updated_at").is_u64());
        is_over(&authority, &service, &last).await;
        service.accepts(newer.token()).await;
        last = newer;
    }
    authority.logout(last.token(), json!({"scope": "local"})).await.expect_status(200);
    is_over(&authority, &service, &last).await;
    service.accepts(bob.token()).await;

    let authority = Authority::start_with("[subjects]\nrecord_fields = [\"logout=access\"]");
    let service = Service::start(&authority, "api").await;
    let phone = authority.login("alice", "phone").await;
    let laptop = authority.login("alice", "laptop").await;
    authority.logout(phone.token(), json!({"scope": "local"})).await.expect_status(200);
    is_over(&authority, &service, &phone).await;
    service.refuses_as_revoked(laptop.token()).await;
    let next = authority.next_token(laptop.sid()).await.expect_status(200);
    assert!(next.claim("updated_at").is_u64());
    service.accepts(next.token()).await;
}

#[tokio::test]
async fn account_blocked() {
    let authority = Authority::start();
    let issuer = ForeignIssuer::register(&authority).await;
    let service = Service::start_accepting(&authority, "api", &issuer).await;
    let cli = Cli::of(authority.admin());
    let account = json!({"username": "alice", "password": "correct horse"});
    authority.admin().post("/v1/accounts", account.clone()).await.expect_status(201);
    let (client, user) = (authority.admin(), Client::public(authority.url(), "annul.login"));
    let log_in = || user.post("/v1/login", with_refresh(&account));
    let phone = log_in().await.expect_status(200);
    let laptop = authority.login_to_refresh("alice", "laptop").await;
    let bob = authority.login_to_refresh("bob", "phone").await;
    let phone = user.renew(&phone).await;
    service.accepts(phone.token()).await;

    // Suspended: tokens die at once, refresh and login are refused, by password and by a backend.
    let blocked = cli.run(&["subjects", "block", "alice", "--reason", "fraud", "--wait", "10s", "--json"]).await;
    let blocked = blocked.expect_code(0).json();
    for (holder, device) in [(&user, &phone), (client, &laptop)] {
        assert_eq!(service.call(device.token()).await.status, 401, "confirmed, and accepted all the same");
        is_over_for(holder, &service, device).await;
    }
    log_in().await.expect_refusal(403, "subject_blocked");
    client.post("/v1/sessions", json!({"subject": "alice"})).await.expect_refusal(403, "subject_blocked");
    service.accepts(bob.token()).await;
    let bob = client.renew(&bob).await;
    let shown = cli.run(&["subjects", "show", "alice"]).await.expect_code(0);
    let entry = blocked["revocations"][0]["position"].as_str().expect("an entry").to_owned();
    assert!(shown.lines().contains(&format!("blocked since {entry}")), "{}", shown.stdout);

    // Only unblocking ends it, and that revives nothing: the user logs in again.
    cli.run(&["lift", &entry]).await.expect_code(1);
    cli.run(&["subjects", "unblock", "alice", "--reason", "cleared"]).await.expect_code(0);
    cli.run(&["subjects", "unblock", "alice"]).await.expect_code(1);
    let again = user.renew(&log_in().await.expect_status(200)).await;
    service.accepts(again.token()).await;
    for (holder, device) in [(&user, &phone), (client, &laptop)] {
        is_over_for(holder, &service, device).await;
    }

    // Deleted: the same, and the name and password open nothing any more.
    authority.admin().delete("/v1/accounts/alice").await.expect_status(200);
    is_over_for(&user, &service, &again).await;
    log_in().await.expect_refusal(401, "invalid_credentials");
    service.accepts(client.renew(&bob).await.token()).await;

    // Not by whoever may only read.
    let reader = authority.client("reader", &["annul.read"]).await;
    Cli::of(&reader).run(&["subjects", "block", "bob"]).await.expect_code(5);
    service.accepts(bob.token()).await;
    a_foreign_subject_is_blocked(&authority, &service, &issuer).await;
}

/// A login that asks for a refresh token.
fn with_refresh(account: &Value) -> Value {
    let mut login = account.clone();
    login["refresh_token"] = true.into();
    login
}

/// A provider goes on issuing: what it issues during the block is refused too.
async fn a_foreign_subject_is_blocked(authority: &Authority, service: &Service, issuer: &ForeignIssuer) {
    let cli = Cli::of(authority.admin());
    let (eve, frank) = (issuer.token("eve", 5, json!({})), issuer.token("frank", 5, json!({})));
    let namesake = authority.login("eve", "phone").await;
    service.accepts_soon(&eve).await;
    cli.run(&["subjects", "block", "eve", "--issuer", issuer.name()]).await.expect_code(0);
    service.refuses_as_revoked(&eve).await;
    let ahead = now() + 2;
    let during = issuer.token("eve", 0, json!({"iat": ahead, "exp": ahead + 600}));
    service.refuses_as_revoked(&during).await;
    service.accepts(&frank).await;
    service.accepts(namesake.token()).await;

    let unblocked = cli.run(&["subjects", "unblock", "eve", "--issuer", issuer.name(), "--json"]).await;
    let unblocked = unblocked.expect_code(0).json();
    service.has_applied(unblocked["position"].as_str().expect("a position")).await;
    assert_eq!(service.call(&eve).await.status, 401, "unblocking revived a token");
    let next = unblocked["acknowledged_at"].as_u64().expect("a time") / 1000 + 1;
    service.accepts_soon(&issuer.token("eve", 0, json!({"iat": next, "exp": next + 600}))).await;
    service.accepts(&frank).await;
}
