//! Other people's clients against a running authority, over TLS with a certificate of a local CA: what
//! they ask for they get, and what they revoke is refused by a verifier that runs apart.

mod document;
mod oauth2_crate;
mod world;

use world::{Driver, World};

#[tokio::test]
async fn oauth4webapi_and_dpop() {
    World::start().await.driven_by(Driver::Node).await;
}

#[tokio::test]
async fn authlib_requests_oauth2client_and_requests_oauthlib() {
    World::start().await.driven_by(Driver::Python).await;
}
