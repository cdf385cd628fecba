//! Rotate: what renews a session is used once, and its second use shows a theft.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use annul::TokenHolder;
use annul::client::Login;
use annul::holder::{ProofKey, RefreshTokenFile};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::join_all;
use scenarios::{Answer, Authority, Client, Secrets, Service};
use serde_json::json;

/// Bytes of a refresh token before its random ones: the family's id and the generation.
const NAME: usize = 20;
/// Bytes of its authentication code, at the end.
const CODE: usize = 16;
/// Characters of its checksum, behind everything.
const CHECKSUM: usize = 6;

/// How often the authority counted this outcome of a redemption.
pub(crate) async fn outcomes(authority: &Authority, outcome: &str) -> u64 {
    let label = format!("outcome=\"{outcome}\"");
    authority.counted("annul_refresh_total", |labels| labels.contains(&label)).await
}

/// The session of each event of this action.
pub(crate) async fn sessions_in(authority: &Authority, action: &str) -> Vec<String> {
    let events = authority.audited(action).await;
    events.iter().map(|event| event["target"].as_str().expect("an event names its session").to_owned()).collect()
}

/// The session's target, as events name it.
pub(crate) fn session(login: &Answer) -> String {
    format!("session:{}", login.claim("sid").as_str().expect("a sid"))
}

#[tokio::test]
async fn refresh_reuse_detection() {
    let mut authority = Authority::start_with("[sessions]\nrotation_grace = \"60s\"");
    let service = Service::start(&authority, "api").await;
    let client = authority.admin().clone();
    let laptop = authority.login_to_refresh("alice", "laptop").await;

    // Each use gives a new token of the same family.
    let first = authority.login_to_refresh("alice", "phone").await;
    let second = client.renew(&first).await;
    let third = client.renew(&second).await;
    let family: BTreeSet<_> =
        [&first, &second, &third].map(|answer| bytes_of(answer.refresh_token())[..16].to_vec()).into();
    assert_eq!(family.len(), 1, "the family has one id");
    assert!(first.refresh_token() != second.refresh_token() && second.refresh_token() != third.refresh_token());
    for answer in [&first, &second, &third] {
        assert_eq!(answer.claim("sid"), first.sid());
        service.accepts(answer.token()).await;
    }

    // What was never issued is refused and ends nothing, however much of it is right.
    for forged in forgeries(third.refresh_token(), laptop.refresh_token()) {
        client.refresh(&forged).await.expect_invalid_grant("refresh_token_unknown");
    }
    assert_eq!(outcomes(&authority, "reused").await, 0);
    service.accepts(third.token()).await;
    let fourth = client.renew(&third).await;

    // A spent one, whose successor was used: the family ends for thief and owner, and that is told.
    client.refresh(second.refresh_token()).await.expect_invalid_grant("refresh_token_reused");
    client.cannot_renew(&fourth).await;
    for answer in [&first, &third, &fourth] {
        service.refuses_as_revoked(answer.token()).await;
    }
    assert_eq!(sessions_in(&authority, "refresh.reuse").await, [session(&first)]);
    assert_eq!(outcomes(&authority, "reused").await, 1);

    // The session ended and not the user: the other device goes on, and a new login works.
    service.accepts(laptop.token()).await;
    let laptop = client.renew(&laptop).await;
    let again = authority.login_to_refresh("alice", "phone").await;
    service.accepts(client.renew(&again).await.token()).await;

    nothing_stored_gives_a_token(&authority).await;
    two_tabs_get_the_same(&authority, &service, &laptop).await;
    a_copy_is_of_no_use_without_the_key(&authority).await;
    the_answer_is_lost_with_the_process(&mut authority).await;
    the_grace_has_an_end().await;
    what_stays_open(&authority, &service).await;
}

