//! The shell around the follower: it performs what the follower asks for and tells it what came of it.
//!
//! One task per verifier, which owns the only handle that can write the view. It holds at most one
//! errand, one report and one stream in the air, and ends when the last [`Verifier`](crate::Verifier)
//! is dropped. Everything about the protocol is decided in [`annul_core::feed::follower`].

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use annul_core::feed::follower::{Fault, Follower, Input, Output, Request};
use annul_core::position::Position;
use annul_core::time::{Moment, Monotonic};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio::sync::watch::{Receiver, Sender};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::feed_client::FeedClient;
use crate::relay::{RelayMachine, StepBehind};
use crate::route::Routes;
use crate::state_file::StateFile;
use crate::verifier::Shared;
use crate::{clock, metrics};

/// How often the gauges are set while nothing happens: an age that is not looked at does not grow.
const GAUGES_EVERY: Duration = Duration::from_secs(5);
/// How often expired facts are dropped: every so many times the gauges are set.
const SWEEP_EVERY: u32 = 12;

/// What is known of the start: [`VerifierBuilder::build`](crate::VerifierBuilder::build) waits for it.
#[derive(Clone, Debug)]
pub(crate) enum Startup {
    /// Nothing came of the first attempt yet.
    Waiting,
    /// It follows, or it will when the authority can be reached.
    Settled,
    /// It must not follow this authority as it is configured.
    Faulted(Fault),
}

/// What is stepped: a follower, or one that also serves what it verified.
pub(crate) enum Machine {
    /// Follows.
    Follower(Box<Follower>),
    /// Follows and serves; those behind ask for steps too.
    Relay(RelayMachine, mpsc::Receiver<StepBehind>),
}

impl Machine {
    fn step(&mut self, input: Input, moment: Moment) -> Vec<Output> {
        match self {
            Self::Follower(follower) => follower.step(input, moment),
            Self::Relay(relay, _) => relay.lock().step(input, moment),
        }
    }

    fn set_routes(&mut self, routes: Routes, leeway: Duration) {
        match self {
            Self::Follower(follower) => follower.set_routes(routes.counts, routes.longest_age, leeway),
            Self::Relay(relay, _) => relay.lock().set_routes(routes.counts, routes.longest_age, leeway),
        }
    }

    /// What is to be done once somebody behind has asked for a step: it is taken here.
    async fn stepped_behind(&mut self) -> Vec<Output> {
        match self {
            Self::Relay(relay, steps) => match steps.recv().await {
                Some(step) => step(&mut relay.lock()),
                None => pending().await,
            },
            Self::Follower(_) => pending().await,
        }
    }
}

/// What the shell is given.
pub(crate) struct Shell {
    pub(crate) machine: Machine,
    pub(crate) feed: FeedClient,
    pub(crate) state: Option<Arc<StateFile>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) leeway: Duration,
    /// Closed when the last verifier is dropped, which ends the task.
    pub(crate) routes: Receiver<Routes>,
    pub(crate) ahead: Receiver<Option<Position>>,
    pub(crate) changed: Sender<()>,
    pub(crate) startup: Sender<Startup>,
}

type Slot<T> = Option<BoxFuture<'static, T>>;

/// What is in the air.
#[derive(Default)]
struct Air {
    errand: Slot<Input>,
    report: Slot<Input>,
    stream: Option<BoxStream<'static, Input>>,
    writing: Slot<io::Result<()>>,
    to_write: Option<Vec<u8>>,
    wake: Option<Monotonic>,
    judged: VecDeque<Input>,
}

impl Shell {
    /// Follows until nobody holds the verifier any more.
    pub(crate) async fn run(mut self, stored: Option<Vec<u8>>) {
        let mut air = Air::default();
        let mut gauges = interval_at(Instant::now() + GAUGES_EVERY, GAUGES_EVERY);
        gauges.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sweep_in = SWEEP_EVERY;
        self.step(Input::Start { stored }, &mut air);
        loop {
            while let Some(input) = air.judged.pop_front() {
                self.step(input, &mut air);
            }
            let input = tokio::select! {
                input = land(&mut air.errand) => input,
                input = land(&mut air.report) => input,
                input = next(&mut air.stream) => input,
                () = wake_at(air.wake) => Input::Tick,
                held = self.routes.changed() => match held {
                    Ok(()) => {
                        let routes = *self.routes.borrow_and_update();
                        self.machine.set_routes(routes, self.leeway);
                        Input::Tick
                    }
                    Err(_) => break,
                },
                held = self.ahead.changed() => match (held, *self.ahead.borrow_and_update()) {
                    (Ok(()), Some(position)) => Input::TokenAhead(position),
                    (Ok(()), None) => continue,
                    (Err(_), _) => break,
                },
                outputs = self.machine.stepped_behind() => {
                    self.perform(outputs, &mut air);
                    continue;
                }
                written = land(&mut air.writing) => {
                    self.written(written, &mut air);
                    continue;
                }
                _ = gauges.tick() => {
                    sweep_in -= 1;
                    if sweep_in == 0 {
                        sweep_in = SWEEP_EVERY;
                        self.shared.facts.sweep(clock::now().wall);
                    }
                    metrics::gauges(&self.shared.status(clock::now()));
                    continue;
                }
            };
            self.step(input, &mut air);
        }
        self.last_write(air).await;
    }

