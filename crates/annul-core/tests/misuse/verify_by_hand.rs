//! Only a verification makes a verified token.
use annul_core::token::{Claims, VerifiedToken};

fn misuse(claims: Claims) -> VerifiedToken {
    VerifiedToken(claims)
}

fn main() {}
