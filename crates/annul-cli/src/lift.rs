//! `annul lift`: undoes named revocations.

use annul_core::position::Position;
use clap::Args;
use reqwest::Method;
use serde_json::{Map, json};

use crate::credential::Connection;
use crate::failure::Outcome;
use crate::print::Format;
use crate::remote::Remote;
use crate::revocation;
use crate::when::WaitArg;

/// Undo revocations by their positions
///
/// What other entries revoke stays revoked. A killed key and an ended session are never revived, and
/// a block is undone by unblocking.
#[derive(Args, Debug)]
pub(crate) struct Lift {
    /// The positions that `annul revoke` or `annul audit` printed, such as 1:42
    #[arg(value_name = "POSITION", required = true)]
    positions: Vec<Position>,
    /// Why, for the audit log
    #[arg(long)]
    reason: Option<String>,
    /// Wait this long for the verifiers to confirm, at most 60s; exit 3 when they did not
    #[arg(long, value_name = "DURATION")]
    wait: Option<WaitArg>,
    #[command(flatten)]
    connection: Connection,
}

impl Lift {
    pub(crate) async fn run(self, format: Format) -> Outcome {
        let remote = Remote::connect(&self.connection)?;
        let mut body = Map::new();
        body.insert("positions".to_owned(), json!(self.positions));
        if let Some(reason) = self.reason {
            body.insert("reason".to_owned(), json!(reason));
        }
        if let Some(wait) = self.wait {
            body.insert("wait".to_owned(), json!(wait.millis()));
        }
        let call = remote.call(Method::POST, &["v1", "revocations", "lift"]).body(&body.into());
        let answer = call.waiting(self.wait.map(WaitArg::duration).unwrap_or_default()).json().await?;
        revocation::conclude_lift(&answer, format)
    }
}
