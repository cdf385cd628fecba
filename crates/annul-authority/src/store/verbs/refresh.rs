//! A credential redeemed for its session's next tokens.

use annul_core::algebra::{HitCutoff, Refusal};
use annul_core::target::{Target, TargetHash, TargetKind};
use annul_core::time::UnixMillis;

use super::sessions::{end, own_subject, put_session};
use super::{Result, Txn, cells, status};
use crate::log::Appender;
use crate::model::{
    Act, FIRST_GENERATION, MAX_GRACE, NewFamily, Presented, Recognised, RefreshAsker, RefreshBy, RefreshFamily,
    RefreshMark, Session, SessionStatus, Side, SpentGeneration,
};
use crate::store::tables::{Read, Write};
use crate::store::{
    IssuePlan, Issuing, IssuingSnapshot, MAX_PAGE, NotIssued, Pruned, Redeem, Redeemed, RefreshRefusal, Refused,
};

pub(crate) fn redeem(txn: &mut Txn<'_>, act: &Act, redeem: Redeem, plan: IssuePlan) -> Result<Redeemed> {
    txn.tables.log()?;
    let known = txn.tables.family(&redeem.sid)?.zip(txn.tables.session(&redeem.sid)?);
    let (family, session) = known.ok_or(unheard())?;
    if session.client_id.as_ref().unwrap_or(&session.subject) != &redeem.by.client_id {
        return refuse(txn, act, &session, (RefreshRefusal::OtherClient, "refresh.other_client"));
    }
    if session.confirmation.is_some() && session.confirmation != redeem.by.proof {
        return by_another_key(txn, act, (family, session), &redeem.presented);
    }
    match family.recognise(&redeem.presented, txn.commit) {
        Recognised::Unheard => Err(unheard().into()),
        Recognised::Current => rotate(txn, act, (&family, session), redeem, plan),
        Recognised::Spent(spent) => {
            let granted = narrowed(&session, redeem.by.scope.as_deref())?;
            let by = RefreshAsker { scope: granted, ..redeem.by.clone() };
            if (&spent.by.proof, &spent.by.scope) == (&by.proof, &by.scope) {
                repeat(txn, act, (&family, session), (spent, &by), &redeem, plan)
            } else {
                reused(txn, act, family, session)
            }
        }
        Recognised::Earlier => reused(txn, act, family, session),
    }
}

pub(crate) fn end_graces(txn: &mut Txn<'_>, limit: usize) -> Result<Pruned> {
    let limit = limit.clamp(1, MAX_PAGE);
    let ended = txn.tables.end_graces(txn.commit, limit)?;
    Ok(Pruned { rows: ended as u64, more: ended >= limit })
}

/// The family of a session that is being opened.
pub(super) fn begin(tables: &mut dyn Write, session: &Session, new: NewFamily) -> Result<RefreshFamily> {
    let family = RefreshFamily {
        sid: session.sid.clone(),
        generation: FIRST_GENERATION,
        current: new.first,
        access_expires: session.created.floor().plus(new.access_life).min(session.expires),
        spent: None,
    };
    tables.put_family(&family)?;
    Ok(family)
}

/// The family of a session that an earlier attempt opened. The refresh token of that attempt was shown
/// once; while nobody has redeemed it, this attempt's takes its place.
pub(super) fn begin_again(tables: &mut dyn Write, sid: &str, new: Option<NewFamily>) -> Result<Option<RefreshFamily>> {
    let Some(family) = tables.family(sid)? else { return Ok(None) };
    let Some(NewFamily { first: first @ RefreshMark::Hash(_), .. }) = new else { return Ok(Some(family)) };
    if family.generation != FIRST_GENERATION || family.current.kind() != RefreshBy::RefreshToken {
        return Ok(Some(family));
    }
    let family = RefreshFamily { current: first, ..family };
    tables.put_family(&family)?;
    Ok(Some(family))
}

