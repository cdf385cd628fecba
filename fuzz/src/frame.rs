//! Records in transit: bytes from the network as they are, and lines that the feed key vouches for.

use annul_core::feed::frame::{Frame, VerifiedFrame, frame_bytes};
use annul_core::position::Position;
use annul_core::record::{Chain, Record, RecordBody};

use crate::golden::{self, LOG, START};

/// Holds the promise to these bytes.
pub fn check(bytes: &[u8]) {
    // As they are: only what the golden key signed is taken, and only whole.
    if let Some(verified) = read(bytes, START, Chain::genesis(LOG)) {
        let golden: Vec<&str> = golden::text("frame").lines().collect();
        assert_eq!(
            Some(verified.lines()),
            golden
                .split_last()
                .map(|(_, lines)| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>())
                .as_deref()
        );
    }
    // As the lines of an authority that may write anything.
    if let Ok(text) = std::str::from_utf8(bytes) {
        signed(&text.split('\n').collect::<Vec<_>>());
    }
}

fn read(bytes: &[u8], after: Position, chain: Chain) -> Option<VerifiedFrame> {
    Frame::from_bytes(bytes).ok()?.verify(golden::key(), LOG, after, chain).ok()
}

/// A frame of these lines, with the head that an honest signer would put behind them.
fn signed(lines: &[&str]) {
    let mut walk = vec![(START, Chain::genesis(LOG))];
    for line in lines {
        let Ok(record) = Record::from_line(line) else { return };
        let (_, chain) = *walk.last().expect("the walk has a beginning");
        walk.push((record.at, chain.extend(line)));
    }
    let (at, chain) = *walk.last().expect("the walk has a beginning");
    let bytes = frame_bytes(lines.iter().copied(), &golden::head(at, chain, "46WAr3s5tGA", None).to_line());
    let Some(verified) = read(&bytes, START, Chain::genesis(LOG)) else { return };

    if at < START {
        // Of a frame of the past a reader takes nothing, and stays where it is.
        return assert_eq!((verified.lines(), verified.at()), (&[][..], START));
    }
    assert_eq!(verified.lines(), lines, "the lines are passed on byte for byte");
    assert_eq!((verified.at(), verified.chain()), (at, chain));
    for ((record, line), (before, chain)) in verified.records().iter().zip(lines).zip(&walk) {
        let begins_epoch = match record.body {
            RecordBody::Epoch(start) => {
                record.at == Position::new(record.at.epoch.max(before.epoch + 1), 1)
                    && (start.fork, start.fork_chain) == (*before, *chain)
            }
            _ => false,
        };
        assert!(record.at == before.next() || begins_epoch, "{} after {before}", record.at);
        assert_eq!(Record::from_line(line).as_ref(), Ok(record));
    }
    // A reader that has some of it takes the rest, and one that has all of it nothing.
    for (index, (after, chain)) in walk.iter().enumerate() {
        let rest = read(&bytes, *after, *chain).expect("a frame continues every place in it");
        assert_eq!(rest.lines(), &lines[index..]);
    }
    for damaged in golden::damaged(&bytes) {
        assert!(read(&damaged, START, Chain::genesis(LOG)).is_none(), "a damaged frame was taken");
    }
}
