//! `docs/operating/incident.md`: its commands are typed as they stand, in the order of the page, and
//! each situation is looked at from a service: who is out, and who is still in.

use scenarios::{Answer, Authority, Cli, Service, now};
use serde_json::json;

/// A situation of the page, and the commands under it.
struct Situation {
    title: String,
    blocks: Vec<String>,
}

/// The page by its headings; only blocks marked `sh` are commands.
fn situations() -> Vec<Situation> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operating/incident.md");
    let page = std::fs::read_to_string(path).expect("the page is there");
    let mut situations = vec![Situation { title: String::new(), blocks: Vec::new() }];
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix("## ") {
            situations.push(Situation { title: title.to_owned(), blocks: Vec::new() });
        } else if line == "```sh" {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            situations.last_mut().expect("there is one").blocks.push(block.join("\n"));
        }
    }
    situations
}

/// The scopes that the page asks for.
const SCOPES: [&str; 3] = ["annul.revoke", "annul.read", "annul.follow"];

/// The verbs for which it asks for `annul.admin` too.
const ADMIN_VERBS: [&str; 3] = ["annul clients ", "annul keys kill ", "annul doctor"];

/// Who is logged in while the page is worked through.
struct People {
    found: Answer,
    phone: Answer,
    laptop: Answer,
    mallory: Answer,
    acme: Answer,
    globex: Answer,
    shop: Answer,
    bound: Answer,
    carol: Answer,
    dan: Answer,
    erin: Answer,
    bob: Answer,
}

/// The thumbprint that one login is bound to.
const JKT: &str = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";

impl People {
    async fn log_in(authority: &Authority) -> Self {
        let of = |subject: &str, tenant: &str, ago: u64| json!({"subject": subject, "claims": {"tenant": tenant}, "auth_time": now() - ago});
        Self {
            found: authority.login("frank", "desktop").await,
            phone: authority.login("alice", "phone").await,
            laptop: authority.login("alice", "laptop").await,
            mallory: authority.open(json!({"subject": "mallory", "client_id": "console"})).await,
            acme: authority.open(of("gina", "acme", 50)).await,
            globex: authority.open(of("henry", "globex", 60)).await,
            shop: authority.open(json!({"subject": "ivan", "client_id": "shop"})).await,
            bound: authority.open(json!({"subject": "judy", "confirmation": {"jkt": JKT}})).await,
            carol: authority.login("carol", "phone").await,
            dan: authority.login("dan", "phone").await,
            erin: authority.login("erin", "phone").await,
            bob: authority.open(of("bob", "globex", 0)).await,
        }
    }
}

/// The value of the line of a printed answer that begins with this word.
fn said(printed: &[String], word: &str) -> Option<String> {
    let of = |line: &String| Some(line.strip_prefix(word)?.strip_prefix(' ')?.to_owned());
    printed.iter().rev().find_map(of)
}

#[tokio::test]
async fn every_command_of_the_incident_page_does_what_the_page_says() {
    let authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let begun = now();
    authority.client("mallory-laptop", &["annul.revoke"]).await;
    authority.client("shop", &["annul.issue"]).await;
    let people = People::log_in(&authority).await;
    for login in [&people.found, &people.globex, &people.bob] {
        service.accepts_soon(login.token()).await;
    }
    let on_call = Cli::of(&authority.client("on-call", &SCOPES).await);
    let with_admin = [&SCOPES[..], &["annul.admin"]].concat();
    let on_call_admin = Cli::of(&authority.client("on-call-admin", &with_admin).await);
    let mut variables = vec![
        ("TOKEN", people.found.token().to_owned()),
        ("SID", people.found.sid().to_owned()),
        ("T1", (begun - 60).to_string()),
        ("T2", (begun - 60).to_string()),
        ("T3", (now() + 3600).to_string()),
        ("JKT", JKT.to_owned()),
        ("KID", people.bob.key_id()),
        ("POSITION", String::new()),
        ("SCHEDULE", String::new()),
    ];
    let mut commands = 0;
    for situation in situations() {
        let mut printed = Vec::new();
        for block in &situation.blocks {
            let cli = if ADMIN_VERBS.iter().any(|verb| block.contains(verb)) { &on_call_admin } else { &on_call };
            let ran = cli.script(block, &variables).await;
            assert_eq!(ran.code, 0, "{}\n{block}\n{}{}", situation.title, ran.stdout, ran.stderr);
            commands += block.lines().count();
            printed.extend(ran.lines());
            for (word, name) in [("position", "POSITION"), ("schedule", "SCHEDULE")] {
                let known = variables.iter_mut().find(|(variable, _)| *variable == name).expect("it is listed");
                known.1 = said(&printed, word).unwrap_or_else(|| known.1.clone());
            }
        }
        look(&situation.title, &printed.join("\n"), &people, &authority, &service).await;
    }
    assert!(commands > 30, "the page is read: {commands} commands");
}

