//! Credentials, lookup ids and devices: what their change takes back, over running processes.

use futures::future::join_all;
use scenarios::{Answer, Authority, Cli, Client, Service, now_millis};
use serde_json::{Value, json};

const FIRST: &str = "correct horse battery staple";
const SECOND: &str = "another four words entirely";

#[tokio::test]
async fn password_changed() {
    let authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let user = with_accounts(&authority).await;
    let (phone, laptop) = (log_in(&user, "alice", FIRST, "phone").await, log_in(&user, "alice", FIRST, "laptop").await);
    let bob = log_in(&user, "bob", FIRST, "phone").await;
    for token in [&phone, &laptop, &bob] {
        service.accepts(token.token()).await;
    }

    // By the user, who proves the present password; the device that changes it stays logged in.
    let wrong = json!({"current": SECOND, "password": SECOND});
    refused(user.post("/v1/accounts/alice/password", wrong).await, 401, "invalid_credentials");
    service.accepts(phone.token()).await;
    let change = json!({"current": FIRST, "password": SECOND, "keep": phone.sid(), "wait": "10s"});
    let changed = user.post("/v1/accounts/alice/password", change).await.expect_status(200);
    assert_eq!((changed.body["kept"].as_str(), changed.number("sessions")), (Some("kept"), 1));
    assert_eq!(changed.body["confirmation"]["confirmed"], true);
    // Confirmed: at the verifier its old token is dead and its new one lives.
    for dead in [&phone, &laptop] {
        assert_eq!(service.call(dead.token()).await.code, "token_revoked");
    }
    service.accepts(changed.token()).await;
    service.accepts(bob.token()).await;
    authority.next_token(laptop.sid()).await.expect_status(403);
    let next = authority.next_token(phone.sid()).await.expect_status(200);
    service.accepts(next.token()).await;
    refused(try_log_in(&user, "alice", FIRST, "laptop").await, 401, "invalid_credentials");
    let again = log_in(&user, "alice", SECOND, "laptop").await;
    service.accepts(again.token()).await;

    // A session of another user cannot be kept, so a password is no way to their next token.
    let theft = json!({"current": SECOND, "password": FIRST, "keep": bob.sid()});
    refused(user.post("/v1/accounts/alice/password", theft).await, 404, "session_unknown");
    service.accepts(again.token()).await;

    // By an administrator, who keeps nothing: everything of the account is out.
    let reset = json!({"password": FIRST, "reason": "called the help desk"});
    let reset = authority.admin().put("/v1/accounts/alice/password", reset).await.expect_status(200);
    assert_eq!(reset.number("sessions"), 2);
    service.refuses_as_revoked(next.token()).await;
    service.refuses_as_revoked(again.token()).await;
    service.accepts(bob.token()).await;
    let back = log_in(&user, "alice", FIRST, "phone").await;
    service.accepts(back.token()).await;

    // Where a backend keeps the passwords: the same by one call, with and without a fingerprint.
    for (path, change) in [
        ("/v1/subjects/carol/credential-changed", json!({"credential": "$2b$12$salted"})),
        ("/v1/revocations", json!({"targets": ["subject:carol"], "reason": "password changed"})),
    ] {
        let (kept, other) = (authority.login("carol", "phone").await, authority.login("carol", "laptop").await);
        let mut change = change;
        change["keep"] = kept.sid().into();
        let changed = authority.admin().post(path, change).await;
        assert!([200, 201].contains(&changed.status), "{}", changed.body);
        service.refuses_as_revoked(kept.token()).await;
        service.refuses_as_revoked(other.token()).await;
        service.accepts(changed.token()).await;
        authority.next_token(other.sid()).await.expect_status(403);
    }
    service.accepts(back.token()).await;

    // Guessing at this door is as slow as at the login, for any name.
    let guess = json!({"current": "a guess of it", "password": SECOND});
    let guesses = (0..40).map(|_| user.post("/v1/accounts/erin/password", guess.clone()));
    let answers = join_all(guesses).await;
    let codes: Vec<String> = answers.iter().map(|answer| answer.text("code").to_owned()).collect();
    assert!(codes.contains(&"rate_limited".to_owned()), "{codes:?}");
    assert!(codes.iter().all(|code| ["invalid_credentials", "rate_limited"].contains(&code.as_str())), "{codes:?}");
}

