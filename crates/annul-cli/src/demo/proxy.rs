//! A wire that can be cut: forwards TCP connections to the authority until told not to.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Whether bytes pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    Whole,
    Cut,
}

/// The proxy. Dropping it ends every connection through it.
pub(crate) struct Proxy {
    address: SocketAddr,
    wire: watch::Sender<Wire>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free loopback port and forwards to `to`.
    pub(crate) async fn start(to: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (wire, state) = watch::channel(Wire::Whole);
        let task = tokio::spawn(accept(listener, to, state));
        Ok(Self { address, wire, task })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends every connection, and every new one at once.
    pub(crate) fn cut(&self) {
        self.wire.send_replace(Wire::Cut);
    }

    /// Lets connections through again.
    pub(crate) fn mend(&self) {
        self.wire.send_replace(Wire::Whole);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, to: SocketAddr, wire: watch::Receiver<Wire>) {
    // Ends with the sender in the proxy's handle: each connection watches it too.
    while let Ok((inward, _)) = listener.accept().await {
        if *wire.borrow() == Wire::Whole {
            tokio::spawn(forward(inward, to, wire.clone()));
        }
    }
}

async fn forward(mut inward: TcpStream, to: SocketAddr, mut wire: watch::Receiver<Wire>) {
    let Ok(mut outward) = TcpStream::connect(to).await else { return };
    // A wire that was cut carries nothing more, also if something stood ready to be carried.
    tokio::select! {
        biased;
        _ = wire.wait_for(|wire| *wire == Wire::Cut) => {}
        _ = tokio::io::copy_bidirectional(&mut inward, &mut outward) => {}
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_cut_wire_ends_connections_and_a_mended_one_takes_new_ones() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        let proxy = Proxy::start(to).await.unwrap();
        let mut byte = [0];

        let mut open = TcpStream::connect(proxy.address).await.unwrap();
        open.write_all(b"a").await.unwrap();
        open.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, b"a");

        proxy.cut();
        assert!(matches!(open.read(&mut byte).await, Ok(0) | Err(_)), "an open connection outlived the cut");
        let mut refused = TcpStream::connect(proxy.address).await.unwrap();
        assert!(matches!(refused.read(&mut byte).await, Ok(0) | Err(_)), "a new connection passed the cut");

        proxy.mend();
        let mut again = TcpStream::connect(proxy.address).await.unwrap();
        again.write_all(b"b").await.unwrap();
        again.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, b"b");
    }
}
