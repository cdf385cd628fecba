//! `annul settings`: what every verifier must agree on.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::confirm::Consent;
use crate::credential::Connection;
use crate::failure::{Exit, Failure, Outcome};
use crate::print::{self, Format};
use crate::remote::Remote;
use crate::when::DurationArg;

/// Show the settings that travel in the feed, change them
#[derive(Args, Debug)]
pub(crate) struct Settings {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the settings in force
    Show,
    /// Change settings; what is not given stays
    Set(Set),
}

/// What to change, at least one of them. A verifier that is configured beyond them stops accepting.
#[derive(Args, Debug)]
struct Set {
    /// The longest life of any token of the authority
    #[arg(long, value_name = "DURATION")]
    longest_life: Option<DurationArg>,
    /// The largest leeway of any verifier
    #[arg(long, value_name = "DURATION")]
    max_leeway: Option<DurationArg>,
    /// By how much any two clocks may differ
    #[arg(long, value_name = "DURATION")]
    clock_skew: Option<DurationArg>,
    /// All claims that can be revoked by, with commas between; '' for none
    #[arg(long, value_name = "CLAIMS")]
    claims: Option<String>,
    /// Those of them on which an entry makes every route ask, with commas between; '' for none
    #[arg(long, value_name = "CLAIMS")]
    ask_on: Option<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Settings {
    pub(crate) async fn run(self, format: Format) -> Outcome {
        let remote = Remote::connect(&self.connection)?;
        match self.verb {
            Verb::Show => {
                show(&remote.get(&["v1", "settings"]).await?, format);
                Ok(Exit::Done)
            }
            Verb::Set(set) => change(&remote, set, format).await,
        }
    }
}

async fn change(remote: &Remote, set: Set, format: Format) -> Outcome {
    let consent = Consent::from_flag(set.yes);
    consent.possible("a change of settings")?;
    let mut body = Map::new();
    for (name, span) in
        [("longest_life", set.longest_life), ("max_leeway", set.max_leeway), ("clock_skew", set.clock_skew)]
    {
        if let Some(span) = span {
            body.insert(name.to_owned(), json!(whole_seconds(name, span)?));
        }
    }
    for (name, claims) in [("claims", set.claims), ("ask_on", set.ask_on)] {
        if let Some(claims) = claims {
            let claims: Vec<_> = claims.split(',').map(str::trim).filter(|claim| !claim.is_empty()).collect();
            body.insert(name.to_owned(), json!(claims));
        }
    }
    if body.is_empty() {
        return Err(Failure::usage("no setting was given; nothing was done"));
    }
    let body = Value::from(body);
    consent.obtain(&format!("Every verifier gets these settings: {body}. Change them?"))?;
    let answer = remote.call(Method::PUT, &["v1", "settings"]).body(&body).json().await?;
    match format {
        Format::Json => print::json(&answer),
        Format::Human => show(&answer["settings"], format),
    }
    Ok(Exit::Done)
}

fn whole_seconds(name: &str, span: DurationArg) -> Result<u64, Failure> {
    if span.0.subsec_nanos() == 0 {
        return Ok(span.0.as_secs());
    }
    Err(Failure::usage(format!("{name} is whole seconds; nothing was done")))
}

fn show(settings: &Value, format: Format) {
    match format {
        Format::Json => print::json(settings),
        Format::Human => {
            let names = ["issuer", "revision", "longest_life", "max_leeway", "clock_skew", "claims", "ask_on"];
            print::fields(&names.map(|name| (name, print::member(settings, name))));
        }
    }
}
