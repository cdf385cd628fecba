//! `annul audit`: who did what, why, and which entry of the log it made.

use annul_core::position::Position;
use annul_core::time::UnixMillis;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::Value;

use crate::credential::Connection;
use crate::exposure::Exposure;
use crate::failure::{Exit, Outcome};
use crate::print::{self, Format};
use crate::remote::Remote;
use crate::when::millis_text;

/// Show the audit log: a refusal's position leads to its reason and actor
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Audit {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// The first events after this id, 0 for the first of all; the newest when left out
    #[arg(long, value_name = "ID")]
    after: Option<u64>,
    /// At most this many
    #[arg(long, default_value_t = 100)]
    limit: u32,
    /// Only what made the entry at this position
    #[arg(long)]
    position: Option<Position>,
    /// Only what named this target
    #[arg(long)]
    target: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Exposure(Exposure),
}

impl Audit {
    pub(crate) async fn run(self, format: Format) -> Outcome {
        let remote = Remote::connect(&self.connection)?;
        if let Some(Verb::Exposure(exposure)) = self.verb {
            return exposure.run(&remote, format).await;
        }
        let mut query = vec![("limit", self.limit.to_string())];
        query.extend(self.after.map(|after| ("after", after.to_string())));
        query.extend(self.position.map(|position| ("position", position.to_string())));
        query.extend(self.target.map(|target| ("target", target)));
        let answer = remote.call(Method::GET, &["v1", "audit"]).query(&query).json().await?;
        let heading = ["ID", "TIME", "ACTOR", "ACTION", "TARGET", "POSITION", "REASON"];
        print::list(&answer, "events", format, heading, row);
        Ok(Exit::Done)
    }
}

fn row(event: &Value) -> [String; 7] {
    let text = |name: &str| print::member(event, name);
    let time = event["time"].as_u64().map_or_else(String::new, |time| millis_text(UnixMillis(time)));
    [text("id"), time, text("actor"), text("action"), text("target"), text("position"), text("reason")]
}