#[tokio::test]
async fn credential_fingerprint() {
    let authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let user = with_accounts(&authority).await;
    let (phone, laptop) = (log_in(&user, "alice", FIRST, "phone").await, log_in(&user, "alice", FIRST, "laptop").await);
    let bob = log_in(&user, "bob", FIRST, "phone").await;

    // Every token of the user carries the same one; nobody else's does, though the password is the same.
    let first = fingerprint(&service, phone.token()).await;
    assert_eq!(fingerprint(&service, laptop.token()).await, first);
    assert_ne!(fingerprint(&service, bob.token()).await, first);
    let next = authority.next_token(phone.sid()).await.expect_status(200);
    assert_eq!(fingerprint(&service, next.token()).await, first);

    // A changed password: whatever carries the old one is refused, whenever it was issued.
    let change = json!({"current": FIRST, "password": SECOND, "keep": phone.sid()});
    let changed = user.post("/v1/accounts/alice/password", change).await.expect_status(200);
    for old in [&phone, &laptop, &next] {
        service.refuses_as_revoked(old.token()).await;
    }
    let second = fingerprint(&service, changed.token()).await;
    assert_ne!(second, first);
    let desktop = log_in(&user, "alice", SECOND, "desktop").await;
    assert_eq!(fingerprint(&service, desktop.token()).await, second);

    // "Secure my account": the password stays, the field changes.
    refused(user.post("/v1/accounts/alice/secure", json!({"password": FIRST})).await, 401, "invalid_credentials");
    service.accepts(desktop.token()).await;
    let secured = json!({"password": SECOND, "keep": desktop.sid()});
    let secured = user.post("/v1/accounts/alice/secure", secured).await.expect_status(200);
    service.refuses_as_revoked(changed.token()).await;
    service.refuses_as_revoked(desktop.token()).await;
    let third = fingerprint(&service, secured.token()).await;
    assert!(third != second && third != first);
    let login = log_in(&user, "alice", SECOND, "phone").await;
    assert_eq!(fingerprint(&service, login.token()).await, third, "a login does not bring the password's back");
    authority.next_token(phone.sid()).await.expect_status(403);

    // A backend's user, whose stored hash or random field the backend knows.
    let unknown = authority.login("carol", "phone").await;
    assert_eq!(service.answer("/check", unknown.token()).await.expect_status(200).body["cfp"], Value::Null);
    let path = "/v1/subjects/carol/credential-changed";
    let stored = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g";
    authority.admin().post(path, json!({"credential": stored})).await.expect_status(200);
    service.refuses_as_revoked(unknown.token()).await;
    let carol = authority.login("carol", "phone").await;
    let of_hash = fingerprint(&service, carol.token()).await;
    assert!(!stored.contains(&of_hash), "a token never carries what was given");
    authority.admin().post(path, json!({})).await.expect_status(200);
    service.refuses_as_revoked(carol.token()).await;
    let carol = authority.login("carol", "phone").await;
    assert_ne!(fingerprint(&service, carol.token()).await, of_hash);
    // And it is the authority's to say.
    let forged = json!({"subject": "mallory", "claims": {"cfp": third}});
    refused(authority.admin().post("/v1/sessions", forged).await, 400, "claim_reserved");

    // Through all of it the others passed.
    for other in [&bob, &login, &carol] {
        service.accepts(other.token()).await;
    }
    it_is_compared_past_the_window(&authority).await;
}

/// A route with a window lets a young token pass with any fingerprint, and compares it once that is over.
async fn it_is_compared_past_the_window(authority: &Authority) {
    let service = Service::start_with(authority, "windowed", |options| {
        options.max_staleness_ms = 5000;
        options.window_ms = Some(6000);
    })
    .await;
    let path = "/v1/subjects/dave/credential-changed";
    authority.admin().post(path, json!({"credential": "the first"})).await.expect_status(200);
    let old = authority.login("dave", "phone").await;
    let changed = authority.admin().post(path, json!({"credential": "the second"})).await.expect_status(200);
    let new = authority.login("dave", "phone").await;
    assert_ne!(old.claim("cfp"), new.claim("cfp"));
    service.has_applied(changed.text("position")).await;
    assert_eq!(service.call_route("/immediate", old.token()).await.status, 200, "a young token is not compared");

    let enforced_by = changed.number("enforced_by");
    let refused = loop {
        let begun = now_millis();
        let seen = service.call_route("/immediate", old.token()).await;
        if seen.status != 200 {
            break seen;
        }
        assert!(begun < enforced_by, "accepted {} ms after it was to be enforced", begun - enforced_by);
    };
    assert_eq!((refused.status, refused.code.as_str()), (401, "token_revoked"));
    // The present one passes at that age too, and is found in the token that comes in its place.
    let restamped = loop {
        let answer = service.answer("/immediate", new.token()).await.expect_status(200);
        assert_eq!(answer.body["cfp"], new.claim("cfp"));
        if let Some(token) = answer.headers.get("annul-token") {
            break scenarios::claims(token.to_str().expect("a token is ASCII"));
        }
        assert!(now_millis() < enforced_by + 10_000, "a token past the window was not asked about");
    };
    assert_eq!(restamped["cfp"], new.claim("cfp"));
}

