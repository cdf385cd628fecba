//! How stale a view may be is chosen, never defaulted.
use annul_core::policy::Policy;

fn misuse() -> [Policy; 2] {
    [Policy::default(), Policy::check()]
}

fn main() {}
