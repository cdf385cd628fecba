//! A wire that can be cut or fall silent: forwards TCP connections until told not to.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::watch;

/// What becomes of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    Whole,
    /// What is asked goes through, and no answer comes back.
    Unanswered,
    Silent,
    Cut,
}

/// What holds of every connection now.
#[derive(Clone, Copy, Debug)]
struct State {
    wire: Wire,
    /// How often the wire was cut: what was open before a cut is ended by it, however soon it is mended.
    cuts: u64,
}

/// The proxy, on a thread of its own: it forwards also while a test waits for a process to start.
/// Dropping it ends every connection through it.
pub struct Proxy {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    state: watch::Sender<State>,
}

impl Proxy {
    /// Listens on a free loopback port and forwards to the server at `url`.
    pub fn to(url: &str) -> Self {
        let (_, to) = url.split_once("://").expect("a URL has a scheme");
        let to = to.parse().expect("a URL of a scenario is an address and a port");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        listener.set_nonblocking(true).expect("a socket can be polled");
        let address = listener.local_addr().expect("a listener has an address");
        let (state, seen) = watch::channel(State { wire: Wire::Whole, cuts: 0 });
        let accepted = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&accepted);
        std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_io().build().expect("a runtime");
            runtime.block_on(accept(listener, to, seen, &counter));
        });
        Self { address, accepted, state }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections it has taken.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Ends every connection, and every new one at once: what is behind is down.
    pub fn cut(&self) {
        self.state.send_modify(|state| *state = State { wire: Wire::Cut, cuts: state.cuts + 1 });
    }

    /// Forwards what is asked and keeps the answers: what is behind does its work, and nobody hears of it.
    pub fn keep_answers(&self) {
        self.state.send_modify(|state| state.wire = Wire::Unanswered);
    }

    /// Keeps every connection and forwards nothing: what is behind cannot be told from slow.
    pub fn silence(&self) {
        self.state.send_modify(|state| state.wire = Wire::Silent);
    }

    /// Lets connections and bytes through again.
    pub fn mend(&self) {
        self.state.send_modify(|state| state.wire = Wire::Whole);
    }
}

/// Takes connections until the proxy's handle is gone.
async fn accept(
    listener: std::net::TcpListener,
    to: SocketAddr,
    mut state: watch::Receiver<State>,
    accepted: &AtomicUsize,
) {
    let listener = TcpListener::from_std(listener).expect("a listening socket");
    loop {
        tokio::select! {
            taken = listener.accept() => {
                let Ok((inward, _)) = taken else { return };
                accepted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(forward(inward, to, state.clone()));
            }
            held = state.changed() => if held.is_err() { return; },
        }
    }
}

async fn forward(mut inward: TcpStream, to: SocketAddr, mut state: watch::Receiver<State>) {
    let State { wire, cuts: born } = *state.borrow();
    if wire == Wire::Cut {
        return;
    }
    let Ok(mut outward) = TcpStream::connect(to).await else { return };
    let ((mut asked, mut told), (mut answers, mut does)) = (inward.split(), outward.split());
    let mut asking = pin!(tokio::io::copy(&mut asked, &mut does));
    let mut answering = pin!(tokio::io::copy(&mut answers, &mut told));
    loop {
        let State { wire, cuts } = *state.borrow_and_update();
        if cuts != born {
            return;
        }
        let changed = match wire {
            Wire::Cut => return,
            Wire::Silent => state.changed().await,
            // First whether it still stands so: nothing passes that became ready after it was changed.
            Wire::Unanswered => tokio::select! {
                biased;
                changed = state.changed() => changed,
                _ = &mut asking => return,
            },
            Wire::Whole => tokio::select! {
                biased;
                changed = state.changed() => changed,
                _ = &mut asking => return,
                _ = &mut answering => return,
            },
        };
        if changed.is_err() {
            return;
        }
    }
}
