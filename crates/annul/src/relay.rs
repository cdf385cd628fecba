//! A verifier that hands on the feed it follows: the asynchronous face of [`annul_core::feed::relay`].
//!
//! Each method is one resource of the feed and answers with what to send; authentication, limits and
//! the HTTP around it are the gateway's. What a relay hands on are the authority's bytes, verified
//! here and verified again behind it; its own age is added to whatever it proves.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annul_core::feed::follower::{Input, Output};
use annul_core::feed::log::{Ask, Changes, FeedLog, ReplicaId, ReplicaStatus, ReportRefused, StreamStep};
use annul_core::feed::relay;
use annul_core::feed::report::Report;
use annul_core::position::Position;
use annul_core::record::Chain;
use annul_core::time::Monotonic;
use bytes::Bytes;
use futures::stream::{self, Stream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::clock;
use crate::verifier::Verifier;

/// Serves the feed that a verifier follows. From [`Verifier::relay`]; cheap to clone.
#[derive(Clone, Debug)]
pub struct Relay {
    verifier: Verifier,
    machine: RelayMachine,
}

/// One machine, stepped by the verifier's task alone and asked by whoever serves.
#[derive(Clone)]
pub(crate) struct RelayMachine {
    pub(crate) relay: Arc<Mutex<relay::Relay>>,
    /// What is asked from behind and takes a step of the machine.
    pub(crate) steps: mpsc::Sender<StepBehind>,
}

/// A step that answers somebody behind, and what is to be done after it.
pub(crate) type StepBehind = Box<dyn FnOnce(&mut relay::Relay) -> Vec<Output> + Send>;

impl RelayMachine {
    pub(crate) fn lock(&self) -> MutexGuard<'_, relay::Relay> {
        // The machine has no state that a panic in the middle of a step could leave half-made and
        // that would be believed: everything it hands on is signed.
        self.relay.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for RelayMachine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RelayMachine").finish_non_exhaustive()
    }
}

/// What to answer.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayAnswer {
    /// The HTTP status.
    pub status: u16,
    /// A stable name of it; `ok` for 200.
    pub code: &'static str,
    /// The type of the body.
    pub content_type: &'static str,
    /// The body; empty unless the status is 200.
    pub body: Bytes,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

impl RelayAnswer {
    fn ok(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status: 200, code: "ok", content_type, body: body.into(), retry_after: None }
    }

    const fn refused(status: u16, code: &'static str) -> Self {
        Self { status, code, content_type: JSON, body: Bytes::new(), retry_after: None }
    }

    fn not_yet(code: &'static str) -> Self {
        Self { retry_after: Some(TRY_AGAIN), ..Self::refused(503, code) }
    }
}

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const BYTES: &str = "application/octet-stream";
/// After so long a relay that had nothing yet may have it.
const TRY_AGAIN: Duration = Duration::from_secs(1);

impl Relay {
    pub(crate) const fn new(verifier: Verifier, machine: RelayMachine) -> Self {
        Self { verifier, machine }
    }

    /// `GET /v1/feed/head`: what a follower is told first. It holds the hash key and is for
    /// authenticated followers only.
    pub fn introduction(&self) -> RelayAnswer {
        match self.machine.lock().introduction() {
            Some(introduction) => RelayAnswer::ok(JSON, introduction.to_json()),
            None => RelayAnswer::not_yet("relay_not_introduced"),
        }
    }

    /// `GET /v1/feed/snapshot`: the authority's. 503 while one is being fetched.
    pub async fn snapshot(&self) -> RelayAnswer {
        let snapshot = self
            .stepping(|relay| {
                let snapshot = relay.snapshot();
                // One that lags is replaced, whether it was given away or could not be.
                (snapshot, relay.step(Input::Tick, clock::now()))
            })
            .await;
        match snapshot.flatten() {
            Some(bytes) => RelayAnswer::ok(BYTES, Bytes::from_owner(bytes)),
            None => RelayAnswer::not_yet("snapshot_not_ready"),
        }
    }

