//! `annul login`: a token for a built-in account.

use clap::Args;
use reqwest::Method;
use serde_json::{Map, json};

use crate::credential::Connection;
use crate::failure::Outcome;
use crate::print::Format;
use crate::remote::Remote;
use crate::{password, token};

/// Log in to a built-in account and print the access token
///
/// The password is asked for, or read from stdin.
#[derive(Args, Debug)]
pub(crate) struct Login {
    /// The account's name
    username: String,
    /// The service the token is for
    #[arg(long)]
    audience: Option<String>,
    /// Scope of the token
    #[arg(long)]
    scope: Option<String>,
    /// Id of the device, by which it can be logged out
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

impl Login {
    pub(crate) async fn run(self, format: Format) -> Outcome {
        let remote = Remote::anonymous(&self.connection)?;
        let mut body = Map::new();
        body.insert("username".to_owned(), json!(self.username));
        body.insert("password".to_owned(), json!(password::read("password")?));
        if let Some(audience) = self.audience {
            body.insert("audience".to_owned(), json!(audience));
        }
        if let Some(scope) = self.scope {
            body.insert("scope".to_owned(), json!(scope));
        }
        if let Some(device) = self.device {
            body.insert("device".to_owned(), json!({ "id": device }));
        }
        let answer = remote.call(Method::POST, &["v1", "login"]).body(&body.into()).json().await?;
        token::print_token(&answer, format)
    }
}
