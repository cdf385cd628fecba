//! Claims about credentials: proven at a login, changed with the end of what they gave.

use annul_core::algebra::{Cutoff, Reach};

use super::*;
use crate::model::{Account, IdempotencyKey, SubjectState};
use crate::store::{AccountLogin, CredentialChange, Holder, Kept};

/// One entry, one transaction: the others die, the kept one is dated at it, and what comes next
/// carries the new fingerprint.
pub async fn a_changed_credential_leaves_the_kept_session_only(bench: Bench) {
    let bench = bench.with_log().await.with_account().await;
    for sid in ["phone", "laptop"] {
        bench.open(sid, "u1").await;
    }
    bench.open("bobs", "bob").await;
    let change = CredentialChange { keep: Some("phone".to_owned()), ..by_account(None, Some("new")) };
    let out = bench.store.change_credential(attempt("a"), change.clone()).await.unwrap();
    let at = out.positions[0];
    assert_eq!((out.positions.len(), out.sessions.ended, out.kept.clone()), (1, 1, Some(Kept::Restamped(at))));
    assert_eq!(bench.store.account("alice").await.unwrap().unwrap().password, "new");
    assert_eq!(fingerprint(&bench, "u1").await.as_deref(), Some("f-new"));
    let kept = bench.store.session("phone").await.unwrap().unwrap();
    assert_eq!((kept.status, kept.session.position), (SessionStatus::Live, at));
    assert_eq!(kept.session.fingerprint.as_deref(), Some("f-new"));
    assert_revoked(bench.status("laptop").await);
    assert_eq!(bench.status("bobs").await, SessionStatus::Live);
    let next = bench.open("next", "u1").await.session;
    assert_eq!(next.fingerprint.as_deref(), Some("f-new"));
    // It follows from state, and is done once.
    assert_eq!(refused(bench.store.lift(act(), vec![at]).await).code(), "emitted_by_state");
    let again = bench.store.change_credential(attempt("a"), change).await.unwrap();
    assert_eq!(again, Appended { repeated: true, ..out.clone() });
    assert_eq!(bench.store.answered(attempt("a")).await.unwrap(), Some(again));
    assert_eq!(bench.store.answered(attempt("b")).await.unwrap(), None);

    // The same for a subject whose credential is kept elsewhere.
    bench.store.change_credential(act(), by_subject("bob", "f-bob")).await.unwrap();
    assert_revoked(bench.status("bobs").await);
    assert_eq!(bench.open("bob2", "bob").await.session.fingerprint.as_deref(), Some("f-bob"));
    assert_eq!(bench.status("next").await, SessionStatus::Live);
    let no_account = CredentialChange { password: Some("x".to_owned()), ..by_subject("bob", "f") };
    assert_eq!(refused(bench.store.change_credential(act(), no_account).await), Refused::AccountUnknown);
}

/// Keeping dates a session anew and hands out its next token, so it is for one's own only.
pub async fn a_session_of_somebody_else_is_not_kept(bench: Bench) {
    let bench = bench.with_log().await.with_account().await;
    bench.open("mine", "u1").await;
    bench.open("bobs", "bob").await;
    let head = bench.log().await.head;
    for sid in ["bobs", "nobodys"] {
        let change = CredentialChange { keep: Some(sid.to_owned()), ..by_account(None, Some("new")) };
        assert_eq!(refused(bench.store.change_credential(act(), change).await), Refused::SessionUnknown);
    }
    assert_eq!(bench.log().await.head, head);
    assert_eq!(bench.store.account("alice").await.unwrap().unwrap().password, "hash");
    assert_eq!(fingerprint(&bench, "u1").await, None);
    assert_eq!(bench.status("mine").await, SessionStatus::Live);
}

/// A change of password revives nothing.
pub async fn a_kept_session_that_was_revoked_before_ends(bench: Bench) {
    let bench = bench.with_log().await.with_account().await;
    bench.open("phone", "u1").await;
    bench.revoke("device:u1/phone", Cutoff::Now, Reach::Both).await;
    let change = CredentialChange { keep: Some("phone".to_owned()), ..by_account(None, None) };
    let out = bench.store.change_credential(act(), change).await.unwrap();
    assert_eq!(out.kept, Some(Kept::Ended(out.head)));
    assert_eq!(bench.status("phone").await, SessionStatus::Ended);
}

