//! Revocations: appended, rehearsed, lifted, and the count of the sessions they end.

use annul_core::algebra::Cutoff;
use annul_core::fold::EmittedBy;
use annul_core::position::Position;
use annul_core::target::{TargetHash, TargetKind};

use super::keys::{erase_killed, publish_own};
use super::sessions::{end, mark_ended, put_session};
use super::{Result, Txn, once, status};
use crate::log::{Appender, ends_sessions};
use crate::model::{Act, NewRevocation, Session, SessionStatus};
use crate::store::{Appended, Kept, MAX_COUNTED, MAX_ENTRIES, Refused, Revoke, SessionCount};

pub(crate) fn revoke(txn: &mut Txn<'_>, act: &Act, revoke: &Revoke) -> Result<Appended> {
    once(txn, act, |txn| append(txn, act, revoke))
}

/// The same as [`revoke`], for a transaction that is undone: an attempt is neither looked up nor
/// remembered, for nothing was attempted.
pub(crate) fn rehearse(txn: &mut Txn<'_>, act: &Act, revoke: &Revoke) -> Result<Appended> {
    append(txn, act, revoke)
}

pub(crate) fn lift(txn: &mut Txn<'_>, act: &Act, positions: &[Position]) -> Result<Appended> {
    once(txn, act, |txn| {
        count_of_entries(positions.len())?;
        let mut positions = positions.to_vec();
        positions.sort_unstable();
        positions.dedup();
        let mut log = txn.appender(act)?;
        let mut entries = Vec::with_capacity(positions.len());
        for at in positions {
            let entry = log.tables.revocation(at)?.ok_or(Refused::RevocationUnknown { at })?;
            entry.logged().liftable().map_err(|why| Refused::NotLiftable { at, why })?;
            entries.push(entry);
        }
        let at = log.lift(&entries)?;
        Ok(done(&log, vec![at], SessionCount::default()))
    })
}

/// Appends revocations with all that follows from them at the authority: sessions ended, keys
/// killed, one session kept.
pub(super) fn append(txn: &mut Txn<'_>, act: &Act, revoke: &Revoke) -> Result<Appended> {
    count_of_entries(revoke.revocations.len())?;
    if revoke.keep.is_some() && revoke.revocations.iter().any(|new| new.cutoff != Cutoff::Now) {
        return Err(Refused::KeepNeedsNow.into());
    }
    let mut log = txn.appender(act)?;
    let counting = Counting::begin(&log, &revoke.revocations)?;
    let keep = match &revoke.keep {
        Some(sid) => {
            let session = log.tables.session(sid)?.ok_or(Refused::SessionUnknown)?;
            let before = status(&*log.tables, log.log(), &session, log.commit())?;
            Some((session, before))
        }
        None => None,
    };

    let mut positions = Vec::with_capacity(revoke.revocations.len());
    let mut keys_changed = false;
    for new in &revoke.revocations {
        let (at, key) = append_one(&mut log, new)?;
        positions.push(at);
        keys_changed |= key;
    }
    let kept = match keep {
        Some((session, before)) => {
            let last = *positions.last().expect("between 1 and MAX_ENTRIES entries were appended");
            Some(keep_session(&mut log, session, before, last)?)
        }
        None => None,
    };
    if keys_changed {
        publish_own(&mut log)?;
    }
    let sessions = counting.finish(&log)?;
    Ok(Appended { kept, ..done(&log, positions, sessions) })
}

/// The answer of an act that appended up to here.
pub(super) fn done(log: &Appender<'_>, positions: Vec<Position>, sessions: SessionCount) -> Appended {
    let revocations = log.revocations(&positions);
    let (head, committed) = (log.log().head.at, log.commit());
    Appended { positions, head, committed, sessions, kept: None, keys: None, revocations, repeated: false }
}

/// The count of sessions that an act ends: those live before and not live after, over the sessions
/// that have one of its targets.
pub(super) struct Counting {
    live: Vec<String>,
    at_least: bool,
}

