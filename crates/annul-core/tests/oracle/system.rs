//! The system: a log, its entries and sessions by way of `fold`, and a view fed with the records.
//! It stands for an authority without a store, and makes no decision of its own.

use std::collections::HashMap;

use annul_core::algebra::{Cell, Cutoff, Reach, Reading};
use annul_core::fold::{Asked, EmittedBy, Horizon, InForce, LoggedEntry, SessionReading, in_force, judge_session};
use annul_core::position::Position;
use annul_core::record::{Entry, HashedCell, Record, RecordBody};
use annul_core::settings::Settings;
use annul_core::target::{TargetHash, TargetKind};
use annul_core::time::{UnixMillis, UnixSeconds};
use annul_core::view::{View, ViewWriter};

use crate::world::{Back, Bearer, LEEWAY, LIFE, Named, START, Step};

struct Session {
    bearer: Bearer,
    role: u8,
    reading: SessionReading,
}

struct Token {
    targets: Vec<(TargetKind, TargetHash)>,
    reading: Reading,
}

pub(crate) struct System {
    now: UnixSeconds,
    head: Position,
    entries: Vec<(TargetHash, LoggedEntry)>,
    by_target: HashMap<TargetHash, Vec<usize>>,
    sessions: Vec<Session>,
    tokens: Vec<Token>,
    blocked: Vec<u8>,
    pub(crate) records: Vec<Record>,
    pub(crate) view: View,
    writer: ViewWriter,
}

impl System {
    pub(crate) fn new() -> Self {
        let (view, writer) = View::new();
        let mut system = Self {
            now: UnixSeconds(START),
            head: Position::new(1, 0),
            entries: vec![],
            by_target: HashMap::new(),
            sessions: vec![],
            tokens: vec![],
            blocked: vec![],
            records: vec![],
            view,
            writer,
        };
        system.append(RecordBody::Settings(settings()));
        system
    }

    pub(crate) fn token_is_dead(&self, token: usize) -> bool {
        self.judge_token(&self.tokens[token])
    }

    pub(crate) fn session_is_dead(&self, session: usize) -> bool {
        let Session { bearer, role, reading } = self.sessions[session];
        self.judge_session(&reading, &bearer_targets(bearer, role, Some(session)))
    }

    /// Says whether the step took place.
    pub(crate) fn take(&mut self, step: Step) -> bool {
        let took_place = match step {
            Step::Login { bearer, role, ago } => self.login(bearer, role, ago),
            Step::Issue { session, key } => self.issue(session, key),
            Step::Revoke { named, back, reach } => self.revoke(named, self.cutoff(back), reach, EmittedBy::Request),
            Step::Keep { session } => self.keep(session),
            Step::End { session } => self.end(session),
            Step::Kill { key } => self.revoke(Named::Key(key), Cutoff::Always, Reach::Access, EmittedBy::KilledKey),
            Step::Lift { entry } => self.lift(entry),
            Step::SetRole { subject, role } => self.set_role(subject, role),
            Step::Block { subject } => {
                self.blocked.push(subject);
                self.revoke(Named::Subject(subject), Cutoff::Now, Reach::Both, EmittedBy::State)
            }
            Step::Unblock { subject } => {
                self.blocked.retain(|blocked| *blocked != subject);
                true
            }
            Step::Wait { seconds } => {
                self.now = self.now.plus(seconds);
                true
            }
        };
        self.writer.expire(self.now);
        took_place
    }

    fn cutoff(&self, back: Back) -> Cutoff {
        match back {
            Back::Always => Cutoff::Always,
            Back::Now => Cutoff::Now,
            Back::Before(ago) => Cutoff::Before(UnixSeconds(self.now.0.saturating_add_signed(-ago))),
        }
    }

    fn login(&mut self, bearer: Bearer, role: u8, ago: u64) -> bool {
        let reading = SessionReading::opened(self.head, self.now.minus(ago));
        let targets = bearer_targets(bearer, role, Some(self.sessions.len()));
        if self.blocked.contains(&bearer.subject) || self.judge_session(&reading, &targets) {
            return false;
        }
        self.sessions.push(Session { bearer, role, reading });
        true
    }

    fn issue(&mut self, session: usize, key: u8) -> bool {
        let Session { bearer, role, reading } = self.sessions[session];
        if self.session_is_dead(session) || self.blocked.contains(&bearer.subject) {
            return false;
        }
        let mut targets = bearer_targets(bearer, role, Some(session));
        targets.extend([Named::Token(self.tokens.len()), Named::Key(key)].map(|named| (named.kind(), hash(named))));
        let reading = Reading::Own { position: self.head, time: reading.auth_time };
        let token = Token { targets, reading };
        if self.judge_token(&token) {
            return false;
        }
        self.tokens.push(token);
        true
    }

