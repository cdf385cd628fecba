//! Ids that may be used once.

use super::{Result, Txn};
use crate::store::{FirstUse, UseOnce};

pub(crate) fn use_once(txn: &mut Txn<'_>, once: &UseOnce) -> Result<FirstUse> {
    txn.tables.log()?;
    let key = key(once);
    // A row that is there counts, whether its time is over or not: it goes by clean-up alone, so that a
    // clock put back revives nothing.
    if txn.tables.is_used(&key)? {
        return Ok(FirstUse::Used);
    }
    txn.tables.put_used(&key, once.until)?;
    Ok(FirstUse::Fresh)
}

/// Of one length whatever the id's, and never the same for two.
fn key(once: &UseOnce) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("annul use once v0");
    hasher.update(&(once.realm.len() as u64).to_le_bytes()).update(once.realm.as_bytes()).update(once.id.as_bytes());
    *hasher.finalize().as_bytes()
}
