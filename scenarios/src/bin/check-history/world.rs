//! What the lines say together: the entries of the log, the sessions, the tokens.
//!
//! Whatever has no answer may or may not have happened. A promise is held against the clients only
//! where it must have been broken, whichever of the two it was.

use std::collections::{BTreeMap, HashMap};

use crate::algebra::{Cutoff, Names};
use crate::history::{Check, History, Issue, Look, Micros, Position, Request, Revoke, Shown, Token};

/// An entry of the log and what its clients know of it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) at: Position,
    pub(crate) cutoff: Cutoff,
    pub(crate) on_access: bool,
    pub(crate) on_sessions: bool,
    /// Before this nobody had asked for it.
    pub(crate) asked: Micros,
    /// From then on somebody knew that it is in the log.
    pub(crate) acknowledged: Option<Micros>,
    /// Verifiers of which it was said that they have it, and when.
    pub(crate) confirmed: Vec<(String, Micros)>,
    lifts: Vec<Lifting>,
}

#[derive(Clone, Copy, Debug)]
struct Lifting {
    sent: Micros,
    /// When it was acknowledged, if it was, and at which position.
    done: Option<(Micros, Position)>,
}

impl Entry {
    /// Whether it was acknowledged before `from`, and no lift of it can have come before `to`.
    pub(crate) fn surely_holds(&self, from: Micros, to: Micros) -> bool {
        self.acknowledged.is_some_and(|acknowledged| acknowledged < from)
            && self.lifts.iter().all(|lift| lift.sent > to)
    }

    /// Whether it can have been in the log before `to`, and not for sure lifted before `from`.
    pub(crate) fn may_hold(&self, from: Micros, to: Micros) -> bool {
        self.asked <= to && !self.lifts.iter().any(|lift| lift.done.is_some_and(|(done, _)| done < from))
    }

    /// Whether it can have been in a view before `to`, and not for sure lifted by what the view had
    /// reached. A view that hears nothing goes on to refuse by what it knows, however old that is.
    pub(crate) fn may_hold_in_view(&self, reached: Option<Position>, to: Micros) -> bool {
        self.asked <= to && !self.lifts.iter().any(|lift| lift.done.is_some_and(|(_, at)| reached >= Some(at)))
    }
}

/// A session as its client knows it.
#[derive(Debug)]
pub(crate) struct Session<'h> {
    pub(crate) names: Names<'h>,
    pub(crate) time: u64,
    position: Position,
    keeps: Vec<Keep>,
}

#[derive(Debug)]
struct Keep {
    sent: Micros,
    /// When it was known that the session was kept, and at which position.
    done: Option<(Micros, Position)>,
}

impl Session<'_> {
    /// The greatest position that it may have by `moment`; `None` when it may be any.
    pub(crate) fn greatest_position(&self, moment: Micros) -> Option<Position> {
        let keeps = self.keeps.iter().filter(|keep| keep.sent <= moment);
        keeps.map(|keep| keep.done.map(|(_, at)| at)).try_fold(self.position, |position, at| Some(position.max(at?)))
    }

    /// The least position that it may have at `moment`.
    pub(crate) fn least_position(&self, moment: Micros) -> Position {
        let done = self.keeps.iter().filter_map(|keep| keep.done.filter(|(ended, _)| *ended < moment));
        done.map(|(_, at)| at).fold(self.position, Position::max)
    }
}

/// Something acknowledged that took places in the log.
#[derive(Debug)]
pub(crate) struct Write<'h> {
    pub(crate) id: &'h str,
    pub(crate) sent: Micros,
    pub(crate) ended: Micros,
    pub(crate) first: Position,
    pub(crate) last: Position,
}

/// The publication of a signing key.
#[derive(Clone, Copy, Debug)]
struct Publication {
    at: Position,
    /// From then on somebody knew that it is in the log.
    known: Micros,
}

