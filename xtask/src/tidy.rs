//! Fails on what the architecture forbids, and lists the files that have grown long.
//!
//! The rules are absences (ARCHITECTURE.md): the core never reads a clock, only `store/` speaks
//! SQL, only `http/` knows status codes, one module appends to the log, one word per thing.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::rows::{self, State};

/// Lines past which a file is listed: does it still hold one concept?
const LONG_FILE: usize = 600;

/// Words that the glossary replaced, each with its replacement.
const REPLACED_WORDS: [(&str, &str); 6] = [
    ("blacklist", "deny list, or revocation"),
    ("whitelist", "allow list"),
    ("invalidate", "revoke, end or expire"),
    ("invalidation", "revocation"),
    ("watermark offset", "position"),
    ("log offset", "position"),
];

struct Rule {
    /// Files whose path starts with this.
    within: &'static str,
    /// Files below these are free to do it.
    except: &'static [&'static str],
    /// What must not occur on a line of code.
    forbidden: &'static [&'static str],
    /// Why.
    because: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        within: "crates/annul-core/src",
        except: &[],
        forbidden: &[
            "SystemTime",
            "Instant::now",
            "std::fs",
            "std::net",
            "std::thread",
            "tokio::",
            "SystemRandom",
            "OsRng",
            "println!",
        ],
        because: "the core has no clock, no randomness and no I/O: time and bytes come in as arguments",
    },
    Rule {
        within: "crates/annul-authority/src",
        except: &["crates/annul-authority/src/store"],
        forbidden: &["rusqlite", "SELECT ", "INSERT INTO", "UPDATE ", "DELETE FROM"],
        because: "only store/ speaks SQL",
    },
    Rule {
        within: "crates/annul-authority/src",
        except: &["crates/annul-authority/src/http", "crates/annul-authority/src/jwks_fetch.rs"],
        forbidden: &["StatusCode"],
        because: "only http/ knows status codes; a verb says what happened, http/ maps it",
    },
    Rule {
        within: "crates/annul-authority/src",
        except: &["crates/annul-authority/src/log.rs", "crates/annul-authority/src/store/conformance"],
        forbidden: &["RecordBody::Revoke(", "RecordBody::Lift(", "RecordBody::Settings(", "RecordBody::Issuer("],
        because: "one module appends to the log: log.rs",
    },
    Rule {
        within: "crates/annul/src",
        except: &[],
        forbidden: &["annul_authority", "annul_gateway"],
        because: "arrows point towards the core",
    },
    Rule {
        within: "crates/annul-gateway/src",
        except: &[],
        forbidden: &["annul_authority"],
        because: "arrows point towards the core",
    },
    Rule {
        within: "crates",
        except: &[],
        forbidden: &["unsafe {", "unsafe fn", "todo!(", "unimplemented!(", "#[ignore", "should_panic", "FIXME", "XXX"],
        because: "there is no unsafe code, and nothing is left half done",
    },
    Rule {
        within: "scenarios",
        except: &[],
        forbidden: &["annul_authority", "annul_core", "#[ignore", "should_panic"],
        because: "a scenario drives real processes and the public annul crate only",
    },
    Rule {
        within: "scenarios/src/bin/check-history",
        except: &[],
        forbidden: &["scenarios::", "annul::"],
        because: "the checker shares nothing with those whose records it judges",
    },
];

/// Which workspace crates each crate may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("annul-core", &[]),
    ("annul", &["annul-core"]),
    ("annul-authority", &["annul-core"]),
    ("annul-gateway", &["annul", "annul-core"]),
    ("annul-cli", &["annul", "annul-core", "annul-authority", "annul-gateway"]),
];

/// Checks the whole tree; every finding is printed before it fails.
pub(crate) fn run(root: &Path) -> Result<()> {
    let mut findings = Vec::new();
    let sources = sources(root)?;
    for path in &sources {
        let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        let name = path.strip_prefix(root).expect("sources lie below the root").to_string_lossy().into_owned();
        check_source(&name, &text, &mut findings);
    }
    check_arrows(root, &mut findings)?;
    check_words(root, &sources, &mut findings)?;
    check_rows(root, &mut findings)?;
    check_paths(root, &mut findings)?;

    for finding in &findings {
        eprintln!("tidy: {finding}");
    }
    if !findings.is_empty() {
        bail!("{} findings; nothing was changed", findings.len());
    }
    println!("tidy: {} files in order", sources.len());
    Ok(())
}

fn check_source(name: &str, text: &str, findings: &mut Vec<String>) {
    if name.contains("/src/") && !text.starts_with("//!") {
        findings.push(format!("{name}: opens without saying what it is for (//!)"));
    }
    let stem = Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if ["utils", "util", "helpers", "common", "misc", "manager"].contains(&stem) {
        findings.push(format!("{name}: a room needs a name that says what lives in it"));
    }
    for rule in RULES {
        if !name.starts_with(rule.within) || rule.except.iter().any(|free| name.starts_with(free)) {
            continue;
        }
        for (index, line) in text.lines().enumerate() {
            let line = line.trim_start();
            if line.starts_with("//") {
                continue;
            }
            if let Some(word) = rule.forbidden.iter().find(|word| line.contains(**word)) {
                findings.push(format!("{name}:{}: {word:?}: {}", index + 1, rule.because));
            }
        }
    }
    let lines = text.lines().count();
    if lines > LONG_FILE {
        println!("long: {lines} lines  {name}");
    }
}