impl Counting {
    pub(super) fn begin<'a>(
        log: &Appender<'_>,
        revocations: impl IntoIterator<Item = &'a NewRevocation>,
    ) -> Result<Self> {
        let mut targets: Vec<TargetHash> = revocations
            .into_iter()
            .filter(|new| new.reach.sessions() || matches!(new.cutoff, Cutoff::Before(_)))
            .filter(|new| new.target.kind().reaches_sessions())
            .map(|new| new.target.hash(&log.log().hash_key))
            .collect();
        targets.sort_unstable();
        targets.dedup();
        let mut named: Vec<Session> = Vec::new();
        for target in &targets {
            // One more than is looked at, to know whether there are more.
            named.extend(log.tables.sessions_naming(target, log.commit().floor(), "", MAX_COUNTED + 1)?);
            named.sort_unstable_by(|a, b| a.sid.cmp(&b.sid));
            named.dedup_by(|a, b| a.sid == b.sid);
            if named.len() > MAX_COUNTED {
                break;
            }
        }
        let at_least = named.len() > MAX_COUNTED;
        let mut live = Vec::new();
        for session in named.into_iter().take(MAX_COUNTED) {
            if status(&*log.tables, log.log(), &session, log.commit())? == SessionStatus::Live {
                live.push(session.sid);
            }
        }
        Ok(Self { live, at_least })
    }

    pub(super) fn finish(self, log: &Appender<'_>) -> Result<SessionCount> {
        let mut ended = 0;
        for sid in &self.live {
            let still_live = match log.tables.session(sid)? {
                Some(session) => status(&*log.tables, log.log(), &session, log.commit())? == SessionStatus::Live,
                None => false,
            };
            ended += u64::from(!still_live);
        }
        Ok(SessionCount { ended, at_least: self.at_least })
    }
}

/// Appends one revocation; the second of the pair tells whether it killed a signing key of ours.
fn append_one(log: &mut Appender<'_>, new: &NewRevocation) -> Result<(Position, bool)> {
    let own = new.target.issuer_name() == log.log().settings.issuer;
    match (new.target.kind(), new.target.parts()) {
        (TargetKind::Session, [sid]) if own => {
            let session = log.tables.session(sid)?;
            if session.as_ref().is_some_and(|session| session.ended.is_some()) && new.cutoff != Cutoff::Always {
                return Err(Refused::SessionEnded.into());
            }
            let ending = session.filter(|session| session.ended.is_none() && ends_sessions(new));
            let Some(session) = ending else { return Ok((log.revoke(new, EmittedBy::Request)?, false)) };
            let at = log.revoke(new, EmittedBy::EndedSession)?;
            mark_ended(log, session, at)?;
            Ok((at, false))
        }
        (TargetKind::Key, [thumbprint]) => {
            let at = log.revoke(new, EmittedBy::KilledKey)?;
            Ok((at, own && erase_killed(log, thumbprint)?))
        }
        _ => Ok((log.revoke(new, EmittedBy::Request)?, false)),
    }
}

/// Keeps a session that was judged before the entries: only what was usable then is dated anew.
pub(super) fn keep_session(
    log: &mut Appender<'_>,
    session: Session,
    before: SessionStatus,
    last: Position,
) -> Result<Kept> {
    match before {
        SessionStatus::Live => {
            let reading = session.reading().kept(last);
            let kept = Session { position: reading.login, claims_position: reading.claims, ..session };
            put_session(log.parts(), &kept)?;
            Ok(Kept::Restamped(last))
        }
        SessionStatus::Revoked(_) => end(log, session).map(Kept::Ended),
        SessionStatus::Ended | SessionStatus::Expired => Ok(Kept::WasOver),
    }
}

fn count_of_entries(count: usize) -> Result<()> {
    if (1..=MAX_ENTRIES).contains(&count) { Ok(()) } else { Err(Refused::EntryCount { most: MAX_ENTRIES }.into()) }
}
