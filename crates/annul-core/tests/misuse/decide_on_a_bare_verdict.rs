//! A verdict alone says nothing about which token it is for.
use annul_core::policy::Policy;
use annul_core::time::Moment;
use annul_core::verdict::Verdict;

fn misuse(policy: Policy, verdict: Verdict, moment: Moment) {
    let _ = policy.decide(verdict, moment);
}

fn main() {}
