//! What goes wrong on a real machine, done to real processes.
//!
//! Each test breaks one thing from outside and asserts three sides of it: the error is named and
//! says what happened, what was left unharmed and what to do; what goes on without the broken part
//! goes on; and nothing that was acknowledged is lost afterwards.

mod clock;
mod disk;
mod holder;
mod input;
mod refresh;
mod secrets;
mod start;
mod state;
mod stop;
mod support;
mod sync;
mod verifier;
