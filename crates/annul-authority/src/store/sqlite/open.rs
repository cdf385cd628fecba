//! Opening a data directory: the lock, whose database it is, and which version wrote it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use annul_core::position::Position;
use annul_core::time::UnixMillis;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _};

use super::SqliteOptions;
use super::row::{millis, position};
use crate::store::OpenError;

/// The database in a data directory.
const DATABASE: &str = "annul.db";
/// The file that one authority holds locked.
const LOCK: &str = "lock";
/// Marks a database as ours: "annl".
const APPLICATION_ID: i64 = 0x616e_6e6c;
/// Schemas in order; the database's `user_version` counts those that were applied.
const SCHEMAS: [&str; 8] = [
    include_str!("schema/0001.sql"),
    include_str!("schema/0002.sql"),
    include_str!("schema/0003.sql"),
    include_str!("schema/0004.sql"),
    include_str!("schema/0005.sql"),
    include_str!("schema/0006.sql"),
    include_str!("schema/0007.sql"),
    include_str!("schema/0008.sql"),
];
/// How long a connection waits for another's short lock, such as a checkpoint's.
const BUSY: Duration = Duration::from_secs(5);
/// KiB of pages the writer keeps: entries are found by hashes, so each touches pages of its own, and
/// one that is not kept is read from the disk while callers wait.
const WRITER_CACHE_KIB: i64 = 64 * 1024;
/// Pages in the WAL (16 MiB) past which a commit folds them into the database. More of them share a
/// page the longer it is put off; less makes that commit shorter.
const WAL_PAGES: i64 = 4096;
/// Audit events whose times are looked at when a store is opened: a day of logins of many a deployment,
/// and milliseconds of reading.
const RECENT_EVENTS: i64 = 10_000;
/// Bytes of the lock file that are read to say who holds it.
const LOCK_TEXT: u64 = 256;

/// A data directory, opened.
pub(super) struct OpenedDir {
    pub(super) lock: File,
    pub(super) writer: Connection,
    pub(super) readers: Vec<Connection>,
    /// The head, or the default position before there is a log.
    pub(super) head: Position,
    /// The latest that a clock read for the work that is found here, as far as it is known.
    pub(super) latest: UnixMillis,
}

pub(super) fn open(dir: &Path, options: &SqliteOptions) -> Result<OpenedDir, OpenError> {
    make_dir(dir)?;
    let lock = take_lock(dir)?;
    let path = dir.join(DATABASE);
    make_private(&path)?;
    let failed = |error| open_error(&path, error);

    let writer = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    // Whose it is comes first: nothing is changed in a database that is not ours, or too new.
    let applied = applied_schemas(&writer, &path)?;
    writer.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
    writer.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    writer.pragma_update(None, "foreign_keys", true).map_err(failed)?;
    // What savepoints would undo is held in memory, not in a file of its own for every commit.
    writer.pragma_update(None, "temp_store", "MEMORY").map_err(failed)?;
    writer.pragma_update(None, "cache_size", -WRITER_CACHE_KIB).map_err(failed)?;
    writer.pragma_update_and_check(None, "wal_autocheckpoint", WAL_PAGES, |_| Ok(())).map_err(failed)?;
    if let Some(most) = options.most_pages {
        writer.pragma_update_and_check(None, "max_page_count", most, |_| Ok(())).map_err(failed)?;
    }
    apply_schemas(&writer, applied).map_err(failed)?;
    let head = head(&writer, &path)?;
    let latest = latest(&writer).map_err(failed)?;
    let readers = (0..options.readers.max(1))
        .map(|_| {
            let reader = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            reader.pragma_update(None, "query_only", true)?;
            Ok(reader)
        })
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    Ok(OpenedDir { lock, writer, readers, head, latest })
}

