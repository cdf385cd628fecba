//! `annul token check`: is this token revoked, as the authority knows it now?

use clap::Args;
use serde_json::{Value, json};

use crate::credential::Connection;
use crate::failure::{Exit, Outcome};
use crate::input;
use crate::print::{self, Format};
use crate::remote::Remote;

/// Ask the authority whether a token is revoked, and by which entry
#[derive(Args, Debug)]
pub(crate) struct Check {
    /// The token; - reads it from stdin
    #[arg(value_name = "JWT|-")]
    token: String,
    #[command(flatten)]
    connection: Connection,
}

impl Check {
    pub(crate) async fn run(self, format: Format) -> Outcome {
        let body = json!({ "token": input::token(&self.token)? });
        let answer = Remote::connect(&self.connection)?.post(&["v1", "tokens", "check"], &body).await?;
        match format {
            Format::Json => print::json(&answer),
            Format::Human => print::fields(&fields(&answer)),
        }
        Ok(if answer["verdict"] == "active" { Exit::Done } else { Exit::Refused })
    }
}

fn fields(answer: &Value) -> Vec<(&'static str, String)> {
    let mut fields = vec![("verdict", print::member(answer, "verdict"))];
    let code = print::member(answer, "code");
    if !code.is_empty() {
        fields.push(("code", code));
    }
    let refusal = &answer["refusal"];
    if refusal.is_object() {
        let at = print::member(refusal, "at");
        let by = format!("{} {} at {at}", print::member(refusal, "kind"), print::member(refusal, "cutoff"));
        fields.push(("by", by));
        fields.push(("why", format!("annul audit --position {at}")));
    }
    fields.push(("as of", print::member(answer, "position")));
    fields
}
