//! What a caller can do, one module per subject: each verb judges, changes state and log in one
//! transaction, and says what happened. Status codes and wire limits are `http/`'s.

pub mod accounts;
pub mod audit;
pub mod bounds;
pub mod client_metadata;
pub mod clients;
pub mod credentials;
pub mod devices;
pub mod exposure;
pub mod issuers;
pub mod keys;
pub mod lookup_id;
pub(crate) mod minting;
pub(crate) mod next_token;
pub mod oauth_clients;
pub mod refresh;
pub mod revocations;
pub mod schedules;
pub mod sessions;
pub mod settings;
pub mod subject_keys;
pub mod subjects;
pub mod tokens;
