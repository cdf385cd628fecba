//! What a running authority or gateway tells its operator: events on stderr, never on stdout.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Sends events to stderr: text on a terminal, JSON lines elsewhere. `ANNUL_LOG` filters them.
pub(crate) fn start() {
    let filter = EnvFilter::try_from_env("ANNUL_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        builder.with_ansi(false).init();
    } else {
        builder.json().init();
    }
}
