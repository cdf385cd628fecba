//! The secrets a first start makes: the master key and the administrator's credential.
//!
//! Both are on disk before the log is created, so that a kill at any moment leaves nothing that
//! cannot be opened or administered: the next start finds them beside an empty store and uses them.

use std::fs;
use std::io;
use std::path::Path;

use super::{Notice, ServeError};
use crate::authority::{Authority, FirstStart, StartError};
use crate::config::{Config, StoreKind};
use crate::secrets::private_file;
use crate::secrets::sealing::MasterKey;
use crate::secrets::secret::Secret;
use crate::store::Store;
use crate::verbs::clients::{ADMIN, is_secret};

/// The file beside the data that holds a master key made here.
const MASTER_KEY: &str = "master.key";
/// The file beside the data that holds the administrator's credential.
const CREDENTIAL: &str = "admin.credential";
/// The line of the credential that names the client.
const CLIENT_ID: &str = "ANNUL_CLIENT_ID=";
/// The line of the credential that holds its secret.
const CLIENT_SECRET: &str = "ANNUL_CLIENT_SECRET=";

/// The master key: the one configured, else the one beside the data, made at the first start.
pub(super) async fn master_key(config: &Config, store: &dyn Store) -> Result<(MasterKey, Vec<Notice>), ServeError> {
    if config.store.kind == StoreKind::Memory && config.keys.master_key.is_none() {
        return Ok((MasterKey::generate()?, Vec::new()));
    }
    if let Some(path) = &config.keys.master_key {
        return Ok((MasterKey::load(path)?, Vec::new()));
    }
    let path = config.store.data.join(MASTER_KEY);
    let is_new = Authority::is_new(store).await.map_err(StartError::from)?;
    // A key is made only for a log that is not there yet: for any other it would be the wrong one.
    let key = if is_new && !path.exists() { MasterKey::create(&path)? } else { MasterKey::load(&path)? };
    Ok((key, vec![Notice::MasterKeyBesideData { path }]))
}

/// The credential for the administrator of a log that is not there yet, written down; for any other
/// store it is of no use and nothing is written.
pub(super) async fn administrator(config: &Config, store: &dyn Store) -> Result<FirstStart, ServeError> {
    let is_new = Authority::is_new(store).await.map_err(StartError::from)?;
    if !is_new || config.store.kind == StoreKind::Memory {
        return Ok(FirstStart::generate().map_err(StartError::from)?);
    }
    let path = config.store.data.join(CREDENTIAL);
    match fs::read_to_string(&path) {
        // An earlier first start wrote it and was stopped before it created the log.
        Ok(text) => read(&text).ok_or(ServeError::CredentialMalformed { path }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let admin = FirstStart::generate().map_err(StartError::from)?;
            write(&path, &admin).map_err(|error| ServeError::Credential { path, error })?;
            Ok(admin)
        }
        Err(error) => Err(ServeError::Credential { path, error }),
    }
}

/// Where the operator finds the credential of a log that was just created.
pub(super) fn told(config: &Config, first: &FirstStart) -> Notice {
    match config.store.kind {
        StoreKind::Memory => Notice::CredentialInMemory {
            client_id: first.client_id.clone(),
            client_secret: first.client_secret.clone(),
        },
        StoreKind::Sqlite => Notice::CredentialWritten { path: config.store.data.join(CREDENTIAL) },
    }
}

fn write(path: &Path, admin: &FirstStart) -> io::Result<()> {
    let text = format!("{CLIENT_ID}{}\n{CLIENT_SECRET}{}\n", admin.client_id, admin.client_secret.expose());
    private_file::create(path, Secret::new(text).expose().as_bytes())
}

fn read(text: &str) -> Option<FirstStart> {
    let member = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let (id, secret) = (member(CLIENT_ID)?, member(CLIENT_SECRET)?);
    (id == ADMIN && is_secret(secret))
        .then(|| FirstStart { client_id: id.to_owned(), client_secret: Secret::new(secret.to_owned()) })
}
