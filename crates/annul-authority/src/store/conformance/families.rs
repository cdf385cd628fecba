//! Refresh families for the claims about them, and the claims about what happens to them at once.

use std::collections::BTreeSet;

use annul_core::algebra::{Cutoff, Reach};
use annul_core::settings::Settings;
use annul_core::token::{Claims as TokenClaims, Facts};

use super::*;
use crate::model::{AuditEvent, NewFamily, Presented, RefreshAsker, RefreshMark, Seen};
use crate::store::{AuditFilter, IssuePlan, MAX_PAGE, NewSuccessor, NotIssued, Redeem, Redeemed, RefreshRefusal};

/// The grace in these claims, in seconds.
pub(super) const GRACE: u64 = 15;
/// Rounds of a race. Each ends one way or the other.
const RACES: u32 = 1000;

/// However a revocation and a refresh fall, no token lives after both: the refresh was judged by the
/// revocation, or its token has a position below it.
pub async fn rt_4_revoke_racing_refresh_ends_with_no_live_token(bench: Bench) {
    let bench = Arc::new(bench.with_log().await);
    let (mut before, mut after) = (0, 0);
    for round in 0..RACES {
        let (sid, subject) = (format!("s{round}"), format!("u{round}"));
        open(&bench, &sid, &subject).await;
        let refresh = {
            let (bench, sid) = (bench.clone(), sid.clone());
            async move { redeem_as(&bench, &sid, token(1), asker()).await }
        };
        let revoke = {
            let bench = bench.clone();
            async move { bench.revoke(&format!("subject:{subject}"), Cutoff::Now, Reach::Both).await.positions[0] }
        };
        let (refreshed, at) = if round % 2 == 0 {
            let refreshing = tokio::spawn(refresh);
            let revoking = tokio::spawn(revoke);
            (refreshing.await.unwrap(), revoking.await.unwrap())
        } else {
            let revoking = tokio::spawn(revoke);
            let refreshing = tokio::spawn(refresh);
            (refreshing.await.unwrap(), revoking.await.unwrap())
        };
        match refreshed {
            Ok(Redeemed::Rotated(snapshot)) => {
                assert!(snapshot.log.head.at < at, "a token of {} outlives {at}", snapshot.log.head.at);
                before += 1;
            }
            Err(StoreError::Refused(Refused::NotIssued(NotIssued::SessionOver(SessionStatus::Revoked(_))))) => {
                after += 1;
            }
            other => panic!("{other:?}"),
        }
        for presented in [token(1), token(2)] {
            let late = redeem_as(&bench, &sid, presented, asker()).await;
            assert!(matches!(late, Err(StoreError::Refused(_))), "a live token after both: {late:?}");
        }
    }
    assert_eq!(before + after, RACES);
}

