//! Records in transit: their lines, byte for byte as the authority wrote them, then a signed head
//! for the last of them.
//!
//! A frame from the network is a [`Frame`]: split into lines, trusted in nothing. Only
//! [`Frame::verify`] makes a [`VerifiedFrame`], and only after signature, density, chain and every
//! record were found good, so a frame is applied whole or not at all.
//!
//! A frame never leads past a fork: the first record of a later epoch follows only the place that it forked
//! off from ([`Record::continues`]). Whoever stands above a fork takes the snapshot.

use serde::Deserialize;

use crate::feed::FeedError;
use crate::feed::head::{FeedKey, Head, SignedHead};
use crate::position::Position;
use crate::record::{Chain, Record};

/// Records a frame is built of at most: a follower that is behind asks again, and no single answer
/// holds a connection for long.
pub const FRAME_RECORDS: usize = 256;

/// Bytes of record lines after which a frame takes no further record. One record always fits.
pub const FRAME_BYTES: usize = 256 * 1024;

/// Lines from the network ending in a signed head, not yet verified.
#[derive(Clone, Debug)]
pub struct Frame {
    lines: Vec<String>,
    head: SignedHead,
}

impl Frame {
    /// Bytes a received frame may have: a full one, one more record of the largest size, newlines
    /// and the head.
    pub const MAX_BYTES: usize = FRAME_BYTES + Record::MAX_LINE + FRAME_RECORDS + 1 + SignedHead::MAX_LINE;

    /// Splits the bytes into lines and reads the head.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FeedError> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(FeedError::TooLarge { what: "a frame", limit: Self::MAX_BYTES });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| NOT_A_FRAME)?;
        let text = text.strip_suffix('\n').ok_or(NOT_A_FRAME)?;
        let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
        if lines.len() > FRAME_RECORDS + 1 {
            return Err(NOT_A_FRAME);
        }
        let head = SignedHead::from_line(&lines.pop().ok_or(NOT_A_FRAME)?)?;
        Ok(Self { lines, head })
    }

    /// Verifies the whole frame against what its reader holds: signature, then density and chain
    /// from the reader's own position on, then every record. Records the reader already has are
    /// left out; a frame entirely of the past verifies and brings nothing.
    pub fn verify(self, key: &FeedKey, log: &str, after: Position, chain: Chain) -> Result<VerifiedFrame, FeedError> {
        let head = self.head.verify(key, log)?.clone();
        if head.at < after {
            return Ok(VerifiedFrame { records: Vec::new(), lines: Vec::new(), signed: self.head, at: after, chain });
        }
        let mut walk = Walk { at: after, chain };
        let mut records = Vec::new();
        let mut lines = Vec::new();
        for line in self.lines {
            if place(&line)? > after {
                records.push(walk.step(&line)?);
                lines.push(line);
            }
        }
        walk.end(&head, lines.is_empty())?;
        let records = records.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(VerifiedFrame { records, lines, signed: self.head, at: walk.at, chain: walk.chain })
    }
}

/// A frame whose every byte is vouched for by the feed key and follows its reader's position.
#[derive(Clone, Debug)]
pub struct VerifiedFrame {
    records: Vec<Record>,
    lines: Vec<String>,
    signed: SignedHead,
    at: Position,
    chain: Chain,
}

impl VerifiedFrame {
    /// The records the reader did not have, in order.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The lines of [`records`](Self::records), without newlines.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The head at the frame's end. For a frame of the past it lies below [`at`](Self::at).
    #[must_use]
    pub const fn head(&self) -> &SignedHead {
        &self.signed
    }

    /// Where the reader stands once the records are applied.
    #[must_use]
    pub const fn at(&self) -> Position {
        self.at
    }

    /// The chain there.
    #[must_use]
    pub const fn chain(&self) -> Chain {
        self.chain
    }
}

/// The bytes of a frame: `lines` without newlines, then the head's line.
#[must_use]
pub fn frame_bytes<'a>(lines: impl IntoIterator<Item = &'a str>, head_line: &'a str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines.into_iter().chain([head_line]) {
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
    }
    bytes
}

/// The place a record's line names, whatever its kind.
fn place(line: &str) -> Result<Position, FeedError> {
    #[derive(Deserialize)]
    struct Place {
        at: Position,
    }
    if line.len() > Record::MAX_LINE {
        return Err(FeedError::TooLarge { what: "a record", limit: Record::MAX_LINE });
    }
    serde_json::from_str::<Place>(line).map(|place| place.at).map_err(|_| NOT_A_FRAME)
}

const NOT_A_FRAME: FeedError = FeedError::Malformed { what: "a frame" };

/// A walk along the log, record by record.
struct Walk {
    at: Position,
    chain: Chain,
}

impl Walk {
    /// Takes the next line. Whether it follows is settled here, so that the signed head, which vouches for the
    /// chain at the end, vouches for every line of the walk. Whether the record can be read is handed back
    /// inside, for it only matters once the chain has proved the line genuine.
    fn step(&mut self, line: &str) -> Result<Result<Record, FeedError>, FeedError> {
        let at = place(line)?;
        let record = Record::from_line(line).map_err(FeedError::from);
        let follows = match &record {
            Ok(record) => record.continues(self.at, self.chain),
            Err(_) => at == self.at.next(),
        };
        if !follows {
            return Err(FeedError::NotDense { after: self.at, found: at });
        }
        self.at = at;
        self.chain = self.chain.extend(line);
        Ok(record)
    }

    /// The walk must end where the signed head says it does.
    fn end(&self, head: &Head, stood_still: bool) -> Result<(), FeedError> {
        match (head.at == self.at, head.chain == self.chain) {
            (true, true) => Ok(()),
            (true, false) if stood_still => Err(FeedError::Diverged { at: self.at }),
            (true, false) => Err(FeedError::Chain { at: self.at }),
            (false, _) => Err(FeedError::NotDense { after: self.at, found: head.at }),
        }
    }
}
