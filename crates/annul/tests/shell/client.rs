//! The authority's client: writes happen once, errors have names.

use std::time::Duration;

use annul::client::{AuthorityClient, CutoffText, Reason, Revoke};

use crate::stub::{Stub, within};

fn client(url: &str) -> AuthorityClient {
    AuthorityClient::builder(url).credentials("admin", "secret").within(Duration::from_secs(5)).build().unwrap()
}

fn revoke_alice() -> Revoke {
    Revoke {
        targets: vec!["subject:alice".to_owned()],
        cutoff: Some(CutoffText::Now),
        because: Reason { reason: Some("lost laptop".to_owned()), wait: Some(Duration::from_secs(2)) },
        ..Revoke::default()
    }
}

#[tokio::test]
async fn a_write_is_repeated_under_one_key_until_it_is_answered() {
    let stub = Stub::start().await;
    stub.fail_next(2);
    let answer = within(client(&stub.url).revoke(&revoke_alice())).await.unwrap();
    assert_eq!((answer.sessions, answer.revocations[0].target.as_str()), (2, "subject:alice"));
    let keys = stub.idempotency_keys();
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| *key == keys[0]));

    within(client(&stub.url).revoke(&revoke_alice())).await.unwrap();
    assert_ne!(stub.idempotency_keys()[3], keys[0], "another call is another write");
}

#[tokio::test]
async fn a_refusal_is_not_repeated_and_has_the_authoritys_status() {
    let stub = Stub::start().await;
    stub.refuse_with(403);
    let error = within(client(&stub.url).revoke(&revoke_alice())).await.unwrap_err();
    assert_eq!((error.status(), error.code()), (Some(403), "http_403"));
}

#[tokio::test]
async fn an_authority_that_is_not_there_is_unreachable() {
    let nobody = client("http://127.0.0.1:1").within(Duration::from_millis(300));
    let error = within(nobody.next_token("s1")).await.unwrap_err();
    assert_eq!(error.code(), "authority_unreachable", "{error}");
}

#[tokio::test]
async fn a_path_cannot_carry_the_credential_to_another_host() {
    let error = within(client("http://127.0.0.1:1").get_json("http://127.0.0.1:2/")).await.unwrap_err();
    assert_eq!(error.code(), "authority_address_invalid");
}
