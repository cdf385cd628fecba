//! Rotate: short tokens, long sessions, and nobody who notices.

use std::time::Duration;

use scenarios::{Authority, Service, now};

/// Between two looks at what is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

#[tokio::test]
async fn sliding_extension() {
    const IDLE: u64 = 2;
    const ABSOLUTE: u64 = 7;
    let authority = Authority::start_with("[sessions]\nidle = \"2s\"\nabsolute = \"7s\"");
    let service = Service::start_punctual(&authority, "api").await;
    let client = authority.admin();
    let opened = now();
    let login = authority.login_to_refresh("alice", "phone").await;
    let unused = authority.login_to_refresh("alice", "laptop").await;
    let (mut extended, mut left) = (Vec::new(), Vec::new());
    let mut current = login;

    // Used all the time, it outlives the idle limit, and ends at the absolute one.
    let refused = loop {
        let answer = client.refresh(current.refresh_token()).await;
        if answer.status != 200 {
            break answer;
        }
        let exp = answer.claim("exp").as_u64().expect("an exp");
        assert!(exp <= opened + ABSOLUTE + 1, "a token outlives its session by the absolute limit");
        assert_eq!(answer.claim("auth_time"), current.claim("auth_time"), "a refresh is no login");
        service.accepts(answer.token()).await;
        extended.push(now() - opened);
        left.push(answer.number("refresh_token_expires_in"));
        current = answer;
        tokio::time::sleep(LOOK_EVERY).await;
    };
    refused.expect_invalid_grant("session_expired");
    assert!(now() >= opened + ABSOLUTE, "ended before its absolute limit");
    let last = extended.last().copied().expect("it was used");
    println!("sliding_extension: extended {} times, for {last} s, with an idle limit of {IDLE} s", extended.len());
    assert!(last > 2 * IDLE, "{last}");
    // What it has left is the idle limit, until the absolute one is nearer.
    assert_eq!(left.first(), Some(&IDLE));
    assert!(left.iter().all(|left| *left <= IDLE) && left.last() < Some(&IDLE), "{left:?}");
    service.refuses_within(current.token(), Duration::from_secs(10)).await;

    // The one that nobody used is over since its idle limit.
    client.refresh(unused.refresh_token()).await.expect_invalid_grant("session_expired");
    let path = format!("/v1/sessions/{}", unused.sid());
    assert_eq!(client.get(&path).await.expect_status(200).text("status"), "expired");
    let again = authority.login_to_refresh("alice", "phone").await;
    service.accepts(client.renew(&again).await.token()).await;
}
