//! A durable revocation over HTTP: one caller beside the disk's own rate, and 256 callers beside
//! PostgreSQL with as many clients.

use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::measure::{Contestant, Form, Sheet, Unit, clock, pin, side_by_side};
use crate::peers::disk::Journal;
use crate::peers::http::{Connection, post};
use crate::peers::postgres::{self, Cluster};
use crate::world::authority::Authority;
use crate::world::workspace;

const CALLERS: usize = 256;

/// Measures the subject.
pub(super) fn measure(form: Form) -> Result<Sheet> {
    let mut sheet = Sheet::default();
    one_caller(form, &mut sheet)?;
    many_callers(form, &mut sheet)?;
    Ok(sheet)
}

/// The caller on one core, the authority on the other.
fn one_caller(form: Form, sheet: &mut Sheet) -> Result<()> {
    let dir = workspace::on_disk()?;
    pin::this_thread(0)?;
    let authority = Authority::start(dir.path(), "")?;
    pin::this_thread(1)?;
    let runtime = client_runtime()?;
    let mut connection = runtime.block_on(Connection::open(authority.url()))?;
    let mut journal = Journal::create(dir.path())?;
    let commits = form.of(500, 20);
    let mut number = 0;
    side_by_side(
        sheet,
        form.rounds(),
        &mut [
            Contestant::new("fdatasync of 8 kB", Unit::PerSecond, || {
                let mut outcome = Ok(());
                let nanos =
                    clock::wall_nanos_each(commits, || outcome = (0..commits).try_for_each(|_| journal.commit()));
                outcome.map(|()| 1e9 / nanos)
            }),
            Contestant::new("annul revoke, 1 caller", Unit::PerSecond, || {
                let started = Instant::now();
                for _ in 0..commits {
                    number += 1;
                    let request = revocation(&authority, &format!("one-{number}"));
                    runtime.block_on(connection.expect(&request, 201))?;
                }
                Ok(1e9 / clock::nanos_each(started.elapsed(), commits))
            }),
        ],
    )
}

/// All on all cores, both systems.
fn many_callers(form: Form, sheet: &mut Sheet) -> Result<()> {
    pin::nowhere()?;
    let dir = workspace::on_disk()?;
    let cluster = Cluster::start(dir.path())?;
    sheet.fact("postgres", postgres::version());
    let authority = Authority::start(dir.path(), "")?;
    let runtime = client_runtime()?;
    let seconds = form.of(2, 1);
    let mut round = 0;
    side_by_side(
        sheet,
        form.rounds(),
        &mut [
            Contestant::new("PostgreSQL, one row per commit, 256 clients", Unit::PerSecond, || {
                cluster.commits_per_second(CALLERS, form.of(100, 4))
            }),
            Contestant::new("annul revoke, 256 callers", Unit::PerSecond, || {
                round += 1;
                runtime.block_on(revoke_at_once(&authority, round, Duration::from_secs(seconds)))
            }),
        ],
    )
}

/// How many revocations per second are acknowledged when every caller sends its next at once.
async fn revoke_at_once(authority: &Authority, round: usize, length: Duration) -> Result<f64> {
    let mut connections = Vec::with_capacity(CALLERS);
    for _ in 0..CALLERS {
        connections.push(Connection::open(authority.url()).await?);
    }
    let authorization = authority.authorization();
    let started = Instant::now();
    let mut callers = JoinSet::new();
    for (caller, mut connection) in connections.into_iter().enumerate() {
        let authorization = authorization.clone();
        callers.spawn(async move {
            let mut acknowledged = 0_usize;
            while started.elapsed() < length {
                let body = body(&format!("u-{round}-{caller}-{acknowledged}"));
                let request = post("/v1/revocations", Some(&authorization), "application/json", &body);
                connection.expect(&request, 201).await?;
                acknowledged += 1;
            }
            anyhow::Ok(acknowledged)
        });
    }
    let mut all = 0;
    while let Some(caller) = callers.join_next().await {
        all += caller??;
    }
    Ok(1e9 / clock::nanos_each(started.elapsed(), all))
}

/// The request that revokes one subject.
fn revocation(authority: &Authority, subject: &str) -> Vec<u8> {
    post("/v1/revocations", Some(&authority.authorization()), "application/json", &body(subject))
}

fn body(subject: &str) -> String {
    format!(r#"{{"targets":["subject:{subject}"],"cutoff":"now","reason":"bench"}}"#)
}

/// One thread for all callers: what it takes is in both systems' figures.
fn client_runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
