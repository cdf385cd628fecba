//! Tokens that were had for others: they end with the session that the first of them came from.

use scenarios::{Answer, Authority, Client, Service};
use serde_json::json;

#[tokio::test]
async fn what_descends_from_a_session_ends_with_it_to_the_third_generation() {
    let mut authority = Authority::start();
    let services = [Service::start(&authority, "api").await, Service::start(&authority, "stock").await];
    let mut clients = Vec::new();
    for id in ["gateway", "orders", "warehouse"] {
        clients.push(authority.client(id, &[]).await);
    }
    let hers = authority.login_to_refresh("alice", "phone").await;
    let other = authority.login_to_refresh("alice", "laptop").await;
    let line = descendants(&clients, &hers).await;
    let others = descendants(&clients, &other).await;
    for (depth, token) in line.iter().enumerate() {
        assert_eq!((token.claim("sub"), token.claim("auth_time")), (json!("alice"), hers.claim("auth_time")));
        assert_eq!(token.claim("client_id"), clients[depth].id());
        assert_eq!(token.claim("origin").as_array().expect("a token says where it comes from").len(), depth + 1);
        assert!(token.body["refresh_token"].is_null(), "the next one comes by an exchange as well");
    }
    accepted(&services, line.iter().chain(&others)).await;

    // In the middle: what is above goes on, what is below ends.
    revoke_session(&authority, &others[1]).await;
    refused(&services, &others[1..]).await;
    accepted(&services, [&other, &others[0]]).await;

    // At the root: every generation ends at running services, and none of them has a next token.
    revoke_session(&authority, &hers).await;
    refused(&services, &line).await;
    refused(&services, std::slice::from_ref(&hers)).await;
    authority.admin().cannot_renew(&hers).await;
    nothing_follows(&authority, &clients, &line).await;

    // That is on disk, and the other session went on throughout.
    authority.kill();
    authority.restart();
    for service in &services {
        service.ready().await;
    }
    let clients: Vec<_> =
        clients.iter().map(|client| Client::new(authority.url(), client.id(), client.secret())).collect();
    refused(&services, &line).await;
    nothing_follows(&authority, &clients, &line).await;
    let next = authority.admin().renew(&other).await;
    let next_line = descendants(&clients, &next).await;
    accepted(&services, [&other, &others[0], &next].into_iter().chain(&next_line)).await;
}

/// The tokens of three sessions, each had by another client for the token before.
async fn descendants(clients: &[Client], root: &Answer) -> Vec<Answer> {
    let mut line: Vec<Answer> = Vec::new();
    for client in clients {
        let before = line.last().unwrap_or(root).token().to_owned();
        line.push(client.derive(&before).await.expect_status(200));
    }
    line
}

/// No next token for any of the line: by another exchange, nor from whoever may issue tokens of any session.
async fn nothing_follows(authority: &Authority, clients: &[Client], line: &[Answer]) {
    for (client, token) in clients.iter().zip(line) {
        client.derive(token.token()).await.expect_refusal(400, "token_revoked");
        let sid = token.claim("sid");
        let next = authority.next_token(sid.as_str().expect("a sid")).await;
        next.expect_refusal(403, "session_revoked");
    }
}

async fn revoke_session(authority: &Authority, token: &Answer) {
    let sid = token.claim("sid");
    let target = format!("session:{}", sid.as_str().expect("a sid"));
    authority.revoke(json!({"targets": [target], "cutoff": "always"})).await;
}

async fn accepted<'a>(services: &[Service], tokens: impl IntoIterator<Item = &'a Answer>) {
    for token in tokens {
        for service in services {
            service.accepts(token.token()).await;
        }
    }
}

async fn refused(services: &[Service], tokens: &[Answer]) {
    for token in tokens {
        for service in services {
            service.refuses_as_revoked(token.token()).await;
        }
    }
}
