//! The algebra against a naive oracle: promises in plain language over what existed when.
//!
//! Any history of logins, tokens, revocations of every target, cutoff and reach, lifts, kept
//! sessions, role changes and blocks is run through both; then each token and each session must be
//! dead or alive in both. Random histories go far, an exhaustive run to a small depth misses
//! nothing there.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod foreign;
mod promise;
mod system;
mod world;

use annul_core::algebra::Reach;
use annul_core::record::Record;
use annul_core::view::{ApplyError, View, ViewWriter};
use proptest::prelude::*;

use self::promise::Oracle;
use self::system::System;
use self::world::{Back, Bearer, LEEWAY, Named, Step};

/// Runs a history on both sides. Steps that name a session, token or entry that is not there are
/// brought into range or left out.
fn run(steps: &[Step]) -> (Oracle, System) {
    let (mut oracle, mut system) = (Oracle::new(), System::new());
    for step in steps {
        if let Some(step) = in_range(*step, &oracle) {
            assert_eq!(oracle.take(step), system.take(step), "oracle and system differ on whether {step:?} took place");
        }
    }
    (oracle, system)
}

fn in_range(step: Step, oracle: &Oracle) -> Option<Step> {
    let within = |index: usize, count: usize| index.checked_rem(count);
    Some(match step {
        Step::Issue { session, key } => Step::Issue { session: within(session, oracle.sessions())?, key },
        Step::Keep { session } => Step::Keep { session: within(session, oracle.sessions())? },
        Step::End { session } => Step::End { session: within(session, oracle.sessions())? },
        Step::Lift { entry } => Step::Lift { entry: within(entry, oracle.entries())? },
        Step::Revoke { named: Named::Session(session), back, reach } => {
            Step::Revoke { named: Named::Session(within(session, oracle.sessions())?), back, reach }
        }
        Step::Revoke { named: Named::Token(token), back, reach } => {
            Step::Revoke { named: Named::Token(within(token, oracle.tokens())?), back, reach }
        }
        other => other,
    })
}

fn assert_agree(oracle: &Oracle, system: &System, steps: &[Step]) {
    for session in 0..oracle.sessions() {
        assert_eq!(
            oracle.session_is_dead(session),
            system.session_is_dead(session),
            "session {session}: left is the promise; history {steps:?}"
        );
    }
    // An expired token is refused without the view, which may have forgotten the entry (I16).
    for token in (0..oracle.tokens()).filter(|token| oracle.token_is_unexpired(*token, LEEWAY)) {
        assert_eq!(
            oracle.token_is_dead(token),
            system.token_is_dead(token),
            "token {token}: left is the promise; history {steps:?}"
        );
    }
}

fn named() -> impl Strategy<Value = Named> {
    prop_oneof![
        1 => Just(Named::Issuer),
        4 => (0..2u8).prop_map(Named::Subject),
        2 => (0..2u8).prop_map(Named::Client),
        2 => (0..2u8, 0..2u8).prop_map(|(subject, client)| Named::SubjectClient(subject, client)),
        2 => (0..2u8, 0..2u8).prop_map(|(subject, device)| Named::Device(subject, device)),
        3 => (0..6usize).prop_map(Named::Session),
        2 => (0..8usize).prop_map(Named::Token),
        1 => (0..2u8).prop_map(Named::Key),
        1 => (0..2u8).prop_map(Named::Confirmation),
        4 => (0..2u8).prop_map(Named::Role),
    ]
}

fn back() -> impl Strategy<Value = Back> {
    prop_oneof![2 => Just(Back::Always), 5 => Just(Back::Now), 4 => (-1..4i64).prop_map(Back::Before)]
}

fn reach() -> impl Strategy<Value = Reach> {
    prop_oneof![Just(Reach::Access), Just(Reach::Sessions), Just(Reach::Both)]
}

fn bearer() -> impl Strategy<Value = Bearer> {
    (0..2u8, 0..2u8, 0..2u8).prop_map(|(subject, client, device)| Bearer { subject, client, device })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (bearer(), 0..2u8, 0..4u64).prop_map(|(bearer, role, ago)| Step::Login { bearer, role, ago }),
        6 => (0..6usize, 0..2u8).prop_map(|(session, key)| Step::Issue { session, key }),
        6 => (named(), back(), reach()).prop_map(|(named, back, reach)| Step::Revoke { named, back, reach }),
        2 => (0..6usize).prop_map(|session| Step::Keep { session }),
        1 => (0..6usize).prop_map(|session| Step::End { session }),
        1 => (0..2u8).prop_map(|key| Step::Kill { key }),
        4 => (0..12usize).prop_map(|entry| Step::Lift { entry }),
        2 => (0..2u8, 0..2u8).prop_map(|(subject, role)| Step::SetRole { subject, role }),
        1 => (0..2u8).prop_map(|subject| Step::Block { subject }),
        1 => (0..2u8).prop_map(|subject| Step::Unblock { subject }),
        3 => (0..3u64).prop_map(|seconds| Step::Wait { seconds }),
        1 => (30..90u64).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

fn history() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..40)
}

