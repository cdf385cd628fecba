//! Only a policy lets a token in.
use annul_core::policy::{Authorized, Basis};
use annul_core::token::VerifiedToken;

fn misuse(token: VerifiedToken) -> Authorized {
    Authorized { token, basis: Basis::Verified, restamped: None }
}

fn main() {}