    /// `GET /v1/feed/changes`: what follows a position, waiting up to `wait` for something new.
    pub async fn changes(&self, ask: Ask, wait: Duration) -> RelayAnswer {
        let deadline = Instant::now() + wait;
        let mut changed = self.verifier.changes();
        loop {
            changed.borrow_and_update();
            let changes = self.machine.lock().changes(&ask, clock::now());
            let empty = match changes {
                Some(Changes::Frame(frame)) => return RelayAnswer::ok(NDJSON, frame),
                Some(Changes::Wait { empty }) => empty,
                Some(Changes::Gone | Changes::NeedStore(_)) => return RelayAnswer::refused(410, "compacted"),
                Some(Changes::Diverged) => return RelayAnswer::refused(409, "diverged"),
                Some(Changes::Ahead) => return RelayAnswer::refused(416, "ahead"),
                Some(Changes::NotYet) | None => return RelayAnswer::not_yet("relay_not_ready"),
            };
            let news = tokio::time::timeout_at(deadline, changed.changed()).await;
            if !matches!(news, Ok(Ok(()))) {
                return RelayAnswer::ok(NDJSON, empty);
            }
        }
    }

    /// `GET /v1/feed/stream`: events as they come, heartbeats between them. `Err` is the answer when
    /// there is nothing to stream yet. Dropping the stream ends it.
    pub fn stream(
        &self,
        after: Position,
        chain: Option<Chain>,
    ) -> Result<impl Stream<Item = Bytes> + Send + use<>, RelayAnswer> {
        let Some(cursor) = self.machine.lock().open_stream(after, chain) else {
            return Err(RelayAnswer::not_yet("relay_not_ready"));
        };
        let open = Some((self.clone(), cursor, self.verifier.changes()));
        Ok(stream::unfold(open, |open| async {
            let (relay, mut cursor, mut changed) = open?;
            loop {
                changed.borrow_and_update();
                let step = relay.machine.lock().stream(&mut cursor, clock::now());
                match step {
                    StreamStep::Send(bytes) => return Some((Bytes::from_owner(bytes), Some((relay, cursor, changed)))),
                    StreamStep::End(bytes) => return Some((Bytes::from_owner(bytes), None)),
                    StreamStep::NeedStore(_) => return Some((Bytes::from(FeedLog::gone_event("compacted")), None)),
                    StreamStep::Wait { until } => {
                        tokio::select! {
                            () = sleep_until(until) => {}
                            news = changed.changed() => if news.is_err() { return None; },
                        }
                    }
                }
            }
        }))
    }

    /// `POST /v1/feed/replicas/{name}/{instance}`: a report from behind, answered with the newest head
    /// and this relay's proven age, and passed on upward.
    pub async fn report(&self, name: &str, instance: &str, body: &[u8]) -> RelayAnswer {
        let Some(id) = ReplicaId::new(name, instance) else {
            return RelayAnswer::refused(400, "replica_name_invalid");
        };
        let Ok(report) = Report::from_json(body) else {
            return RelayAnswer::refused(400, "report_malformed");
        };
        match self.stepping(|relay| relay.report(id, report, clock::now())).await {
            Some(Ok(answer)) => RelayAnswer::ok(JSON, answer.to_json()),
            Some(Err(ReportRefused::Full)) => RelayAnswer::not_yet("replicas_full"),
            Some(Err(_)) | None => RelayAnswer::not_yet("relay_unproven"),
        }
    }

    /// The verifiers behind this relay.
    #[must_use]
    pub fn replicas(&self) -> Vec<ReplicaStatus> {
        self.machine.lock().replicas(clock::now().mono)
    }

    /// Has the verifier's task step the machine, and waits for the answer. Nobody else does: outputs that
    /// are performed in another order than that of their steps can undo a later wake-up, or close a stream
    /// opened since. A step that was asked for is taken and its outputs performed, also when the caller goes
    /// away. `None` when the task is gone, which it is only with its runtime.
    async fn stepping<T: Send + 'static>(
        &self,
        step: impl FnOnce(&mut relay::Relay) -> (T, Vec<Output>) + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let step = move |relay: &mut relay::Relay| {
            let (value, outputs) = step(relay);
            // Whoever asked may be gone.
            drop(answer.send(value));
            outputs
        };
        self.machine.steps.send(Box::new(step)).await.ok()?;
        answered.await.ok()
    }
}

async fn sleep_until(moment: Monotonic) {
    tokio::time::sleep(moment.since(clock::now().mono)).await;
}