/// The head, or the default position before there is a log. A log has a line: the last one is never removed, and
/// without it positions would be given out a second time.
fn head(connection: &Connection, path: &Path) -> Result<Position, OpenError> {
    let failed = |error| open_error(path, error);
    let last = "SELECT epoch, seq FROM line ORDER BY epoch DESC, seq DESC LIMIT 1";
    let last = connection.query_row(last, [], position).optional().map_err(failed)?;
    let logs: i64 = connection.query_row("SELECT count(*) FROM log", [], |row| row.get(0)).map_err(failed)?;
    if last.is_none() && logs > 0 {
        return Err(OpenError::Corrupt { path: path.to_owned(), detail: "its log has no line".to_owned() });
    }
    Ok(last.unwrap_or_default())
}

/// The last line has the latest time of all lines. A login is an audit event and no line, and such an
/// event has the time that the clock showed, which may have stepped back since: so some are looked at.
fn latest(connection: &Connection) -> Result<UnixMillis, rusqlite::Error> {
    let sql = "SELECT max( \
         coalesce((SELECT time_millis FROM line ORDER BY epoch DESC, seq DESC LIMIT 1), 0), \
         coalesce((SELECT max(time_millis) FROM (SELECT time_millis FROM audit ORDER BY id DESC LIMIT ?1)), 0))";
    connection.query_row(sql, [RECENT_EVENTS], |row| row.get(0).map(millis))
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(128);
    // Otherwise statements that search a range are compiled anew for every value they are given.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// How many schemas the database has. A new file has none.
fn applied_schemas(connection: &Connection, path: &Path) -> Result<usize, OpenError> {
    let failed = |error| open_error(path, error);
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(failed);
    let (application, found) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    if application != APPLICATION_ID {
        let is_new = application == 0 && found == 0 && tables == 0;
        return if is_new { Ok(0) } else { Err(OpenError::NotAnnul { path: path.to_owned() }) };
    }
    match usize::try_from(found) {
        Ok(applied) if applied <= SCHEMAS.len() => Ok(applied),
        _ => Err(OpenError::Newer {
            path: path.to_owned(),
            found,
            known: i64::try_from(SCHEMAS.len()).unwrap_or(i64::MAX),
        }),
    }
}

fn apply_schemas(connection: &Connection, applied: usize) -> Result<(), rusqlite::Error> {
    for (index, schema) in SCHEMAS.iter().enumerate().skip(applied) {
        let version = index + 1;
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; {schema} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version}; COMMIT;"
        ))?;
    }
    Ok(())
}

fn make_dir(dir: &Path) -> Result<(), OpenError> {
    let failed = |error| OpenError::Io { path: dir.to_owned(), error };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)
}

/// A new database is for its owner only; the WAL takes its mode from it.
fn make_private(path: &Path) -> Result<(), OpenError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(OpenError::Io { path: path.to_owned(), error }),
    }
}

fn take_lock(dir: &Path) -> Result<File, OpenError> {
    let path: PathBuf = dir.join(LOCK);
    let failed = |error| OpenError::Io { path: path.clone(), error };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut by = String::new();
            // Who holds it is only for the message; the lock itself is what counts.
            let _ = file.take(LOCK_TEXT).read_to_string(&mut by);
            let by = if by.trim().is_empty() { "another process".to_owned() } else { by.trim().to_owned() };
            return Err(OpenError::Locked { dir: dir.to_owned(), by });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    file.set_len(0).map_err(failed)?;
    writeln!(file, "process {}", std::process::id()).map_err(failed)?;
    Ok(file)
}

