//! What followers read: the beginning of the log, its lines, its state; and what may be forgotten.

use annul_core::feed::log::{ReplicaId, ReplicaStatus};
use annul_core::position::Position;
use annul_core::record::Chain;
use annul_core::target::TargetHash;

use super::keys::publish_own;
use super::sessions::session_view;
use super::{Result, Snapshot, Txn, cells};
use crate::model::{Act, Head, Side, VerifierBound};
use crate::store::tables::{PruneHorizon, forgotten_at};
use crate::store::{FeedSnapshot, Genesis, JudgingSnapshot, Lines, LogState, MAX_PAGE, Pruned, StoreError};

pub(crate) fn bootstrap(txn: &mut Txn<'_>, genesis: Genesis) -> Result<LogState> {
    match txn.tables.log() {
        Err(StoreError::NotBootstrapped) => {}
        there => return there,
    }
    let chain = Chain::genesis(&genesis.log);
    txn.tables.put_log(&LogState {
        log: genesis.log,
        head: Head { at: Position::new(1, 0), chain },
        settings: genesis.settings.clone(),
        hash_key: genesis.hash_key,
        sealed_feed_key: genesis.sealed_feed_key,
        groups: genesis.groups,
        subject_secret: None,
    })?;
    for key in &genesis.keys {
        txn.tables.put_key(key)?;
    }
    for client in &genesis.clients {
        txn.tables.put_client(client)?;
    }
    let mut log = txn.appender(&Act::new("annul", "log.create"))?;
    log.settings(genesis.settings)?;
    publish_own(&mut log)?;
    txn.tables.log()
}

pub(crate) fn lines_after(snapshot: &Snapshot<'_>, after: Position, limit: usize) -> Result<Lines> {
    let log = snapshot.tables.log()?;
    let head = log.head;
    let base = if after > head.at { None } else { snapshot.tables.chain_at(&log, after)? };
    let lines = match base {
        Some(_) => snapshot.tables.lines_after(after, limit)?,
        None => Vec::new(),
    };
    Ok(Lines { base, lines, head })
}

pub(crate) fn feed_snapshot(snapshot: &Snapshot<'_>) -> Result<FeedSnapshot> {
    let log = snapshot.tables.log()?;
    let forgotten_at = forgotten_at(snapshot.now, log.settings.clock_skew);
    let mut cells = snapshot.tables.access_cells()?;
    cells.retain(|hashed| hashed.cell.is_some_and(|cell| !cell.until.is_over(forgotten_at)));
    let issuers = snapshot.tables.issuers()?.into_iter().map(|row| row.record).collect();
    Ok(FeedSnapshot { log, issuers, cells })
}

pub(crate) fn judging_snapshot(
    snapshot: &Snapshot<'_>,
    targets: Vec<TargetHash>,
    sid: Option<&str>,
) -> Result<JudgingSnapshot> {
    let log = snapshot.tables.log()?;
    let access = cells(snapshot.tables, &log, Side::Access, targets, snapshot.now)?;
    let session = match sid {
        Some(sid) => session_view(snapshot, sid)?,
        None => None,
    };
    Ok(JudgingSnapshot { log, access, session })
}

pub(crate) fn remember_replicas(txn: &mut Txn<'_>, heard: &[ReplicaStatus], gone: &[ReplicaId]) -> Result<()> {
    txn.tables.log()?;
    gone.iter().try_for_each(|replica| txn.tables.remove_replica(replica))?;
    heard.iter().try_for_each(|replica| txn.tables.put_replica(replica))?;
    note_bound(txn)
}

/// Writes down what bounds all verifiers from now on, where that has changed. Whoever is remembered
/// may still accept, so this is never less than what a confirmation reckons with.
fn note_bound(txn: &mut Txn<'_>) -> Result<()> {
    let replicas = txn.tables.replicas()?;
    let now = VerifierBound {
        since: txn.commit,
        longest_age: replicas.iter().map(|replica| replica.longest_age).max().unwrap_or(0),
        verify: replicas.iter().any(|replica| replica.routes.verify > 0),
        open: replicas.iter().any(|replica| replica.routes.open > 0),
    };
    let before = txn.tables.verifier_bounds(1)?.pop();
    if before.is_some_and(|before| VerifierBound { since: now.since, ..before } == now) {
        return Ok(());
    }
    txn.tables.put_verifier_bound(&now)
}

pub(crate) fn prune(txn: &mut Txn<'_>, limit: usize) -> Result<Pruned> {
    let log = txn.tables.log()?;
    let horizon = PruneHorizon::at(txn.commit, log.settings.clock_skew, txn.limits);
    txn.tables.prune(&horizon, limit.clamp(1, MAX_PAGE))
}
