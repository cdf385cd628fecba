//! A holder of a session's tokens against a stub of the token endpoint.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use annul::TokenHolder;
use annul::client::Login;
use annul::holder::{HolderError, KeepError, ProofKey, RefreshToken, RefreshTokenFile, Scheme, TokenHolderBuilder};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::stub::{eventually, within};
use crate::tokens::{LIFE, Mood, Tokens};

/// What was kept, oldest first; keeping fails while it is told to.
#[derive(Clone, Default)]
struct Kept {
    tokens: Arc<Mutex<Vec<String>>>,
    fails: Arc<AtomicBool>,
}

impl Kept {
    fn all(&self) -> Vec<String> {
        self.tokens.lock().unwrap().clone()
    }

    async fn take(self, token: RefreshToken) -> Result<(), KeepError> {
        if self.fails.load(Ordering::SeqCst) {
            return Err("no space left".into());
        }
        self.tokens.lock().unwrap().push(token.expose().to_owned());
        Ok(())
    }
}

fn builder(tokens: &Tokens, kept: &Kept) -> TokenHolderBuilder {
    let kept = kept.clone();
    TokenHolder::builder(&tokens.url).public_client("shop").keep(move |token| kept.clone().take(token))
}

async fn resumed() -> (Tokens, Kept, TokenHolder) {
    let (tokens, kept) = (Tokens::start().await, Kept::default());
    let holder = builder(&tokens, &kept).resume("r1").unwrap();
    (tokens, kept, holder)
}

async fn token(holder: &TokenHolder) -> String {
    within(holder.access_token()).await.unwrap().expose().to_owned()
}