fn open_error(path: &Path, error: rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotAnnul { path },
        // A schema's own check of what it finds.
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::ConstraintViolation) => {
            OpenError::Corrupt { path, detail: error.to_string() }
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            let reason = fs::metadata(&path).err().unwrap_or_else(|| io::Error::other(error.to_string()));
            OpenError::Io { path, error: reason }
        }
        _ => OpenError::Failed { path, detail: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use annul_core::algebra::{Cell, Until};
    use annul_core::record::HashedCell;
    use annul_core::target::{TargetHash, TargetKind};
    use annul_core::time::UnixSeconds;

    use super::super::rows::Rows;
    use super::*;
    use crate::model::Side;
    use crate::store::AuditFilter;
    use crate::store::tables::Read as _;

    /// A database as a version with so many schemas left it.
    fn of_version(path: &Path, schemas: usize) -> Connection {
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE).unwrap();
        for (index, schema) in SCHEMAS.iter().take(schemas).enumerate() {
            let mark = format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {};", index + 1);
            connection.execute_batch(&format!("{schema} {mark}")).unwrap();
        }
        connection
    }

    #[test]
    fn what_an_older_version_wrote_is_carried_over() {
        let dir = tempfile::tempdir().unwrap();
        let before = of_version(&dir.path().join(DATABASE), 7);
        let cell = |target, until| {
            let cell = Cell { always: None, position: Some(Position::new(1, 2)), time: None, until };
            HashedCell { target: TargetHash([target; 16]), kind: TargetKind::Subject, cell: Some(cell) }.to_line()
        };
        let at = |second| Until::At(UnixSeconds(second));
        let rows = format!(
            "INSERT INTO head VALUES (1, 1, 3, x'{three}'); \
             INSERT INTO line VALUES (1, 2, 'two', x'{two}', 5), (1, 3, 'three', x'{three}', 6); \
             INSERT INTO audit (id, time_millis, actor, action) VALUES (7, 1, 'a', 'b'), (9, 2, 'a', 'c'); \
             DELETE FROM audit WHERE id = 9; \
             INSERT INTO cell VALUES (x'{one_hash}', 0, 50, '{one_access}'), (x'{one_hash}', 1, 90, '{one_sessions}'), \
             (x'{two_hash}', 0, NULL, '{two_access}');",
            two = "22".repeat(32),
            three = "33".repeat(32),
            one_hash = "11".repeat(16),
            two_hash = "22".repeat(16),
            one_access = cell(0x11, at(50)),
            one_sessions = cell(0x11, at(90)),
            two_access = cell(0x22, Until::Never),
        );
        before.execute_batch(&rows).unwrap();
        drop(before);

        let opened = open(dir.path(), &SqliteOptions::default()).unwrap();
        assert_eq!(opened.head, Position::new(1, 3));
        let rows = Rows::of(&opened.writer);
        let audit = rows.audit(&AuditFilter { limit: 9, ..AuditFilter::default() }).unwrap();
        let ids: Vec<u64> = audit.iter().map(|event| event.id).collect();
        assert_eq!(ids, [7, 9], "the greatest id that was ever given is not given again");
        let until = |side, target| {
            let held = rows.cell(side, &TargetHash([target; 16])).unwrap();
            held.map(|held| held.cell.unwrap().until)
        };
        assert_eq!(until(Side::Access, 0x11), Some(at(50)));
        assert_eq!(until(Side::Sessions, 0x11), Some(at(90)));
        assert_eq!(until(Side::Access, 0x22), Some(Until::Never));
        assert_eq!(until(Side::Sessions, 0x22), None);
        assert_eq!(rows.count_without_until().unwrap(), 1);
    }

    #[test]
    fn a_log_that_lost_its_last_line_is_refused_and_left_as_it_is() {
        let log = "INSERT INTO log (one, id, settings, hash_key, feed_key) VALUES (1, 'l', '{}', x'00', x'00');";
        let behind = "INSERT INTO head VALUES (1, 1, 3, x'33'); INSERT INTO line VALUES (1, 2, 'two', x'22', 5);";
        for (schemas, rows) in [(SCHEMAS.len(), log), (7, behind)] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(DATABASE);
            of_version(&path, schemas).execute_batch(rows).unwrap();
            let refused = open(dir.path(), &SqliteOptions::default()).err().unwrap();
            assert!(matches!(refused, OpenError::Corrupt { .. }), "{refused}");
            let after = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
            assert_eq!(applied_schemas(&after, &path).unwrap(), schemas);
        }
    }
}
