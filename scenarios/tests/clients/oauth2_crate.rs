//! The `oauth2` crate.

use std::fmt::Debug;

use oauth2::basic::{BasicClient, BasicErrorResponseType};
use oauth2::{
    ClientId, ClientSecret, HttpRequest, HttpResponse, IntrospectionUrl, RefreshToken, RequestTokenError,
    RevocationUrl, Scope, StandardRevocableToken, TokenIntrospectionResponse as _, TokenResponse as _, TokenUrl,
};

use super::world::World;

#[tokio::test]
async fn the_oauth2_crate() {
    let world = World::start().await;
    let (id, secret) = world.backend();
    let at = |path: &str| format!("{}/oauth2/{path}", world.issuer());
    let client = BasicClient::new(ClientId::new(id.to_owned()))
        .set_client_secret(ClientSecret::new(secret.to_owned()))
        .set_token_uri(TokenUrl::new(at("token")).expect("an address"))
        .set_revocation_url(RevocationUrl::new(at("revoke")).expect("an address"))
        .set_introspection_url(IntrospectionUrl::new(at("introspect")).expect("an address"));
    let http = |request: HttpRequest| send(world.http().clone(), request);

    let machine = client.exchange_client_credentials().add_scope(Scope::new("orders.read".to_owned()));
    let machine = machine.request_async(&http).await.expect("a machine's token");
    assert!(machine.refresh_token().is_none(), "a machine logs in by its secret");

    let given = RefreshToken::new(world.refresh_token(id).await);
    let first = client.exchange_refresh_token(&given).request_async(&http).await.expect("a refresh");
    let rotated = first.refresh_token().expect("the next refresh token");
    assert_ne!(rotated.secret(), given.secret());
    let asked = client.introspect(first.access_token()).request_async(&http).await.expect("an answer");
    assert!(asked.active());
    assert_eq!((asked.sub(), asked.client_id().map(|id| id.as_str())), (Some("alice"), Some(id)));

    let revocation = client.revoke_token(StandardRevocableToken::RefreshToken(rotated.clone()));
    revocation.expect("https is taken").request_async(&http).await.expect("exactly 200");
    let asked = client.introspect(first.access_token()).request_async(&http).await.expect("an answer");
    assert!(!asked.active());
    let refused = client.exchange_refresh_token(rotated).request_async(&http).await.expect_err("it was revoked");
    let RequestTokenError::ServerResponse(refused) = refused else { panic!("{}", shown(&refused)) };
    assert_eq!(*refused.error(), BasicErrorResponseType::InvalidGrant);
}

async fn send(client: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, reqwest::Error> {
    let (parts, body) = request.into_parts();
    let request = client.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body);
    let answer = request.send().await?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut response = HttpResponse::new(answer.bytes().await?.to_vec());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

fn shown(error: &impl Debug) -> String {
    format!("{error:?}")
}