/// Everything known.
#[derive(Debug, Default)]
pub(crate) struct World<'h> {
    pub(crate) entries: BTreeMap<Position, Entry>,
    by_target: HashMap<&'h str, Vec<Position>>,
    pub(crate) sessions: HashMap<&'h str, Session<'h>>,
    pub(crate) tokens: HashMap<&'h str, &'h Token>,
    /// In the order of their acknowledgements.
    pub(crate) writes: Vec<Write<'h>>,
    /// Each verifier's, in the order in which they were made.
    looks: HashMap<&'h str, Vec<&'h Request<Look>>>,
    /// By the names of the keys.
    published: HashMap<String, Publication>,
}

impl<'h> World<'h> {
    pub(crate) fn of(history: &'h History) -> Self {
        let mut world = Self::default();
        // By its reason a call is known again when it was repeated, or was never answered.
        let mut asked = HashMap::<&str, Micros>::new();
        for revoke in history.revokes.iter().filter(|revoke| revoke.may_be_done()) {
            if let Some(reason) = &revoke.what.reason {
                let first = asked.entry(reason).or_insert(revoke.sent);
                *first = revoke.sent.min(*first);
            }
        }
        // A logout gives no reason. The end of its session may be of any of them.
        let mut ended = HashMap::<&str, Micros>::new();
        for revoke in history.revokes.iter().filter(|revoke| revoke.may_be_done() && revoke.what.reason.is_none()) {
            if let Some(sid) = &revoke.what.sid {
                let first = ended.entry(sid).or_insert(revoke.sent);
                *first = revoke.sent.min(*first);
            }
        }
        for shown in &history.at_the_end.revocations {
            let of_reason = shown.reason.as_deref().and_then(|reason| asked.get(reason));
            let of_session = || shown.target.strip_prefix("session:").and_then(|sid| ended.get(sid));
            world.add_entry(shown, of_reason.or_else(of_session).copied().unwrap_or_default());
        }
        for revoke in history.revokes.iter().filter(|revoke| revoke.is_done()) {
            let first = revoke.what.reason.as_deref().and_then(|reason| asked.get(reason)).copied();
            world.add_acknowledged(revoke, first.unwrap_or(revoke.sent));
        }
        for lift in history.lifts.iter().filter(|lift| lift.may_be_done()) {
            let done = lift.what.position.filter(|_| lift.is_done()).map(|at| (lift.ended, at));
            let lifting = Lifting { sent: lift.sent, done };
            for at in &lift.what.positions {
                world.entries.entry(*at).and_modify(|entry| entry.lifts.push(lifting));
            }
            world.add_write(&lift.id, lift.sent, lift.ended, lift.what.position.filter(|_| lift.is_done()));
        }
        for rotation in &history.rotations {
            world.add_write(&rotation.id, rotation.sent, rotation.ended, rotation.what.position);
        }
        world.writes.sort_by_key(|write| write.ended);
        history.issues.iter().for_each(|issue| world.add_issue(issue));
        world.add_publications(history);
        history.revokes.iter().for_each(|revoke| world.add_keep(revoke));
        for look in history.looks.iter().filter(|look| look.is_done()) {
            world.looks.entry(&look.what.verifier).or_default().push(look);
        }
        world.looks.values_mut().for_each(|looks| looks.sort_by_key(|look| look.sent));
        world
    }

    /// What a verifier had reached for sure when this check was made: the looks before and after it
    /// have to show the same life.
    pub(crate) fn reached(&self, check: &Request<Check>) -> Option<Position> {
        let looks = self.looks.get(check.what.verifier.as_str())?;
        let after = looks.partition_point(|look| look.sent <= check.ended);
        let before = looks[..after].iter().rev().find(|look| look.ended < check.sent)?;
        looks.get(after).filter(|after| after.what.instance == before.what.instance)?;
        before.what.position
    }

    /// Whether a verifier whose view was no older than `max_staleness` can have been without the key of
    /// this token when the check was made: a key that succeeds a killed one signs at once, and so does one
    /// whose lead was short.
    pub(crate) fn may_lack_the_key(&self, check: &Request<Check>, token: &Token, max_staleness: Micros) -> bool {
        self.published.get(&token.kid).is_some_and(|published| {
            self.reached(check) < Some(published.at) && check.sent <= published.known + max_staleness
        })
    }

    /// The entries against any of these targets.
    pub(crate) fn against(&self, targets: &[String]) -> Vec<&Entry> {
        let positions = targets.iter().filter_map(|target| self.by_target.get(target.as_str())).flatten();
        positions.filter_map(|at| self.entries.get(at)).collect()
    }