    fn step(&mut self, input: Input, air: &mut Air) {
        let mut refused_at_the_door = false;
        if let Input::Failed(request) | Input::Refused { request, .. } = &input {
            metrics::feed_failed(kind(request));
            refused_at_the_door = matches!(request, Request::Introduction { .. });
        }
        let proven = matches!(input, Input::Reported { .. });
        air.wake = None;
        let outputs = self.machine.step(input, clock::now());
        self.perform(outputs, air);
        if proven {
            self.changed();
        }
        // After the outputs: a fault among them says more than that nobody answered.
        if refused_at_the_door {
            self.settled();
        }
    }

    fn perform(&self, outputs: Vec<Output>, air: &mut Air) {
        for output in outputs {
            match output {
                Output::Send(request) => self.send(request, air),
                Output::CloseStream => air.stream = None,
                Output::Persist(bytes) => self.persist(bytes, air),
                Output::JudgeCanary { id, token } => {
                    let verdict = self.shared.judge_canary(&token, clock::now());
                    air.judged.push_back(Input::CanaryJudged { id, verdict });
                    self.changed();
                }
                Output::Applied(_) => self.changed(),
                Output::Discarded { reason } => self.set_aside(&reason.to_string()),
                Output::Rejected { reason } => {
                    tracing::warn!(%reason, "the feed brought something that was not taken; it is asked for again");
                }
                Output::Halted(fault) => self.halted(fault),
                Output::Resumed => {
                    self.shared.fault.store(None);
                    self.changed();
                    tracing::info!("the verifier follows its feed again");
                }
                Output::WakeAt(moment) => air.wake = Some(moment),
            }
        }
    }

    /// Tells watches, whoever waits to be ready, and followers behind.
    fn changed(&self) {
        metrics::gauges(&self.shared.status(clock::now()));
        self.changed.send_replace(());
    }

    /// The first attempt came to something.
    fn settled(&self) {
        self.startup.send_if_modified(|startup| {
            let waiting = matches!(startup, Startup::Waiting);
            if waiting {
                *startup = Startup::Settled;
            }
            waiting
        });
    }

    fn send(&self, request: Request, air: &mut Air) {
        match &request {
            Request::Stream { .. } => {
                // Whoever streams has been introduced and has caught up.
                self.settled();
                air.stream = Some(self.feed.stream(request));
            }
            Request::Report { .. } => air.report = Some(self.feed.exchange(request)),
            Request::Snapshot => {
                metrics::resynchronised();
                air.errand = Some(self.feed.exchange(request));
            }
            Request::Introduction { .. } | Request::Changes { .. } => air.errand = Some(self.feed.exchange(request)),
        }
    }

    fn halted(&self, fault: Fault) {
        tracing::error!(code = fault.code(), %fault, "the verifier stopped following its feed; what is revoked stays refused");
        self.shared.fault.store(Some(Arc::new(fault.clone())));
        self.startup.send_if_modified(|startup| {
            let waiting = matches!(startup, Startup::Waiting);
            if waiting {
                *startup = Startup::Faulted(fault);
            }
            waiting
        });
        self.changed();
    }

    fn set_aside(&self, reason: &str) {
        let aside = self.state.as_ref().map(|state| state.set_aside());
        match aside {
            Some(Ok(path)) => tracing::warn!(
                code = "state_corrupt",
                reason,
                kept = %path.display(),
                "the stored state cannot be used; it was set aside and everything is fetched again"
            ),
            Some(Err(error)) => {
                tracing::warn!(code = "state_corrupt", reason, %error, "the stored state cannot be used, nor set aside; everything is fetched again");
            }
            None => {}
        }
    }

    /// Writes one state at a time; of those that come meanwhile, the last.
    fn persist(&self, bytes: Vec<u8>, air: &mut Air) {
        let Some(state) = &self.state else { return };
        if air.writing.is_some() {
            air.to_write = Some(bytes);
            return;
        }
        let state = Arc::clone(state);
        let written = tokio::task::spawn_blocking(move || state.write(&bytes));
        air.writing = Some(written.map(|done| done.unwrap_or_else(|lost| Err(io::Error::other(lost)))).boxed());
    }

    fn written(&self, written: io::Result<()>, air: &mut Air) {
        if let Err(error) = written {
            metrics::state_not_written();
            tracing::warn!(code = "state_not_written", %error, "the state could not be stored; the one before stays, and the next start fetches what is missing");
        }
        if let Some(bytes) = air.to_write.take() {
            self.persist(bytes, air);
        }
    }

    /// Lets the state that was handed out last reach the disk.
    async fn last_write(&self, mut air: Air) {
        while air.writing.is_some() {
            let written = land(&mut air.writing).await;
            self.written(written, &mut air);
        }
    }
}

const fn kind(request: &Request) -> &'static str {
    match request {
        Request::Introduction { .. } => "introduction",
        Request::Snapshot => "snapshot",
        Request::Changes { .. } => "changes",
        Request::Stream { .. } => "stream",
        Request::Report { .. } => "report",
    }
}

/// What comes of the slot's future; for ever pending when it is empty. Dropping this future leaves
/// the slot as it is.
async fn land<T>(slot: &mut Slot<T>) -> T {
    match slot {
        Some(future) => {
            let landed = future.await;
            *slot = None;
            landed
        }
        None => pending().await,
    }
}

async fn next(stream: &mut Option<BoxStream<'static, Input>>) -> Input {
    if let Some(open) = stream {
        if let Some(input) = open.next().await {
            return input;
        }
        *stream = None;
    }
    pending().await
}

fn wake_at(moment: Option<Monotonic>) -> impl Future<Output = ()> {
    let wait = moment.map(|moment| moment.since(clock::now().mono));
    async move {
        match wait {
            Some(wait) => tokio::time::sleep(wait).await,
            None => pending().await,
        }
    }
}
