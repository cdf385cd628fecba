//! A real Redis on loopback, asked the cheapest way there is: one blocking socket, the request's bytes
//! made by hand. A client library would only add to Redis's side.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Commands sent before their answers are read, while loading.
const PIPELINE: usize = 1000;
/// How long Redis may take to listen.
const START: Duration = Duration::from_secs(20);

/// A running redis-server. It ends with its handle.
pub struct Server {
    process: Child,
    port: u16,
}

impl Server {
    /// Starts one that keeps nothing on disk.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub fn start(dir: &Path) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"]);
        let process = command.arg(dir).stdout(Stdio::null()).spawn().context("start redis-server")?;
        let server = Self { process, port };
        let asked = Instant::now();
        while server.connect().and_then(|mut connection| connection.command(&["PING"])).is_err() {
            if asked.elapsed() > START {
                bail!("redis-server does not answer on port {port}");
            }
            std::thread::yield_now();
        }
        Ok(server)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Its port on loopback.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// A connection, kept.
    ///
    /// # Errors
    /// When it does not listen.
    pub fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_nodelay(true)?;
        Ok(Connection { reader: BufReader::new(stream.try_clone()?), stream, request: Vec::new() })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One connection.
pub struct Connection {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
    request: Vec<u8>,
}

impl Connection {
    /// Whether a key is there: one round trip.
    ///
    /// # Errors
    /// When the server is gone.
    pub fn exists(&mut self, key: &str) -> Result<bool> {
        Ok(self.command(&["EXISTS", key])? == ":1")
    }

    /// Loads `revoked:<id>` for every id, with an expiry.
    ///
    /// # Errors
    /// When the server is gone or refuses.
    pub fn load(&mut self, ids: impl Iterator<Item = String>) -> Result<()> {
        let mut waiting = 0;
        for id in ids {
            encode(&mut self.request, &["SET", &key(&id), "1", "EX", "3600"]);
            waiting += 1;
            if waiting == PIPELINE {
                self.flush(waiting)?;
                waiting = 0;
            }
        }
        self.flush(waiting)
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// When the server is gone.
    pub fn clear(&mut self) -> Result<()> {
        self.command(&["FLUSHALL", "SYNC"]).map(drop)
    }

    /// Bytes Redis has allocated for data.
    ///
    /// # Errors
    /// When the server is gone.
    pub fn used_memory(&mut self) -> Result<u64> {
        self.info("memory", "used_memory")?.parse().context("used_memory is a number")
    }

    /// Its version.
    ///
    /// # Errors
    /// When the server is gone.
    pub fn version(&mut self) -> Result<String> {
        self.info("server", "redis_version")
    }

    fn info(&mut self, section: &str, name: &str) -> Result<String> {
        let length: usize = self.command(&["INFO", section])?.strip_prefix('$').context("a bulk string")?.parse()?;
        let mut text = vec![0; length + 2];
        std::io::Read::read_exact(&mut self.reader, &mut text)?;
        let text = String::from_utf8(text)?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(str::to_owned).with_context(|| format!("{name} in INFO"))
    }

    fn command(&mut self, words: &[&str]) -> Result<String> {
        encode(&mut self.request, words);
        self.stream.write_all(&self.request)?;
        self.request.clear();
        self.answer()
    }

    fn flush(&mut self, answers: usize) -> Result<()> {
        self.stream.write_all(&self.request)?;
        self.request.clear();
        (0..answers).try_for_each(|_| self.answer().map(drop))
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        if line.is_empty() || line.starts_with('-') {
            bail!("redis said: {line:?}");
        }
        line.truncate(line.trim_end().len());
        Ok(line)
    }
}

/// The key under which a revoked token's id lies.
#[must_use]
pub fn key(id: &str) -> String {
    format!("revoked:{id}")
}

fn encode(into: &mut Vec<u8>, words: &[&str]) {
    into.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        into.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
}
