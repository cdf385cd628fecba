//! What clients write down while an authority dies under them, and whether it was kept afterwards.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use scenarios::{Answer, Authority, Client, Service};
use serde_json::{Value, json};

/// What one client did with one subject, as far as it was acknowledged.
#[derive(Debug, Default)]
struct Story {
    /// What was revoked, and where, if that was acknowledged.
    revoked: Option<(String, String)>,
    /// The session that the revocation ends.
    sid: String,
    /// Every token that was handed out for that session.
    tokens: Vec<String>,
    /// A login made after the acknowledgement, and its token.
    after: Option<(String, String)>,
}

/// The records of all clients.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    stories: Mutex<Vec<Story>>,
    acknowledged: AtomicU64,
}

impl Ledger {
    /// How many revocations were acknowledged so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Runs clients against the authority until the line breaks under each of them.
    ///
    /// # Panics
    /// If a session gets a token after the acknowledgement of its revocation.
    pub(crate) async fn write(&self, admin: &Client, round: u64, clients: u64) {
        futures::future::join_all((0..clients).map(|client| self.work(admin, format!("r{round}c{client}")))).await;
    }

    async fn work(&self, admin: &Client, name: String) {
        for index in 0_u64.. {
            let mut story = Story::default();
            let goes_on = act(admin, &format!("{name}n{index}"), index % 3, &mut story).await.is_some();
            self.acknowledged.fetch_add(u64::from(story.revoked.is_some()), Ordering::Relaxed);
            self.stories.lock().expect("no client panicked").push(story);
            if !goes_on {
                return;
            }
        }
    }

    /// Checks the records since the last check against the restarted authority and a verifier.
    pub(crate) async fn check(&self, authority: &Authority, service: &Service) {
        let positions = whole_log(authority).await;
        service.ready().await;
        service.has_applied(positions.last().expect("a log has a first record")).await;
        let positions: BTreeSet<_> = positions.into_iter().collect();
        let mut seen = BTreeSet::new();
        let stories = std::mem::take(&mut *self.stories.lock().expect("no client panicked"));
        for story in &stories {
            story.check(authority, service, &positions, &mut seen).await;
        }
    }
}

/// Login, revocation and refreshes at once, refresh again, login again. `None` when the line broke.
async fn act(admin: &Client, subject: &str, how: u64, story: &mut Story) -> Option<()> {
    let login = async || admin.try_post("/v1/sessions", json!({"subject": subject, "device": {"id": "phone"}})).await;
    let opened = acknowledged(login().await?, 201)?;
    story.sid = opened.sid().to_owned();
    story.tokens.push(opened.token().to_owned());
    let refresh = format!("/v1/sessions/{}/token", story.sid);
    let target = match how {
        0 => format!("subject:{subject}"),
        1 => format!("session:{}", story.sid),
        _ => format!("device:{subject}/phone"),
    };

    // I9: a refresh that races the revocation is refused, or its token is revoked as well.
    let revocation = admin.try_post("/v1/revocations", json!({"targets": [target]}));
    let (revocation, one, two) =
        tokio::join!(revocation, admin.try_post(&refresh, json!({})), admin.try_post(&refresh, json!({})));
    let issued = [one, two].into_iter().flatten().filter(|answer| answer.status == 200);
    story.tokens.extend(issued.map(|answer| answer.token().to_owned()));
    let revocation = acknowledged(revocation?, 201)?;
    story.revoked = Some((target, revocation.text("position").to_owned()));

    // I14: nothing is redeemed after the acknowledgement.
    let late = admin.try_post(&refresh, json!({})).await?;
    assert_ne!(late.status, 200, "a session got a token after its revocation was acknowledged");
    let again = acknowledged(login().await?, 201)?;
    story.after = Some((again.sid().to_owned(), again.token().to_owned()));
    Some(())
}

/// The answer, if it acknowledges. A server that is stopping says 503, which acknowledges nothing.
#[track_caller]
fn acknowledged(answer: Answer, status: u16) -> Option<Answer> {
    assert!(answer.status == status || answer.status == 503, "{}: {}", answer.status, answer.body);
    (answer.status == status).then_some(answer)
}

impl Story {
    async fn check(
        &self,
        authority: &Authority,
        service: &Service,
        log: &BTreeSet<String>,
        seen: &mut BTreeSet<String>,
    ) {
        let Some((target, position)) = &self.revoked else { return };
        // I2: it is there. I3: nobody else was told the same position.
        assert!(seen.insert(position.clone()), "two acknowledgements name {position}");
        assert!(log.contains(position), "{position} was acknowledged and is not in the log");
        let kept = authority.admin().get(&format!("/v1/revocations/{position}")).await;
        assert_eq!(kept.status, 200, "the acknowledged {target} at {position} is lost: {}", kept.body);
        assert_eq!(kept.text("target"), target, "{position} holds something else than was acknowledged");
        authority.next_token(&self.sid).await.expect_status(403);
        for token in &self.tokens {
            let seen = service.call(token).await;
            assert_eq!((seen.status, seen.code.as_str()), (401, "token_revoked"), "{target} at {position}");
        }
        if let Some((sid, token)) = &self.after {
            service.accepts(token).await;
            authority.next_token(sid).await.expect_status(200);
        }
    }
}

/// The positions of every record, read as a follower would.
///
/// # Panics
/// If they are not dense.
async fn whole_log(authority: &Authority) -> Vec<String> {
    let mut positions = Vec::new();
    let mut at = "1:0".to_owned();
    loop {
        let frame = authority.text(&format!("/v1/feed/changes?after={at}&limit=256")).await;
        let lines = frame.lines().map(|line| serde_json::from_str::<Value>(line).expect("a frame is lines of JSON"));
        let records: Vec<Value> = lines.filter(|line| line.get("head").is_none()).collect();
        if records.is_empty() {
            return positions;
        }
        for record in records {
            at = record["at"].as_str().expect("a record has a position").to_owned();
            positions.push(at.clone());
            assert_eq!(at, format!("1:{}", positions.len()), "the positions have a hole or a double");
        }
    }
}
