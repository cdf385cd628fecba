//! `annul token inspect`: what a token says of itself. Nothing is verified, and the output says so.

use annul_core::time::UnixSeconds;
use annul_core::token::UnverifiedToken;
use clap::Args;
use serde_json::{Value, json};

use crate::failure::{Exit, Failure, Outcome};
use crate::input;
use crate::print::{self, Format};
use crate::when::{now, seconds_text, span};

/// Show what a token says, unverified
#[derive(Args, Debug)]
pub(crate) struct Inspect {
    /// The token; - reads it from stdin
    #[arg(value_name = "JWT|-")]
    token: String,
}

impl Inspect {
    pub(crate) fn run(self, format: Format) -> Outcome {
        let text = input::token(&self.token)?;
        let token = UnverifiedToken::parse(&text)
            .map_err(|error| Failure::refused(format!("this is not a token: {error} ({})", error.code())))?;
        let header = json!({
            "alg": token.header().alg().name(),
            "typ": token.header().typ(),
            "kid": token.header().kid(),
        });
        let claims = Value::Object(token.claims().map().clone());
        match format {
            Format::Json => print::json(&json!({ "verified": false, "header": header, "claims": claims })),
            Format::Human => show(&header, &claims),
        }
        Ok(Exit::Done)
    }
}

fn show(header: &Value, claims: &Value) {
    print::line("NOT VERIFIED: this is what the token says of itself");
    for (title, members) in [("header", header), ("claims", claims)] {
        print::line("");
        print::line(title);
        let members = members.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        let rows: Vec<_> =
            members.map(|(name, value)| (format!("  {}", print::clean(name)), text(name, value))).collect();
        print::fields(&rows.iter().map(|(name, value)| (name.as_str(), value.clone())).collect::<Vec<_>>());
    }
}

/// The value, and for the registered times also the time they mean.
fn text(name: &str, value: &Value) -> String {
    let plain = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match value.as_u64() {
        Some(seconds) if matches!(name, "exp" | "nbf" | "iat" | "auth_time") => {
            format!("{plain}  {} ({})", seconds_text(UnixSeconds(seconds)), relative(seconds))
        }
        _ => plain,
    }
}

fn relative(seconds: u64) -> String {
    let now = now().floor().0;
    if seconds > now {
        format!("in {}", span((seconds - now).saturating_mul(1000)))
    } else {
        format!("{} ago", span((now - seconds).saturating_mul(1000)))
    }
}
