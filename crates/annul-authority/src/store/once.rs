//! Ids that may be used once, such as those of assertions: what the store is asked and answers.

use annul_core::time::UnixSeconds;

/// An id that may be used once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UseOnce {
    /// What the id is of, and whose: the same id of another realm is another id.
    pub realm: String,
    /// The id.
    pub id: String,
    /// The last second in which what has this id could be accepted.
    pub until: UnixSeconds,
}

/// Whether an id was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstUse {
    /// It was not, and now it is.
    Fresh,
    /// It was.
    Used,
}
