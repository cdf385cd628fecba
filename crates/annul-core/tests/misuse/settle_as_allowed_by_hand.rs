//! What has to be asked about is not allowed before the answer.
use annul_core::policy::{Authorized, Unsettled};

fn misuse(unsettled: Unsettled) -> Authorized {
    unsettled.into()
}

fn main() {}
