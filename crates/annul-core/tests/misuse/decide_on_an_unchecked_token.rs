//! A verified token that no view was asked about cannot be decided on.
use annul_core::policy::Policy;
use annul_core::time::Moment;
use annul_core::token::VerifiedToken;

fn misuse(policy: Policy, token: VerifiedToken, moment: Moment) {
    let _ = policy.decide(token, moment);
}

fn main() {}
