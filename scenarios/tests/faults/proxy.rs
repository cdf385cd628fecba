//! A line between a verifier and its authority that can be cut.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the line does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Carries every byte.
    Whole,
    /// Refuses and closes.
    Cut,
    /// Takes connections and carries nothing, as a firewall that drops does.
    Silent,
}

/// A TCP proxy on a port of its own.
pub(crate) struct Proxy {
    url: String,
    line: watch::Sender<Line>,
}

impl Proxy {
    /// A whole line to the server at `url`.
    pub(crate) async fn to(url: &str) -> Self {
        let server: SocketAddr = url.trim_start_matches("http://").parse().expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let own = format!("http://{}", listener.local_addr().expect("it has an address"));
        let (line, state) = watch::channel(Line::Whole);
        tokio::spawn(accept(listener, server, state));
        Self { url: own, line }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Makes the line whole, cuts it, or silences it.
    pub(crate) fn set(&self, line: Line) {
        self.line.send_replace(line);
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, state: watch::Receiver<Line>) {
    loop {
        let accepted = listener.accept().await;
        if state.has_changed().is_err() {
            return;
        }
        let Ok((client, _)) = accepted else { continue };
        if *state.borrow() != Line::Cut {
            tokio::spawn(carry(client, server, state.clone()));
        }
    }
}

async fn carry(client: TcpStream, server: SocketAddr, mut state: watch::Receiver<Line>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // Whatever ends first takes both directions with it.
    tokio::select! {
        () = copy(from_client, to_server, state.clone()) => {}
        () = copy(from_server, to_client, state.clone()) => {}
        _ = state.wait_for(|line| *line == Line::Cut) => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<Line>) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if state.wait_for(|line| *line == Line::Whole).await.is_err() || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
