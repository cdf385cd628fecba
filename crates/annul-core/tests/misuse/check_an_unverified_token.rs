//! A token whose signature nobody looked at cannot be checked.
use annul_core::token::UnverifiedToken;
use annul_core::view::View;

fn misuse(view: View, token: UnverifiedToken<'_>) {
    let _ = view.check(token);
}

fn main() {}
