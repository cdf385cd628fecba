//! The floor of everything between two processes: a byte there and back over loopback TCP.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::world::process::{Talker, myself};

/// A process that sends back what it gets.
pub struct Echo {
    stream: TcpStream,
    process: Talker,
}

impl Echo {
    /// Starts it and connects.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start() -> Result<Self> {
        let mut process = Talker::start(&mut myself(&["floor", "echo"])?)?;
        let stream = TcpStream::connect(process.hear()?.trim()).context("connect to the echo")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, process })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The time of one round trip.
    ///
    /// # Errors
    /// When it has ended.
    pub fn round_trip(&mut self) -> Result<Duration> {
        let sent = Instant::now();
        self.stream.write_all(&[1])?;
        self.stream.read_exact(&mut [0])?;
        Ok(sent.elapsed())
    }
}

/// The echo's own side: prints its address, serves one connection to its end.
///
/// # Errors
/// When no port is free.
pub fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    let (mut stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    let mut byte = [0];
    while stream.read_exact(&mut byte).is_ok() {
        stream.write_all(&byte)?;
    }
    Ok(())
}
