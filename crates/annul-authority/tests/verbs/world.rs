//! An authority, its clock and one verifier's view of its log.

use std::sync::Arc;
use std::time::Duration;

use annul_authority::authority::{Authority, Caller, Setup};
use annul_authority::clock::{Clock, ManualClock};
use annul_authority::error::VerbError;
use annul_authority::model::Claims;
use annul_authority::secrets::sealing::MasterKey;
use annul_authority::secrets::secret::Secret;
use annul_authority::store::{Limits, MemoryStore, SqliteOptions, SqliteStore, Store};
use annul_authority::verbs::clients::ClientSecretAnswer;
use annul_authority::verbs::oauth_clients::{ClientProof, OAuthClient};
use annul_authority::verbs::revocations::{CutoffText, DryRun, RevokeOutcome, RevokeRequest, Revoked};
use annul_authority::verbs::schedules::ScheduleItem;
use annul_authority::verbs::sessions::{DeviceBody, OneOrMany, OpenSession, TokenAnswer};
use annul_authority::verbs::tokens::{CheckAnswer, CheckRequest, CheckVerdict};
use annul_core::algebra::Reach;
use annul_core::position::Position;
use annul_core::record::Record;
use annul_core::time::{Moment, UnixMillis};
use annul_core::token::{Expect, UnverifiedToken};
use annul_core::trust::Trust;
use annul_core::verdict::Verdict;
use annul_core::view::{View, ViewWriter};
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://auth.example";
pub(crate) const AUDIENCE: &str = "api";
pub(crate) const FOREIGN: &str = "https://idp.example";
/// The tests' first moment, in the middle of a second.
pub(crate) const START: UnixMillis = UnixMillis(1_800_000_000_400);

pub(crate) struct World {
    pub(crate) authority: Authority,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) admin: (String, Secret),
    pub(crate) caller: Caller,
    view: View,
    writer: ViewWriter,
    trust: Trust,
    _dir: Option<tempfile::TempDir>,
}

