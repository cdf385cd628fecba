//! A token cannot borrow the verdict of another one.
use annul_core::token::VerifiedToken;
use annul_core::view::CheckedToken;

fn misuse(checked: CheckedToken, other: VerifiedToken) -> CheckedToken {
    CheckedToken { token: other, ..checked }
}

fn main() {}
