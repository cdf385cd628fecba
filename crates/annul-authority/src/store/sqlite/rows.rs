//! The rows behind one connection, inside one of its transactions.
//!
//! What a transaction appends to the log and to the audit is held here until its end and written then:
//! pieces of work that share a commit do not each touch the ends of the same tables.
//! No verb reads those rows in the transaction that appends them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use annul_core::time::UnixMillis;
use rusqlite::Connection;

use super::failure::failed;
use crate::model::{AuditEvent, LogLine};
use crate::store::tables::IssuerRow;
use crate::store::{LogState, StoreError};

/// See the module.
pub(super) struct Rows<'c> {
    pub(super) connection: &'c Connection,
    /// The log with all that was appended so far, once it was asked for.
    pub(super) log: RefCell<Option<LogState>>,
    /// Issuers, our own among them, that were asked for: each revocation asks for its own.
    pub(super) issuers: RefCell<BTreeMap<String, Arc<IssuerRow>>>,
    pub(super) lines: Vec<(LogLine, UnixMillis)>,
    pub(super) audit: Vec<AuditEvent>,
    /// How often a client was added, changed or removed.
    pub(super) client_changes: u64,
}

/// How far a transaction had come.
pub(super) struct Mark {
    lines: usize,
    audit: usize,
    client_changes: u64,
}

impl<'c> Rows<'c> {
    pub(super) const fn of(connection: &'c Connection) -> Self {
        Self {
            connection,
            log: RefCell::new(None),
            issuers: RefCell::new(BTreeMap::new()),
            lines: Vec::new(),
            audit: Vec::new(),
            client_changes: 0,
        }
    }

    /// Runs a statement without parameters, compiled once.
    pub(super) fn execute(&self, sql: &str) -> Result<(), StoreError> {
        let mut statement = self.connection.prepare_cached(sql).map_err(failed)?;
        statement.execute([]).map(drop).map_err(failed)
    }

    pub(super) const fn mark(&self) -> Mark {
        Mark { lines: self.lines.len(), audit: self.audit.len(), client_changes: self.client_changes }
    }

    /// Takes back what was appended since. What was written is for the database to take back.
    pub(super) fn back_to(&mut self, mark: &Mark) {
        self.lines.truncate(mark.lines);
        self.audit.truncate(mark.audit);
        self.client_changes = mark.client_changes;
        *self.log.get_mut() = None;
        self.issuers.get_mut().clear();
    }

    /// Takes back everything, and what is known of the log.
    pub(super) fn forget(&mut self) {
        self.back_to(&Mark { lines: 0, audit: 0, client_changes: 0 });
    }
}
