//! A thief: copies the authority's data with the master key beside it, and signs tokens of his own.

use std::path::Path;

use annul_authority::clock::Clock;
use annul_authority::model::KeyState;
use annul_authority::secrets::sealing::MasterKey;
use annul_authority::secrets::signing::{SigningAlgorithm, SigningKey};
use annul_authority::store::{SqliteOptions, SqliteStore, Store};
use serde_json::{Map, Value, json};

use super::foreign::unix_now;
use super::{Problem, role};

/// The signing key that was in use when the data was copied.
pub(crate) struct StolenKey {
    key: SigningKey,
}

impl StolenKey {
    /// Copies `data` to `hideout` while the authority runs, and opens the key there.
    pub(crate) async fn steal(data: &Path, hideout: &Path) -> Result<Self, Problem> {
        std::fs::create_dir_all(hideout)?;
        for entry in std::fs::read_dir(data)? {
            let entry = entry?;
            if entry.file_type()?.is_file() && entry.file_name() != "lock" {
                std::fs::copy(entry.path(), hideout.join(entry.file_name()))?;
            }
        }
        let opened = |error: &dyn std::fmt::Display| Problem::from(format!("the copied data does not open: {error}"));
        let master = MasterKey::load(&hideout.join("master.key")).map_err(|error| opened(&error))?;
        let directory = hideout.to_owned();
        let store = tokio::task::spawn_blocking(move || {
            SqliteStore::open(&directory, SqliteOptions::default(), Clock::system())
        });
        let store = store.await.map_err(|error| opened(&error))?.map_err(|error| opened(&error))?;
        let keys = store.keys().await.map_err(|error| opened(&error))?;
        let active = keys.iter().find(|key| key.state == KeyState::Active).ok_or("no key is in use")?;
        let algorithm = SigningAlgorithm::from_name(&active.algorithm).ok_or("the key is of an unknown algorithm")?;
        let purpose = format!("signing key {}", active.kid);
        let document = master.open(&purpose, &active.sealed).map_err(|error| opened(&error))?;
        let key = SigningKey::from_pkcs8(algorithm, &document).map_err(|error| opened(&error))?;
        Ok(Self { key })
    }

    pub(crate) fn kid(&self) -> &str {
        self.key.kid()
    }

    /// A token that says what the thief likes, made now, dated after everything in the log.
    pub(crate) fn forge(&self, subject: &str, position: &str) -> Result<String, Problem> {
        let now = unix_now();
        let claims: Value = json!({
            "iss": role::ISSUER, "aud": role::AUDIENCE, "sub": subject, "client_id": "demo-app",
            "jti": uuid::Uuid::now_v7().to_string(), "sid": "stolen", "iat": now, "exp": now + 300, "auth_time": now,
            "roles": ["admin"], "lpos": position,
        });
        let claims: Map<String, Value> = claims.as_object().cloned().unwrap_or_default();
        self.key.sign_token("at+jwt", &claims).map_err(|error| error.to_string().into())
    }
}
