//! The subjects: each answers one question, in a process of its own, and hands back a sheet.

mod bytes;
mod cold;
mod durable;
mod effect;
mod fanout;
mod introspection;
mod login;
mod redis;
mod refresh;
mod runtimes;
pub mod seen;
mod signing;
mod tokens;
mod views;
mod writes;

use anyhow::{Result, bail};

use crate::measure::{Form, Sheet};

/// What measures a subject.
type Measure = fn(Form) -> Result<Sheet>;

/// Every subject by name, in the order of a run.
pub const SUBJECTS: [(&str, Measure); 14] = [
    ("tokens", tokens::measure),
    ("redis", redis::measure),
    ("runtimes", runtimes::measure),
    ("views", views::measure),
    ("writes", writes::measure),
    ("bytes", bytes::measure),
    ("durable", durable::measure),
    ("introspection", introspection::measure),
    ("fanout", fanout::measure),
    ("effect", effect::measure),
    ("cold", cold::measure),
    ("signing", signing::measure),
    ("login", login::measure),
    ("refresh", refresh::measure),
];

/// Measures one subject.
///
/// # Errors
/// When there is none of that name, or it could not be measured to its end.
pub fn measure(name: &str, form: Form) -> Result<Sheet> {
    match SUBJECTS.iter().find(|(known, _)| *known == name) {
        Some((_, measure)) => measure(form),
        None => bail!("no subject is named {name}"),
    }
}

/// The part of another role that this program plays for a subject.
///
/// # Errors
/// When there is none of that name, or it cannot be played.
pub fn play(role: &str, arguments: &[String]) -> Result<()> {
    match role {
        "echo" => crate::peers::pingpong::serve(),
        "axum" => crate::peers::axum_floor::serve(),
        "sse" => crate::peers::sse::serve(),
        "view" => bytes::hold(arguments),
        _ => bail!("no role is named {role}"),
    }
}