/// Nothing is opened for a subject that is blocked.
async fn stays_out(authority: &Authority, subject: &str) {
    let opened = authority.admin().post("/v1/sessions", json!({"subject": subject})).await;
    assert_eq!(opened.expect_status(403).text("code"), "subject_blocked");
}

/// What has to hold after the commands of a situation, seen from a service and the next refresh.
async fn look(title: &str, printed: &str, people: &People, authority: &Authority, service: &Service) {
    let out = async |login: &Answer| service.refuses_as_revoked(login.token()).await;
    let bystander = async || service.accepts(people.bob.token()).await;
    match title {
        "" => assert!(printed.contains("api/"), "the verifier is named: {printed}"),
        "A token was found where it must not be" => {
            out(&people.found).await;
            authority.next_token(people.found.sid()).await.expect_status(403);
            bystander().await;
        }
        "A device was stolen" => {
            out(&people.phone).await;
            service.accepts(people.laptop.token()).await;
        }
        "An account was taken over" => {
            out(&people.laptop).await;
            stays_out(authority, "alice").await;
            assert!(printed.contains(people.phone.sid()) && printed.contains("Not known:"), "{printed}");
            bystander().await;
        }
        "An administrator was let go" => {
            out(&people.mallory).await;
            stays_out(authority, "mallory").await;
            assert!(printed.contains("INC-20"), "{printed}");
            bystander().await;
        }
        "A tenant was breached" => {
            assert!(printed.contains("This would end 1 session."), "{printed}");
            service.accepts_soon(people.acme.token()).await;
            authority.next_token(people.acme.sid()).await.expect_status(200);
            assert!(printed.contains("state cancelled"), "{printed}");
            bystander().await;
        }
        "The secret of a client leaked" => {
            out(&people.shop).await;
            assert!(printed.contains(people.shop.sid()), "{printed}");
            bystander().await;
        }
        "A proof key was stolen" => {
            out(&people.bound).await;
            let again =
                authority.admin().post("/v1/sessions", json!({"subject": "judy", "confirmation": {"jkt": JKT}}));
            assert_eq!(again.await.expect_status(403).text("code"), "session_revoked");
            bystander().await;
        }
        "A list of users" => {
            assert!(printed.contains("This would end at most 2 sessions."), "{printed}");
            out(&people.carol).await;
            out(&people.dan).await;
            stays_out(authority, "carol").await;
            service.accepts_soon(authority.login("dan", "phone").await.token()).await;
            bystander().await;
        }
        "Not now, but then" => {
            service.accepts(people.erin.token()).await;
            assert!(printed.contains("subject:erin") && printed.contains("waiting"), "{printed}");
        }
        "A signing key leaked" => {
            out(&people.bob).await;
            let next = authority.next_token(people.bob.sid()).await.expect_status(200);
            service.accepts_soon(next.token()).await;
        }
        "Everything" => {
            authority.next_token(people.bob.sid()).await.expect_status(403);
            let again = authority.login("bob", "phone").await;
            service.accepts_soon(again.token()).await;
        }
        "Afterwards" => assert!(printed.contains("INC-21: wrong tenant"), "{printed}"),
        "What the answer means" => assert!(printed.is_empty(), "it shows an answer and has no commands"),
        other => panic!("the page has a situation that nobody looks at: {other}"),
    }
}
