//! A token that is bound to its holder's key, from the login to a service's route and back.

use annul::TokenHolder;
use annul::client::Login;
use annul::holder::{Access, ProofKey, RefreshTokenFile};
use reqwest::Method;
use scenarios::{Answer, Authority, Client, Seen, Service};
use serde_json::json;

const PASSWORD: &str = "correct horse battery staple";

#[tokio::test]
async fn a_token_bound_to_a_key_is_worth_nothing_without_it() {
    let authority = Authority::start_with("[server]\ndpop_nonce = \"required\"");
    let service = Service::start(&authority, "api").await;
    let home = tempfile::tempdir().expect("a temporary directory");
    let kept = |name: &str| RefreshTokenFile::at(home.path().join(name));
    let (alice, key) = log_in(&authority, "alice", kept("alice")).await;
    let (bob, _) = log_in(&authority, "bob", kept("bob")).await;
    let url = format!("{}/check", service.url());

    // The login's token is bound, and so is the next one, which the refresh brought.
    let first = alice.authorize(&Method::GET, &url).await.expect("a token");
    let jkt = alice.proof_key().expect("a key").to_owned();
    assert_eq!(scenarios::claims(first.token().expose())["cnf"]["jkt"], jkt.as_str());
    send(&url, &first).await.expect_status(200);
    alice.refused(first.token()).await.expect("a refresh");
    let second = alice.authorize(&Method::GET, &url).await.expect("a token");
    assert_ne!(second.token().expose(), first.token().expose());
    assert_eq!(scenarios::claims(second.token().expose())["cnf"]["jkt"], jkt.as_str());
    send(&url, &second).await.expect_status(200);
    let bobs = bob.authorize(&Method::GET, &url).await.expect("a token");
    send(&url, &bobs).await.expect_status(200);

    // A copy: as Bearer, with a proof by another key, and with the very request that was overheard.
    let copied = second.token().expose();
    assert_eq!(service.call(copied).await.status, 401);
    let thief = ProofKey::generate().expect("a key");
    assert_eq!(service.call_with_proof(copied, &thief).await, refused("invalid_dpop_proof"));
    let overheard = send(&url, &second).await;
    assert_eq!(overheard.status, 401, "a proof is taken once");
    // Nor does it get another token at the endpoint that gave it.
    let stranger = Client::public(authority.url(), "annul.login");
    assert_eq!(stranger.derive(copied).await.status, 400);
    assert_eq!(service.call_with_proof(copied, &key).await.status, 200, "the owner's proof is taken all along");

    // Revoking the key reaches what is bound to it: token and refresh. Whoever has another key goes on.
    authority.revoke(json!({"targets": [format!("confirmation:{jkt}")], "cutoff": "always"})).await;
    let asked = std::time::Instant::now();
    while service.call_with_proof(copied, &key).await != refused("token_revoked") {
        assert!(asked.elapsed() < std::time::Duration::from_secs(10), "the token is still accepted");
    }
    let token = kept("alice").read().expect("the file can be read").expect("a token is kept");
    let reopened = TokenHolder::builder(authority.url()).proof_key(key).resume(token).expect("it can be tried");
    let over = reopened.access_token().await.expect_err("the session is over");
    assert!(!over.is_logged_in() && over.code() == "session_revoked", "{over}");
    let bobs = bob.authorize(&Method::GET, &url).await.expect("a token");
    send(&url, &bobs).await.expect_status(200);
    bob.refused(bobs.token()).await.expect("bob goes on");
}

fn refused(code: &str) -> Seen {
    Seen { status: 401, code: code.to_owned() }
}

/// A new account's session, opened with a proof of a new key.
async fn log_in(authority: &Authority, username: &str, kept: RefreshTokenFile) -> (TokenHolder, ProofKey) {
    let account = json!({"username": username, "password": PASSWORD});
    authority.admin().post("/v1/accounts", account).await.expect_status(201);
    let key = ProofKey::generate().expect("a key");
    let copy = ProofKey::from_pkcs8(&key.to_pkcs8().expect("it can be kept")).expect("and read again");
    let login = Login { username: username.to_owned(), password: PASSWORD.to_owned(), ..Login::default() };
    let holder = TokenHolder::builder(authority.url()).proof_key(key).keep(kept).log_in(&login).await;
    (holder.expect("the login"), copy)
}

/// One request with what the holder gave for it.
async fn send(url: &str, access: &Access) -> Answer {
    let request = reqwest::Client::new().get(url).headers(access.headers());
    Answer::of(request.send().await.expect("the service answers")).await
}
