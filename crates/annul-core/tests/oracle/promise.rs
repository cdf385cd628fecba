//! The oracle: the promises in plain language, over what existed when. It knows no positions, no
//! cells and no hashes.
//!
//! - *always*: whatever matches, whenever it came about.
//! - *now*: whatever matches and existed when the entry was made.
//! - *before T*: whatever matches and comes from a login before T.
//!
//! Each as long as the entry is not lifted.

use annul_core::algebra::Reach;

use crate::world::{Back, Bearer, LIFE, Named, START, Step};

#[derive(Clone, Debug)]
struct Session {
    bearer: Bearer,
    role: u8,
    /// Which grant of a role this is: setting the same role again is another grant.
    grant: usize,
    logged_in: u64,
}

#[derive(Clone, Debug)]
struct Token {
    session: usize,
    bearer: Bearer,
    role: u8,
    key: u8,
    logged_in: u64,
    expires: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaches {
    Always,
    Existing,
    LoginsBefore(u64),
}

#[derive(Clone, Debug)]
struct Entry {
    named: Named,
    reaches: Reaches,
    to_tokens: bool,
    to_sessions: bool,
    may_be_lifted: bool,
    lifted: bool,
    /// The sessions there were, each with the grant it had; one that was kept is not among them.
    sessions: Vec<(usize, usize)>,
    /// The tokens there were.
    tokens: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Oracle {
    now: u64,
    sessions: Vec<Session>,
    tokens: Vec<Token>,
    entries: Vec<Entry>,
    blocked: Vec<u8>,
    grants: usize,
}

impl Oracle {
    pub(crate) fn new() -> Self {
        Self { now: START, sessions: vec![], tokens: vec![], entries: vec![], blocked: vec![], grants: 0 }
    }

    pub(crate) fn sessions(&self) -> usize {
        self.sessions.len()
    }

    pub(crate) fn tokens(&self) -> usize {
        self.tokens.len()
    }

    pub(crate) fn entries(&self) -> usize {
        self.entries.len()
    }

    /// Whether the token would be accepted if nothing had ever been revoked.
    pub(crate) fn token_is_unexpired(&self, token: usize, leeway: u64) -> bool {
        self.now < self.tokens[token].expires + leeway
    }

    pub(crate) fn token_is_dead(&self, token: usize) -> bool {
        let existed = |entry: &Entry| token < entry.tokens;
        self.entries_against_token(&self.tokens[token], existed, Some(token))
    }

    pub(crate) fn session_is_dead(&self, session: usize) -> bool {
        self.session_would_be_dead(&self.sessions[session], Some(session))
    }

    /// Says whether the step took place.
    pub(crate) fn take(&mut self, step: Step) -> bool {
        match step {
            Step::Login { bearer, role, ago } => self.login(bearer, role, ago),
            Step::Issue { session, key } => self.issue(session, key),
            Step::Revoke { named, back, reach } => self.revoke(named, back, reach),
            Step::Keep { session } => self.keep(session),
            Step::End { session } => {
                self.end(session);
                true
            }
            Step::Kill { key } => {
                self.enter(Named::Key(key), Reaches::Always, Reach::Access, false, None);
                true
            }
            Step::Lift { entry } => {
                let may = self.entries[entry].may_be_lifted && !self.entries[entry].lifted;
                self.entries[entry].lifted |= may;
                may
            }
            Step::SetRole { subject, role } => {
                self.set_role(subject, role);
                true
            }
            Step::Block { subject } => {
                self.blocked.push(subject);
                self.enter(Named::Subject(subject), Reaches::Existing, Reach::Both, false, None);
                true
            }
            Step::Unblock { subject } => {
                self.blocked.retain(|blocked| *blocked != subject);
                true
            }
            Step::Wait { seconds } => {
                self.now += seconds;
                true
            }
        }
    }

    fn login(&mut self, bearer: Bearer, role: u8, ago: u64) -> bool {
        self.grants += 1;
        let session = Session { bearer, role, grant: self.grants, logged_in: self.now - ago };
        if self.blocked.contains(&bearer.subject) || self.session_would_be_dead(&session, None) {
            return false;
        }
        self.sessions.push(session);
        true
    }

    fn issue(&mut self, session: usize, key: u8) -> bool {
        if self.session_is_dead(session) || self.blocked.contains(&self.sessions[session].bearer.subject) {
            return false;
        }
        let Session { bearer, role, logged_in, .. } = self.sessions[session];
        let token = Token { session, bearer, role, key, logged_in, expires: self.now + LIFE };
        // It does not exist yet, so no entry was made when it did.
        if self.entries_against_token(&token, |_| false, None) {
            return false;
        }
        self.tokens.push(token);
        true
    }

