//! The authority's client: writes happen once, errors have names.

use std::time::Duration;

use annul::client::{AuthorityClient, CutoffText, Login, Reason, Revoke};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

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

/// What becomes of a request that arrived.
#[derive(Clone, Copy)]
enum Fate {
    /// The connection breaks: whoever sent it cannot know whether it was done.
    Broken,
    /// It is taken, and no answer comes.
    Unanswered,
    Answered(&'static str, &'static str),
}

const ADDED: Fate = Fate::Answered("201 Created", r#"{"client_id":"web","client_secret":"s3"}"#);
const LIMITED: Fate = Fate::Answered("429 Too Many Requests", "");
const FAILED: Fate = Fate::Answered("503 Service Unavailable", "");

/// An authority to which each request comes on a connection of its own and meets the next of these fates.
/// When all are met it is gone, and the task's outcome is the requests' heads.
async fn fated(fates: Vec<Fate>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let mut heads = Vec::new();
        for fate in fates {
            let mut connection = listener.accept().await.unwrap().0;
            let mut request = Vec::new();
            // Every body that these calls send is an object.
            while request.last() != Some(&b'}') {
                assert!(connection.read_buf(&mut request).await.unwrap() > 0, "the request was cut short");
            }
            heads.push(String::from_utf8(request).unwrap());
            if matches!(fate, Fate::Unanswered) {
                std::future::pending::<()>().await;
            }
            if let Fate::Answered(status, body) = fate {
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
                connection.write_all(answer.as_bytes()).await.unwrap();
            }
        }
        heads
    });
    (url, task)
}

fn key(head: &str) -> Option<&str> {
    head.lines().find_map(|line| line.strip_prefix("idempotency-key: "))
}

/// An answer to an attempt before says nothing of the one that may have been done.
#[tokio::test]
async fn a_write_that_is_not_answered_in_time_is_not_said_to_be_refused() {
    for refused in [LIMITED, FAILED] {
        let (url, _) = fated(vec![refused, Fate::Unanswered]).await;
        let late = client(&url).within(Duration::from_secs(2));
        assert_eq!(within(late.revoke(&revoke_alice())).await.unwrap_err().code(), "authority_timed_out");
    }
}

#[tokio::test]
async fn a_write_without_a_key_is_not_repeated_when_it_may_have_been_done() {
    let login = Login { username: "alice".to_owned(), password: "p".to_owned(), ..Login::default() };
    for (fate, code) in [(Fate::Broken, "authority_unreachable"), (FAILED, "http_503")] {
        // A repetition would be answered otherwise.
        let (url, _) = fated(vec![fate, ADDED]).await;
        let added = within(client(&url).add_client("web", &["annul.read"])).await;
        assert_eq!(added.unwrap_err().code(), code);
        let (url, _) = fated(vec![fate, ADDED]).await;
        assert_eq!(within(client(&url).login(&login)).await.unwrap_err().code(), code);
    }
}

#[tokio::test]
async fn a_write_without_a_key_is_repeated_while_nothing_was_done() {
    let (url, serving) = fated(vec![LIMITED, ADDED]).await;
    let added = within(client(&url).add_client("web", &["annul.read"])).await.unwrap();
    assert_eq!(added.client_id, "web");
    let heads = within(serving).await.unwrap();
    assert_eq!(heads.iter().filter_map(|head| key(head)).count(), 0, "the authority keeps no secret to answer with");
}

#[tokio::test]
async fn accounts_and_passwords_are_written_under_a_key_and_repeated() {
    let (url, serving) = fated(vec![Fate::Broken, ADDED]).await;
    within(client(&url).add_account("alice", "correct horse")).await.unwrap();
    let heads = within(serving).await.unwrap();
    assert!(key(&heads[0]).is_some() && key(&heads[0]) == key(&heads[1]), "{heads:?}");

    let (url, serving) = fated(vec![Fate::Broken, ADDED]).await;
    within(client(&url).set_password("alice", "battery staple")).await.unwrap();
    let heads = within(serving).await.unwrap();
    assert!(key(&heads[0]).is_some() && key(&heads[0]) == key(&heads[1]), "{heads:?}");
}
