//! A token whose signature nobody looked at cannot be checked.
use annul_core::time::Moment;
use annul_core::token::UnverifiedToken;
use annul_core::view::View;

fn misuse(view: View, token: UnverifiedToken<'_>, moment: Moment) {
    let _ = view.check(token, moment);
}

fn main() {}
