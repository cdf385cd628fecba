//! A client that keeps its connection and does no more than it must: the request is bytes made once,
//! the answer is read to its end. The client's own work is in every figure, on both sides.

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Bytes an answer may have here.
const MAX_ANSWER: usize = 1 << 20;

/// One connection, kept alive.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// The bytes of a POST.
#[must_use]
pub fn post(path: &str, authorization: Option<&str>, content_type: &str, body: &str) -> Vec<u8> {
    let authorization = authorization.map(|value| format!("authorization: {value}\r\n")).unwrap_or_default();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{authorization}content-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The bytes of a GET.
#[must_use]
pub fn get(path: &str, authorization: Option<&str>) -> Vec<u8> {
    let authorization = authorization.map(|value| format!("authorization: {value}\r\n")).unwrap_or_default();
    format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{authorization}\r\n").into_bytes()
}

/// The status and body of an answer.
pub struct Answer<'a> {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: &'a [u8],
}

impl Connection {
    /// Connects to `http://host:port`.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn open(url: &str) -> Result<Self> {
        let address = url.strip_prefix("http://").context("an http address")?;
        let stream = TcpStream::connect(address).await.with_context(|| format!("connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096) })
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// When the connection ends first or the answer has no `content-length`.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            self.more().await?;
        };
        let (status, length) = read_head(&self.buffer[..head])?;
        while self.buffer.len() < head + length {
            self.more().await?;
        }
        Ok(Answer { status, body: &self.buffer[head..head + length] })
    }

    /// Sends a request and demands this status.
    ///
    /// # Errors
    /// On any other, with what the server says.
    pub async fn expect(&mut self, request: &[u8], status: u16) -> Result<&[u8]> {
        let answer = self.exchange(request).await?;
        if answer.status != status {
            bail!("status {}: {}", answer.status, String::from_utf8_lossy(answer.body));
        }
        Ok(answer.body)
    }

    async fn more(&mut self) -> Result<()> {
        let read = self.stream.read_buf(&mut self.buffer).await?;
        if read == 0 || self.buffer.len() > MAX_ANSWER {
            bail!("the connection ended within an answer, or the answer is too long");
        }
        Ok(())
    }

    /// The stream, after an answer that has no end: the bytes read so far and all that follow.
    pub async fn open_ended(mut self, request: &[u8]) -> Result<TcpStream> {
        self.stream.write_all(request).await?;
        loop {
            if self.buffer.windows(4).any(|window| window == b"\r\n\r\n") {
                break;
            }
            self.more().await?;
        }
        if !self.buffer.starts_with(b"HTTP/1.1 200") {
            bail!("{}", String::from_utf8_lossy(&self.buffer));
        }
        Ok(self.stream)
    }
}

fn read_head(head: &[u8]) -> Result<(u16, usize)> {
    let head = std::str::from_utf8(head)?;
    let status = head.get(9..12).context("a status line")?.parse()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim())
    });
    Ok((status, length.context("a content-length")?.parse()?))
}
