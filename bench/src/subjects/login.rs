//! Logging in with a password, beside the rate of argon2id alone. A login is one hash and a commit.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use argon2::Argon2;
use tokio::task::JoinSet;

use crate::measure::{Contestant, Form, Sheet, Unit, clock, side_by_side};
use crate::peers::http::{Connection, post};
use crate::world::authority::Authority;
use crate::world::workspace;

/// As many callers as cores: more would only queue.
const CALLERS: usize = 2;
const PASSWORD: &str = "correct horse battery staple";

/// Measures the subject.
pub(super) fn measure(form: Form) -> Result<Sheet> {
    let mut sheet = Sheet::default();
    let dir = workspace::on_disk()?;
    let authority = Authority::start(dir.path(), "")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = authority.client()?;
    for caller in 0..CALLERS {
        let added = runtime.block_on(client.add_account(&format!("user-{caller}"), PASSWORD));
        added.map_err(|error| anyhow!("{error}"))?;
    }
    let length = Duration::from_millis(form.of(3000, 300));
    sheet.fact("argon2 parameters", "argon2id, the crate's defaults: 19 MiB, 2 passes, 1 lane");
    side_by_side(
        &mut sheet,
        form.rounds(),
        &mut [
            Contestant::new("argon2id, 2 threads", Unit::PerSecond, || bare(length)),
            Contestant::new("annul login, 2 callers", Unit::PerSecond, || runtime.block_on(log_in(&authority, length))),
        ],
    )?;
    Ok(sheet)
}

fn bare(length: Duration) -> Result<f64> {
    let started = Instant::now();
    let hashed = thread::scope(|scope| {
        let threads: Vec<_> = (0..CALLERS).map(|_| scope.spawn(|| hash_for(started, length))).collect();
        let mut all = 0;
        for thread in threads {
            all += thread.join().map_err(|_| anyhow!("a thread panicked"))??;
        }
        anyhow::Ok(all)
    })?;
    Ok(1e9 / clock::nanos_each(started.elapsed(), hashed))
}

fn hash_for(started: Instant, length: Duration) -> Result<usize> {
    let argon2 = Argon2::default();
    let mut hashed = 0;
    while started.elapsed() < length {
        let mut out = [0; 32];
        let done = argon2.hash_password_into(PASSWORD.as_bytes(), b"sixteen bytes  .", &mut out);
        done.map_err(|error| anyhow!("{error}"))?;
        hashed += 1;
    }
    Ok(hashed)
}

async fn log_in(authority: &Authority, length: Duration) -> Result<f64> {
    let started = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let mut connection = Connection::open(authority.url()).await?;
        let body = format!(r#"{{"username":"user-{caller}","password":"{PASSWORD}"}}"#);
        let request = post("/v1/login", None, "application/json", &body);
        callers.spawn(async move {
            let mut done = 0_usize;
            while started.elapsed() < length {
                connection.expect(&request, 200).await?;
                done += 1;
            }
            anyhow::Ok(done)
        });
    }
    let mut all = 0;
    while let Some(caller) = callers.join_next().await {
        all += caller??;
    }
    Ok(1e9 / clock::nanos_each(started.elapsed(), all))
}
