//! One call per question in the air, and the next one for whoever asks meanwhile: what is asked of an
//! authority about a token, and the refresh of a session's tokens.
//!
//! ```text
//! ask ──▶ a flight is in the air? ──no──▶ a new flight ──▶ fly: call, answer ──▶ anybody waiting? ──no──▶ over
//!                 └──yes──▶ wait for its next call            ▲                        │yes
//!                                                             └────────────────────────┘
//! ```
//!
//! A flight that is dropped on its way, because its task was cancelled or panicked, takes everybody
//! who waits for it along: they learn that no answer comes, and the next who asks starts anew.
//!
//! Nothing here depends on a runtime; the claims are modelled in `tests/loom.rs`.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::PoisonError;

use crate::sync::{Arc, Mutex};

/// Somebody who waits for an answer. Dropped without one, it says that none comes.
pub(crate) trait Asker<A> {
    /// Whether nobody wants the answer any more.
    fn has_left(&self) -> bool;
    /// Hands the answer over.
    fn answer(self, answer: A);
}

/// The flights of one process, by question: who waits for the next call of each.
#[derive(Debug)]
pub(crate) struct Flights<Q, K> {
    waiting: Mutex<HashMap<Q, Vec<K>>>,
}

impl<Q: Clone + Eq + Hash, K> Flights<Q, K> {
    pub(crate) fn new() -> Self {
        Self { waiting: Mutex::new(HashMap::new()) }
    }

    /// Lets `asker` wait for the next call about `question`. Where none is in the air, the flight that
    /// is returned has to be flown; dropped instead, it leaves nobody waiting.
    #[must_use = "nobody is answered unless it is flown"]
    pub(crate) fn board(flights: &Arc<Self>, question: Q, asker: K) -> Option<Flight<Q, K>> {
        let mut waiting = flights.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = waiting.get_mut(&question) {
            waiting.push(asker);
            return None;
        }
        waiting.insert(question.clone(), Vec::new());
        Some(Flight { flights: Arc::clone(flights), question, askers: vec![asker], is_over: false })
    }
}

/// The calls about one question, one after another, until nobody waits.
#[derive(Debug)]
pub(crate) struct Flight<Q: Clone + Eq + Hash, K> {
    flights: Arc<Flights<Q, K>>,
    question: Q,
    askers: Vec<K>,
    is_over: bool,
}

impl<Q: Clone + Eq + Hash, K> Flight<Q, K> {
    /// Calls for those on board, then for those who came meanwhile. Every answer was computed after
    /// its question.
    pub(crate) async fn fly<A: Clone, C: Future<Output = A>>(mut self, call: impl Fn(Q) -> C)
    where
        K: Asker<A>,
    {
        while !self.is_over {
            // Whoever stopped waiting needs no call.
            self.askers.retain(|asker| !asker.has_left());
            if !self.askers.is_empty() {
                let answer = call(self.question.clone()).await;
                self.askers.drain(..).for_each(|asker| asker.answer(answer.clone()));
            }
            self.board_next();
        }
    }

    /// Takes on board who came meanwhile. With nobody there the flight is over, and that is seen and
    /// settled under one lock: whoever comes after it starts the next.
    fn board_next(&mut self) {
        let mut waiting = self.flights.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        self.askers = waiting.get_mut(&self.question).map(std::mem::take).unwrap_or_default();
        if self.askers.is_empty() {
            waiting.remove(&self.question);
            self.is_over = true;
        }
    }
}

impl<Q: Clone + Eq + Hash, K> Drop for Flight<Q, K> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let stranded = self.flights.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.question);
        // Dropped after the lock is released: a waker may do anything, ask again too.
        drop(stranded);
    }
}
