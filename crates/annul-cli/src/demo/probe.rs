//! Clients that ask as fast as they can, and note when the first refusal arrived.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::service::{Answer, Service};
use super::{Measured, Problem};

/// Clients of several services that show the same token again and again.
pub(crate) struct Probe {
    clients: Vec<(Service, JoinHandle<Result<Instant, Problem>>)>,
    token: String,
}

impl Probe {
    /// Starts a client per service; returns once every one of them has been let in at least once.
    pub(crate) async fn start(services: &[Service], token: &str) -> Result<Self, Problem> {
        let mut clients = Vec::new();
        let mut let_in = Vec::new();
        for service in services {
            let (entered, has_entered) = oneshot::channel();
            let task = tokio::spawn(ask_until_turned_away(service.clone(), token.to_owned(), entered));
            clients.push((service.clone(), task));
            let_in.push(has_entered);
        }
        for has_entered in let_in {
            if has_entered.await.is_err() {
                return Err(first_problem(clients).await);
            }
        }
        Ok(Self { clients, token: token.to_owned() })
    }

    /// The time from `acknowledged` to the first refusal at each service. A refusal that arrived
    /// before the acknowledgement counts as none. From then on every answer must be a refusal.
    pub(crate) async fn refused_since(self, acknowledged: Instant) -> Result<Measured, Problem> {
        let mut measured = Measured::default();
        for (service, task) in self.clients {
            let at = task.await.map_err(|error| Problem::from(error.to_string()))??;
            measured.refusals.push((service.name.clone(), at.saturating_duration_since(acknowledged)));
            for _ in 0..REPEATS {
                if service.show(&self.token).await? != Answer::Refused {
                    return Err(format!("{} took a token again that it had refused", service.name).into());
                }
            }
        }
        Ok(measured)
    }
}

async fn ask_until_turned_away(
    service: Service,
    token: String,
    entered: oneshot::Sender<()>,
) -> Result<Instant, Problem> {
    let mut entered = Some(entered);
    let started = Instant::now();
    loop {
        let answer = service.show(&token).await?;
        let at = Instant::now();
        match &answer {
            Answer::Accepted { .. } => {
                if let Some(entered) = entered.take() {
                    // Nobody waits any more when another client failed.
                    let _ = entered.send(());
                }
            }
            Answer::Refused if entered.is_none() => return Ok(at),
            // Its report was late.
            Answer::CannotKnow => {}
            other => return Err(format!("{}: a good token got {other:?}", service.name).into()),
        }
        if started.elapsed() > PATIENCE {
            return Err(format!("{} still answers {answer:?} after {PATIENCE:?}", service.name).into());
        }
    }
}

async fn first_problem(clients: Vec<(Service, JoinHandle<Result<Instant, Problem>>)>) -> Problem {
    for (_, task) in clients {
        if let Ok(Err(problem)) = task.await {
            return problem;
        }
    }
    "a client ended without an answer".into()
}

/// Every service takes the token, one that cannot know yet as soon as it can.
pub(crate) async fn passes(services: &[Service], token: &str) -> Result<(), Problem> {
    let started = Instant::now();
    for service in services {
        loop {
            match service.show(token).await? {
                Answer::Accepted { .. } => break,
                Answer::CannotKnow if started.elapsed() < PATIENCE => {}
                other => return Err(format!("{} answered {other:?} to a token that must pass", service.name).into()),
            }
        }
    }
    Ok(())
}

/// Every service refuses the token.
pub(crate) async fn refused(services: &[Service], token: &str) -> Result<(), Problem> {
    for service in services {
        match service.show(token).await? {
            Answer::Refused => {}
            other => return Err(format!("{} answered {other:?} to a token that must be refused", service.name).into()),
        }
    }
    Ok(())
}

/// How often a refusal is asked for again.
const REPEATS: u32 = 20;
/// A revocation that takes this long has failed, also on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(20);
