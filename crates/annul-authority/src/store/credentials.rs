//! What the store is asked and answers about who logs in: credentials proven and changed, the ids that
//! subjects are found by, their devices.

use annul_core::time::UnixMillis;
use serde::{Deserialize, Serialize};

use super::Appended;
use crate::model::{Device, NewSession};

/// Whose credential or id it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A subject that the caller answers for.
    Subject(String),
    /// The user of a built-in account.
    Account {
        /// The account's name.
        username: String,
        /// The stored hash whose password the user has just proven. The transaction refuses when it
        /// is not the account's any more. `None` is an administrator, who proves nothing.
        proven: Option<String>,
    },
}

/// A login to a built-in account.
#[derive(Clone, Debug)]
pub struct AccountLogin {
    /// The account's name.
    pub username: String,
    /// The stored hash whose password was proven.
    pub proven: String,
    /// What its tokens carry for the credential, where its subject has no fingerprint yet.
    pub fingerprint: String,
    /// The session to open. Its subject is the account's, whatever it says.
    pub session: NewSession,
}

/// A credential that changed, or that its user wants to count as changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialChange {
    /// Whose.
    pub holder: Holder,
    /// The hash that replaces the one of the holder's account.
    pub password: Option<String>,
    /// What the holder's next tokens carry for it.
    pub fingerprint: String,
    /// The holder's session that stays.
    pub keep: Option<String>,
}

/// A change of the id that a subject is found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupIdChange {
    /// Whose.
    pub holder: Holder,
    /// The id it goes by from now on; nobody's so far.
    pub fresh: String,
}

/// A lookup id that was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupIdChanged {
    /// The entry that retired the old id, and what it ended.
    pub appended: Appended,
    /// The id that the subject goes by now.
    pub subject: String,
}

/// A subject's device and when it was last logged in and out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceTimes {
    /// The device, as its last login described it.
    pub device: Device,
    /// The client of its last login.
    pub client_id: Option<String>,
    /// When a session was last opened on it.
    pub last_login: UnixMillis,
    /// When it was last left with no session: by a logout, its session's end or any revocation that
    /// reaches it. Later than the last login only while none of its sessions can be used.
    pub last_logout: Option<UnixMillis>,
    /// Whether one of its sessions can be used.
    pub logged_in: bool,
}
