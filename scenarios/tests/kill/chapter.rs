//! One authority's life with its verifiers, from new data to the search for secrets.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use scenarios::{Authority, Dice, Gateway, Launch, Secrets, Service};
use serde_json::json;
use tempfile::TempDir;

use crate::client::Client;
use crate::disturbance::{self, Processes};
use crate::notebook::Notebook;
use crate::reader;
use crate::shared::{Address, Shared, locked};

/// Clients at work at once.
const CLIENTS: u64 = 6;
/// How old a view may be: short, so that a run has many moments after it.
const MAX_STALENESS: Duration = Duration::from_millis(1_500);
/// No token may expire within a run, no key is waited for, and nobody is slowed down.
const SETTINGS: &str =
    "life = \"1h\"\nlongest_life = \"2h\"\n[feed]\nkey_lead = \"1s\"\n[limits]\nlogin = 1000\nadmin = 1000\n";

/// Lives through `kills` kills and leaves the clients' records in `folder`.
pub(crate) async fn live(dice: &Dice, kills: u64, folder: &Path) {
    let logs = tempfile::tempdir().expect("a temporary directory");
    let (mut processes, secrets) = start(&logs).await;
    let verifiers = vec![
        Address::new("near", "/check", processes.near.state_dir().to_owned(), processes.near.url()),
        Address::new("gateway", "/v1/auth", processes.gateway.state_dir(), processes.gateway.url()),
        Address::new("far", "/check", processes.far.state_dir().to_owned(), processes.far.url()),
    ];
    let shared = Arc::new(Shared::new(processes.authority.admin(), verifiers, secrets));
    let notebook = |client: &str| Notebook::open(folder, client, shared.began);
    let max_staleness = u64::try_from(MAX_STALENESS.as_micros()).expect("it is short");
    notebook("setup").line(&json!({"op": "setup", "max_staleness": max_staleness}));

    let mut clients = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        let client = Client::new(Arc::clone(&shared), notebook(&format!("client-{number}")), dice.apart(number));
        clients.spawn(client.work());
    }
    clients.spawn(reader::look(Arc::clone(&shared), notebook("looker")));
    disturbance::disturb(&mut processes, &shared, dice.apart(u64::MAX - 1), kills).await;
    shared.end();
    while let Some(ended) = clients.join_next().await {
        ended.expect("no client panics");
    }

    // Everything runs again. Each thing is done once more without a disturbance.
    settled(&processes).await;
    let mut each = Client::new(Arc::clone(&shared), notebook("each"), dice.apart(CLIENTS + 1));
    let mut around = notebook("around");
    reader::look_once(&shared, &mut around).await;
    each.do_each().await;

    // A verifier that was seen to have a key accepts what it signed, however new the key is.
    let newest = each.outrun_the_keys().await;
    settled(&processes).await;
    reader::look_once(&shared, &mut around).await;
    each.check_everywhere(&newest).await;

    // Once every view must be younger than the last acknowledgement, whatever was revoked is dead at
    // every verifier and whatever was not lives.
    settled(&processes).await;
    tokio::time::sleep(MAX_STALENESS).await;
    let calm = Client::new(Arc::clone(&shared), notebook("calm"), dice.apart(CLIENTS));
    reader::look_once(&shared, &mut around).await;
    calm.go_over().await;
    reader::look_once(&shared, &mut around).await;
    reader::read_all(&shared, notebook("final"), &sessions_in(folder)).await;

    search(&mut processes, &shared, logs.path());
}

async fn start(logs: &TempDir) -> (Processes, Secrets) {
    let log = |name: &str| Some(logs.path().join(name));
    let verbose = |name: &str| vec![(name.to_owned(), "debug".to_owned())];
    let launch = Launch {
        settings: SETTINGS.to_owned(),
        environment: verbose("ANNUL_LOG"),
        log: log("authority"),
        ..Launch::default()
    };
    let authority = Authority::launch(launch);
    let staleness = u64::try_from(MAX_STALENESS.as_millis()).expect("it is short");
    let near = Service::start_with(&authority, "near", |options| {
        options.max_staleness_ms = staleness;
        options.environment = verbose("RUST_LOG");
        options.log = log("near");
    })
    .await;
    let follower = authority.client("far", &["annul.follow", "annul.read"]).await;
    let credential = (follower.id().to_owned(), follower.secret().to_owned());
    let gateway = Gateway::start_with(&authority, "gateway", |options| {
        options.max_staleness_ms = staleness;
        options.feed = Some(credential.clone());
        options.log = log("gateway");
    })
    .await;
    let pin = authority.admin().get("/statusz").await.expect_status(200).text("feed_key").to_owned();
    let far = Service::launch("far", gateway.url(), credential, |options| {
        options.through_relay = true;
        options.feed_key = Some(pin);
        options.max_staleness_ms = staleness;
        options.environment = verbose("RUST_LOG");
        options.log = log("far");
    });
    far.ready().await;

    let mut secrets = Secrets::default();
    secrets.add("the administrator's secret", authority.admin().secret());
    secrets.add("the secret of the service", &near.options().credential.1);
    secrets.add("the secret of the service behind the relay", &far.options().credential.1);
    (Processes { authority, near, gateway, far }, secrets)
}

async fn settled(processes: &Processes) {
    let head = processes.authority.admin().get("/statusz").await.expect_status(200).text("position").to_owned();
    for service in [&processes.near, &processes.far] {
        service.ready().await;
        service.has_applied(&head).await;
    }
    processes.gateway.ready().await;
}

/// The ids of all sessions whose opening was acknowledged, as the records have them.
fn sessions_in(folder: &Path) -> BTreeSet<String> {
    let files = std::fs::read_dir(folder).expect("the records can be listed").map_while(Result::ok);
    let texts = files.map(|file| std::fs::read_to_string(file.path()).expect("records are text"));
    let mut sids = BTreeSet::new();
    for text in texts {
        let lines = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let opened = lines.filter(|line| line["op"] == "issue" && line["token"].is_object());
        sids.extend(opened.filter_map(|line| Some(line["sid"].as_str()?.to_owned())));
    }
    sids
}

/// No secret that was handed out is in a log, in the database or in a view, while they run, after a
/// crash and after a good end.
fn search(processes: &mut Processes, shared: &Shared, logs: &Path) {
    let secrets = locked(&shared.secrets);
    assert!(secrets.count() > 20, "next to nothing was handed out");
    let folders = |processes: &Processes| {
        let mut folders = vec![processes.authority.data(), logs.to_owned()];
        folders.extend(shared.verifiers.iter().map(|verifier| verifier.state.clone()));
        folders
    };
    let look = |when: &str, processes: &Processes| {
        let folders = folders(processes);
        secrets.assert_absent(when, &folders.iter().map(std::path::PathBuf::as_path).collect::<Vec<_>>());
    };
    look("while they run", processes);
    processes.authority.kill();
    processes.near.kill();
    look("after a crash", processes);
    processes.authority.restart();
    assert_eq!(processes.authority.interrupt(), Some(0));
    look("after a good end", processes);
}
