//! What verifiers are told to trust: our signing keys, the foreign issuers, the settings.

use std::sync::Arc;

use annul_core::algebra::{Cutoff, Reach};
use annul_core::position::Position;
use annul_core::settings::{ClaimNames, IssuerRecord, Settings};
use annul_core::target::{Target, TargetKind};
use annul_core::time::UnixSeconds;

use super::groups::has_group_claim;
use super::revocations::{append, done};
use super::sessions::put_session;
use super::{Result, Snapshot, Txn, once};
use crate::log::Appender;
use crate::model::{Act, IssuerConfig, KeyChange, KeyRecord, KeyState, NewRevocation};
use crate::store::tables::IssuerRow;
use crate::store::{Appended, KillKey, MAX_PAGE, Refused, Revoke, SessionCount, SigningKeys};

pub(crate) fn change_keys(txn: &mut Txn<'_>, act: &Act, changes: &[KeyChange]) -> Result<Appended> {
    once(txn, act, |txn| {
        let mut log = txn.appender(act)?;
        apply(&mut log, changes)?;
        let at = publish_own(&mut log)?;
        let keys = Some(signing_keys(&log.tables.keys()?, changes));
        Ok(Appended { keys, ..done(&log, vec![at], SessionCount::default()) })
    })
}

pub(crate) fn kill_key(txn: &mut Txn<'_>, act: &Act, kill: &KillKey) -> Result<Appended> {
    once(txn, act, |txn| {
        if kill.key.kind() != TargetKind::Key {
            return Err(Refused::NotAKey.into());
        }
        let entry = NewRevocation {
            target: kill.key.clone(),
            cutoff: Cutoff::Always,
            reach: Reach::Access,
            exp: None,
            until: None,
            reason: kill.reason.clone(),
        };
        let mut revocations = vec![entry];
        revocations.extend(kill.also.iter().cloned());
        let mut appended = append(txn, act, &Revoke { revocations, keep: None })?;
        if !kill.changes.is_empty() {
            let mut log = txn.appender(act)?;
            apply(&mut log, &kill.changes)?;
            appended.head = publish_own(&mut log)?;
        }
        Ok(appended)
    })
}

pub(crate) fn issuers(snapshot: &Snapshot<'_>) -> Result<Vec<IssuerConfig>> {
    let rows = snapshot.tables.issuers()?.into_iter().filter(|row| !row.record.removed);
    Ok(rows
        .filter_map(|row| {
            let source = row.source?;
            Some(IssuerConfig {
                record: row.record,
                source,
                longest_session: row.longest_session,
                subjects: row.subjects,
            })
        })
        .collect())
}

pub(crate) fn put_issuer(txn: &mut Txn<'_>, act: &Act, issuer: IssuerConfig) -> Result<Appended> {
    once(txn, act, |txn| {
        let mut log = txn.appender(act)?;
        if issuer.record.issuer == log.log().settings.issuer {
            return Err(Refused::OwnIssuer.into());
        }
        let at = log.issuer(IssuerRow {
            record: IssuerRecord { removed: false, ..issuer.record },
            source: Some(issuer.source),
            longest_session: issuer.longest_session,
            subjects: issuer.subjects,
            outstanding: UnixSeconds(0),
        })?;
        Ok(done(&log, vec![at], SessionCount::default()))
    })
}

pub(crate) fn remove_issuer(txn: &mut Txn<'_>, act: &Act, issuer: &str) -> Result<Appended> {
    once(txn, act, |txn| {
        let mut log = txn.appender(act)?;
        if issuer == log.log().settings.issuer {
            return Err(Refused::OwnIssuer.into());
        }
        let row = log.tables.issuer(issuer)?.filter(|row| !row.record.removed);
        let row = row.ok_or_else(|| Refused::IssuerUnknown { issuer: issuer.to_owned() })?;
        let row = Arc::unwrap_or_clone(row);
        let record = IssuerRecord { removed: true, keys: Vec::new(), ..row.record };
        let at = log.issuer(IssuerRow { record, ..row })?;
        Ok(done(&log, vec![at], SessionCount::default()))
    })
}

pub(crate) fn publish_settings(txn: &mut Txn<'_>, act: &Act, settings: Settings) -> Result<Appended> {
    once(txn, act, |txn| {
        let mut log = txn.appender(act)?;
        let before = log.log().settings.clone();
        let same_log = settings.issuer == before.issuer && settings.hash_key == before.hash_key;
        if settings.revision != before.revision + 1 || !same_log {
            return Err(Refused::SettingsConflict { current: before.revision }.into());
        }
        let needs_claim = log.log().groups.is_some_and(|groups| groups.need_claim(log.commit()));
        if needs_claim && !has_group_claim(&settings) {
            return Err(Refused::GroupClaimNeeded.into());
        }
        let (claims_changed, life_changed) =
            (settings.claims != before.claims, settings.longest_life != before.longest_life);
        let at = log.settings(settings)?;
        if life_changed {
            publish_own(&mut log)?;
        }
        if claims_changed {
            find_sessions_by_new_claims(&mut log)?;
        }
        Ok(done(&log, vec![at], SessionCount::default()))
    })
}

