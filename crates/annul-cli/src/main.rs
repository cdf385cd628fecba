//! The one binary: runs an authority, a gateway or a demonstration, and calls a running authority.
//!
//! One verb per file. A verb's arguments and what it does stand together; what they share is how to
//! reach the authority (`credential`, `remote`), how answers are printed (`print`, `revocation`) and
//! how the process ends (`failure`).

mod accounts;
mod audit;
mod bulk;
mod clients;
mod confirm;
mod credential;
mod demo;
mod doctor;
mod exposure;
mod failure;
mod feed;
mod gateway;
mod input;
mod issuers;
mod keys;
mod lift;
mod logging;
mod login;
mod password;
mod print;
#[cfg(test)]
mod reference;
mod remote;
mod revocation;
mod revoke;
mod schedules;
mod serve;
mod sessions;
mod settings;
mod subjects;
mod token;
mod when;

use std::process::ExitCode;

use clap::{ColorChoice, Parser, Subcommand};
use mimalloc::MiMalloc;

use crate::failure::{Exit, Failure, Outcome};
use crate::print::Format;

/// A request allocates some dozens of small pieces and frees them on another thread than the writer's; the
/// system's allocator takes a fifth of a server's time for that.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Makes JSON Web Tokens revocable
///
/// Exit codes: 0 done, 1 refused or a check failed, 2 usage, 3 durable but not confirmed within
/// --wait, 4 unreachable, 5 not permitted.
#[derive(Debug, Parser)]
#[command(name = "annul", version, color = ColorChoice::Never, max_term_width = 100)]
struct Cli {
    /// Print JSON, for programs
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Serve(serve::Serve),
    Gateway(gateway::Gateway),
    Demo(demo::Demo),
    #[command(hide = true)]
    DemoRole(demo::role::DemoRole),
    Login(login::Login),
    Token(token::Token),
    Revoke(revoke::Revoke),
    Lift(lift::Lift),
    Schedules(schedules::Schedules),
    Sessions(sessions::Sessions),
    Subjects(subjects::Subjects),
    Keys(keys::Keys),
    Issuers(issuers::Issuers),
    Clients(clients::Clients),
    Accounts(accounts::Accounts),
    Settings(settings::Settings),
    Audit(audit::Audit),
    Feed(feed::Feed),
    Doctor(doctor::Doctor),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Everything that speaks TLS in this process uses the one provider; a second install would be an
    // error, and there is none.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let exit = run(cli).unwrap_or_else(told);
    // What else the verb came to stays true; only a success without its answer is none.
    match (print::lost().map(told), exit) {
        (Some(unwritten), Exit::Done) => unwritten,
        _ => exit,
    }
    .into()
}

/// Says what went wrong, and how the process ends by it.
fn told(failure: Failure) -> Exit {
    eprintln!("{failure}");
    failure.exit
}

fn run(cli: Cli) -> Outcome {
    let format = if cli.json { Format::Json } else { Format::Human };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::refused(format!("the system gives no threads: {error}")))?;
    let outcome = runtime.block_on(async {
        match cli.verb {
            Verb::Serve(serve) => serve.run().await,
            Verb::Gateway(gateway) => gateway.run().await,
            Verb::Demo(demo) => demo.run(format).await,
            Verb::DemoRole(role) => role.run().await,
            Verb::Login(login) => login.run(format).await,
            Verb::Token(token) => token.run(format).await,
            Verb::Revoke(revoke) => revoke.run(format).await,
            Verb::Lift(lift) => lift.run(format).await,
            Verb::Schedules(schedules) => schedules.run(format).await,
            Verb::Sessions(sessions) => sessions.run(format).await,
            Verb::Subjects(subjects) => subjects.run(format).await,
            Verb::Keys(keys) => keys.run(format).await,
            Verb::Issuers(issuers) => issuers.run(format).await,
            Verb::Clients(clients) => clients.run(format).await,
            Verb::Accounts(accounts) => accounts.run(format).await,
            Verb::Settings(settings) => settings.run(format).await,
            Verb::Audit(audit) => audit.run(format).await,
            Verb::Feed(feed) => feed.run(format).await,
            Verb::Doctor(doctor) => doctor.run(format).await,
        }
    });
    // A thread may still wait on stdin; nothing that matters runs any more.
    runtime.shutdown_background();
    outcome
}
