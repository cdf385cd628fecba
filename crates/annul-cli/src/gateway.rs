//! `annul gateway`: runs a gateway.

use std::path::{Path, PathBuf};

use annul_gateway::config::Sources;
use annul_gateway::{Config, ConfigError};
use clap::Args;

use crate::failure::{Exit, Failure, Outcome};
use crate::serve::setting;
use crate::{logging, print};

/// Run a gateway: forward-auth for proxies, local introspection, a relay of the feed
///
/// Settings come, weakest first, from defaults, annul-gateway.toml, variables named
/// ANNUL_SECTION__KEY and flags. The first line on stdout says where it listens.
#[derive(Args, Debug)]
pub(crate) struct Gateway {
    /// Configuration file; annul-gateway.toml in the working directory where it exists
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// The authority's address
    #[arg(long, value_name = "URL", env = "ANNUL_URL")]
    authority: Option<String>,
    /// The client with the scope annul.follow; its secret is ANNUL_CLIENT_SECRET
    #[arg(long, value_name = "ID", env = "ANNUL_CLIENT_ID")]
    client_id: Option<String>,
    /// The iss of the tokens to accept
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// The aud of the tokens to accept
    #[arg(long)]
    audience: Option<String>,
    /// How old the view may be
    #[arg(long, value_name = "DURATION")]
    max_staleness: Option<String>,
    /// Any other setting
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
}

impl Gateway {
    pub(crate) async fn run(self) -> Outcome {
        logging::start();
        let config = self.load().map_err(|error| {
            Failure::usage(format!("{error} ({})", error.code()))
                .with_hint("nothing was started; correct it and start again")
        })?;
        let stop = annul_authority::serve::stop_signal();
        annul_gateway::serve(config, stop, |notice| print::notice(&notice.to_string()))
            .await
            .map_err(|error| Failure::refused(format!("{error} ({})", error.code())).with_hint(error.hint()))?;
        Ok(Exit::Done)
    }

    fn load(self) -> Result<Config, ConfigError> {
        let default = Path::new("annul-gateway.toml");
        let file = self.config.or_else(|| default.exists().then(|| default.to_owned()));
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let secret = std::env::var("ANNUL_CLIENT_SECRET").ok();
        let named = [
            ("gateway.listen", self.listen),
            ("authority.url", self.authority),
            ("authority.client_id", self.client_id),
            ("authority.client_secret", secret),
            ("verifier.issuer", self.issuer),
            ("verifier.audience", self.audience),
            ("verifier.max_staleness", self.max_staleness),
        ];
        // What was typed with --set comes last: some of the others may be from the environment.
        let named = named.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        let flags = named.chain(self.settings).collect();
        Config::load(&Sources { file, environment, flags })
    }
}
