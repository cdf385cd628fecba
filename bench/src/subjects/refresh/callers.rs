//! Callers that refresh as fast as they are answered, each with sessions of its own.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Deserialize;
use serde_json::json;
use tokio::task::JoinSet;

use crate::measure::clock;
use crate::peers::http::{Connection, post};
use crate::world::authority::Authority;

const FORM: &str = "application/x-www-form-urlencoded";
/// Callers that open sessions at once: enough to share commits.
const OPENERS: usize = 64;

/// Where a refresh token is redeemed.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) url: String,
    pub(super) path: &'static str,
    /// The value of the `Authorization` header.
    pub(super) authorization: String,
}

impl Endpoint {
    pub(super) fn of(authority: &Authority) -> Self {
        Self { url: authority.url().to_owned(), path: "/oauth2/token", authorization: authority.authorization() }
    }
}

/// The newest refresh tokens of one caller, one for each of its sessions. It takes them in turn.
pub(super) struct Caller {
    newest: Vec<String>,
}

/// When a caller has refreshed enough.
#[derive(Clone, Copy)]
pub(super) enum Enough {
    /// Once this much time is over.
    After(Duration),
    /// After so many refreshes of each caller.
    Each(usize),
}

/// What came of it.
pub(super) struct Refreshed {
    pub(super) count: usize,
    pub(super) took: Duration,
    /// How long each refresh took its caller, in milliseconds.
    pub(super) waits: Vec<f64>,
}

#[derive(Deserialize)]
struct Tokens {
    refresh_token: String,
}

/// One caller for each of these tokens.
pub(super) fn one_each(tokens: Vec<String>) -> Vec<Caller> {
    tokens.into_iter().map(|token| Caller { newest: vec![token] }).collect()
}

/// So many callers that share these tokens evenly.
pub(super) fn share(tokens: Vec<String>, callers: usize) -> Vec<Caller> {
    let mut shared: Vec<Caller> = (0..callers).map(|_| Caller { newest: Vec::new() }).collect();
    for (number, token) in tokens.into_iter().enumerate() {
        shared[number % callers].newest.push(token);
    }
    shared
}

/// Opens so many sessions and returns the first refresh token of each.
pub(super) async fn open_sessions(authority: &Authority, count: usize) -> Result<Vec<String>> {
    let mut openers = JoinSet::new();
    for opener in 0..OPENERS.min(count) {
        let mut connection = Connection::open(authority.url()).await?;
        let authorization = authority.authorization();
        openers.spawn(async move {
            let mut tokens = Vec::new();
            for number in (opener..count).step_by(OPENERS) {
                let body = json!({ "subject": format!("user-{number}"), "refresh_token": true }).to_string();
                let request = post("/v1/sessions", Some(&authorization), "application/json", &body);
                let answer: Tokens = serde_json::from_slice(connection.expect(&request, 201).await?)?;
                tokens.push(answer.refresh_token);
            }
            anyhow::Ok(tokens)
        });
    }
    let mut all = Vec::with_capacity(count);
    while let Some(tokens) = openers.join_next().await {
        all.extend(tokens??);
    }
    Ok(all)
}

/// Lets all callers refresh at once, each over a connection of its own that was opened before. Whoever
/// has a request under way when it is enough waits for its answer, which counts. The callers then hold
/// the newest tokens; after an error they hold none.
pub(super) async fn refresh(endpoint: &Endpoint, callers: &mut Vec<Caller>, enough: Enough) -> Result<Refreshed> {
    let mut ready = Vec::with_capacity(callers.len());
    for caller in callers.drain(..) {
        ready.push((Connection::open(&endpoint.url).await?, caller));
    }
    let started = Instant::now();
    let mut running = JoinSet::new();
    for (connection, caller) in ready {
        running.spawn(one_caller(endpoint.clone(), connection, caller, started, enough));
    }
    let mut waits = Vec::new();
    while let Some(ended) = running.join_next().await {
        let (caller, waited) = ended??;
        callers.push(caller);
        waits.extend(waited);
    }
    Ok(Refreshed { count: waits.len(), took: started.elapsed(), waits })
}

async fn one_caller(
    endpoint: Endpoint,
    mut connection: Connection,
    mut caller: Caller,
    started: Instant,
    enough: Enough,
) -> Result<(Caller, Vec<f64>)> {
    let mut waits = Vec::new();
    let sessions = caller.newest.len();
    loop {
        let done = match enough {
            Enough::After(length) => started.elapsed() >= length,
            Enough::Each(count) => waits.len() >= count,
        };
        if done {
            return Ok((caller, waits));
        }
        let newest = &mut caller.newest[waits.len() % sessions];
        let body = format!("grant_type=refresh_token&refresh_token={newest}");
        let request = post(endpoint.path, Some(&endpoint.authorization), FORM, &body);
        let sent = Instant::now();
        let answer = connection.expect(&request, 200).await?;
        waits.push(clock::nanos_each(sent.elapsed(), 1) / 1e6);
        *newest = serde_json::from_slice::<Tokens>(answer)?.refresh_token;
    }
}
