//! Whose tokens could have been accepted when: from the sessions, the entries against them, and what
//! bounded the verifiers at the time.

use annul_core::algebra::Cell;
use annul_core::position::Position;
use annul_core::target::{Target, TargetHash, TargetKind};
use annul_core::time::{UnixMillis, UnixSeconds};

use super::{Result, Snapshot, status};
use crate::model::{GROUP_CLAIM, Session, StoredRevocation, VerifierBound};
use crate::store::tables::SessionSpan;
use crate::store::{ExposedSession, Exposure, ExposureFilter, LogState, MAX_EXAMINED, MAX_PAGE, RevocationFilter};

/// Entries of one act between a user's entry and its group's watermark that are looked at: two where a
/// verb appends them, more only where a call names many targets.
const MOST_LOOKED_BACK: usize = 64;

pub(crate) fn exposure(snapshot: &Snapshot<'_>, filter: &ExposureFilter) -> Result<Exposure> {
    let log = snapshot.tables.log()?;
    let of_target = RevocationFilter { target: Some(filter.target.clone()), after: None, limit: MAX_PAGE };
    let entries = snapshot.tables.revocations(&of_target)?;
    let bounds = snapshot.tables.verifier_bounds(MAX_PAGE)?;
    let wanted = filter.target.hash(&log.hash_key);
    let own = filter.target.issuer_name() == log.settings.issuer;
    let subject = match (filter.target.kind(), filter.target.parts()) {
        (TargetKind::Subject | TargetKind::Device | TargetKind::SubjectClient, [subject, ..]) if own => Some(subject),
        _ => None,
    };
    // A token outlives its session by no more than its leeway.
    let margin = log.settings.max_leeway + log.settings.clock_skew;
    let span = SessionSpan {
        subject: subject.map(String::as_str),
        opened_by: filter.to,
        ends_from: filter.from.floor().minus(margin),
    };
    let mut sessions = Vec::new();
    let mut after = filter.after.clone();
    let mut examined = 0;
    let next = loop {
        let page = snapshot.tables.sessions_in(&span, &after, MAX_PAGE)?;
        let is_last = page.len() < MAX_PAGE;
        for session in page {
            if sessions.len() == filter.limit || examined == MAX_EXAMINED {
                return Ok(Exposure { log, entries, sessions, next: Some(after), bounds });
            }
            examined += 1;
            after.clone_from(&session.sid);
            let targets = session.hashed_targets(&log.settings, &log.hash_key);
            if !targets.iter().any(|(_, hash)| *hash == wanted) {
                continue;
            }
            let exposed = exposed(snapshot, &log, session, &targets, &bounds)?;
            if exposed.check_until.max(exposed.verify_until) >= filter.from {
                sessions.push(exposed);
            }
        }
        if is_last {
            break None;
        }
    };
    Ok(Exposure { log, entries, sessions, next, bounds })
}

fn exposed(
    snapshot: &Snapshot<'_>,
    log: &LogState,
    session: Session,
    targets: &[(TargetKind, TargetHash)],
    bounds: &[VerifierBound],
) -> Result<ExposedSession> {
    let mut refused: Option<(UnixMillis, Position)> = None;
    let mut closed: Option<UnixMillis> = session.ended.as_ref().map(|ended| ended.time);
    let watermarks = watermarks(log, &session);
    for target in targets {
        for entry in snapshot.tables.revocations_on(&target.1)? {
            if !revokes(&entry, &session, *target) {
                continue;
            }
            if entry.reach.access() || stays_here(snapshot, &entry, &watermarks)? {
                refused = Some(refused.map_or((entry.time, entry.at), |first| first.min((entry.time, entry.at))));
            }
            if entry.reach.sessions() {
                closed = Some(closed.map_or(entry.time, |first| first.min(entry.time)));
            }
        }
    }
    if let (None, Some(ended)) = (refused, &session.ended) {
        // Its entry is forgotten already; the session still says when it ended.
        refused = Some((ended.time, ended.at));
    }
    let last_token = last_token(&session, closed);
    let settings = &log.settings;
    // Tokens from when lives were longer may be out there still.
    let outstanding = snapshot.tables.issuer(&settings.issuer)?.map_or(UnixSeconds(0), |own| own.outstanding);
    let last_exp = last_token.plus(settings.longest_life).max(outstanding).min(session.expires);
    let verify_until = millis(last_exp.plus(settings.max_leeway).plus(settings.clock_skew));
    let enforced = refused.map(|(time, _)| VerifierBound::enforced_by(bounds, time));
    Ok(ExposedSession {
        status: status(snapshot.tables, log, &session, snapshot.now)?,
        session,
        refused: refused.map(|(time, at)| (at, time)),
        check_until: enforced.map_or(verify_until, |enforced| enforced.min(verify_until)),
        verify_until,
    })
}

/// The targets of the watermarks of the groups that the session's tokens name, while there are groups.
fn watermarks(log: &LogState, session: &Session) -> Vec<TargetHash> {
    let issuer = &log.settings.issuer;
    let watermark = |group: u64| Target::two(issuer, TargetKind::Claim, GROUP_CLAIM, group.to_string()).ok();
    log.groups_of(session).into_iter().filter_map(watermark).map(|target| target.hash(&log.hash_key)).collect()
}

/// Whether an entry against sessions has the watermark of one of their groups in its own transaction: verifiers ask
/// from there on, and access ends with the session. Where it is too far back to be found, the session
/// counts as exposed for longer than it was.
fn stays_here(snapshot: &Snapshot<'_>, entry: &StoredRevocation, watermarks: &[TargetHash]) -> Result<bool> {
    if watermarks.is_empty() {
        return Ok(false);
    }
    let mut at = entry.at;
    for _ in 0..MOST_LOOKED_BACK {
        at = Position::new(at.epoch, at.seq.saturating_sub(1));
        let earlier = snapshot.tables.revocation(at)?;
        let of_one_act = |earlier: &StoredRevocation| earlier.time == entry.time && earlier.actor == entry.actor;
        match earlier.filter(of_one_act) {
            None => return Ok(false),
            Some(earlier) if watermarks.contains(&earlier.hash) => return Ok(true),
            Some(_) => {}
        }
    }
    Ok(false)
}

/// Whether an entry, by itself, revokes the session.
fn revokes(entry: &StoredRevocation, session: &Session, target: (TargetKind, TargetHash)) -> bool {
    let cell = Cell::of(entry.fields, entry.at, entry.until);
    session.judge(&[target], |_| Some(cell)).is_some()
}

/// The second after which the session got no token: it was closed, idle for too long, or at its end.
fn last_token(session: &Session, closed: Option<UnixMillis>) -> UnixSeconds {
    let idle = session.idle_limit.map(|limit| session.last_used.floor().plus(limit));
    let closed = closed.map(UnixMillis::next_second);
    [idle, closed].into_iter().flatten().fold(session.expires, UnixSeconds::min)
}

fn millis(second: UnixSeconds) -> UnixMillis {
    UnixMillis(second.0.saturating_mul(1000))
}