    fn revoke(&mut self, named: Named, cutoff: Cutoff, reach: Reach, emitted_by: EmittedBy) -> bool {
        let asked = Asked { kind: named.kind(), cutoff, reach, foreign: false };
        let commit = UnixMillis(self.now.0 * 1000 + 500);
        let Ok(admitted) = asked.admit(commit) else { return false };
        let until = asked.until(commit, &HORIZON);
        let target = hash(named);
        let body = match admitted.reach.access() {
            true => RecordBody::Revoke(Entry { target, kind: named.kind(), fields: admitted.fields, until }),
            false => RecordBody::Noop,
        };
        let at = self.append(body);
        self.by_target.entry(target).or_default().push(self.entries.len());
        let entry = LoggedEntry {
            at,
            kind: named.kind(),
            fields: admitted.fields,
            reach: admitted.reach,
            until,
            emitted_by,
            lifted: false,
        };
        self.entries.push((target, entry));
        true
    }

    fn keep(&mut self, session: usize) -> bool {
        let alive = !self.session_is_dead(session);
        let subject = self.sessions[session].bearer.subject;
        self.revoke(Named::Subject(subject), Cutoff::Now, Reach::Both, EmittedBy::Request);
        if alive {
            let reading = &mut self.sessions[session].reading;
            *reading = reading.kept(self.head);
        } else {
            self.end(session);
        }
        alive
    }

    fn end(&mut self, session: usize) -> bool {
        self.revoke(Named::Session(session), Cutoff::Always, Reach::Both, EmittedBy::EndedSession)
    }

    fn lift(&mut self, index: usize) -> bool {
        let (target, entry) = &mut self.entries[index];
        if entry.liftable().is_err() {
            return false;
        }
        entry.lifted = true;
        let (target, kind) = (*target, entry.kind);
        let remains = HashedCell { target, kind, cell: self.in_force(&target).access };
        self.append(RecordBody::Lift(vec![remains]));
        true
    }

    fn set_role(&mut self, subject: u8, role: u8) -> bool {
        let of_subject: Vec<usize> =
            (0..self.sessions.len()).filter(|index| self.sessions[*index].bearer.subject == subject).collect();
        let (dead, alive): (Vec<usize>, Vec<usize>) =
            of_subject.into_iter().partition(|index| self.session_is_dead(*index));
        self.revoke(Named::Subject(subject), Cutoff::Now, Reach::Access, EmittedBy::State);
        let at = self.head;
        for session in dead {
            self.end(session);
        }
        for session in alive {
            let session = &mut self.sessions[session];
            session.role = role;
            session.reading = session.reading.with_claims_set(at);
        }
        true
    }

    fn append(&mut self, body: RecordBody) -> Position {
        self.head = self.head.next();
        let record = Record { at: self.head, body };
        self.writer.apply(std::slice::from_ref(&record)).unwrap();
        self.records.push(record);
        self.head
    }

    fn in_force(&self, target: &TargetHash) -> InForce {
        in_force(self.by_target.get(target).into_iter().flatten().map(|index| &self.entries[*index].1))
    }

    fn judge_token(&self, token: &Token) -> bool {
        let cell = |target: &TargetHash| -> Option<Cell> { self.view.cell(target) };
        token.targets.iter().any(|(_, target)| cell(target).is_some_and(|cell| cell.judge(&token.reading).is_some()))
    }

    fn judge_session(&self, reading: &SessionReading, targets: &[(TargetKind, TargetHash)]) -> bool {
        judge_session(reading, targets.iter().copied(), |target| self.in_force(target).sessions).is_some()
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        revision: 1,
        issuer: "https://id.example".to_owned(),
        longest_life: LIFE,
        max_leeway: LEEWAY,
        clock_skew: 0,
        claims: vec!["role".to_owned()],
        ask_on: vec![],
        hash_key: String::new(),
    }
}

const HORIZON: Horizon =
    Horizon { exp: None, longest_life: LIFE, issuer_skew: 0, longest_session: None, max_leeway: LEEWAY, clock_skew: 0 };

fn bearer_targets(bearer: Bearer, role: u8, session: Option<usize>) -> Vec<(TargetKind, TargetHash)> {
    let Bearer { subject, client, device } = bearer;
    let names = [
        Named::Issuer,
        Named::Subject(subject),
        Named::Client(client),
        Named::SubjectClient(subject, client),
        Named::Device(subject, device),
        Named::Confirmation(device),
        Named::Role(role),
    ];
    names.into_iter().chain(session.map(Named::Session)).map(|named| (named.kind(), hash(named))).collect()
}

/// Stands in for the keyed hash, which is tested against golden values: a name per name, unlike in
/// its first bytes as hashes are.
fn hash(named: Named) -> TargetHash {
    let (tag, first, second) = match named {
        Named::Issuer => (1, 0, 0),
        Named::Subject(subject) => (2, u64::from(subject), 0),
        Named::Client(client) => (3, u64::from(client), 0),
        Named::SubjectClient(subject, client) => (4, u64::from(subject), u64::from(client)),
        Named::Device(subject, device) => (5, u64::from(subject), u64::from(device)),
        Named::Session(session) => (6, session as u64, 0),
        Named::Token(token) => (7, token as u64, 0),
        Named::Key(key) => (8, u64::from(key), 0),
        Named::Confirmation(device) => (9, u64::from(device), 0),
        Named::Role(role) => (10, u64::from(role), 0),
    };
    let name: u64 = tag << 32 | first << 16 | second;
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&name.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
    bytes[8..].copy_from_slice(&name.to_le_bytes());
    TargetHash(bytes)
}
