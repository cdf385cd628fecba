//! An authority for tests: a store in memory, the served log in front of it, and the view that
//! results from replaying every record, which everybody else must arrive at.

use annul_core::algebra::{CutoffFields, Until};
use annul_core::feed::follower::{FollowerConfig, Request};
use annul_core::feed::head::{FeedSigner, Head, SignedHead};
use annul_core::feed::log::{
    Ask, Changes, FeedLog, FeedLogConfig, LogPoint, ReplicaId, StoredLine, StreamCursor, StreamStep,
};
use annul_core::feed::report::{Introduction, Report};
use annul_core::feed::snapshot::Snapshot;
use annul_core::position::Position;
use annul_core::record::{Chain, Entry, HashedCell, Record, RecordBody};
use annul_core::settings::{ClaimNames, IssuerRecord, Settings};
use annul_core::target::{HashKey, TargetHash, TargetKind};
use annul_core::time::{Moment, Monotonic, UnixMillis, UnixSeconds};
use annul_core::view::{View, ViewWriter};
use std::time::Duration;

pub(crate) const LOG: &str = "log-under-test";
pub(crate) const ISSUER: &str = "https://auth.example";
pub(crate) const WALL: u64 = 1_800_000_000;

pub(crate) fn moment(millis: u64) -> Moment {
    Moment { wall: UnixSeconds(WALL + millis / 1000), mono: Monotonic(Duration::from_millis(1_000_000 + millis)) }
}

pub(crate) fn target(byte: u8) -> TargetHash {
    TargetHash([byte; 16])
}

pub(crate) fn config(name: &str, seed: u64) -> FollowerConfig {
    FollowerConfig::new(ReplicaId::new("api", name).unwrap(), ISSUER, Duration::from_secs(9), seed)
}

pub(crate) fn signer(seed: u8) -> FeedSigner {
    FeedSigner::from_seed(&[seed; 32]).unwrap()
}

pub(crate) enum Reply {
    Body(Vec<u8>),
    Hold(Vec<u8>),
    Status(u16),
}

pub(crate) struct Authority {
    pub(crate) log: FeedLog,
    signer: FeedSigner,
    hash_key: HashKey,
    writer: ViewWriter,
    pub(crate) view: View,
    pub(crate) lines: Vec<StoredLine>,
    pub(crate) commits: Vec<(Position, Monotonic)>,
    compacted: usize,
}

impl Authority {
    pub(crate) fn new(ring_records: usize) -> Self {
        let hash_key = HashKey::from_bytes([3; 32]);
        let point =
            LogPoint { at: Position::new(1, 0), chain: Chain::genesis(LOG), revision: 0, hash_key: hash_key.id() };
        let bounds = FeedLogConfig { ring_records, ..FeedLogConfig::new(LOG) };
        let (view, writer) = View::new();
        let mut authority = Self {
            log: FeedLog::of_authority(bounds, signer(7), point),
            signer: signer(7),
            hash_key,
            writer,
            view,
            lines: Vec::new(),
            commits: Vec::new(),
            compacted: 0,
        };
        authority.commit(RecordBody::Settings(authority.settings(1)), moment(0));
        authority.commit(RecordBody::Issuer(issuer()), moment(0));
        authority
    }

    pub(crate) fn settings(&self, revision: u32) -> Settings {
        Settings {
            revision,
            issuer: ISSUER.to_owned(),
            longest_life: 900,
            max_leeway: 60,
            clock_skew: 5,
            claims: Vec::new(),
            ask_on: Vec::new(),
            hash_key: self.hash_key.id(),
        }
    }

    pub(crate) fn tip(&self) -> Position {
        self.log.point().at
    }

    pub(crate) fn commit(&mut self, body: RecordBody, now: Moment) -> Position {
        let record = Record { at: self.tip().next(), body };
        self.writer.apply(std::slice::from_ref(&record)).unwrap();
        self.commit_line(record.to_line(), now)
    }

    /// Commits a line whatever it says, as an authority of a later version would.
    pub(crate) fn commit_line(&mut self, line: String, now: Moment) -> Position {
        let chain = self.log.point().chain.extend(&line);
        let at = self.log.point().at.next();
        if self.log.committed([line.as_str()]).is_err() {
            let point = LogPoint { at, chain, ..self.log.point().clone() };
            self.log.restart(point);
        }
        self.lines.push(StoredLine { at, chain, line });
        self.commits.push((at, now.mono));
        at
    }

    pub(crate) fn revoke(&mut self, byte: u8, now: Moment) -> Position {
        let fields = CutoffFields { now: true, ..CutoffFields::default() };
        let until = Until::At(UnixSeconds(WALL + 100_000));
        let entry = Entry { target: target(byte), kind: TargetKind::Subject, fields, until };
        self.commit(RecordBody::Revoke(entry), now)
    }

