//! Other libraries' answers to the same tokens.
//!
//! `vectors` holds the published vectors against `jsonwebtoken`. The rest makes several hundred tokens, sound
//! ones and ones with a single defect each, asks `jsonwebtoken`, `jose` and `PyJWT` about every one of them in
//! one run, and holds the list of disagreements in docs/reference/strictness.md to what was found:
//! `ANNUL_WRITE_DOCS=1 cargo test -p annul-core --test token differential` rewrites it.

mod claims;
mod defect;
mod form;
mod header;
mod keys;
mod page;
mod peers;
mod reasons;
mod signature;
mod vectors;

use defect::Defect;
use page::Row;
use peers::Peers;

fn defects() -> Vec<Defect> {
    [form::sound(), form::defects(), header::defects(), claims::defects(), signature::defects(), keys::defects()]
        .concat()
}

#[test]
fn every_disagreement_with_another_library_is_listed_with_its_reason() {
    // They are installed when they are asked for the first time, and tokens made before that could expire meanwhile.
    let mut peers = Peers::start();
    form::sound().iter().for_each(|sound| drop(Row::of(sound, &mut peers)));
    let defects = defects();
    let tokens: usize = defects.iter().map(|defect| defect.cases.len()).sum();
    assert!(tokens >= 400, "{tokens} tokens are not several hundred");
    let rows: Vec<Row> = defects.iter().map(|defect| Row::of(defect, &mut peers)).collect();

    let sound = rows.iter().find(|row| row.id == "sound").unwrap();
    assert!(sound.is_accepted_everywhere(), "a sound token is refused: {sound:?}");
    reasons::explain(&rows);
    page::hold(&rows, tokens);
}