#[tokio::test]
async fn lookup_id_change() {
    let mut authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let user = with_accounts(&authority).await;
    let log_in = async |name: &str, device: &str| {
        let login = json!({"username": name, "password": FIRST, "device": {"id": device}, "refresh_token": true});
        user.post("/v1/login", login).await.expect_status(200)
    };
    let (phone, laptop, bob) =
        (log_in("alice", "phone").await, log_in("alice", "laptop").await, log_in("bob", "phone").await);
    let refreshed = user.renew(&laptop).await;
    let shown = service.answer("/check", phone.token()).await.expect_status(200);
    assert_eq!(shown.body["sub"], "alice");

    // Only with proof; then every token of the old id is out, however it was got, and stays out.
    refused(user.post("/v1/accounts/alice/lookup-id", json!({"password": SECOND})).await, 401, "invalid_credentials");
    service.accepts(phone.token()).await;
    let changed = user.post("/v1/accounts/alice/lookup-id", json!({"password": FIRST})).await.expect_status(200);
    let id = changed.text("subject").to_owned();
    for old in [&phone, &laptop, &refreshed] {
        service.refuses_as_revoked(old.token()).await;
    }
    for old in [&phone, &refreshed] {
        user.cannot_renew(old).await;
    }
    refused(authority.next_token(phone.sid()).await, 403, "session_revoked");
    let found = authority.admin().get("/v1/subjects/alice/sessions").await.expect_status(200);
    let found = found.body["sessions"].as_array().expect("a list");
    assert!(found.iter().all(|session| session["status"] != "live"), "{found:?}");
    service.accepts(bob.token()).await;

    // The account and a login work, under the new id.
    let new = log_in("alice", "phone").await;
    assert_eq!(new.text("subject"), id);
    assert_eq!(service.answer("/check", new.token()).await.expect_status(200).body["sub"], id.as_str());
    let next = user.renew(&new).await;
    service.accepts(next.token()).await;
    let bob = user.renew(&bob).await;
    assert_eq!(authority.admin().get("/v1/accounts/alice").await.expect_status(200).text("subject"), id);

    // Nothing is opened for the old id again, also after a restart, and nobody takes it over.
    authority.kill();
    authority.restart();
    refused(authority.admin().post("/v1/sessions", json!({"subject": "alice"})).await, 403, "subject_retired");
    let client = json!({"client_id": "alice", "scopes": []});
    assert_eq!(authority.admin().post("/v1/clients", client).await.status, 409, "the account's name stays its own");
    service.refuses_as_revoked(phone.token()).await;
    service.accepts(new.token()).await;
    anonymous(&authority).cannot_renew(&refreshed).await;
    service.accepts(anonymous(&authority).renew(&next).await.token()).await;

    // A user whose credentials a backend keeps; what is known of them goes along.
    let claims = json!({"claims": {"roles": ["reader"]}});
    authority.admin().put("/v1/subjects/carol/claims", claims).await.expect_status(200);
    let carol = authority.login("carol", "phone").await;
    service.accepts_soon(carol.token()).await;
    let path = "/v1/subjects/carol/lookup-id";
    let renamed = authority.admin().post(path, json!({"reason": "stalked"})).await.expect_status(200);
    service.refuses_as_revoked(carol.token()).await;
    refused(authority.admin().post("/v1/sessions", json!({"subject": "carol"})).await, 403, "subject_retired");
    refused(authority.admin().post(path, json!({})).await, 403, "subject_retired");
    let client = json!({"client_id": "carol", "scopes": []});
    refused(authority.admin().post("/v1/clients", client).await, 403, "subject_retired");
    let carol = authority.login(renamed.text("subject"), "phone").await;
    let shown = service.answer("/check", carol.token()).await.expect_status(200);
    assert_eq!(shown.body["roles"], json!(["reader"]));

    // It is no way out of a block.
    authority.admin().post(&format!("/v1/subjects/{id}/block"), json!({})).await.expect_status(200);
    let user = anonymous(&authority);
    refused(user.post("/v1/accounts/alice/lookup-id", json!({"password": FIRST})).await, 403, "subject_blocked");
    service.refuses_as_revoked(next.token()).await;
    service.accepts(bob.token()).await;
}

