//! From sending a durable revocation to the moment a local verifier refuses the token, beside the two
//! things that have to happen in between: a durable write, and a message to another process.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use annul::client::OpenSession;
use annul::{AuthorityClient, Policy, Route, Verifier};
use anyhow::{Context as _, Result, anyhow, ensure};
use tokio::runtime::Runtime;

use super::seen;
use crate::measure::{Contestant, Form, Sheet, Unit, clock, pin, side_by_side};
use crate::peers::disk::Journal;
use crate::peers::http::{Connection, post};
use crate::peers::pingpong::Echo;
use crate::world::authority::Authority;
use crate::world::{AUDIENCE, ISSUER, standin, workspace};

/// How long a revocation may take to be in effect.
const BOUND: Duration = Duration::from_secs(10);
const STALENESS: Duration = Duration::from_secs(60);

/// Measures the subject: authority and echo on core 0, caller and verifier on core 1.
pub(super) fn measure(form: Form) -> Result<Sheet> {
    let mut sheet = Sheet::default();
    let dir = workspace::on_disk()?;
    pin::this_thread(0)?;
    let authority = Authority::start(dir.path(), "")?;
    let echo = RefCell::new(Echo::start()?);
    pin::this_thread(1)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut flow = runtime.block_on(Flow::start(authority))?;
    let mut journal = Journal::create(dir.path())?;
    let times = form.of(50, 5);
    side_by_side(
        &mut sheet,
        form.rounds(),
        &mut [
            Contestant::new("fdatasync and ping-pong", Unit::Micros, || {
                let samples = (0..times).map(|_| {
                    let started = Instant::now();
                    journal.commit()?;
                    echo.borrow_mut().round_trip()?;
                    Ok(micros(started.elapsed()))
                });
                Ok(clock::median(&samples.collect::<Result<Vec<_>>>()?))
            }),
            Contestant::new("ping-pong", Unit::Micros, || {
                let samples = (0..times).map(|_| echo.borrow_mut().round_trip().map(micros));
                Ok(clock::median(&samples.collect::<Result<Vec<_>>>()?))
            }),
            Contestant::new("annul, revoke to effective", Unit::Micros, || flow.round(&runtime, times)),
        ],
    )?;
    Ok(sheet)
}

struct Flow {
    caller: Connection,
    client: AuthorityClient,
    verifier: Verifier,
    route: Route,
    number: usize,
    authority: Authority,
}

impl Flow {
    async fn start(authority: Authority) -> Result<Self> {
        let (id, secret) = authority.credential();
        let builder =
            Verifier::builder(ISSUER, AUDIENCE).authority(authority.url(), id, secret).max_staleness(STALENESS);
        let verifier = standin::ready(builder).await?;
        let route = verifier.route(Policy::check(STALENESS));
        let caller = Connection::open(authority.url()).await?;
        Ok(Self { caller, client: authority.client()?, verifier, route, number: 0, authority })
    }

    /// The median of some revocations, in microseconds.
    fn round(&mut self, runtime: &Runtime, times: usize) -> Result<f64> {
        let samples = (0..times).map(|_| runtime.block_on(self.revoke()));
        Ok(clock::median(&samples.collect::<Result<Vec<_>>>()?))
    }

    async fn revoke(&mut self) -> Result<f64> {
        self.number += 1;
        let subject = format!("user-{}", self.number);
        let session = OpenSession { subject: subject.clone(), ..OpenSession::default() };
        let token = self.client.open_session(&session).await.map_err(|error| anyhow!("{error}"))?.access_token;
        ensure!(seen::is_let_in(&self.route, &token), "the new token is not let in");
        let body = format!(r#"{{"targets":["subject:{subject}"],"cutoff":"now"}}"#);
        let request = post("/v1/revocations", Some(&self.authority.authorization()), "application/json", &body);
        let mut changes = self.verifier.changes();
        changes.borrow_and_update();
        let started = Instant::now();
        let acknowledged = async { self.caller.expect(&request, 201).await.map(drop) };
        let refused = async {
            while seen::is_let_in(&self.route, &token) {
                changes.changed().await?;
            }
            anyhow::Ok(started.elapsed())
        };
        let both = async { tokio::try_join!(acknowledged, refused) };
        let (_, effective) = tokio::time::timeout(BOUND, both).await.context("the token is still let in")??;
        Ok(micros(effective))
    }
}

fn micros(time: Duration) -> f64 {
    clock::nanos_each(time, 1) / 1e3
}