    fn revoke(&mut self, named: Named, back: Back, reach: Reach) -> bool {
        let names_one_thing = matches!(named, Named::Key(_) | Named::Token(_) | Named::Confirmation(_));
        let no_session_has_it = matches!(named, Named::Key(_) | Named::Token(_));
        let reaches = match back {
            Back::Always => Reaches::Always,
            _ if names_one_thing => return false,
            Back::Now => Reaches::Existing,
            Back::Before(ago) if ago < 0 => return false,
            Back::Before(ago) => Reaches::LoginsBefore(self.now - ago.unsigned_abs()),
        };
        if no_session_has_it && reach == Reach::Sessions {
            return false;
        }
        let reach = if matches!(back, Back::Before(_)) { Reach::Both } else { reach };
        self.enter(named, reaches, reach, !matches!(named, Named::Key(_)), None);
        true
    }

    fn keep(&mut self, session: usize) -> bool {
        let subject = self.sessions[session].bearer.subject;
        let alive = !self.session_is_dead(session);
        self.enter(Named::Subject(subject), Reaches::Existing, Reach::Both, true, alive.then_some(session));
        if !alive {
            self.end(session);
        }
        alive
    }

    fn end(&mut self, session: usize) {
        self.enter(Named::Session(session), Reaches::Always, Reach::Both, false, None);
    }

    fn set_role(&mut self, subject: u8, role: u8) {
        let of_subject: Vec<usize> =
            (0..self.sessions.len()).filter(|index| self.sessions[*index].bearer.subject == subject).collect();
        let (dead, alive): (Vec<usize>, Vec<usize>) =
            of_subject.into_iter().partition(|index| self.session_is_dead(*index));
        self.enter(Named::Subject(subject), Reaches::Existing, Reach::Access, false, None);
        dead.into_iter().for_each(|session| self.end(session));
        for session in alive {
            self.grants += 1;
            self.sessions[session].role = role;
            self.sessions[session].grant = self.grants;
        }
    }

    fn enter(&mut self, named: Named, reaches: Reaches, reach: Reach, may_be_lifted: bool, kept: Option<usize>) {
        let there = self.sessions.iter().enumerate().map(|(index, session)| (index, session.grant));
        self.entries.push(Entry {
            named,
            reaches,
            to_tokens: reach != Reach::Sessions,
            to_sessions: reach != Reach::Access,
            may_be_lifted,
            lifted: false,
            sessions: there.filter(|(index, _)| Some(*index) != kept).collect(),
            tokens: self.tokens.len(),
        });
    }

    fn entries_against_token(&self, token: &Token, existed: impl Fn(&Entry) -> bool, number: Option<usize>) -> bool {
        let matches = |named: Named| match named {
            Named::Token(other) => Some(other) == number,
            Named::Key(key) => key == token.key,
            other => names_bearer(other, &token.bearer, token.role, Some(token.session)),
        };
        self.entries.iter().filter(|entry| entry.to_tokens && !entry.lifted && matches(entry.named)).any(|entry| {
            match entry.reaches {
                Reaches::Always => true,
                Reaches::Existing => existed(entry),
                Reaches::LoginsBefore(time) => token.logged_in < time,
            }
        })
    }

    fn session_would_be_dead(&self, session: &Session, number: Option<usize>) -> bool {
        let matches = |named| names_bearer(named, &session.bearer, session.role, number);
        self.entries.iter().filter(|entry| entry.to_sessions && !entry.lifted && matches(entry.named)).any(|entry| {
            match entry.reaches {
                Reaches::Always => true,
                Reaches::Existing => entry.sessions.iter().any(|(index, grant)| {
                    let same_grant = *grant == session.grant || !matches!(entry.named, Named::Role(_));
                    Some(*index) == number && same_grant
                }),
                Reaches::LoginsBefore(time) => session.logged_in < time,
            }
        })
    }
}

fn names_bearer(named: Named, bearer: &Bearer, role: u8, session: Option<usize>) -> bool {
    match named {
        Named::Issuer => true,
        Named::Subject(subject) => subject == bearer.subject,
        Named::Client(client) => client == bearer.client,
        Named::SubjectClient(subject, client) => (subject, client) == (bearer.subject, bearer.client),
        Named::Device(subject, device) => (subject, device) == (bearer.subject, bearer.device),
        Named::Session(other) => Some(other) == session,
        Named::Confirmation(device) => device == bearer.device,
        Named::Role(other) => other == role,
        Named::Token(_) | Named::Key(_) => false,
    }
}
