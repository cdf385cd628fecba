//! `annul demo`: every step holds, measured, with nothing left behind.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use binary::{command, ran};
use serde_json::Value;

#[test]
fn every_step_of_the_demonstration_holds() {
    let directory = tempfile::tempdir().unwrap();
    // What is on this machine is reached directly: this proxy does not exist.
    let demo = command(directory.path()).args(["demo", "--json"]).env("HTTP_PROXY", "http://127.0.0.1:1").output();
    let ran = ran(demo.unwrap());
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(ran.code, 0, "{report:#}\n{}", ran.stderr);
    assert_eq!(report["ok"], true);
    let steps = report["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 12);
    assert!(steps.iter().all(|step| step["ok"] == true), "{report:#}");
    let measured = steps.iter().filter(|step| step["milliseconds"].is_number()).count();
    assert_eq!(measured, 10, "every step that revokes is measured");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "something was left behind");
}

/// Starts the demonstration with its temporary files in `directory`, and returns when it has begun.
fn begun(directory: &Path) -> Child {
    let mut child = command(directory)
        .arg("demo")
        .env("TMPDIR", directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("ok "), "{line}");
    child
}

/// Processes whose working directory lies under `directory`.
fn processes_under(directory: &Path) -> usize {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    all.filter(|entry| std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(directory))).count()
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupted_demonstration_leaves_no_process_and_no_file() {
    for name in ["-INT", "-TERM"] {
        let directory = tempfile::tempdir().unwrap();
        let mut child = begun(directory.path());
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(1), "{name}");
        assert_eq!(processes_under(directory.path()), 0, "{name}: a process outlived the demonstration");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "{name}: a file was left behind");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_killed_demonstration_leaves_no_process() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = begun(directory.path());
    signal(&child, "-KILL");
    child.wait().unwrap();
    let started = Instant::now();
    while processes_under(directory.path()) > 0 {
        assert!(started.elapsed() < Duration::from_secs(20), "a process outlived the demonstration");
    }
}