    /// The entries that reach the access token.
    pub(crate) fn revoking(&self, token: &Token) -> Vec<&Entry> {
        let (position, time) = (token.position(), token.time());
        let entries = self.against(&token.targets()).into_iter();
        entries.filter(|entry| entry.on_access && entry.cutoff.reaches(position, time)).collect()
    }

    fn add_entry(&mut self, shown: &'h Shown, asked: Micros) {
        let Some(cutoff) = Cutoff::shown(&shown.cutoff, shown.position) else { return };
        let entry = Entry {
            at: shown.position,
            cutoff,
            on_access: shown.reach != "sessions",
            on_sessions: shown.reach != "access",
            asked,
            acknowledged: None,
            confirmed: Vec::new(),
            lifts: Vec::new(),
        };
        if self.entries.insert(shown.position, entry).is_none() {
            self.by_target.entry(&shown.target).or_default().push(shown.position);
        }
    }

    fn add_acknowledged(&mut self, revoke: &'h Request<Revoke>, asked: Micros) {
        for shown in &revoke.what.entries {
            // What the log has lost is an entry all the same: it was acknowledged.
            if !self.entries.contains_key(&shown.position) {
                self.add_entry(shown, asked);
            }
            if let Some(entry) = self.entries.get_mut(&shown.position) {
                if entry.asked == 0 && revoke.what.own_entries().any(|own| own.position == shown.position) {
                    entry.asked = asked;
                }
                entry.acknowledged = Some(entry.acknowledged.map_or(revoke.ended, |first| first.min(revoke.ended)));
                entry.confirmed.extend(revoke.what.confirmed.iter().map(|name| (name.clone(), revoke.ended)));
            }
        }
        // An answer without entries of its own names the head and took no place.
        if let Some(first) = revoke.what.own_entries().map(|shown| shown.position).min() {
            let last = revoke.what.position.unwrap_or(first).max(first);
            self.writes.push(Write { id: &revoke.id, sent: asked, ended: revoke.ended, first, last });
        }
    }

    fn add_write(&mut self, id: &'h str, sent: Micros, ended: Micros, at: Option<Position>) {
        self.writes.extend(at.map(|at| Write { id, sent, ended, first: at, last: at }));
    }

    fn add_issue(&mut self, issue: &'h Request<Issue>) {
        let Some(token) = issue.what.token.as_ref().filter(|_| issue.is_done()) else { return };
        self.tokens.insert(token.jti(), token);
        if matches!(issue.what.how.as_str(), "open" | "login")
            && let Some(sid) = &issue.what.sid
        {
            let session =
                Session { names: Names::of(token), time: token.time(), position: token.position(), keeps: Vec::new() };
            self.sessions.insert(sid, session);
        }
    }

    fn add_publications(&mut self, history: &History) {
        for record in &history.at_the_end.records {
            for kid in record.key_names() {
                self.published.entry(kid).or_insert(Publication { at: record.at, known: Micros::MAX });
            }
        }
        for issue in history.issues.iter().filter(|issue| issue.is_done()) {
            let key = issue.what.token.as_ref().and_then(|token| self.published.get_mut(&token.kid));
            if let Some(published) = key {
                published.known = published.known.min(issue.ended);
            }
        }
        for published in self.published.values_mut() {
            // In the order of their acknowledgements.
            if let Some(write) = self.writes.iter().find(|write| write.last >= published.at) {
                published.known = published.known.min(write.ended);
            }
        }
    }

    fn add_keep(&mut self, revoke: &'h Request<Revoke>) {
        let keeps = revoke.what.keep.as_deref().and_then(|sid| self.sessions.get_mut(sid));
        let Some(session) = keeps.filter(|_| revoke.may_be_done()) else { return };
        let is_kept = revoke.what.kept.as_deref() == Some("kept");
        let done = revoke.what.position.filter(|_| is_kept).map(|at| (revoke.ended, at));
        if done.is_some() || revoke.is_unknown() {
            session.keeps.push(Keep { sent: revoke.sent, done });
        }
    }
}
