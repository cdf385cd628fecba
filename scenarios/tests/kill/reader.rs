//! The client that only looks: at what verifiers say and store, at the feed, and at the end at all.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::notebook::{Came, Notebook};
use crate::shared::{Address, Shared};

/// Records asked for at once, the most the feed gives.
const PAGE: usize = 256;
/// Revocations asked for at once.
const LIST: usize = 1000;
/// Between two rounds of looking; it would otherwise take the machine from those who work.
const ROUND: Duration = Duration::from_millis(20);

/// Looks until it is told that all is over.
pub(crate) async fn look(shared: Arc<Shared>, mut notes: Notebook) {
    let mut after = "1:0".to_owned();
    while !shared.is_over() {
        look_once(&shared, &mut notes).await;
        shared.up().await;
        follow(&shared, &mut notes, &mut after).await;
        tokio::time::sleep(ROUND).await;
    }
}

/// Looks at each verifier.
pub(crate) async fn look_once(shared: &Shared, notes: &mut Notebook) {
    for verifier in &shared.verifiers {
        look_at(shared, notes, verifier).await;
    }
}

async fn look_at(shared: &Shared, notes: &mut Notebook, verifier: &Address) {
    let (id, sent) = (notes.next_id(), notes.now());
    let came = shared.bear(&format!("{}/statusz", verifier.url()), "nobody", None).await;
    if came.is_done() {
        let (instance, position) = (&came.body["instance"], &came.body["position"]);
        notes.note(
            "look",
            &id,
            sent,
            &came,
            json!({"verifier": verifier.name, "instance": instance, "position": position}),
        );
    }
    let (id, sent) = (notes.next_id(), notes.now());
    if let Some(position) = stored(verifier) {
        notes.note("stored", &id, sent, &Came::default(), json!({"verifier": verifier.name, "position": position}));
    }
}

/// The position in a verifier's state file.
fn stored(verifier: &Address) -> Option<String> {
    let state = std::fs::read(verifier.state.join("view.state")).ok()?;
    // What follows the first line is packed and no text.
    let text = String::from_utf8_lossy(&state);
    let header: Value = serde_json::from_str(text.lines().next()?).ok()?;
    Some(header.pointer("/state/view/at")?.as_str()?.to_owned())
}

async fn follow(shared: &Shared, notes: &mut Notebook, after: &mut String) {
    let (id, sent) = (notes.next_id(), notes.now());
    let Some(records) = changes(shared, after).await else { return };
    if let Some(last) = records.last().map(|record| record["at"].as_str().expect("a position").to_owned()) {
        let came = Came { status: Some(200), body: Value::Null };
        notes.note("frame", &id, sent, &came, json!({"after": after, "records": records}));
        *after = last;
    }
}

/// The records after a position, each with its line as it came.
async fn changes(shared: &Shared, after: &str) -> Option<Vec<Value>> {
    let text = shared.text(&format!("/v1/feed/changes?after={after}&limit={PAGE}")).await?;
    let records = text.lines().filter_map(|line| {
        let at = serde_json::from_str::<Value>(line).ok()?.get("at")?.clone();
        Some(json!({"at": at, "line": line}))
    });
    Some(records.collect())
}

/// Reads the whole log and everything that was acknowledged, after the last restart.
///
/// # Panics
/// If anything of it cannot be read: nothing is broken any more.
pub(crate) async fn read_all(shared: &Shared, mut notes: Notebook, sids: &BTreeSet<String>) {
    let mut records = Vec::new();
    let mut after = "1:0".to_owned();
    loop {
        let page = changes(shared, &after).await.expect("the log can be read");
        let Some(last) = page.last() else { break };
        last["at"].as_str().expect("a position").clone_into(&mut after);
        records.extend(page);
    }
    let mut revocations = Vec::new();
    let mut after = "1:0".to_owned();
    loop {
        let page = get(shared, &format!("/v1/revocations?after={after}&limit={LIST}")).await;
        let page = page["revocations"].as_array().expect("a list").clone();
        let Some(last) = page.last() else { break };
        last["position"].as_str().expect("a position").clone_into(&mut after);
        revocations.extend(page);
    }
    let mut sessions = Map::new();
    for sid in sids {
        // One that is not there is what the checker has to see, so an error is taken down as well.
        let came = shared.ask(Method::GET, &format!("/v1/sessions/{sid}"), None, None).await;
        sessions.insert(sid.clone(), came.body);
    }
    let keys = get(shared, "/v1/keys").await;
    let keys = keys["keys"].as_array().expect("a list").iter();
    let keys: Map<String, Value> =
        keys.map(|key| (key["kid"].as_str().expect("a kid").to_owned(), key["state"].clone())).collect();
    let accounts = get(shared, "/v1/accounts").await;
    let accounts: Vec<&Value> =
        accounts["accounts"].as_array().expect("a list").iter().map(|it| &it["username"]).collect();
    notes.line(&json!({
        "op": "final", "records": records, "revocations": revocations, "sessions": sessions, "keys": keys, "accounts": accounts,
    }));
}

async fn get(shared: &Shared, path: &str) -> Value {
    let came = shared.ask(Method::GET, path, None, None).await;
    assert_eq!(came.status, Some(200), "{path}: {}", came.body);
    came.body
}
