//! Asking the authority about a token, without letting a crowd of requests become a crowd of calls.
//!
//! One call per question is in the air: a token, and whether it is wanted back re-stamped. Whoever asks meanwhile shares the *next* one, so that every
//! answer was computed after its question: joining the call in the air could hand out a verdict from
//! before a revocation that the asker already knows of. At most [`PER_SECOND`] calls leave a process
//! in a second; beyond that, and past the deadline, the answer is "unavailable" and the route closes.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use annul_core::policy::{Answer, Restamped, Vouched};
use annul_core::time::Monotonic;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::client::{AuthorityClient, CheckAnswer, CheckToken, CheckVerdict};
use crate::{clock, metrics};

/// Calls a process makes in a second. An authority that is asked by a thousand stale verifiers must
/// still be able to issue tokens.
pub const PER_SECOND: u32 = 50;
/// How long an answer may take. The request that waits for it has a client of its own.
const WITHIN: Duration = Duration::from_secs(2);

/// The questions of one process.
pub(crate) struct Asks {
    client: AuthorityClient,
    runtime: Handle,
    flights: Mutex<HashMap<Question, Vec<oneshot::Sender<Answer>>>>,
    budget: Mutex<Budget>,
}

/// What the authority is asked. Whoever asks the same shares its answer.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Question {
    /// Whether the token is good.
    Verdict(Arc<str>),
    /// The same, and for a new one in its place.
    Restamp(Arc<str>),
}

impl Question {
    fn body(&self) -> CheckToken {
        let (token, restamp) = match self {
            Self::Verdict(token) => (token, false),
            Self::Restamp(token) => (token, true),
        };
        CheckToken { token: token.to_string(), restamp }
    }
}

impl Asks {
    pub(crate) fn new(client: &AuthorityClient, runtime: Handle) -> Self {
        let budget = Mutex::new(Budget { left: PER_SECOND, since: Monotonic::default() });
        Self { client: client.within(WITHIN).giving_up(), runtime, flights: Mutex::default(), budget }
    }

    /// The authority's answer to `question`, computed after this call.
    pub(crate) fn ask(self: &Arc<Self>, question: Question) -> Asking {
        let (sender, receiver) = oneshot::channel();
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = flights.get_mut(&question) {
            waiting.push(sender);
        } else {
            flights.insert(question.clone(), Vec::new());
            self.runtime.spawn(Arc::clone(self).fly(question, vec![sender]));
        }
        Asking(receiver)
    }

    /// Calls for `askers`, then for those who came meanwhile, until nobody waits.
    async fn fly(self: Arc<Self>, question: Question, mut askers: Vec<oneshot::Sender<Answer>>) {
        while !askers.is_empty() {
            // Whoever stopped waiting needs no call.
            askers.retain(|asker| !asker.is_closed());
            if !askers.is_empty() {
                let answer = self.call(&question).await;
                for asker in askers.drain(..) {
                    // An asker that went away in the meantime is nobody's loss.
                    let _ = asker.send(answer.clone());
                }
            }
            askers = self.next_askers(&question);
        }
    }

    fn next_askers(&self, question: &Question) -> Vec<oneshot::Sender<Answer>> {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        let next = flights.get_mut(question).map(std::mem::take).unwrap_or_default();
        if next.is_empty() {
            flights.remove(question);
        }
        next
    }

    async fn call(&self, question: &Question) -> Answer {
        if !self.budget.lock().unwrap_or_else(PoisonError::into_inner).take(clock::now().mono) {
            metrics::asked("over_budget");
            return Answer::Unavailable;
        }
        match self.client.check_token(&question.body()).await {
            Ok(answer) => answered(answer),
            Err(error) => {
                metrics::asked("unavailable");
                // An outage shows in the metric; a credential that may not ask needs somebody to look.
                if matches!(error.status(), Some(401 | 403)) {
                    tracing::warn!(code = error.code(), %error, "this client may not ask about tokens; it needs the scope annul.read");
                }
                Answer::Unavailable
            }
        }
    }
}

fn answered(answer: CheckAnswer) -> Answer {
    match answer.verdict {
        CheckVerdict::Active => {
            metrics::asked("active");
            let restamped = answer.access_token.as_deref().map(Restamped::new);
            Answer::Active(Vouched { as_of: answer.position, key_id: answer.key, restamped })
        }
        CheckVerdict::Revoked => {
            metrics::asked("revoked");
            Answer::Revoked(answer.refusal)
        }
        CheckVerdict::Refused => {
            metrics::asked("refused");
            Answer::Refused
        }
    }
}

/// An answer on its way.
pub(crate) struct Asking(oneshot::Receiver<Answer>);

impl Future for Asking {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        // The sender goes away unanswered only when the runtime shuts down.
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Answer::Unavailable))
    }
}

/// A bucket that holds one second's worth of calls and refills evenly.
struct Budget {
    left: u32,
    since: Monotonic,
}

impl Budget {
    fn take(&mut self, now: Monotonic) -> bool {
        let share = Duration::from_secs(1) / PER_SECOND;
        let refill = now.since(self.since).as_nanos() / share.as_nanos();
        if refill >= u128::from(PER_SECOND) {
            *self = Self { left: PER_SECOND, since: now };
        } else if let Ok(refill) = u32::try_from(refill) {
            self.left = (self.left + refill).min(PER_SECOND);
            self.since = self.since.plus(share * refill);
        }
        let some = self.left > 0;
        self.left = self.left.saturating_sub(1);
        some
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_fifty_in_a_second_and_refills_evenly() {
        let start = Monotonic(Duration::from_secs(100));
        let mut budget = Budget { left: PER_SECOND, since: start };
        assert_eq!((0..80).filter(|_| budget.take(start)).count(), 50);
        let tenth = start.plus(Duration::from_millis(100));
        assert_eq!((0..80).filter(|_| budget.take(tenth)).count(), 5);
        let later = start.plus(Duration::from_secs(3600));
        assert_eq!((0..80).filter(|_| budget.take(later)).count(), 50);
    }
}