#[tokio::test]
async fn login_and_logout_times() {
    let authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let described = json!({"id": "phone", "os": "Android 16", "agent": "Firefox/146"});
    let on_phone = |client: &str| json!({"subject": "alice", "client_id": client, "device": described.clone()});
    let older = authority.open(on_phone("web")).await;
    let phone = authority.open(on_phone("app")).await;
    let laptop = authority.login("alice", "laptop").await;
    let bob = authority.login("bob", "phone").await;

    // One line for each device, with its system and client.
    let before = device(&authority, "alice", "phone").await;
    assert_eq!((&before["device"], before["client_id"].as_str()), (&described, Some("app")));
    assert_eq!((&before["logged_in"], &before["last_logout_at"]), (&json!(true), &Value::Null));
    assert!(millis(&before, "last_login_at") > 0);

    // The device logs itself out: the logout is the later, and all its tokens are refused.
    authority.logout(phone.token(), json!({"scope": "device"})).await.expect_status(200);
    for dead in [&phone, &older] {
        service.refuses_as_revoked(dead.token()).await;
        authority.next_token(dead.sid()).await.expect_status(403);
    }
    let out = device(&authority, "alice", "phone").await;
    assert_eq!((&out["logged_in"], &out["last_login_at"]), (&json!(false), &before["last_login_at"]));
    assert!(millis(&out, "last_logout_at") >= millis(&out, "last_login_at"));
    let other = device(&authority, "alice", "laptop").await;
    assert_eq!((&other["logged_in"], &other["last_logout_at"]), (&json!(true), &Value::Null));
    service.accepts(laptop.token()).await;
    service.accepts(bob.token()).await;

    // A new login lives, and what is from before the logout stays dead.
    let again = authority.open(on_phone("app")).await;
    service.accepts(again.token()).await;
    let back = device(&authority, "alice", "phone").await;
    assert_eq!((&back["logged_in"], &back["last_logout_at"]), (&json!(true), &out["last_logout_at"]));
    assert!(millis(&back, "last_login_at") >= millis(&back, "last_logout_at"));
    assert_eq!(service.call(phone.token()).await.code, "token_revoked");
    authority.next_token(older.sid()).await.expect_status(403);
    service.accepts(authority.next_token(again.sid()).await.expect_status(200).token()).await;

    // Again and again, within the same second too.
    let mut last = again;
    for _ in 0..30 {
        let cut = authority.logout(last.token(), json!({"scope": "device"})).await.expect_status(200);
        let next = authority.open(on_phone("app")).await;
        service.accepts(next.token()).await;
        service.has_applied(cut.text("position")).await;
        assert_eq!(service.call(last.token()).await.code, "token_revoked");
        service.accepts(next.token()).await;
        last = next;
    }

    // Whatever ends its last session is its logout: an administrator, the user everywhere.
    authority.admin().delete(&format!("/v1/sessions/{}", last.sid())).await.expect_status(200);
    service.refuses_as_revoked(last.token()).await;
    assert_eq!(device(&authority, "alice", "phone").await["logged_in"], false);
    authority.logout(laptop.token(), json!({"scope": "global"})).await.expect_status(200);
    service.refuses_as_revoked(laptop.token()).await;
    let laptops = device(&authority, "alice", "laptop").await;
    assert_eq!(laptops["logged_in"], false);
    assert!(millis(&laptops, "last_logout_at") >= millis(&laptops, "last_login_at"));
    service.accepts(bob.token()).await;
    assert_eq!(device(&authority, "bob", "phone").await["logged_in"], true);

    // The same for people.
    let listed = Cli::of(authority.admin()).run(&["sessions", "devices", "alice"]).await.expect_code(0);
    let line = listed.lines().into_iter().find(|line| line.starts_with("phone no Android 16")).expect("the phone");
    assert!(line.contains(" app "), "{line}");
}

/// The accounts `alice` and `bob`, and a client of the authority without a credential.
async fn with_accounts(authority: &Authority) -> Client {
    for name in ["alice", "bob"] {
        let account = json!({"username": name, "password": FIRST});
        authority.admin().post("/v1/accounts", account).await.expect_status(201);
    }
    anonymous(authority)
}

/// A user with the client that is built in, which has no secret.
fn anonymous(authority: &Authority) -> Client {
    Client::public(authority.url(), "annul.login")
}

async fn log_in(user: &Client, name: &str, password: &str, device: &str) -> Answer {
    try_log_in(user, name, password, device).await.expect_status(200)
}

async fn try_log_in(user: &Client, name: &str, password: &str, device: &str) -> Answer {
    user.post("/v1/login", json!({"username": name, "password": password, "device": {"id": device}})).await
}

#[track_caller]
fn refused(answer: Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.text("code")), (status, code), "{}", answer.body);
}

/// The fingerprint in an accepted token.
async fn fingerprint(service: &Service, token: &str) -> String {
    let answer = service.answer("/check", token).await.expect_status(200);
    answer.text("cfp").to_owned()
}

async fn device(authority: &Authority, subject: &str, id: &str) -> Value {
    let listed = authority.admin().get(&format!("/v1/subjects/{subject}/devices")).await.expect_status(200);
    let mut devices = listed.body["devices"].as_array().expect("a list").iter();
    devices.find(|entry| entry["device"]["id"] == id).expect("the device is listed").clone()
}

#[track_caller]
fn millis(entry: &Value, name: &str) -> u64 {
    entry[name].as_u64().unwrap_or_else(|| panic!("no {name} in {entry}"))
}
