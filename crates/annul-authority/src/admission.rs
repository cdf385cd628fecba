//! A client's leave to be served for longer than the request that it proved itself in.
//!
//! Most requests are over before anybody could take their caller's credential away. A stream of the
//! feed is not, and a poll waits for a minute: what they hand out is asked for here each time.

use tokio::sync::watch;

use crate::authority::Authority;
use crate::store::{Committed, StoreError};
use crate::verbs::clients::AuthenticatedClient;

/// The leave of one client, from the moment it proved itself.
pub struct Admission {
    authority: Authority,
    client: AuthenticatedClient,
    committed: watch::Receiver<Committed>,
    /// The count of client changes at which it was found to hold.
    held_at: Option<u64>,
}

impl Admission {
    /// Whether the client is still there: `false` from the answer to its removal on, also where another
    /// one got its id. Whoever asks after reading a record that was committed later is told so too.
    /// Reads the store only where a client was changed since the last call.
    pub async fn holds(&mut self) -> Result<bool, StoreError> {
        // Taken before the client is read, which may then be newer than this count, never older.
        let changes = self.committed.borrow().client_changes;
        if self.held_at == Some(changes) {
            return Ok(true);
        }
        let found = self.authority.clients().find(self.authority.store().as_ref(), &self.client.client_id).await?;
        let holds = found.is_some_and(|found| self.client.is(&found));
        self.held_at = holds.then_some(changes);
        Ok(holds)
    }
}

impl Authority {
    /// The leave of a client that has just proved itself.
    #[must_use]
    pub fn admission(&self, client: AuthenticatedClient) -> Admission {
        Admission { authority: self.clone(), client, committed: self.store().committed(), held_at: None }
    }
}