/// While a successor can still be had by its spent token, neither of them can be had from the disk.
async fn nothing_stored_gives_a_token(authority: &Authority) {
    let login = authority.login_to_refresh("erin", "phone").await;
    let next = authority.admin().renew(&login).await;
    let mut secrets = Secrets::default();
    for (what, answer) in [("the spent token", &login), ("its successor", &next)] {
        let bytes = bytes_of(answer.refresh_token());
        secrets.add(what, answer.refresh_token());
        secrets.add(format!("the secret of {what}"), &bytes[NAME..bytes.len() - CODE]);
    }
    secrets.assert_absent("during the grace", &[&authority.data()]);
    assert_eq!(authority.admin().renew(&login).await.refresh_token(), next.refresh_token());
}

/// Tabs that refresh at once, and one that comes a moment later, all go on with one successor.
async fn two_tabs_get_the_same(authority: &Authority, service: &Service, login: &Answer) {
    let repeated = outcomes(authority, "repeated").await;
    let tabs: Vec<Client> = (0..8).map(|_| authority.admin().elsewhere("Firefox/146")).collect();
    let answers = join_all(tabs.iter().map(|tab| tab.refresh(login.refresh_token()))).await;
    let answers: Vec<Answer> = answers.into_iter().map(|answer| answer.expect_status(200)).collect();
    let late = tabs[0].refresh(login.refresh_token()).await.expect_status(200);
    let successors: BTreeSet<_> = answers.iter().chain([&late]).map(Answer::refresh_token).collect();
    assert_eq!(successors.len(), 1, "the tabs were given different refresh tokens");
    for answer in &answers {
        service.accepts(answer.token()).await;
    }
    assert_eq!(sessions_in(authority, "refresh.repeat").await.iter().filter(|of| **of == session(login)).count(), 8);
    assert!(sessions_in(authority, "refresh.repeat_elsewhere").await.is_empty(), "all of it was one browser");

    // A repetition by another browser gets it as well, and is reported: it may be a thief's.
    let elsewhere = authority.admin().elsewhere("curl/8").refresh(login.refresh_token()).await.expect_status(200);
    assert_eq!(elsewhere.refresh_token(), late.refresh_token());
    assert_eq!(sessions_in(authority, "refresh.repeat_elsewhere").await, [session(login)]);
    assert_eq!(outcomes(authority, "repeated").await, repeated + 9);

    // The session is judged again before a repetition: what was revoked meanwhile gets nothing.
    let next = tabs[1].refresh(late.refresh_token()).await.expect_status(200);
    authority.revoke(json!({"targets": [session(login)], "cutoff": "always"})).await;
    tabs[1].cannot_renew(&late).await;
    service.refuses_as_revoked(next.token()).await;
}

/// Where the session is bound to a proof key, whoever has only the token can neither use it nor end anything.
async fn a_copy_is_of_no_use_without_the_key(authority: &Authority) {
    let account = json!({"username": "dave", "password": "correct horse battery staple"});
    authority.admin().post("/v1/accounts", account).await.expect_status(201);
    let home = tempfile::tempdir().expect("a temporary directory");
    let kept = RefreshTokenFile::at(home.path().join("session"));
    let holder = || TokenHolder::builder(authority.url()).proof_key(ProofKey::generate().expect("a key"));
    let login =
        Login { username: "dave".to_owned(), password: "correct horse battery staple".to_owned(), ..Login::default() };
    let owner = holder().keep(kept.clone()).log_in(&login).await.expect("dave logs in");
    let first = owner.access_token().await.expect("a token");
    let stolen = kept.read().expect("the file can be read").expect("a token is kept");

    let thief = Client::public(authority.url(), "annul.login");
    thief.refresh(stolen.expose()).await.expect_invalid_grant("refresh_token_other_key");
    let with_own_key = holder().resume(stolen).expect("it can be tried").access_token().await;
    assert_eq!(with_own_key.expect_err("another key").code(), "refresh_token_other_key");
    assert_eq!(sessions_in(authority, "refresh.other_key").await.len(), 2);
    let next = owner.refused(&first).await.expect("the owner goes on");
    assert_eq!(scenarios::claims(next.expose())["cnf"]["jkt"].as_str(), owner.proof_key());
}