/// The token that comes once what stands against it has passed.
async fn token_at_last(holder: &TokenHolder) -> String {
    within(async {
        loop {
            match holder.access_token().await {
                Ok(token) => return token.expose().to_owned(),
                Err(error) => assert!(error.is_logged_in(), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

async fn error(holder: &TokenHolder) -> HolderError {
    within(holder.access_token()).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_callers_at_once_make_one_refresh() {
    let (tokens, kept, holder) = resumed().await;
    tokens.hold();
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let holder = holder.clone();
            tokio::spawn(async move { token(&holder).await })
        })
        .collect();
    eventually("the refresh is in the air", || tokens.requests() == 1).await;
    tokens.let_go();
    let mut given = HashSet::new();
    for caller in callers {
        given.insert(within(caller).await.unwrap());
    }
    assert_eq!(given, HashSet::from(["access.2".to_owned()]));
    assert_eq!((tokens.requests(), tokens.rotations(), kept.all()), (1, 1, vec!["r2".to_owned()]));
    assert_eq!(tokens.forms()[0]["client_id"], "shop");
}

#[tokio::test]
async fn i13_a_lost_answer_is_asked_for_again_and_the_successor_is_the_same() {
    let (tokens, kept, holder) = resumed().await;
    tokens.set(Mood::LosesAnswers(2));
    assert_eq!(token(&holder).await, "access.2");
    assert_eq!((tokens.requests(), tokens.rotations(), kept.all()), (3, 1, vec!["r2".to_owned()]));
}

#[tokio::test]
async fn an_answer_that_never_comes_is_asked_for_again_on_another_connection() {
    let (tokens, _, holder) = resumed().await;
    tokens.hold();
    let waiting = tokio::spawn({
        let holder = holder.clone();
        async move { token(&holder).await }
    });
    eventually("a second attempt", || tokens.requests() == 2).await;
    tokens.let_go();
    assert_eq!(within(waiting).await.unwrap(), "access.2");
    assert_eq!(tokens.rotations(), 1);
}

#[tokio::test]
async fn an_authority_that_cannot_answer_leaves_the_user_logged_in() {
    for status in [503, 429, 502, 500] {
        let tokens = Tokens::start().await;
        let holder = builder(&tokens, &Kept::default()).within(Duration::from_millis(500)).resume("r1").unwrap();
        tokens.set(Mood::Fails(status, "invalid_grant"));
        let told = error(&holder).await;
        assert!(matches!(told, HolderError::NotNow { .. }) && told.is_logged_in(), "{status}: {told}");
        let asked = tokens.requests();
        assert_eq!(error(&holder).await.code(), told.code());
        assert_eq!(tokens.requests(), asked, "a caller right after it makes no request");
        tokens.set(Mood::Answers);
        assert_eq!(token_at_last(&holder).await, "access.2");
    }
}

/// What a header asks for is neither waited for beyond the holder's own bound nor reckoned with.
#[tokio::test]
async fn i15_a_pause_that_no_clock_can_count_is_an_answer_like_any_other() {
    let (tokens, kept, holder) = resumed().await;
    tokens.set(Mood::PutsOff("18446744073709551615"));
    let told = error(&holder).await;
    assert!(matches!(told, HolderError::NotNow { .. }) && told.is_logged_in(), "{told}");
    assert_eq!((told.code(), tokens.requests(), kept.all().len()), ("stub_puts_off", 1, 0));
}

#[tokio::test]
async fn nobody_at_the_address_is_not_a_logout() {
    let kept = Kept::default();
    let nobody = TokenHolder::builder("http://127.0.0.1:1").within(Duration::from_millis(200)).resume("r1").unwrap();
    let told = error(&nobody).await;
    assert_eq!((told.code(), told.is_logged_in()), ("authority_unreachable", true));
    assert!(kept.all().is_empty());
}

#[tokio::test]
async fn a_refused_refresh_token_means_login_and_is_not_sent_again() {
    let (tokens, kept, holder) = resumed().await;
    tokens.set(Mood::Fails(400, "invalid_grant"));
    for _ in 0..3 {
        let told = error(&holder).await;
        assert!(matches!(told, HolderError::MustLogIn(_)) && !told.is_logged_in(), "{told}");
        assert_eq!(told.code(), "stub_fails");
    }
    assert_eq!((tokens.requests(), kept.all().len()), (1, 0));
}

#[tokio::test]
async fn a_refused_client_is_a_matter_of_configuration_and_not_a_logout() {
    let (tokens, _, holder) = resumed().await;
    tokens.set(Mood::Fails(401, "invalid_client"));
    let told = error(&holder).await;
    assert!(matches!(told, HolderError::Refused(_)) && told.is_logged_in(), "{told}");
    assert_eq!(tokens.requests(), 1, "repeating it would not help");
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_lose_the_successor() {
    let (tokens, kept, holder) = resumed().await;
    tokens.hold();
    let caller = tokio::spawn({
        let holder = holder.clone();
        async move { holder.access_token().await }
    });
    eventually("the refresh is in the air", || tokens.requests() == 1).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    tokens.let_go();
    eventually("the successor is kept", || kept.all() == ["r2"]).await;
    assert_eq!(token(&holder).await, "access.2");
    assert_eq!(tokens.requests(), 1);
}

#[tokio::test]
async fn a_holder_that_is_dropped_during_a_refresh_keeps_the_successor_all_the_same() {
    let (tokens, kept, holder) = resumed().await;
    tokens.hold();
    let caller = tokio::spawn(async move { holder.access_token().await });
    eventually("the refresh is in the air", || tokens.requests() == 1).await;
    caller.abort();
    tokens.let_go();
    eventually("the successor is kept", || kept.all() == ["r2"]).await;
}

#[tokio::test]
async fn tokens_are_not_used_before_the_application_kept_the_successor() {
    let (tokens, kept, holder) = resumed().await;
    kept.fails.store(true, Ordering::SeqCst);
    let told = error(&holder).await;
    assert_eq!((told.code(), told.is_logged_in()), ("refresh_token_not_kept", true));
    kept.fails.store(false, Ordering::SeqCst);
    assert_eq!(token_at_last(&holder).await, "access.2");
    assert_eq!((tokens.requests(), kept.all()), (1, vec!["r2".to_owned()]), "what was held is not asked for again");
}

#[tokio::test]
async fn a_token_falls_due_by_expires_in_and_is_given_while_its_successor_is_fetched() {
    let (tokens, kept) = (Tokens::start().await, Kept::default());
    let holder = builder(&tokens, &kept).lead(Duration::from_secs(4)).resume("r1").unwrap();
    tokens.set_life(8);
    assert_eq!(token(&holder).await, "access.2");
    tokens.set_life(LIFE);
    tokens.hold();
    // Nothing in the token says when it ends. In the midst of its life it is due, and ample time is left.
    within(async {
        while tokens.requests() < 2 {
            assert_eq!(token(&holder).await, "access.2");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(token(&holder).await, "access.2", "nobody waits for it");
    tokens.let_go();
    eventually("the successor is kept", || kept.all() == ["r2", "r3"]).await;
    assert_eq!((token(&holder).await.as_str(), tokens.requests()), ("access.3", 2));
}

#[tokio::test]
async fn a_401_on_a_young_token_is_a_reason_to_refresh_once() {
    let (tokens, _, holder) = resumed().await;
    let first = within(holder.access_token()).await.unwrap();
    let refused: Vec<_> = (0..20)
        .map(|_| {
            let (holder, first) = (holder.clone(), first.clone());
            tokio::spawn(async move { holder.refused(&first).await.unwrap().expose().to_owned() })
        })
        .collect();
    for caller in refused {
        assert_eq!(within(caller).await.unwrap(), "access.3");
    }
    assert_eq!(tokens.rotations(), 2, "one refresh for all who were refused");

    let second = within(holder.access_token()).await.unwrap();
    let told = within(holder.refused(&second)).await.unwrap_err();
    assert_eq!((told.code(), told.is_logged_in()), ("token_still_refused", true));
    assert_eq!((tokens.rotations(), token(&holder).await.as_str()), (2, "access.3"));
}

#[tokio::test]
async fn a_service_is_answered_once_for_each_reason() {
    let tokens = Tokens::start().await;
    let holder = builder(&tokens, &Kept::default()).proof_key(ProofKey::generate().unwrap()).resume("r1").unwrap();
    let refusal = |challenge: &'static str, nonce: Option<&'static str>| {
        let mut headers = HeaderMap::new();
        headers.insert("www-authenticate", HeaderValue::from_static(challenge));
        nonce.map(|nonce| headers.insert("dpop-nonce", HeaderValue::from_static(nonce)));
        headers
    };
    let first = within(holder.authorize(&Method::GET, "https://shop.example/orders?page=2")).await.unwrap();
    assert_eq!(first.token().scheme(), Scheme::DPoP);
    assert_eq!(first.headers()["authorization"], "DPoP access.2");
    assert!(first.headers()["authorization"].is_sensitive() && first.headers()["dpop"].is_sensitive());
    assert!(!format!("{first:?} {holder:?}").contains("access.2"), "no log shows a token");

    let wants_nonce = refusal("DPoP error=\"use_dpop_nonce\"", Some("n1"));
    let unauthorized = StatusCode::UNAUTHORIZED;
    let second = within(holder.answered(&first, unauthorized, &wants_nonce)).await.unwrap().expect("a nonce helps");
    assert_eq!(second.token(), first.token());
    assert_ne!(second.headers()["dpop"], first.headers()["dpop"]);
    assert!(within(holder.answered(&second, unauthorized, &wants_nonce)).await.unwrap().is_none(), "not twice");

    let invalid = refusal("DPoP error=\"invalid_token\"", None);
    let third = within(holder.answered(&second, unauthorized, &invalid)).await.unwrap().expect("a new token");
    assert_eq!(third.token().expose(), "access.3");
    assert!(within(holder.answered(&third, unauthorized, &invalid)).await.unwrap().is_none(), "not twice");
    assert!(within(holder.answered(&third, StatusCode::OK, &HeaderMap::new())).await.unwrap().is_none());
    let relative = within(holder.authorize(&Method::GET, "/orders")).await.unwrap_err();
    assert_eq!(relative.code(), "authority_address_invalid");
}

#[tokio::test]
async fn dp_6_a_nonce_is_taken_up_once_and_kept_for_the_next_proof() {
    let tokens = Tokens::start().await;
    tokens.set(Mood::WantsNonce("n1"));
    let key = ProofKey::generate().unwrap();
    let thumbprint = key.thumbprint().to_owned();
    let holder = builder(&tokens, &Kept::default()).proof_key(key).resume("r1").unwrap();
    assert_eq!(holder.proof_key(), Some(thumbprint.as_str()));
    let first = within(holder.access_token()).await.unwrap();
    assert_eq!((first.scheme(), tokens.requests()), (Scheme::DPoP, 2));
    within(holder.refused(&first)).await.unwrap();
    assert_eq!(tokens.requests(), 3, "the nonce is still good");

    tokens.set(Mood::WantsEveryNonce);
    let other = builder(&tokens, &Kept::default()).proof_key(ProofKey::generate().unwrap()).resume("r3").unwrap();
    let told = error(&other).await;
    assert_eq!((told.code(), tokens.requests()), ("use_dpop_nonce", 5), "a server that wants one for ever gets two");
    assert!(told.is_logged_in());
}

#[tokio::test]
async fn closing_and_opening_again_needs_no_login() {
    let tokens = Tokens::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = RefreshTokenFile::at(dir.path().join("session"));
    let alice = Login { username: "alice".to_owned(), password: "right".to_owned(), ..Login::default() };
    let builder = || TokenHolder::builder(&tokens.url).keep(file.clone());
    let holder = within(builder().log_in(&alice)).await.unwrap();
    assert_eq!((token(&holder).await.as_str(), tokens.rotations()), ("access.1", 0), "the login brought it");
    drop(holder);

    for generation in [2, 3] {
        let kept = file.read().unwrap().expect("it was kept");
        let holder = builder().resume(kept).unwrap();
        assert_eq!(token(&holder).await, format!("access.{generation}"));
    }
    let wrong = Login { password: "wrong".to_owned(), ..alice };
    let told = within(builder().log_in(&wrong)).await.unwrap_err();
    assert!(matches!(told, HolderError::Refused(_)), "{told}");
    assert_eq!(told.code(), "credentials_wrong");
}

#[tokio::test]
async fn processes_that_share_a_file_go_on_with_what_the_other_got() {
    let tokens = Tokens::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = RefreshTokenFile::at(dir.path().join("session"));
    file.write(&"r1".into()).unwrap();
    let holder = || TokenHolder::builder(&tokens.url).keep(file.clone()).resume("r1").unwrap();
    let (one, two) = (holder(), holder());
    assert_eq!(token(&one).await, "access.2");
    let refused = within(one.access_token()).await.unwrap();
    within(one.refused(&refused)).await.unwrap();
    assert_eq!(token(&two).await, "access.4", "by now r1 would be taken for reuse");
}

#[test]
fn a_holder_whose_runtime_is_gone_says_so_and_not_that_the_user_must_log_in() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (refreshes, callers) = (runtime(), runtime());
    let (tokens, holder) = refreshes.block_on(async {
        let (tokens, _, holder) = resumed().await;
        tokens.hold();
        (tokens, holder)
    });
    let waiting = callers.spawn({
        let holder = holder.clone();
        async move { holder.access_token().await }
    });
    refreshes.block_on(eventually("the refresh is in the air", || tokens.requests() == 1));
    refreshes.shutdown_background();
    let told = callers.block_on(within(waiting)).unwrap().unwrap_err();
    assert_eq!((told.code(), told.is_logged_in()), ("runtime_missing", true));
}
