//! A run: every subject in a process of its own, then curves and counts, then the page.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Result, bail, ensure};

use super::results::Results;
use super::{NOTES, RESULTS, check, counts, curves, machine, notes, write};
use crate::measure::{Form, Sheet};
use crate::subjects::SUBJECTS;
use crate::world::process::myself;
use crate::world::workspace;

/// What a run is asked for.
#[derive(Clone, Debug)]
pub struct Order {
    /// How long it may take.
    pub form: Form,
    /// Where it writes; a full run writes into the tree.
    pub out: Option<PathBuf>,
    /// Only these subjects, the results of the others kept; all when empty.
    pub only: Vec<String>,
    /// Where criterion left its curves and gungraun its counts; the results on record when not given.
    pub criterion: Option<PathBuf>,
    /// See `criterion`.
    pub gungraun: Option<PathBuf>,
}

/// Carries out an order.
///
/// # Errors
/// When a subject cannot be measured to its end; what the others measured is written all the same.
pub fn all(order: &Order) -> Result<()> {
    let root = match (&order.out, order.form) {
        (Some(out), _) => out.clone(),
        (None, Form::Full) => workspace::project().to_owned(),
        (None, Form::Quick) => bail!("a quick run does not write into the tree; say --out"),
    };
    for name in &order.only {
        ensure!(SUBJECTS.iter().any(|(known, _)| known == name), "no subject is named {name}");
    }
    let before = Results::read(&root.join(RESULTS)).ok().filter(|results| results.form == order.form);
    let kept = before.as_ref().filter(|_| !order.only.is_empty());
    let mut subjects: BTreeMap<String, Sheet> = kept.map(|results| results.subjects.clone()).unwrap_or_default();
    let mut failed = Vec::new();
    for (name, _) in SUBJECTS {
        if order.only.is_empty() || order.only.iter().any(|only| only == name) {
            let started = Instant::now();
            // The others are worth having all the same; its lines are then not measured, and the page says why.
            let sheet = measure(name, order.form).unwrap_or_else(|error| {
                failed.push(name);
                let mut sheet = Sheet::default();
                sheet.fact("refused", format!("{error:#}"));
                sheet
            });
            subjects.insert(name.to_owned(), sheet);
            eprintln!("bench: {name} took {} s", started.elapsed().as_secs());
        }
    }
    let results = Results {
        form: order.form,
        machine: machine::facts(),
        subjects,
        curves: match &order.criterion {
            Some(folder) => curves::read(folder)?,
            None => before.as_ref().map(|results| results.curves.clone()).unwrap_or_default(),
        },
        counts: match &order.gungraun {
            Some(folder) => counts::read(folder)?,
            None => before.map(|results| results.counts).unwrap_or_default(),
        },
    };
    finish(&root, &results)?;
    ensure!(failed.is_empty(), "could not be measured to their end: {}", failed.join(", "));
    Ok(())
}

/// A process of its own: no subject finds the memory, threads or pinning of another.
fn measure(name: &str, form: Form) -> Result<Sheet> {
    let form = form.of("full", "quick");
    let mut command: Command = myself(&["subject", name, "--form", form])?;
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "it ended with {}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn finish(root: &Path, results: &Results) -> Result<()> {
    write(root, RESULTS, &results.to_json()?)?;
    // What is written is read again, so that the page comes from the very bytes that are kept.
    let results = Results::read(&root.join(RESULTS))?;
    let notes = notes::read(&workspace::project().join(NOTES))?;
    check::write_into(root, &results, &notes)?;
    println!("bench: wrote {}", root.join(super::PAGE).display());
    if results.form == Form::Full {
        for contradiction in notes::contradictions(&results, &notes) {
            println!("bench: {contradiction}");
        }
    }
    Ok(())
}
