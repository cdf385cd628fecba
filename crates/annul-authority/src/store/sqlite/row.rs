//! Between columns and the model.

use annul_core::algebra::{Cutoff, CutoffFields, Reach, Until};
use annul_core::fold::EmittedBy;
use annul_core::position::Position;
use annul_core::record::Chain;
use annul_core::target::{Target, TargetHash};
use annul_core::time::{UnixMillis, UnixSeconds};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{Row, ToSql};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::failure::unreadable;
use crate::model::{AuditEvent, RefreshFamily, RefreshMark, SpentGeneration, StoredRevocation};
use crate::store::StoreError;

/// An unsigned number in a column. What is greater than SQLite's integers is kept as the greatest of
/// them: only times far beyond any life are that large.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number(pub(super) u64);

impl ToSql for Number {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(i64::try_from(self.0).unwrap_or(i64::MAX).into())
    }
}

impl FromSql for Number {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        u64::try_from(value.as_i64()?).map(Self).map_err(|_| FromSqlError::InvalidType)
    }
}

/// The position in the first two columns.
pub(super) fn position(row: &Row<'_>) -> rusqlite::Result<Position> {
    Ok(Position::new(row.get(0)?, row.get::<_, Number>(1)?.0))
}

pub(super) fn chain(bytes: [u8; 32]) -> Chain {
    Chain(bytes)
}

pub(super) fn millis(column: Number) -> UnixMillis {
    UnixMillis(column.0)
}

pub(super) fn until_column(until: Until) -> Option<Number> {
    match until {
        Until::At(second) => Some(Number(second.0)),
        Until::Never => None,
    }
}

/// A target with its issuer always in front, so that the text does not depend on who reads it.
pub(super) fn full_name(target: &Target) -> String {
    target.text("")
}

pub(super) fn to_doc(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("the model holds only strings, numbers and JSON values")
}

pub(super) fn from_doc<T: DeserializeOwned>(what: &'static str, doc: &str) -> Result<T, StoreError> {
    serde_json::from_str(doc).map_err(|_| unreadable(what)())
}

pub(super) const REVOCATION: &str = "epoch, seq, target, name, cutoff, cutoff_time, sets_always, sets_now, \
     sets_before, reach, until, sessions_until, reason, actor, time_millis, emitted_by, lifted_epoch, lifted_seq";

/// The columns of [`REVOCATION`]; `None` when they hold what this version does not write.
pub(super) fn revocation(row: &Row<'_>) -> rusqlite::Result<Option<StoredRevocation>> {
    let seconds = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<Number>>(column)?.map(|n| UnixSeconds(n.0)));
    let cutoff_time = seconds(5)?;
    let name: String = row.get(3)?;
    let (cutoff, reach, emitted_by): (String, String, String) = (row.get(4)?, row.get(9)?, row.get(15)?);
    let fields = CutoffFields { always: row.get(6)?, now: row.get(7)?, before: seconds(8)? };
    let lifted = match row.get::<_, Option<u32>>(16)? {
        Some(epoch) => Some(Position::new(epoch, row.get::<_, Number>(17)?.0)),
        None => None,
    };
    let parsed = || {
        let cutoff = match (cutoff.as_str(), cutoff_time) {
            ("always", None) => Cutoff::Always,
            ("now", None) => Cutoff::Now,
            ("before", Some(time)) => Cutoff::Before(time),
            _ => return None,
        };
        Some((Target::parse(&name, "").ok()?, cutoff, reach_of(&reach)?, emitter_of(&emitted_by)?))
    };
    let Some((target, cutoff, reach, emitted_by)) = parsed() else { return Ok(None) };
    Ok(Some(StoredRevocation {
        at: position(row)?,
        target,
        hash: TargetHash(row.get(2)?),
        cutoff,
        fields,
        reach,
        until: seconds(10)?.map_or(Until::Never, Until::At),
        sessions_until: seconds(11)?.map_or(Until::Never, Until::At),
        reason: row.get(12)?,
        actor: row.get(13)?,
        time: millis(row.get(14)?),
        emitted_by,
        lifted,
    }))
}

pub(super) const fn cutoff_columns(cutoff: Cutoff) -> (&'static str, Option<Number>) {
    match cutoff {
        Cutoff::Always => ("always", None),
        Cutoff::Now => ("now", None),
        Cutoff::Before(time) => ("before", Some(Number(time.0))),
    }
}

const REACHES: [(Reach, &str); 3] = [(Reach::Access, "access"), (Reach::Sessions, "sessions"), (Reach::Both, "both")];

pub(super) fn reach_column(reach: Reach) -> &'static str {
    REACHES.iter().find(|(known, _)| *known == reach).map_or("both", |(_, name)| name)
}

fn reach_of(name: &str) -> Option<Reach> {
    REACHES.iter().find(|(_, known)| *known == name).map(|(reach, _)| *reach)
}

pub(super) const fn emitter_column(emitted_by: EmittedBy) -> &'static str {
    match emitted_by {
        EmittedBy::Request => "request",
        EmittedBy::KilledKey => "killed_key",
        EmittedBy::EndedSession => "ended_session",
        EmittedBy::State => "state",
    }
}

fn emitter_of(name: &str) -> Option<EmittedBy> {
    let all = [EmittedBy::Request, EmittedBy::KilledKey, EmittedBy::EndedSession, EmittedBy::State];
    all.into_iter().find(|emitter| emitter_column(*emitter) == name)
}

pub(super) const AUDIT: &str = "epoch, seq, id, time_millis, actor, action, target, reason, request_id";

/// The columns of [`AUDIT`].
pub(super) fn audit(row: &Row<'_>) -> rusqlite::Result<AuditEvent> {
    let at = match row.get::<_, Option<u32>>(0)? {
        Some(_) => Some(position(row)?),
        None => None,
    };
    Ok(AuditEvent {
        id: row.get::<_, Number>(2)?.0,
        at,
        time: millis(row.get(3)?),
        actor: row.get(4)?,
        action: row.get(5)?,
        target: row.get(6)?,
        reason: row.get(7)?,
        request_id: row.get(8)?,
    })
}

pub(super) const FAMILY: &str = "sid, generation, current, access_expires, spent, successor, grace_until_millis, asker";

/// The columns of [`FAMILY`]; `None` when they contradict each other.
pub(super) fn family(row: &Row<'_>) -> rusqlite::Result<Option<RefreshFamily>> {
    let spent = match row.get::<_, Option<Mark>>(4)? {
        None => None,
        Some(Mark(mark)) => {
            let asker: String = row.get(7)?;
            let Ok(by) = serde_json::from_str(&asker) else { return Ok(None) };
            Some(SpentGeneration { mark, successor: row.get(5)?, until: millis(row.get(6)?), by })
        }
    };
    Ok(Some(RefreshFamily {
        sid: row.get(0)?,
        generation: row.get(1)?,
        current: row.get::<_, Mark>(2)?.0,
        access_expires: UnixSeconds(row.get::<_, Number>(3)?.0),
        spent,
    }))
}

/// A mark in a column: the hash as bytes, the `jti` as text.
pub(super) struct Mark(pub(super) RefreshMark);

impl ToSql for Mark {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match &self.0 {
            RefreshMark::Hash(hash) => hash.as_slice().into(),
            RefreshMark::Jti(jti) => jti.as_str().into(),
        })
    }
}

impl FromSql for Mark {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(Self(match value {
            ValueRef::Blob(hash) => RefreshMark::Hash(hash.try_into().map_err(|_| FromSqlError::InvalidType)?),
            text => RefreshMark::Jti(text.as_str()?.to_owned()),
        }))
    }
}
