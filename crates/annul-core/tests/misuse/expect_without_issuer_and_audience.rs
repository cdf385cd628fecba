//! There is no expectation that leaves open whose token it is, or for whom.
use annul_core::token::Expect;

fn misuse() -> [Expect; 3] {
    [Expect::own(), Expect::foreign("https://idp.example"), Expect::default()]
}

fn main() {}