fn replay(records: &[Record]) -> (View, ViewWriter) {
    let (view, mut writer) = View::new();
    writer.apply(records).unwrap();
    (view, writer)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_keeps_its_promises(steps in history()) {
        for length in [steps.len() / 2, steps.len()] {
            let (oracle, system) = run(&steps[..length]);
            assert_agree(&oracle, &system, &steps[..length]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn i6_a_snapshot_at_any_cut_and_the_tail_are_the_replay(steps in history()) {
        let (_, system) = run(&steps);
        let whole = replay(&system.records).1.contents().unwrap();
        for cut in 1..=system.records.len() {
            let (head, tail) = system.records.split_at(cut);
            let snapshot = replay(head).1.contents().unwrap();
            let (_, mut resumed) = View::new();
            resumed.replace(snapshot).unwrap();
            for record in tail {
                resumed.apply(std::slice::from_ref(record)).unwrap();
            }
            prop_assert_eq!(&resumed.contents().unwrap(), &whole, "cut at {}", cut);
        }
    }

    #[test]
    fn i3_only_the_next_record_is_applied_and_a_refused_batch_changes_nothing(steps in history(), pick in any::<prop::sample::Index>()) {
        let (_, system) = run(&steps);
        let cut = pick.index(system.records.len());
        let (head, tail) = system.records.split_at(cut);
        let (_, mut writer) = View::new();
        writer.apply(head).unwrap();
        let before = writer.contents();
        for wrong in head.iter().chain(tail.iter().skip(1)) {
            let refused = writer.apply(std::slice::from_ref(wrong));
            let not_next = matches!(refused, Err(ApplyError::NotNext { .. }));
            prop_assert!(not_next, "{:?} was not refused", wrong);
            let mut batch = tail.to_vec();
            batch.push(wrong.clone());
            prop_assert!(writer.apply(&batch).is_err());
        }
        prop_assert_eq!(writer.contents(), before);
        writer.apply(tail).unwrap();
    }
}

const ALICE: Bearer = Bearer { subject: 0, client: 0, device: 0 };

/// Every kind of rule once: what opens, what issues, each cutoff and reach, what moves a reading,
/// what undoes.
const ALPHABET: [Step; 21] = [
    Step::Login { bearer: ALICE, role: 0, ago: 0 },
    Step::Login { bearer: ALICE, role: 1, ago: 1 },
    Step::Issue { session: 0, key: 0 },
    Step::Issue { session: 1, key: 0 },
    Step::Revoke { named: Named::Subject(0), back: Back::Now, reach: Reach::Both },
    Step::Revoke { named: Named::Subject(0), back: Back::Now, reach: Reach::Access },
    Step::Revoke { named: Named::Subject(0), back: Back::Always, reach: Reach::Sessions },
    Step::Revoke { named: Named::Subject(0), back: Back::Before(0), reach: Reach::Both },
    Step::Revoke { named: Named::Role(0), back: Back::Now, reach: Reach::Both },
    Step::Revoke { named: Named::Role(1), back: Back::Before(0), reach: Reach::Access },
    Step::Revoke { named: Named::Role(1), back: Back::Always, reach: Reach::Both },
    Step::Revoke { named: Named::Session(0), back: Back::Now, reach: Reach::Sessions },
    Step::Revoke { named: Named::Token(0), back: Back::Always, reach: Reach::Both },
    Step::Kill { key: 0 },
    Step::End { session: 0 },
    Step::Keep { session: 0 },
    Step::Lift { entry: 0 },
    Step::Lift { entry: 1 },
    Step::SetRole { subject: 0, role: 1 },
    Step::Block { subject: 0 },
    Step::Wait { seconds: 1 },
];

const DEPTH: u32 = 4;

#[test]
fn every_short_history_keeps_its_promises() {
    let begin = [Step::Login { bearer: ALICE, role: 0, ago: 0 }, Step::Issue { session: 0, key: 0 }];
    let base = ALPHABET.len();
    let mut steps = Vec::from(begin);
    // The histories shorter than this one end in a step that changes nothing: waiting.
    for number in 0..base.pow(DEPTH) {
        steps.truncate(begin.len());
        steps.extend((0..DEPTH).map(|digit| ALPHABET[number / base.pow(digit) % base]));
        let (oracle, system) = run(&steps);
        assert_agree(&oracle, &system, &steps);
    }
}