/// Of two changes from one proof the second finds that its proof is out of date.
pub async fn a_change_by_its_user_needs_the_credential_of_now(bench: Bench) {
    let bench = bench.with_log().await.with_account().await;
    let mine = by_account(Some("hash"), Some("mine"));
    bench.store.change_credential(act(), mine.clone()).await.unwrap();
    bench.open("s1", "u1").await;
    let head = bench.log().await.head;
    let late = CredentialChange { password: Some("theirs".to_owned()), ..mine.clone() };
    for stale in [late, CredentialChange { password: None, ..mine }] {
        assert_eq!(refused(bench.store.change_credential(act(), stale).await), Refused::NotProven);
    }
    let nobody = Holder::Account { username: "nobody".to_owned(), proven: Some("hash".to_owned()) };
    let change = CredentialChange { holder: nobody, ..by_account(None, None) };
    assert_eq!(refused(bench.store.change_credential(act(), change).await), Refused::NotProven);
    assert_eq!(bench.log().await.head, head);
    assert_eq!(bench.status("s1").await, SessionStatus::Live);
    assert_eq!(bench.store.account("alice").await.unwrap().unwrap().password, "mine");
}

/// The first login gives its subject a fingerprint; later ones find it.
pub async fn a_login_needs_the_credential_of_now_and_carries_its_fingerprint(bench: Bench) {
    let bench = bench.with_log().await.with_account().await;
    let first = bench.store.log_in(act(), log_in(&bench, "s1", "hash")).await.unwrap().session;
    assert_eq!((first.subject.as_str(), first.fingerprint.as_deref()), ("u1", Some("f-hash")));
    let secured = CredentialChange { fingerprint: "random".to_owned(), ..by_account(Some("hash"), None) };
    bench.store.change_credential(act(), secured).await.unwrap();
    let next = bench.store.log_in(act(), log_in(&bench, "s2", "hash")).await.unwrap().session;
    assert_eq!(next.fingerprint.as_deref(), Some("random"), "the field, not the password's");

    bench.store.change_credential(act(), by_account(None, Some("new"))).await.unwrap();
    let stale = bench.store.log_in(act(), log_in(&bench, "s3", "hash")).await;
    assert_eq!(refused(stale), Refused::NotProven);
    bench.store.remove_account(act(), "alice").await.unwrap();
    let gone = bench.store.log_in(act(), log_in(&bench, "s4", "new")).await;
    assert_eq!(refused(gone), Refused::NotProven);
    assert_eq!(fingerprint(&bench, "u1").await, None, "gone with the account");
    assert!(bench.store.session("s3").await.unwrap().is_none());
}

/// However a login and a change of password meet, no session of the old password is left live.
pub async fn i9_no_login_with_a_changed_password_outlives_the_change(bench: Bench) {
    let bench = Arc::new(bench.with_log().await.with_account().await);
    let mut present = "hash".to_owned();
    for round in 0..25 {
        let logins: Vec<_> = (0..3)
            .map(|login| {
                let (bench, proven) = (bench.clone(), present.clone());
                tokio::spawn(async move {
                    let sid = format!("s{round}-{login}");
                    let opened = bench.store.log_in(act(), log_in(&bench, &sid, &proven)).await;
                    opened.map(|opened| opened.session.sid)
                })
            })
            .collect();
        let new = format!("hash{round}");
        bench.store.change_credential(act(), by_account(Some(&present), Some(&new))).await.unwrap();
        for login in logins {
            match login.await.unwrap() {
                Ok(sid) => assert_revoked(bench.status(&sid).await),
                Err(error) => assert_eq!(error, StoreError::Refused(Refused::NotProven)),
            }
        }
        present = new;
    }
}

/// The account `alice` of the subject `u1`, whose stored hash is `hash`.
impl Bench {
    pub(super) async fn with_account(self) -> Self {
        let account = Account {
            username: "alice".to_owned(),
            subject: "u1".to_owned(),
            password: "hash".to_owned(),
            created: START,
        };
        self.store.add_account(act(), account).await.unwrap();
        self
    }

    pub(super) async fn state_of(&self, subject: &str) -> SubjectState {
        self.store.subject(target(&format!("subject:{subject}"))).await.unwrap()
    }
}

pub(super) fn log_in(bench: &Bench, sid: &str, proven: &str) -> AccountLogin {
    AccountLogin {
        username: "alice".to_owned(),
        proven: proven.to_owned(),
        fingerprint: format!("f-{proven}"),
        session: bench.login(sid, "whatever"),
    }
}

pub(super) fn attempt(key: &str) -> Act {
    let idempotency = IdempotencyKey { client: "tester".to_owned(), key: key.to_owned(), request: [1; 32] };
    Act { idempotency: Some(idempotency), ..act() }
}

fn by_account(proven: Option<&str>, password: Option<&str>) -> CredentialChange {
    CredentialChange {
        holder: Holder::Account { username: "alice".to_owned(), proven: proven.map(str::to_owned) },
        password: password.map(str::to_owned),
        fingerprint: format!("f-{}", password.unwrap_or("same")),
        keep: None,
    }
}

fn by_subject(subject: &str, fingerprint: &str) -> CredentialChange {
    CredentialChange {
        holder: Holder::Subject(subject.to_owned()),
        password: None,
        fingerprint: fingerprint.to_owned(),
        keep: None,
    }
}

async fn fingerprint(bench: &Bench, subject: &str) -> Option<String> {
    bench.state_of(subject).await.fingerprint
}
