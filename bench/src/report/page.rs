//! `docs/performance.md`: words from here, numbers from the run.

use std::fmt::Write as _;

use super::chart::Chart;
use super::lines::{Judged, LINES, Test, Verdict};
use super::notes::Notes;
use super::results::Results;
use super::spread::{Spread, number, quantity};
use crate::measure::Form;

const HOW_TO_READ: &str = include_str!("reading.md");

/// What each subject does, in the order of the page.
const SUBJECTS: [(&str, &str); 14] = [
    ("tokens", include_str!("words/tokens.md")),
    ("redis", include_str!("words/redis.md")),
    ("runtimes", include_str!("words/runtimes.md")),
    ("views", include_str!("words/views.md")),
    ("writes", include_str!("words/writes.md")),
    ("bytes", include_str!("words/bytes.md")),
    ("durable", include_str!("words/durable.md")),
    ("introspection", include_str!("words/introspection.md")),
    ("fanout", include_str!("words/fanout.md")),
    ("effect", include_str!("words/effect.md")),
    ("cold", include_str!("words/cold.md")),
    ("signing", include_str!("words/signing.md")),
    ("login", include_str!("words/login.md")),
    ("refresh", include_str!("words/refresh.md")),
];

/// The whole page.
pub(super) fn write(results: &Results, notes: &Notes, charts: &[Chart]) -> String {
    let mut page = String::from("# Performance\n\n");
    if results.form == Form::Quick {
        page.push_str("**Written by a quick run: these figures mean nothing.**\n\n");
    }
    page.push_str(HOW_TO_READ);
    table(&mut page, results, notes);
    chart(&mut page, charts, None);
    machine(&mut page, results);
    page.push_str("\n## Every series\n");
    for (subject, words) in SUBJECTS {
        let _ = write!(page, "\n### {subject}\n\n{}\n", words.trim_end());
        series(&mut page, results, subject);
        chart(&mut page, charts, Some(subject));
    }
    curves(&mut page, results, charts);
    counts(&mut page, results);
    page
}

fn table(page: &mut String, results: &Results, notes: &Notes) {
    let judged: Vec<Judged> = LINES.iter().map(|line| line.judge(results)).collect();
    let count = |verdict| judged.iter().filter(|judged| judged.verdict == verdict).count();
    let _ = writeln!(
        page,
        "\n## Figures to reach\n\nOf {} lines {} reach their star, {} more their bar, {} are missed, {} could not be measured, {} come later.\n",
        judged.len(),
        count(Verdict::Star),
        count(Verdict::Bar),
        count(Verdict::Missed),
        count(Verdict::NotMeasured),
        count(Verdict::NotYet)
    );
    page.push_str("| line | what | annul | beside | ratio, median (quartiles; least to most) | bar | star | |\n|---|---|---|---|---|---|---|---|\n");
    for Judged { line, verdict, ours, peer, ratio } in &judged {
        let sign = if matches!(line.test, Test::AtMost { .. }) { "" } else { "x" };
        let ratio = ratio.map_or_else(String::new, |ratio| spread(&ratio, sign));
        let (bar, star) = (line.goal(line.bar), line.goal(line.star));
        let verdict = match verdict {
            Verdict::Star => "★ met",
            Verdict::Bar => "met",
            Verdict::Missed => "**missed**",
            Verdict::NotMeasured => "**not measured**",
            Verdict::NotYet => "not yet",
        };
        let _ = writeln!(
            page,
            "| `{}` | {} | {ours} | {peer} | {ratio} | {bar} | {star} | {verdict} |",
            line.id, line.what
        );
    }
    why_missed(page, results, notes, &judged);
}

fn why_missed(page: &mut String, results: &Results, notes: &Notes, judged: &[Judged]) {
    page.push_str("\n### What is missed, why, and what is tried next\n\n");
    let missed = judged.iter().filter(|judged| matches!(judged.verdict, Verdict::Missed | Verdict::NotMeasured));
    let mut none = true;
    for Judged { line, .. } in missed {
        none = false;
        let said = notes.get(line.id).map_or_else(String::new, |note| format!("{} Next: {}", note.reason, note.next));
        let _ = writeln!(page, "- `{}`: {said}", line.id);
    }
    if none {
        page.push_str("Nothing.\n");
    }
    for (subject, sheet) in &results.subjects {
        if let Some(refused) = sheet.facts.get("refused").and_then(|fact| fact.as_str()) {
            let _ = writeln!(page, "- The subject {subject} ended early: {refused}.");
        }
    }
    page.push_str("\n### What comes later\n\n");
    for line in LINES {
        if let Test::NotYet { because } = line.test {
            let _ = writeln!(page, "- `{}`: {because}.", line.id);
        }
    }
}

/// Median, quartiles, extremes.
fn spread(spread: &Spread, sign: &str) -> String {
    let of = |value| number(value) + sign;
    let Spread { least, lower, median, upper, most, .. } = *spread;
    format!("{} ({} to {}; {} to {})", of(median), of(lower), of(upper), of(least), of(most))
}

fn machine(page: &mut String, results: &Results) {
    page.push_str("\n## The machine and the versions\n\n| | |\n|---|---|\n");
    for (name, value) in &results.machine {
        let _ = writeln!(page, "| {name} | {value} |");
    }
}

fn series(page: &mut String, results: &Results, subject: &str) {
    let Some(sheet) = results.subjects.get(subject) else {
        page.push_str("\nNot measured in this run.\n");
        return;
    };
    page.push_str("\n| series | median | quartiles | least to most | rounds |\n|---|---|---|---|---|\n");
    for (name, series) in &sheet.series {
        let Some(spread) = Spread::of(&series.rounds) else { continue };
        let of = |value| quantity(value, series.unit);
        let _ = writeln!(
            page,
            "| {name} | {} | {} to {} | {} to {} | {} |",
            of(spread.median),
            of(spread.lower),
            of(spread.upper),
            of(spread.least),
            of(spread.most),
            spread.rounds
        );
    }
    let facts = sheet.facts.iter().map(|(name, fact)| match fact.as_str() {
        Some(text) => format!("{name}: {text}"),
        None => format!("{name}: {fact}"),
    });
    let facts: Vec<String> = facts.collect();
    if !facts.is_empty() {
        let _ = writeln!(page, "\n{}.", facts.join(" · "));
    }
}

fn curves(page: &mut String, results: &Results, charts: &[Chart]) {
    let _ = write!(page, "\n## Curves\n\n{}", include_str!("words/curves.md"));
    for (name, curve) in &results.curves {
        let _ = writeln!(
            page,
            "\n{name}: nanoseconds on the wall by {}.\n\n| {} | median | confidence interval |\n|---|---|---|",
            curve.along, curve.along
        );
        for point in &curve.points {
            let _ = writeln!(
                page,
                "| {} | {} ns | {} to {} |",
                point.at,
                number(point.median),
                number(point.low),
                number(point.high)
            );
        }
    }
    chart(page, charts, Some("curves"));
}

fn counts(page: &mut String, results: &Results) {
    let _ = write!(page, "\n## Instructions\n\n{}", include_str!("words/counts.md"));
    page.push_str("\n| hot path | instructions |\n|---|---|\n");
    for (name, count) in &results.counts {
        let _ = writeln!(page, "| {name} | {count} |");
    }
}

fn chart(page: &mut String, charts: &[Chart], subject: Option<&str>) {
    for chart in charts.iter().filter(|chart| chart.subject.as_deref() == subject) {
        let _ = write!(page, "\n![{}](performance/{}.svg)\n", chart.title, chart.name);
    }
}
