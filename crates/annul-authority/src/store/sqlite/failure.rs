//! SQLite's errors by what the caller should do about them.

use rusqlite::ErrorCode;

use crate::store::StoreError;

/// The store's error for one of the engine's.
pub(super) fn failed(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::DiskFull,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt { detail: error.to_string() },
        _ => StoreError::Failed { detail: error.to_string() },
    }
}

/// The error for a row that does not hold what this version writes.
pub(super) fn unreadable(what: &'static str) -> impl Fn() -> StoreError {
    move || StoreError::Corrupt { detail: format!("a row of {what} cannot be read") }
}
