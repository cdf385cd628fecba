//! Server-sent events, as far as the feed uses them: written whole, read in whatever chunks arrive.
//!
//! The reader follows the HTML standard's event-stream rules (line ends, comments, multi-line data,
//! a byte order mark) and adds what a network needs: bounds on a line and on an event. It is pure;
//! feed it bytes, take events.

use std::fmt;

use crate::feed::frame::Frame;
use crate::record::Record;

/// One event of the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// Its type; the standard's default, `message`, is written as an empty string.
    pub event: String,
    /// Its data lines, joined by newlines.
    pub data: String,
    /// The last event id in force: for a frame, the position of its last record.
    pub id: Option<String>,
}

impl SseEvent {
    /// An event without an id. `data` may have several lines.
    #[must_use]
    pub fn new(event: &str, data: impl Into<String>) -> Self {
        Self { event: event.to_owned(), data: data.into(), id: None }
    }

    /// The event's bytes on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = String::with_capacity(self.data.len() + 64);
        if !self.event.is_empty() {
            text.push_str(&format!("event: {}\n", self.event));
        }
        if let Some(id) = &self.id {
            text.push_str(&format!("id: {id}\n"));
        }
        for line in self.data.split('\n') {
            text.push_str("data: ");
            text.push_str(line);
            text.push('\n');
        }
        text.push('\n');
        text.into_bytes()
    }
}

/// Reads events out of a byte stream that is cut anywhere.
#[derive(Debug, Default)]
pub struct SseParser {
    line: Vec<u8>,
    pending: SseEvent,
    has_data: bool,
    started: bool,
    after_carriage_return: bool,
    broken: Option<SseError>,
}

impl SseParser {
    /// Bytes a line may have: a record's line behind its field name.
    pub const MAX_LINE: usize = Record::MAX_LINE + 16;

    /// Bytes an event's id may have: the longest position has 27. An id stays in force for every later event, so
    /// a long one would be copied into thousands of short ones.
    pub const MAX_ID: usize = 64;

    /// Bytes of data an event may have: a frame.
    pub const MAX_EVENT: usize = Frame::MAX_BYTES;

    /// A reader at the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes, of any length, and returns the events they complete. After an error
    /// the reader stays broken: the stream's place is lost and the connection must be closed.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<SseEvent>, SseError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        let mut events = Vec::new();
        for &byte in bytes {
            if let Err(error) = self.byte(byte, &mut events) {
                self.broken = Some(error);
                return Err(error);
            }
        }
        Ok(events)
    }

    fn byte(&mut self, byte: u8, events: &mut Vec<SseEvent>) -> Result<(), SseError> {
        let after_carriage_return = std::mem::replace(&mut self.after_carriage_return, byte == b'\r');
        match byte {
            b'\n' if after_carriage_return => Ok(()),
            b'\n' | b'\r' => {
                let line = std::mem::take(&mut self.line);
                events.extend(self.end_of_line(&line)?);
                Ok(())
            }
            _ if self.line.len() == Self::MAX_LINE => Err(SseError::LineTooLong),
            _ => {
                self.line.push(byte);
                Ok(())
            }
        }
    }

    fn end_of_line(&mut self, line: &[u8]) -> Result<Option<SseEvent>, SseError> {
        let mut line = std::str::from_utf8(line).map_err(|_| SseError::NotUtf8)?;
        if !std::mem::replace(&mut self.started, true) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            return Ok(self.dispatch());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.pending.event),
            "data" => self.data(value)?,
            "id" if value.len() > Self::MAX_ID => return Err(SseError::IdTooLong),
            "id" if !value.contains('\0') => self.pending.id = Some(value.to_owned()),
            _ => {}
        }
        Ok(None)
    }

    fn data(&mut self, value: &str) -> Result<(), SseError> {
        if self.pending.data.len() + value.len() + 1 > Self::MAX_EVENT {
            return Err(SseError::EventTooLarge);
        }
        if std::mem::replace(&mut self.has_data, true) {
            self.pending.data.push('\n');
        }
        self.pending.data.push_str(value);
        Ok(())
    }

    /// Ends the event. One without data is dropped, as the standard has it; the id stays in force.
    fn dispatch(&mut self) -> Option<SseEvent> {
        let next = SseEvent { id: self.pending.id.clone(), ..SseEvent::default() };
        let event = std::mem::replace(&mut self.pending, next);
        std::mem::replace(&mut self.has_data, false).then_some(event)
    }
}

/// Why a stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SseError {
    /// A line is longer than [`SseParser::MAX_LINE`].
    LineTooLong,
    /// An event's id is longer than [`SseParser::MAX_ID`].
    IdTooLong,
    /// An event's data is larger than [`SseParser::MAX_EVENT`].
    EventTooLarge,
    /// A line is not UTF-8.
    NotUtf8,
}

impl fmt::Display for SseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LineTooLong => write!(f, "a line of the stream is longer than {} bytes", SseParser::MAX_LINE),
            Self::IdTooLong => write!(f, "an id of the stream is longer than {} bytes", SseParser::MAX_ID),
            Self::EventTooLarge => write!(f, "an event of the stream is larger than {} bytes", SseParser::MAX_EVENT),
            Self::NotUtf8 => f.write_str("a line of the stream is not UTF-8"),
        }
    }
}

impl std::error::Error for SseError {}