/// A store that holds nothing, and where it lies if that is on disk.
pub(crate) fn empty_store(limits: Limits, clock: Clock) -> (Arc<dyn Store>, Option<tempfile::TempDir>) {
    let dir = crate::ON_DISK.then(|| tempfile::tempdir().unwrap());
    let store: Arc<dyn Store> = match &dir {
        Some(dir) => {
            let options = SqliteOptions { limits, ..SqliteOptions::default() };
            Arc::new(SqliteStore::open(dir.path(), options, clock).unwrap())
        }
        None => Arc::new(MemoryStore::new(limits, clock)),
    };
    (store, dir)
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Setup::new(ISSUER, AUDIENCE)).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        let clock = ManualClock::at(START);
        let handle = Clock::from_source(clock.clone());
        let limits = Limits { exchange_after: setup.refresh.exchange.after, ..Limits::default() };
        let (store, dir) = empty_store(limits, handle.clone());
        let master = MasterKey::from_bytes([7; 32]);
        let trust = Trust::new(ISSUER, AUDIENCE).with_foreign(Expect::foreign(FOREIGN, AUDIENCE));
        let trust =
            setup.secrets.iter().fold(trust, |trust, secret| trust.with_secret(&secret.issuer, secret.key.clone()));
        let started = Authority::start(store.clone(), handle, master, setup).await.unwrap();
        let first = started.first.unwrap();
        let following = started.authority.clone();
        tokio::spawn(async move { following.follow_own_log().await });
        let (view, mut writer) = View::new();
        writer.set_hash_key(started.authority.hash_key().clone());
        Self {
            authority: started.authority,
            clock,
            store,
            admin: (first.client_id, first.client_secret),
            caller: Caller::client("backend"),
            view,
            writer,
            trust,
            _dir: dir,
        }
    }

    /// The client that was made, as its secret proves it at the OAuth endpoints.
    pub(crate) async fn proven(&self, client_id: &str, made: &ClientSecretAnswer) -> Result<OAuthClient, VerbError> {
        let secret = made.client_secret.as_ref().expect("a client with a secret").expose();
        self.authority.oauth_client(ClientProof::Basic { client_id, secret }).await
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) fn now(&self) -> u64 {
        self.authority.clock().seconds().0
    }

    /// A login of `subject` on `device`.
    pub(crate) async fn open(&self, subject: &str, device: &str) -> TokenAnswer {
        self.try_open(login(subject, device)).await.unwrap()
    }

    pub(crate) async fn try_open(&self, request: OpenSession) -> Result<TokenAnswer, VerbError> {
        self.authority.open_session(&self.caller, request).await
    }

    pub(crate) async fn try_revoke(&self, request: RevokeRequest) -> Result<RevokeOutcome, VerbError> {
        self.authority.revoke(&self.caller, request).await
    }

    pub(crate) async fn revoke(&self, request: RevokeRequest) -> Revoked {
        match self.try_revoke(request).await.unwrap() {
            RevokeOutcome::Done(revoked) => revoked,
            other => panic!("nothing was revoked: {other:?}"),
        }
    }

    pub(crate) async fn rehearse(&self, request: RevokeRequest) -> DryRun {
        match self.try_revoke(RevokeRequest { dry_run: true, ..request }).await.unwrap() {
            RevokeOutcome::Dry(dry) => dry,
            other => panic!("a dry run did something: {other:?}"),
        }
    }

    /// A revocation that is kept for later.
    pub(crate) async fn plan(&self, request: RevokeRequest) -> ScheduleItem {
        match self.try_revoke(request).await.unwrap() {
            RevokeOutcome::Scheduled(schedule) => schedule,
            other => panic!("nothing was kept for later: {other:?}"),
        }
    }

    pub(crate) async fn head(&self) -> Position {
        self.store.log().await.unwrap().head.at
    }

    /// A fresh verdict of the authority.
    pub(crate) async fn check(&self, token: &str) -> CheckAnswer {
        self.authority.check_token(CheckRequest { token: Secret::new(token.to_owned()), restamp: false }).await.unwrap()
    }

    /// What stands against a token, as the authority and the view agree.
    async fn verdict(&mut self, token: &str) -> Found {
        let asked = self.check(token).await;
        let asked = match asked.verdict {
            CheckVerdict::Active => Found::Active,
            CheckVerdict::Revoked => Found::Revoked(asked.refusal.map(|refusal| refusal.at)),
            CheckVerdict::Refused => Found::Refused(asked.code.unwrap_or_default().to_owned()),
        };
        // Once as it comes, once after the authority's own view had its turn.
        for _ in 0..2 {
            let active = self.authority.introspect(token).await.unwrap().is_active();
            // Introspection grants less leeway than a check, so it may call an old token expired.
            assert!(asked == Found::Active || !active, "introspection calls {asked:?} active");
            assert!(active || asked != Found::Active || self.is_late(token), "introspection refuses what is active");
            tokio::task::yield_now().await;
        }
        let moment = self.follow().await;
        let seen = match self.trust.verify(&self.view, token, moment.wall) {
            Err(error) => Found::Refused(error.code().to_owned()),
            Ok(verified) => match self.view.check(verified).verdict() {
                Verdict::Active { .. } => Found::Active,
                Verdict::Revoked(refusal) => Found::Revoked(Some(refusal.at)),
                Verdict::Indeterminate(cause) => panic!("the view cannot tell: {cause:?}"),
            },
        };
        assert_eq!(asked, seen, "the authority and the view disagree");
        asked
    }

    fn is_late(&self, token: &str) -> bool {
        let exp = UnverifiedToken::parse(token).ok().and_then(|token| token.claims().get("exp")?.as_u64());
        exp.is_some_and(|exp| exp <= self.now())
    }

    /// Applies everything the log has and proves freshness.
    async fn follow(&mut self) -> Moment {
        let after = self.view.position().unwrap_or(Position::new(1, 0));
        let lines = self.store.lines_after(after, 10_000).await.unwrap();
        let records: Vec<Record> = lines.lines.iter().map(|line| Record::from_line(&line.line).unwrap()).collect();
        if !records.is_empty() {
            self.writer.apply(&records).unwrap();
        }
        let moment = self.authority.clock().moment();
        self.writer.confirm(lines.head.at, moment.mono, moment.wall);
        self.writer.expire(moment.wall);
        moment
    }

    #[track_caller]
    fn claim(found: &Found, expected: &Found, what: &str) {
        assert_eq!(found, expected, "{what}");
    }

    pub(crate) async fn assert_active(&mut self, token: &Secret, what: &str) {
        let found = self.verdict(token.expose()).await;
        Self::claim(&found, &Found::Active, what);
    }

    pub(crate) async fn assert_revoked(&mut self, token: &Secret, what: &str) {
        let found = self.verdict(token.expose()).await;
        assert!(matches!(found, Found::Revoked(_)), "{what}: {found:?}");
    }

    pub(crate) async fn assert_revoked_by(&mut self, token: &Secret, at: Position, what: &str) {
        let found = self.verdict(token.expose()).await;
        Self::claim(&found, &Found::Revoked(Some(at)), what);
    }

    pub(crate) async fn assert_refused(&mut self, token: &str, code: &str, what: &str) {
        let found = self.verdict(token).await;
        Self::claim(&found, &Found::Refused(code.to_owned()), what);
    }

    /// The code with which a session's next token is refused.
    pub(crate) async fn next_code(&self, sid: &str) -> &'static str {
        match self.authority.next_token(sid).await {
            Ok(_) => "issued",
            Err(error) => error.code(),
        }
    }

    pub(crate) async fn next(&self, sid: &str) -> TokenAnswer {
        self.authority.next_token(sid).await.unwrap()
    }
}

#[derive(Debug, PartialEq)]
enum Found {
    Active,
    Revoked(Option<Position>),
    Refused(String),
}

/// A login with everything that can be revoked by.
pub(crate) fn login(subject: &str, device: &str) -> OpenSession {
    OpenSession {
        subject: subject.to_owned(),
        client_id: Some(format!("app-of-{subject}")),
        audience: Some(OneOrMany::One(AUDIENCE.to_owned())),
        device: Some(DeviceBody { id: device.to_owned(), ..DeviceBody::default() }),
        claims: claims(json!({ "tenant": format!("tenant-of-{subject}") })),
        scope: Some("read write".to_owned()),
        roles: Some(vec!["editor".to_owned()]),
        ..OpenSession::default()
    }
}

pub(crate) fn claims(value: Value) -> Claims {
    value.as_object().unwrap().clone()
}

/// A revocation of one target.
pub(crate) fn target(text: impl Into<String>) -> RevokeRequest {
    RevokeRequest { targets: vec![text.into()], ..RevokeRequest::default() }
}

/// A revocation of one target with cutoff and reach.
pub(crate) fn revocation(text: impl Into<String>, cutoff: CutoffText, reach: Reach) -> RevokeRequest {
    RevokeRequest { cutoff: Some(cutoff), reach: Some(reach), ..target(text) }
}

/// The code of a refusal.
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, VerbError>) -> &'static str {
    result.unwrap_err().code()
}
