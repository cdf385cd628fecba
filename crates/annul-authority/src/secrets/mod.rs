//! What must not be read: keys and how they sign, the master key that seals them, passwords, client
//! secrets, and the files they lie in.

pub mod nonces;
pub mod passwords;
pub(crate) mod private_file;
pub(crate) mod random;
pub(crate) mod reference_token;
pub(crate) mod refresh_token;
pub mod sealing;
pub mod secret;
pub mod signing;
pub(crate) mod subject_key;