/// The family as the next access token of a session needs it: where that token is the credential.
pub(super) fn named_by_tokens(tables: &(impl Read + ?Sized), session: &Session) -> Result<Option<RefreshFamily>> {
    match session.refresh_by {
        Some(RefreshBy::AccessToken) => tables.family(&session.sid),
        Some(RefreshBy::RefreshToken) | None => Ok(None),
    }
}

/// A session that ends has no successor to give.
pub(super) fn forget_successor(tables: &mut dyn Write, sid: &str) -> Result<()> {
    match tables.family(sid)? {
        Some(family) if family.spent.is_some() => tables.put_family(&RefreshFamily { spent: None, ..family }),
        _ => Ok(()),
    }
}

/// Whoever lacks the key redeems nothing, and ends nothing by trying. But where a redemption bound the
/// session, credentials up to that one were anybody's: one of them shown again is a copy, and the key may be
/// the thief's.
fn by_another_key(
    txn: &mut Txn<'_>,
    act: &Act,
    (family, session): (RefreshFamily, Session),
    presented: &Presented,
) -> Result<Redeemed> {
    let was_anybodys = session.bound_from.is_some_and(|bound_from| match presented {
        Presented::RefreshToken { generation, .. } => *generation <= bound_from,
        Presented::AccessToken { is_bound, .. } => !is_bound,
    });
    match family.recognise(presented, txn.commit) {
        Recognised::Spent(_) | Recognised::Earlier if was_anybodys => reused(txn, act, family, session),
        _ => refuse(txn, act, &session, (RefreshRefusal::OtherKey, "refresh.other_key")),
    }
}

fn rotate(
    txn: &mut Txn<'_>,
    act: &Act,
    (family, session): (&RefreshFamily, Session),
    redeem: Redeem,
    plan: IssuePlan,
) -> Result<Redeemed> {
    let expires = match &redeem.presented {
        Presented::AccessToken { expires, .. } => *expires,
        Presented::RefreshToken { .. } => family.access_expires,
    };
    if redeem.window.is_some_and(|window| !window.contains(txn.commit.floor(), expires)) {
        return refuse(txn, act, &session, (RefreshRefusal::OutsideWindow, "refresh.outside_window"));
    }
    let granted = narrowed(&session, redeem.by.scope.as_deref())?;
    let grace = redeem.grace.min(MAX_GRACE);
    let spent = SpentGeneration {
        mark: redeem.presented.mark(),
        successor: redeem.successor.sealed,
        until: UnixMillis(txn.commit.0.saturating_add(grace * 1000)),
        by: RefreshAsker { scope: granted, ..redeem.by },
    };
    let next = RefreshFamily {
        sid: session.sid.clone(),
        generation: family.generation.checked_add(1).ok_or(unheard())?,
        current: redeem.successor.mark,
        access_expires: family.access_expires,
        spent: (grace > 0).then_some(spent),
    };
    let bind_to = redeem.bind_to.filter(|_| session.confirmation.is_none());
    let Some(key) = bind_to else {
        return Ok(Redeemed::Rotated(Box::new(issue(txn, session, next, &redeem.named, plan)?)));
    };
    let session = Session { confirmation: Some(key), bound_from: Some(family.generation), ..session };
    let snapshot = issue(txn, session, next, &redeem.named, plan)?;
    put_session((&mut *txn.tables, &snapshot.log), &snapshot.session)?;
    Ok(Redeemed::Rotated(Box::new(snapshot)))
}

fn repeat(
    txn: &mut Txn<'_>,
    act: &Act,
    (family, session): (&RefreshFamily, Session),
    (spent, by): (&SpentGeneration, &RefreshAsker),
    redeem: &Redeem,
    plan: IssuePlan,
) -> Result<Redeemed> {
    let sealed = spent.successor.clone();
    let (action, reason) = if spent.by.seen == by.seen {
        ("refresh.repeat", None)
    } else {
        let (now, before) = (seen_from(by), seen_from(&spent.by));
        ("refresh.repeat_elsewhere", Some(format!("from {now}; redeemed a moment before from {before}")))
    };
    let snapshot = issue(txn, session, family.clone(), &redeem.named, plan)?;
    write_down(txn, act, action, reason, &snapshot.session)?;
    Ok(Redeemed::Repeated { snapshot: Box::new(snapshot), sealed })
}