/// Publishes our issuer with every key that is not killed.
pub(super) fn publish_own(log: &mut Appender<'_>) -> Result<Position> {
    let settings = log.log().settings.clone();
    let mut published = Vec::new();
    for key in log.tables.keys()?.into_iter().filter(|key| key.state.is_published()) {
        published.push(key.public.clone());
        if key.published.is_none() {
            let key = KeyRecord { published: Some(log.commit()), ..key };
            log.tables.put_key(&key)?;
        }
    }
    log.issuer(IssuerRow {
        record: IssuerRecord {
            issuer: settings.issuer,
            keys: published,
            longest_life: settings.longest_life,
            skew: 0,
            requires_jti: true,
            claims: ClaimNames::default(),
            keys_due: None,
            removed: false,
        },
        source: None,
        longest_session: None,
        subjects: None,
        outstanding: UnixSeconds(0),
    })
}

/// Marks our key with this thumbprint as killed and erases its private half. False when there is no
/// such key, or it was killed before.
pub(super) fn erase_killed(log: &mut Appender<'_>, thumbprint: &str) -> Result<bool> {
    let key = log.tables.keys()?.into_iter().find(|key| key.thumbprint == thumbprint);
    let Some(key) = key.filter(|key| key.state != KeyState::Killed) else { return Ok(false) };
    let changed = log.commit();
    log.tables.put_key(&KeyRecord { state: KeyState::Killed, sealed: Vec::new(), changed, ..key })?;
    Ok(true)
}

fn apply(log: &mut Appender<'_>, changes: &[KeyChange]) -> Result<()> {
    for change in changes {
        match change {
            KeyChange::Add(key) => add(log, key)?,
            KeyChange::Activate { kid } => activate(log, kid)?,
            KeyChange::Forget { kid } => forget(log, kid)?,
        }
    }
    Ok(())
}

fn signing_keys(keys: &[KeyRecord], changes: &[KeyChange]) -> SigningKeys {
    // The newest is the last: a reserve that was replaced stays beside it until the next rotation.
    let newest = |state| keys.iter().rev().find(|key| key.state == state).map(|key| key.kid.clone());
    SigningKeys {
        active: newest(KeyState::Active),
        reserve: newest(KeyState::Reserve),
        promoted: changes.iter().any(|change| matches!(change, KeyChange::Activate { .. })),
    }
}

fn add(log: &mut Appender<'_>, key: &KeyRecord) -> Result<()> {
    let known = log.tables.keys()?;
    if known.iter().any(|known| known.kid == key.kid || known.thumbprint == key.thumbprint) {
        return Err(Refused::KeyExists { kid: key.kid.clone() }.into());
    }
    match key.state {
        KeyState::Reserve => log.tables.put_key(key),
        KeyState::Active => {
            retire_active(log)?;
            log.tables.put_key(key)
        }
        state => Err(Refused::KeyState { kid: key.kid.clone(), state: name(state) }.into()),
    }
}

fn activate(log: &mut Appender<'_>, kid: &str) -> Result<()> {
    let key = key(log, kid)?;
    if key.state != KeyState::Reserve {
        return Err(Refused::KeyState { kid: key.kid, state: name(key.state) }.into());
    }
    retire_active(log)?;
    let changed = log.commit();
    log.tables.put_key(&KeyRecord { state: KeyState::Active, changed, ..key })
}

fn forget(log: &mut Appender<'_>, kid: &str) -> Result<()> {
    let key = key(log, kid)?;
    let state = &log.log().settings;
    let own = log.tables.issuer(&state.issuer)?;
    let outstanding = own.map_or(UnixSeconds(0), |own| own.outstanding);
    let last_exp = key.changed.next_second().plus(state.longest_life).max(outstanding);
    let still_needed = log.commit().floor().minus(state.clock_skew) <= state.until(last_exp);
    if key.state != KeyState::Retired || still_needed {
        let state = if key.state == KeyState::Retired { "retired, but its tokens may live" } else { name(key.state) };
        return Err(Refused::KeyState { kid: key.kid, state }.into());
    }
    log.tables.remove_key(kid)
}

fn retire_active(log: &mut Appender<'_>) -> Result<()> {
    let changed = log.commit();
    for key in log.tables.keys()?.into_iter().filter(|key| key.state == KeyState::Active) {
        log.tables.put_key(&KeyRecord { state: KeyState::Retired, sealed: Vec::new(), changed, ..key })?;
    }
    Ok(())
}

fn key(log: &Appender<'_>, kid: &str) -> Result<KeyRecord> {
    let key = log.tables.keys()?.into_iter().find(|key| key.kid == kid);
    key.ok_or_else(|| Refused::KeyUnknown { kid: kid.to_owned() }.into())
}

const fn name(state: KeyState) -> &'static str {
    match state {
        KeyState::Reserve => "in reserve",
        KeyState::Active => "active",
        KeyState::Retired => "retired",
        KeyState::Killed => "killed",
    }
}

/// Writes every session that is not over again, so that it is found by the claims that are targets from here on.
fn find_sessions_by_new_claims(log: &mut Appender<'_>) -> Result<()> {
    let state = log.log();
    let everything = Target::issuer(state.settings.issuer.clone()).hash(&state.hash_key);
    let mut after = String::new();
    loop {
        let page = log.tables.sessions_naming(&everything, log.commit().floor(), &after, MAX_PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        after.clone_from(&last.sid);
        for session in &page {
            put_session(log.parts(), session)?;
        }
    }
}
