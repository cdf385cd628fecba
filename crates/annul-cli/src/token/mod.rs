//! `annul token`: make one, look into one, verify some.

mod check;
mod inspect;
mod issue;
mod verify;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::failure::{Exit, Failure, Outcome};
use crate::print::{self, Format};

/// Issue, inspect, verify and check tokens
#[derive(Args, Debug)]
pub(crate) struct Token {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Issue(issue::Issue),
    Inspect(inspect::Inspect),
    Verify(verify::Verify),
    Check(check::Check),
}

impl Token {
    pub(crate) async fn run(self, format: Format) -> Outcome {
        match self.verb {
            Verb::Issue(issue) => issue.run(format).await,
            Verb::Inspect(inspect) => inspect.run(format),
            Verb::Verify(verify) => verify.run(format).await,
            Verb::Check(check) => check.run(format).await,
        }
    }
}

/// Prints the access token of an answer, alone on its line for people, so that it can be piped on.
pub(crate) fn print_token(answer: &Value, format: Format) -> Outcome {
    match format {
        Format::Json => print::json(answer),
        Format::Human => {
            let token = answer["access_token"]
                .as_str()
                .ok_or_else(|| Failure::unreachable("the authority answered without an access token"))?;
            print::line(&print::clean(token));
            let sid = print::clean(&print::member(answer, "sid"));
            let life = answer["expires_in"].as_u64().unwrap_or(0);
            eprintln!("session {sid}, expires in {life} s");
        }
    }
    Ok(Exit::Done)
}