/// Judges the session, then the token about to be issued, and only then keeps the family as it is to be.
fn issue(
    txn: &mut Txn<'_>,
    session: Session,
    family: RefreshFamily,
    named: &[TargetHash],
    plan: IssuePlan,
) -> Result<IssuingSnapshot> {
    // One transaction: the position is that of the state in which the session is judged.
    let log = txn.tables.log()?;
    let status = status(&*txn.tables, &log, &session, txn.commit)?;
    if status != SessionStatus::Live {
        return Err(Refused::from(NotIssued::SessionOver(status)).into());
    }
    let subject = txn.tables.subject(&own_subject(&log, &session.subject)?)?;
    let keys = txn.tables.keys()?;
    let issuing = Issuing { log: &log, session: &session, subject: &subject, family: Some(&family), keys: &keys };
    let facts = plan(&issuing).map_err(Refused::from)?;
    let targets = facts.targets.iter().map(|(_, hash)| *hash).chain(named.iter().copied());
    let access = cells(&*txn.tables, &log, Side::Access, targets, txn.commit)?;
    let of_credential = named.iter().find_map(|hash| access.get(hash)?.always);
    let of_credential = of_credential.map(|at| Refusal { kind: TargetKind::Token, cutoff: HitCutoff::Always, at });
    if let Some(refusal) = of_credential.or_else(|| facts.judge(|hash| access.get(hash).copied())) {
        return Err(Refused::from(NotIssued::Revoked(refusal)).into());
    }
    let family = RefreshFamily { access_expires: facts.expires, ..family };
    txn.tables.put_family(&family)?;
    Ok(IssuingSnapshot { log, session, subject, status, access, keys, family: Some(family) })
}

/// Ends the session of a credential that was redeemed before: one of two who hold it is a thief.
fn reused(txn: &mut Txn<'_>, act: &Act, family: RefreshFamily, session: Session) -> Result<Redeemed> {
    if session.ended.is_some() {
        return Err(Refused::from(NotIssued::SessionOver(SessionStatus::Ended)).into());
    }
    let reason = Some(format!("a spent credential was used again; the family is at generation {}", family.generation));
    let mut log = appender(txn, act, "refresh.reuse", reason)?;
    end(&mut log, session)?;
    Ok(Redeemed::Refused(RefreshRefusal::Reused))
}

/// Writes a refusal down that ends nothing.
fn refuse(
    txn: &mut Txn<'_>,
    act: &Act,
    session: &Session,
    (refusal, action): (RefreshRefusal, &str),
) -> Result<Redeemed> {
    write_down(txn, act, action, None, session)?;
    Ok(Redeemed::Refused(refusal))
}

fn write_down(txn: &mut Txn<'_>, act: &Act, action: &str, reason: Option<String>, session: &Session) -> Result<()> {
    let mut log = appender(txn, act, action, reason)?;
    let target = Target::one(&log.log().settings.issuer, TargetKind::Session, &session.sid);
    let text = target.map_or_else(|_| session.sid.clone(), |target| log.text(&target));
    log.note_act(Some(text))
}

fn appender<'t>(txn: &'t mut Txn<'_>, act: &Act, action: &str, reason: Option<String>) -> Result<Appender<'t>> {
    txn.appender(&Act { action: action.to_owned(), reason, ..act.clone() })
}

fn narrowed(session: &Session, asked: Option<&str>) -> Result<Option<String>> {
    Ok(session.narrowed_scope(asked).map_err(|scope| Refused::from(NotIssued::Scope { scope }))?)
}

fn seen_from(asker: &RefreshAsker) -> String {
    let or_unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    format!("{} ({})", or_unknown(&asker.seen.address), or_unknown(&asker.seen.agent))
}

fn unheard() -> Refused {
    NotIssued::Refused(RefreshRefusal::Unknown).into()
}
