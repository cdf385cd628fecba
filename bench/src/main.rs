//! `annul-bench`: the driver behind `bench/run`.

use std::path::PathBuf;
use std::process::ExitCode;

use annul_bench::measure::Form;
use annul_bench::report::run::Order;
use annul_bench::report::{self, Counts};
use annul_bench::subjects;
use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Measures annul beside its peers; see docs/performance.md")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Measures all subjects, each in a process of its own, and writes results, page and charts.
    Run {
        /// A full run, or a quick one that only shows that everything works.
        #[arg(long, value_enum, default_value = "full")]
        form: Form,
        /// Where the quick form writes; the full form writes into the tree.
        #[arg(long)]
        out: Option<PathBuf>,
        /// Only these subjects; what the results hold of the others stays.
        #[arg(long)]
        only: Vec<String>,
        /// Where criterion left its curves.
        #[arg(long)]
        criterion: Option<PathBuf>,
        /// Where gungraun left its counts.
        #[arg(long)]
        gungraun: Option<PathBuf>,
    },
    /// Fails when the page on record says something else than the results on record.
    Check,
    /// Writes the page again from the results and notes on record.
    Page,
    /// Holds the counts that gungraun left against the baselines.
    Counts {
        /// Where gungraun left them.
        folder: PathBuf,
        /// Makes them the baselines.
        #[arg(long)]
        bless: bool,
    },
    /// Measures one subject and prints its sheet.
    Subject {
        /// Its name.
        name: String,
        /// How long it may take.
        #[arg(long, value_enum, default_value = "full")]
        form: Form,
    },
    /// Plays a part for a subject: a peer that has to be another process.
    #[command(hide = true)]
    Floor {
        /// Which part.
        role: String,
        /// What the part is told.
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<()> {
    match verb {
        Verb::Run { form, out, only, criterion, gungraun } => {
            report::run::all(&Order { form, out, only, criterion, gungraun })
        }
        Verb::Check => report::check::on_record(),
        Verb::Page => report::check::write_again(),
        Verb::Counts { folder, bless } => {
            report::check_counts(&folder, if bless { Counts::Bless } else { Counts::Compare })
        }
        Verb::Subject { name, form } => {
            println!("{}", serde_json::to_string(&subjects::measure(&name, form)?)?);
            Ok(())
        }
        Verb::Floor { role, arguments } => subjects::play(&role, &arguments),
    }
}
