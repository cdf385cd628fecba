//! The single flight of `ask` and its budget, in every order that their locks allow.
//!
//! The files of the crate are compiled once more here, with loom's primitives in place of the
//! standard library's. loom runs each model in all its interleavings, and fails where a thread waits
//! for what never comes.

use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use annul::time::Monotonic;
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use budget::Budget;
use flights::{Asker, Flight, Flights};

#[path = "../src/ask/budget.rs"]
mod budget;
#[path = "../src/flights.rs"]
mod flights;
mod sync {
    pub(crate) use loom::sync::{Arc, Mutex};
}

const TOKEN: &str = "a token";

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Answer(u64),
    /// Nobody will answer any more.
    Nothing,
}

/// The place of one asker, and what it waits by.
#[derive(Debug)]
struct Seat {
    came: Mutex<Option<Came>>,
    told: Condvar,
    left: AtomicBool,
}

impl Seat {
    fn new() -> Arc<Self> {
        Arc::new(Self { came: Mutex::new(None), told: Condvar::new(), left: AtomicBool::new(false) })
    }

    fn tell(&self, what: Came) {
        self.came.lock().expect("no thread panics with it").get_or_insert(what);
        self.told.notify_one();
    }

    fn wait(&self) -> Came {
        let mut came = self.came.lock().expect("no thread panics with it");
        loop {
            match *came {
                Some(came) => return came,
                None => came = self.told.wait(came).expect("no thread panics with it"),
            }
        }
    }
}

/// The other end of a seat.
#[derive(Debug)]
struct Ticket(Arc<Seat>);

impl Asker<u64> for Ticket {
    fn has_left(&self) -> bool {
        self.0.left.load(Ordering::SeqCst)
    }

    fn answer(self, answer: u64) {
        self.0.tell(Came::Answer(answer));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.tell(Came::Nothing);
    }
}

/// An authority whose state is a number that only grows.
struct World {
    flights: Arc<Flights<&'static str, Ticket>>,
    state: AtomicU64,
    in_the_air: AtomicBool,
    calls: AtomicU64,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            flights: Arc::new(Flights::new()),
            state: AtomicU64::new(0),
            in_the_air: AtomicBool::new(false),
            calls: AtomicU64::new(0),
        })
    }

    /// A call: it is alone in the air, and answers with the state at some moment in it.
    async fn call(&self) -> u64 {
        assert!(!self.in_the_air.swap(true, Ordering::SeqCst), "two calls about one token are in the air");
        self.calls.fetch_add(1, Ordering::SeqCst);
        let state = self.state.load(Ordering::SeqCst);
        self.in_the_air.store(false, Ordering::SeqCst);
        state
    }

    fn fly(&self, flight: Flight<&'static str, Ticket>) {
        let mut flown = pin!(flight.fly(|question| {
            assert_eq!(question, TOKEN);
            self.call()
        }));
        assert_eq!(flown.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(()));
    }

    /// Changes the state, asks, and returns what came with the state that was known when asking.
    fn ask(&self) -> (u64, Came) {
        let known = self.state.fetch_add(1, Ordering::SeqCst) + 1;
        let seat = Seat::new();
        if let Some(flight) = Flights::board(&self.flights, TOKEN, Ticket(Arc::clone(&seat))) {
            self.fly(flight);
        }
        (known, seat.wait())
    }
}

fn at_once<T: Send + 'static>(threads: impl IntoIterator<Item = Box<dyn FnOnce() -> T + Send>>) -> Vec<T> {
    let running: Vec<_> = threads.into_iter().map(|run| thread::spawn(run)).collect();
    running.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
}

/// Interleavings with so many involuntary switches are all tried; more find nothing else in locks.
fn model(run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(run);
}

#[test]
fn one_call_is_in_the_air_and_every_answer_is_younger_than_its_question() {
    model(|| {
        let world = World::new();
        let askers = (0..3).map(|_| {
            let world = Arc::clone(&world);
            Box::new(move || world.ask()) as Box<dyn FnOnce() -> (u64, Came) + Send>
        });
        for (known, came) in at_once(askers) {
            let Came::Answer(state) = came else { panic!("an asker was left without an answer") };
            assert!(state >= known, "the answer {state} is older than its question at {known}");
        }
        assert!(world.calls.load(Ordering::SeqCst) <= 3, "more calls than questions");
    });
}

#[test]
fn an_asker_that_leaves_takes_no_answer_from_another() {
    model(|| {
        let world = World::new();
        let leaving = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                let seat = Seat::new();
                let flight = Flights::board(&world.flights, TOKEN, Ticket(Arc::clone(&seat)));
                seat.left.store(true, Ordering::SeqCst);
                if let Some(flight) = flight {
                    world.fly(flight);
                }
            })
        };
        let (known, came) = world.ask();
        leaving.join().expect("no thread panics");
        assert!(matches!(came, Came::Answer(state) if state >= known), "{came:?}");
        // Nobody is left, so whoever comes next flies at once.
        let (known, came) = world.ask();
        assert!(matches!(came, Came::Answer(state) if state >= known), "{came:?}");
    });
}

#[test]
fn nobody_waits_for_ever_for_a_flight_that_is_dropped() {
    model(|| {
        let world = World::new();
        let dropped = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                let seat = Seat::new();
                match Flights::board(&world.flights, TOKEN, Ticket(Arc::clone(&seat))) {
                    // In the middle of its call.
                    Some(flight) => {
                        let mut flown = Box::pin(flight.fly(|_| std::future::pending::<u64>()));
                        let polled = flown.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                        assert_eq!(polled, Poll::Pending);
                        drop(flown);
                        assert_eq!(seat.wait(), Came::Nothing);
                    }
                    None => assert!(matches!(seat.wait(), Came::Answer(_))),
                }
            })
        };
        // An answer by an own flight, or the news that none comes; never silence.
        let (known, came) = world.ask();
        assert!(matches!(came, Came::Nothing) || matches!(came, Came::Answer(state) if state >= known), "{came:?}");
        dropped.join().expect("no thread panics");
        let (_, came) = world.ask();
        assert!(matches!(came, Came::Answer(_)), "a dropped flight blocks its token: {came:?}");
    });
}

#[test]
fn callers_at_once_never_exceed_the_budget() {
    model(|| {
        let start = Monotonic(Duration::from_secs(100));
        let budget = Arc::new(Budget::new(2));
        assert!(budget.take(start));
        // One is left; half a second gives one more, in whatever order the clocks were read.
        let callers = [0, 500, 500].map(|millis| {
            let (budget, now) = (Arc::clone(&budget), start.plus(Duration::from_millis(millis)));
            Box::new(move || budget.take(now)) as Box<dyn FnOnce() -> bool + Send>
        });
        let taken = at_once(callers).into_iter().filter(|taken| *taken).count();
        assert!(taken <= 2, "{taken} calls where two were left");
        assert!(taken >= 1, "a call that was left was not given");
    });
}