/// Fifty at once with one credential: one rotates, all others get what it got.
pub async fn rt_3_fifty_at_once_have_one_successor(bench: Bench) {
    let bench = Arc::new(refreshable(bench).await);
    let all: Vec<_> = (0..50)
        .map(|number| {
            let bench = bench.clone();
            // Each brings a successor of its own.
            let mine = NewSuccessor { mark: mark(100 + number), sealed: sealed(100 + number) };
            let redeem = Redeem { successor: mine, ..ask("s1", token(1), asker()) };
            tokio::spawn(async move {
                let plan = plan(&bench);
                (number, bench.store.redeem(act(), redeem, plan).await.unwrap())
            })
        })
        .collect();
    let (mut winners, mut given) = (Vec::new(), BTreeSet::new());
    for one in all {
        match one.await.unwrap() {
            (number, Redeemed::Rotated(_)) => winners.push(number),
            (_, Redeemed::Repeated { sealed, .. }) => drop(given.insert(sealed)),
            (_, Redeemed::Refused(refusal)) => panic!("{refusal}"),
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(given, BTreeSet::from([sealed(100 + winners[0])]));
    assert_eq!(bench.store.family("s1").await.unwrap().unwrap().current, mark(100 + winners[0]));
    assert_eq!(bench.status("s1").await, SessionStatus::Live);
}

pub(super) async fn written(bench: &Bench) -> Vec<AuditEvent> {
    bench.store.audit(AuditFilter { limit: MAX_PAGE, ..AuditFilter::default() }).await.unwrap()
}

/// A bench with one session, `s1` of alice, that is refreshed with a token.
pub(super) async fn refreshable(bench: Bench) -> Bench {
    let bench = bench.with_log().await;
    open(&bench, "s1", "alice").await;
    bench
}

pub(super) async fn open(bench: &Bench, sid: &str, subject: &str) {
    bench.store.open_session(act(), with_family(bench.login(sid, subject))).await.unwrap();
}

pub(super) fn with_family(login: NewSession) -> NewSession {
    renewed_by(mark(1), login)
}

/// A login whose session is renewed with what this recognises.
pub(super) fn renewed_by(first: RefreshMark, login: NewSession) -> NewSession {
    let family = Some(NewFamily { first, access_life: LIFE });
    NewSession { origin: Origin::Login(Login { family, ..Login::default() }), ..scoped(login) }
}

pub(super) fn scoped(login: NewSession) -> NewSession {
    NewSession { scope: Some("read write".to_owned()), ..login }
}

pub(super) fn asker() -> RefreshAsker {
    RefreshAsker {
        client_id: "web".to_owned(),
        proof: None,
        scope: None,
        seen: Seen { address: Some("192.0.2.1".to_owned()), agent: Some("app/1".to_owned()) },
    }
}

pub(super) fn hash(number: u32) -> [u8; 32] {
    let mut hash = [0; 32];
    hash[..4].copy_from_slice(&number.to_be_bytes());
    hash
}

pub(super) fn mark(number: u32) -> RefreshMark {
    RefreshMark::Hash(hash(number))
}

pub(super) fn sealed(number: u32) -> Vec<u8> {
    [b"sealed".as_slice(), &number.to_be_bytes()].concat()
}

/// The token of a generation, as the families here go on.
pub(super) fn token(generation: u32) -> Presented {
    Presented::RefreshToken { generation, hash: hash(generation) }
}

pub(super) fn access(jti: &str) -> Presented {
    Presented::AccessToken { jti: jti.to_owned(), expires: START.floor().plus(LIFE), is_bound: false }
}

pub(super) fn ask(sid: &str, presented: Presented, by: RefreshAsker) -> Redeem {
    let next = match &presented {
        Presented::RefreshToken { generation, .. } => generation + 1,
        Presented::AccessToken { .. } => 0,
    };
    Redeem {
        sid: sid.to_owned(),
        presented,
        named: Vec::new(),
        by,
        bind_to: None,
        successor: NewSuccessor { mark: mark(next), sealed: sealed(next) },
        grace: GRACE,
        window: None,
    }
}

/// The token of generation `generation` with the secret `secret`, redeemed for `s1`.
pub(super) async fn redeem(bench: &Bench, generation: u32, secret: u32) -> Result<Redeemed, StoreError> {
    let presented = Presented::RefreshToken { generation, hash: hash(secret) };
    redeem_as(bench, "s1", presented, asker()).await
}

pub(super) async fn redeem_as(
    bench: &Bench,
    sid: &str,
    presented: Presented,
    by: RefreshAsker,
) -> Result<Redeemed, StoreError> {
    bench.store.redeem(act(), ask(sid, presented, by), plan(bench)).await
}

/// Issues a token that says what the session says.
pub(super) fn plan(bench: &Bench) -> IssuePlan {
    let now = bench.now();
    Box::new(move |Issuing { log, session, family, .. }: &Issuing<'_>| {
        let settings: &Settings = &log.settings;
        let members = json!({
            "iss": settings.issuer,
            "sub": session.subject,
            "aud": session.audience,
            "client_id": session.client_id,
            "sid": session.sid,
            "roles": session.claims["roles"],
            "auth_time": session.auth_time.0,
            "iat": now.0,
            "exp": now.plus(LIFE).0,
            "jti": family.and_then(|family| family.current.jti()).unwrap_or("jti"),
            "lpos": log.head.at.to_string(),
        });
        let claims = TokenClaims::from_map(members.as_object().unwrap().clone()).unwrap();
        Facts::for_issue(&claims, "k1", settings, &log.hash_key).map_err(NotIssued::Unissuable)
    })
}

pub(super) fn ended() -> Refused {
    Refused::NotIssued(NotIssued::SessionOver(SessionStatus::Ended))
}

#[track_caller]
pub(super) fn rotated(answer: Result<Redeemed, StoreError>) {
    assert!(matches!(answer, Ok(Redeemed::Rotated(_))), "{answer:?}");
}

#[track_caller]
pub(super) fn repeated(answer: Result<Redeemed, StoreError>) -> Vec<u8> {
    match answer {
        Ok(Redeemed::Repeated { sealed, .. }) => sealed,
        other => panic!("not repeated: {other:?}"),
    }
}

#[track_caller]
pub(super) fn refusal(answer: Result<Redeemed, StoreError>) -> RefreshRefusal {
    match answer {
        Ok(Redeemed::Refused(refusal)) => refusal,
        other => panic!("not refused and written down: {other:?}"),
    }
}
