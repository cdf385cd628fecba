//! What a caller can do, one module per subject: each verb judges, changes state and log in one
//! transaction, and says what happened. Status codes and wire limits are `http/`'s.

pub mod accounts;
pub mod assertion;
pub(crate) mod attempts;
pub mod audit;
pub mod bounds;
pub mod browser_logout;
pub mod client_metadata;
pub mod clients;
pub mod credentials;
pub(crate) mod descent;
pub mod devices;
pub mod exchange;
pub mod exposure;
pub mod granted;
pub mod introspection;
pub mod issuers;
pub mod keys;
pub mod logout;
pub mod lookup_id;
pub mod machine_tokens;
pub(crate) mod minting;
pub(crate) mod next_token;
pub mod oauth_clients;
pub mod presented;
pub mod refresh;
pub mod revocations;
pub mod revoke_token;
pub mod schedules;
pub mod sessions;
pub mod settings;
pub mod subject_keys;
pub mod subjects;
pub mod tokens;
