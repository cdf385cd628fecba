//! The document of the endpoints, held against the authority that serves it, by Schemathesis.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::world::{World, private_jwk};

const TESTER: &str = "tester";
/// What it may do, so that no request is refused for the grant alone.
const GRANTS: [&str; 4] = [
    "client_credentials",
    "refresh_token",
    "urn:ietf:params:oauth:grant-type:token-exchange",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
];
/// Requests that are made up for each operation and mode, besides those at the bounds; the environment's
/// `DOCUMENT_EXAMPLES` says another number.
const EXAMPLES: u32 = 5;
/// No rate is met: how requests are limited is not what is tried.
const LIMITS: &str = "[limits]\nissue = 1000000\nrevoke = 1000000\nread = 1000000\nfollow = 1000000\n\
    admin = 1000000\nlogin = 1000000\nanonymous = 1000000\n";

/// What ran: how many operations there are, how many of them were driven, and by how many requests.
#[derive(Debug, Deserialize)]
struct Ran {
    operations: usize,
    left_out: usize,
    driven: usize,
    answers: Answers,
}

/// How often a right request and a wrong one was answered what, by the first digit.
#[derive(Debug, Deserialize)]
struct Answers {
    positive: BTreeMap<String, u64>,
    negative: BTreeMap<String, u64>,
}

#[tokio::test]
async fn what_the_document_allows_is_accepted_and_what_it_does_not_is_refused() {
    let world = World::configured(LIMITS).await;
    let mut scopes: Vec<String> =
        ["issue", "revoke", "read", "follow", "admin"].map(|scope| format!("annul.{scope}")).into();
    scopes.push("orders.read".to_owned());
    let redirect = "https://shop.example/bye";
    let made = world.client(json!({
        "client_id": TESTER, "scopes": scopes, "grant_types": GRANTS, "post_logout_redirect_uris": [redirect],
    }));
    let secret = made.await["client_secret"].clone();
    let examples = std::env::var("DOCUMENT_EXAMPLES")
        .map_or(EXAMPLES, |text| text.parse().expect("DOCUMENT_EXAMPLES is a number of examples"));
    let path = world.written(&json!({
        "issuer": world.issuer(),
        "root": world.root(),
        "client": {"id": TESTER, "secret": secret},
        "redirect": redirect,
        "jwk": private_jwk("made-1").1,
        "examples": examples,
    }));
    let said = world.peer("document", "python", &path).await;
    let ran: Ran = serde_json::from_str(said.lines().last().expect("a last line")).expect("it is what ran");
    assert_eq!(ran.driven + ran.left_out, ran.operations, "{ran:?}");
    assert!(ran.left_out <= 1, "only the endless stream is left out: {ran:?}");
    let Answers { positive, negative } = &ran.answers;
    assert!(positive["2xx"] > 500 && negative["4xx"] > 1000, "{ran:?}");
    assert!(!positive.contains_key("5xx") && !negative.contains_key("5xx"), "{ran:?}");
}