/// The authority is killed before its answer was read. What it did is on disk, and is told again.
async fn the_answer_is_lost_with_the_process(authority: &mut Authority) {
    let login = authority.login_to_refresh("bob", "phone").await;
    let lost = authority.admin().renew(&login).await;
    authority.kill();
    authority.restart();
    let repeated = authority.admin().renew(&login).await;
    assert_eq!(repeated.refresh_token(), lost.refresh_token());
    authority.admin().renew(&repeated).await;
}

/// Until the configured grace is over a repetition is answered; from then on it is a reuse.
async fn the_grace_has_an_end() {
    let authority = Authority::start_with("[sessions]\nrotation_grace = \"1s\"");
    let client = authority.admin();
    let login = authority.login_to_refresh("alice", "phone").await;
    let asked = Instant::now();
    let next = client.renew(&login).await;
    let refused = loop {
        let answer = client.refresh(login.refresh_token()).await;
        if answer.status != 200 {
            break answer;
        }
        assert_eq!(answer.refresh_token(), next.refresh_token());
        assert!(asked.elapsed() < Duration::from_secs(20), "the grace does not end");
    };
    assert!(asked.elapsed() >= Duration::from_secs(1), "it ended after {:?}", asked.elapsed());
    refused.expect_invalid_grant("refresh_token_reused");
    client.cannot_renew(&next).await;

    // Without one, of those who come at once exactly one is served.
    let strict = Authority::start_with("[sessions]\nrotation_grace = \"0s\"");
    let login = strict.login_to_refresh("alice", "phone").await;
    let answers = join_all((0..8).map(|_| strict.admin().refresh(login.refresh_token()))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(sessions_in(&strict, "refresh.reuse").await, [session(&login)]);
}

/// A victim who never refreshes again presents no spent token: nothing tells, until they log out everywhere.
async fn what_stays_open(authority: &Authority, service: &Service) {
    let client = authority.admin();
    let before = outcomes(authority, "reused").await;
    let mut stolen = authority.login_to_refresh("carol", "phone").await;
    for _ in 0..3 {
        stolen = client.renew(&stolen).await;
        service.accepts(stolen.token()).await;
    }
    assert_eq!(outcomes(authority, "reused").await, before);
    authority.revoke(json!({"targets": ["subject:carol"]})).await;
    service.refuses_as_revoked(stolen.token()).await;
    client.cannot_renew(&stolen).await;
}

/// Refresh tokens of a family that nobody issued, made by somebody who knows their form.
fn forgeries(genuine: &str, other: &str) -> Vec<String> {
    let (bytes, other) = (bytes_of(genuine), bytes_of(other));
    let changed = |at: usize| {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        text_of(&changed)
    };
    let (code, end) = (bytes.len() - CODE, bytes.len() - 1);
    vec![
        format!("{}!", &genuine[..genuine.len() - 1]),
        genuine[..genuine.len() - CHECKSUM].to_owned(),
        changed(NAME - 1),
        changed(NAME),
        changed(code),
        changed(end),
        text_of(&[&bytes[..NAME], &other[NAME..]].concat()),
        text_of(&[&other[..NAME], &bytes[NAME..]].concat()),
        text_of(&[&bytes[..NAME], &[7; 32], &bytes[code..]].concat()),
    ]
}

fn bytes_of(token: &str) -> Vec<u8> {
    let text = token.strip_prefix("annul_rt_").expect("scanners for secrets know it by its beginning");
    URL_SAFE_NO_PAD.decode(&text[..text.len() - CHECKSUM]).expect("base64url")
}

/// These bytes as a refresh token, with the checksum that belongs there.
fn text_of(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let text = format!("annul_rt_{}", URL_SAFE_NO_PAD.encode(bytes));
    let mut rest = crc32(text.as_bytes());
    let mut digits = [0; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(rest % 62) as usize];
        rest /= 62;
    }
    text + std::str::from_utf8(&digits).expect("digits are ASCII")
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}
