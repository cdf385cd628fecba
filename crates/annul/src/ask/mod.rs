//! Asking the authority about a token, without letting a crowd of requests become a crowd of calls.
//!
//! One call per question is in the air: a token, and whether it is wanted back re-stamped. Whoever
//! asks meanwhile shares the *next* one, so that every answer was computed after its question:
//! joining the call in the air could hand out a verdict from before a revocation that the asker
//! already knows of. At most [`PER_SECOND`] calls leave a process in a second; beyond that, and past
//! the deadline, the answer is "unavailable" and the route closes.

mod budget;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use annul_core::policy::{Answer, Restamped, Vouched};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::client::{AuthorityClient, CheckAnswer, CheckToken, CheckVerdict};
use crate::flights::{Asker, Flights};
use crate::sync::Arc;
use crate::{clock, metrics};

use budget::Budget;

/// Calls a process makes in a second. An authority that is asked by a thousand stale verifiers must
/// still be able to issue tokens.
pub const PER_SECOND: u32 = 50;
/// How long an answer may take. The request that waits for it has a client of its own.
const WITHIN: Duration = Duration::from_secs(2);

/// The questions of one process.
pub(crate) struct Asks {
    client: AuthorityClient,
    runtime: Handle,
    flights: Arc<Flights<Question, oneshot::Sender<Answer>>>,
    budget: Budget,
}

impl Asker<Answer> for oneshot::Sender<Answer> {
    fn has_left(&self) -> bool {
        self.is_closed()
    }

    fn answer(self, answer: Answer) {
        // An asker that went away in the meantime is nobody's loss.
        let _ = self.send(answer);
    }
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
        let client = client.within(WITHIN).giving_up();
        Self { client, runtime, flights: Arc::new(Flights::new()), budget: Budget::new(PER_SECOND) }
    }

    /// The authority's answer to `question`, computed after this call.
    pub(crate) fn ask(self: &Arc<Self>, question: Question) -> Asking {
        let (sender, receiver) = oneshot::channel();
        if let Some(flight) = Flights::board(&self.flights, question, sender) {
            let asks = Arc::clone(self);
            // On a runtime that has shut down the flight is dropped, and its askers learn of it.
            self.runtime.spawn(async move {
                flight.fly(|question| asks.call(question)).await;
            });
        }
        Asking(receiver)
    }

    async fn call(&self, question: Question) -> Answer {
        if !self.budget.take(clock::now().mono) {
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
            Answer::Active(Vouched { as_of: answer.position, key_id: answer.key, claims: answer.claims, restamped })
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
        // The sender goes away unanswered when the flight ends early: the runtime shut down, or the
        // call panicked.
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Answer::Unavailable))
    }
}

#[cfg(test)]
mod tests {
    use annul_core::time::Monotonic;

    use super::*;

    #[test]
    fn the_budget_is_fifty_in_a_second_and_refills_evenly() {
        let start = Monotonic(Duration::from_secs(100));
        let budget = Budget::new(PER_SECOND);
        assert_eq!((0..80).filter(|_| budget.take(start)).count(), 50);
        let tenth = start.plus(Duration::from_millis(100));
        assert_eq!((0..80).filter(|_| budget.take(tenth)).count(), 5);
        let later = start.plus(Duration::from_secs(3600));
        assert_eq!((0..80).filter(|_| budget.take(later)).count(), 50);
    }
}
