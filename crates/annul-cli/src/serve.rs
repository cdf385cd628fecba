//! `annul serve`: runs an authority.

use std::path::PathBuf;

use annul_authority::config::{Config, Sources};
use clap::Args;

use crate::failure::{Exit, Failure, Outcome};
use crate::logging;

/// Run the authority
///
/// Settings come, weakest first, from defaults, annul.toml, variables named ANNUL_SECTION__KEY and
/// flags. The first line on stdout says where it listens. The first start writes the administrator's
/// credential beside the data.
#[derive(Args, Debug)]
pub(crate) struct Serve {
    /// Configuration file; annul.toml in the working directory where it exists
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Directory of the data
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// The iss of the tokens
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// The aud of tokens whose request names none
    #[arg(long)]
    audience: Option<String>,
    /// Keep everything in memory: nothing survives the process
    #[arg(long)]
    memory: bool,
    /// Any other setting
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
}

/// A setting given as `section.key=value`.
pub(crate) fn setting(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .filter(|(key, _)| key.contains('.'))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| format!("{text:?} is not SECTION.KEY=VALUE"))
}

impl Serve {
    pub(crate) async fn run(self) -> Outcome {
        logging::start();
        let config = self.load().map_err(|error| {
            Failure::usage(format!("{error} ({})", error.code()))
                .with_hint("nothing was started or written; correct it and start again")
        })?;
        annul_authority::serve::run(config)
            .await
            .map_err(|error| Failure::refused(format!("{error} ({})", error.code())).with_hint(error.hint()))?;
        Ok(Exit::Done)
    }

    fn load(self) -> Result<Config, annul_authority::config::ConfigError> {
        let mut sources = Sources::of_process();
        if self.config.is_some() {
            sources.file = self.config;
        }
        let named = [
            ("server.listen", self.listen),
            ("store.data", self.data),
            ("tokens.issuer", self.issuer),
            ("tokens.audience", self.audience),
            ("store.kind", self.memory.then(|| "memory".to_owned())),
        ];
        sources.flags = self.settings;
        sources.flags.extend(named.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
        Config::load(&sources)
    }
}