fn check_arrows(root: &Path, findings: &mut Vec<String>) -> Result<()> {
    for (package, allowed) in ARROWS {
        let path = root.join("crates").join(package).join("Cargo.toml");
        let manifest: toml::Table =
            toml::from_str(&fs::read_to_string(&path)?).with_context(|| path.display().to_string())?;
        let dependencies = manifest.get("dependencies").and_then(|table| table.as_table()).cloned().unwrap_or_default();
        for dependency in dependencies.keys().filter(|name| name.starts_with("annul")) {
            if !allowed.contains(&dependency.as_str()) {
                findings.push(format!("crates/{package}: depends on {dependency}, but arrows point towards the core"));
            }
        }
    }
    Ok(())
}

fn check_words(root: &Path, sources: &[PathBuf], findings: &mut Vec<String>) -> Result<()> {
    let mut texts = files_below(&root.join("docs"), "md")?;
    texts.extend(files_below(root, "md")?.into_iter().filter(|path| path.parent() == Some(root)));
    texts.extend(sources.iter().filter(|path| !path.starts_with(root.join("xtask"))).cloned());
    for path in texts {
        let text = fs::read_to_string(&path)?.to_lowercase();
        let name = path.strip_prefix(root).unwrap_or(&path).display();
        for (index, line) in text.lines().enumerate() {
            for (word, instead) in REPLACED_WORDS {
                if line.contains(word) {
                    findings.push(format!("{name}:{}: {word:?}: the word here is {instead}", index + 1));
                }
            }
        }
    }
    Ok(())
}

/// Test, page, row and the pages' table must agree.
fn check_rows(root: &Path, findings: &mut Vec<String>) -> Result<()> {
    let rows = rows::read(root)?;
    let tests = files_below(&root.join("scenarios/tests"), "rs")?
        .iter()
        .map(fs::read_to_string)
        .collect::<std::io::Result<Vec<_>>>()?
        .concat();
    for (row, state) in &rows {
        let works = *state == State::Works;
        if works != tests.contains(&format!("fn {row}()")) {
            findings.push(format!("scenarios: row {row} is {state:?} but its test says otherwise"));
        }
        if works != root.join(format!("docs/strategies/{row}.md")).exists() {
            findings.push(format!("docs/strategies/{row}.md: row {row} is {state:?} but its page says otherwise"));
        }
    }
    let list = fs::read_to_string(root.join("scenarios/rows.toml"))?;
    let working = list.lines().filter_map(|line| line.split_once(" = ")).map(|(row, _)| row);
    let table = fs::read_to_string(root.join("docs/strategies/README.md"))?;
    let listed = table.lines().filter_map(|line| line.strip_prefix("| [")?.split_once(']')).map(|(row, _)| row);
    if !working.filter(|row| rows.get(*row) == Some(&State::Works)).eq(listed) {
        findings.push("docs/strategies/README.md: its table is not what works, in the order of rows.toml".to_owned());
    }
    Ok(())
}

/// What a page names by its path from the root is there.
fn check_paths(root: &Path, findings: &mut Vec<String>) -> Result<()> {
    const ROOMS: [&str; 8] = ["bench/", "conformance/", "crates/", "docs/", "fuzz/", "scenarios/", "tools/", "xtask/"];
    for page in files_below(root, "md")? {
        let text = fs::read_to_string(&page)?;
        let name = page.strip_prefix(root).unwrap_or(&page).display();
        let quoted = text.split('`').skip(1).step_by(2).filter_map(|quoted| quoted.split_whitespace().next());
        for path in quoted.filter(|quoted| ROOMS.iter().any(|room| quoted.starts_with(room))) {
            // A segment in angle brackets, braces or with a star stands for several names.
            let certain: PathBuf = path.split('/').take_while(|segment| !segment.contains(['<', '{', '*'])).collect();
            if !root.join(certain).exists() {
                findings.push(format!("{name}: {path} is not there"));
            }
        }
    }
    Ok(())
}

fn sources(root: &Path) -> Result<Vec<PathBuf>> {
    let mut sources = Vec::new();
    for folder in ["bench", "crates", "fuzz", "scenarios", "xtask"] {
        sources.extend(files_below(&root.join(folder), "rs")?);
    }
    sources.retain(|path| !path.starts_with(root.join("xtask/src/tidy.rs")));
    sources.sort();
    Ok(sources)
}

fn files_below(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
            let path = entry?.path();
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if hidden || path.ends_with("target") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    Ok(found)
}