    pub(crate) fn lift(&mut self, byte: u8, now: Moment) -> Position {
        let cell = HashedCell { target: target(byte), kind: TargetKind::Subject, cell: None };
        self.commit(RecordBody::Lift(vec![cell]), now)
    }

    /// Forgets all lines, as a store whose retention is over.
    pub(crate) fn compact(&mut self) {
        self.compacted = self.lines.len();
        let point = self.log.point().clone();
        self.log.restart(point);
    }

    pub(crate) fn sign(&self, at: Position, chain: Chain, nonce: Option<&str>) -> SignedHead {
        self.signer.sign_head(Head {
            log: LOG.to_owned(),
            at,
            chain,
            revision: 1,
            hash_key: self.hash_key.id(),
            issued: UnixMillis(0),
            nonce: nonce.map(str::to_owned),
        })
    }

    pub(crate) fn introduction(&self, nonce: &str, now: Moment) -> Introduction {
        Introduction {
            head: self.log.head(self.log.point(), Some(nonce.to_owned()), now).unwrap(),
            feed_key: self.signer.key().clone(),
            hash_key: self.hash_key.clone(),
            issuer: ISSUER.to_owned(),
            hops: 0,
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let contents = self.writer.contents().unwrap();
        Snapshot {
            log: LOG.to_owned(),
            at: self.tip(),
            chain: self.log.point().chain,
            epochs: Vec::new(),
            settings: contents.settings,
            issuers: contents.issuers,
            cells: contents.cells,
        }
    }

    pub(crate) fn snapshot_bytes(&self) -> Vec<u8> {
        self.snapshot().to_bytes(&self.signer)
    }

    pub(crate) fn answer(&mut self, request: &Request, now: Moment) -> Reply {
        match request {
            Request::Introduction { nonce } => Reply::Body(self.introduction(nonce, now).to_json()),
            Request::Snapshot => Reply::Body(self.snapshot_bytes()),
            Request::Changes { after, chain, wait } => self.changes(*after, *chain, *wait, now),
            Request::Report { id, report } => self.report(id.clone(), report.to_json(), now),
            Request::Stream { .. } => panic!("the world opens streams itself"),
        }
    }

    pub(crate) fn report(&mut self, id: ReplicaId, body: Vec<u8>, now: Moment) -> Reply {
        let report = Report::from_json(&body).unwrap();
        let nonce = report.nonce.clone();
        self.log.report(id, report, now).unwrap();
        let answer = self.log.answer(&self.log.point().clone(), &nonce, now).unwrap();
        Reply::Body(answer.to_json())
    }

    pub(crate) fn changes(&mut self, after: Position, chain: Chain, wait: Duration, now: Moment) -> Reply {
        match self.log.changes(&Ask { after, chain: Some(chain), limit: 256 }, now) {
            Changes::Frame(bytes) => Reply::Body(bytes),
            Changes::Wait { empty } if wait.is_zero() => Reply::Body(empty),
            Changes::Wait { empty } => Reply::Hold(empty),
            Changes::NeedStore(ask) => match self.stored(&ask) {
                Ok(lines) => Reply::Body(self.log.store_frame(&lines, now).unwrap()),
                Err(status) => Reply::Status(status),
            },
            Changes::Gone => Reply::Status(410),
            Changes::Diverged => Reply::Status(409),
            Changes::Ahead => Reply::Status(416),
            Changes::NotYet => Reply::Status(503),
        }
    }

    pub(crate) fn stream(&self, cursor: &mut StreamCursor, now: Moment) -> StreamStep {
        let ask = match self.log.stream(cursor, now) {
            StreamStep::NeedStore(ask) => ask,
            step => return step,
        };
        match self.stored(&ask) {
            Ok(lines) => StreamStep::Send(self.log.store_event(cursor, &lines, now).unwrap().into()),
            Err(409) => StreamStep::End(FeedLog::gone_event("diverged").into()),
            Err(_) => StreamStep::End(FeedLog::gone_event("compacted").into()),
        }
    }

    fn stored(&self, ask: &Ask) -> Result<Vec<StoredLine>, u16> {
        let known = if ask.after.seq == 0 {
            (self.compacted == 0).then(|| (0, Chain::genesis(LOG)))
        } else {
            let index = usize::try_from(ask.after.seq).unwrap() - 1;
            (index + 1 >= self.compacted).then(|| (index + 1, self.lines[index].chain))
        };
        let (next, chain) = known.ok_or(410_u16)?;
        if ask.chain.is_some_and(|theirs| theirs != chain) {
            return Err(409);
        }
        Ok(self.lines[next..].iter().take(ask.limit).cloned().collect())
    }
}

fn issuer() -> IssuerRecord {
    IssuerRecord {
        issuer: ISSUER.to_owned(),
        keys: Vec::new(),
        longest_life: 900,
        skew: 0,
        requires_jti: true,
        claims: ClaimNames::default(),
        keys_due: None,
        removed: false,
    }
}
