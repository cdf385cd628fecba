//! axum's side of the layer: handlers that name what they need.

use annul_core::policy::Authorized;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;

use crate::http::answer_misuse;
use crate::route::Route;

/// The token that the layer let in.
///
/// A handler that takes it on a route without [`AnnulLayer`](crate::AnnulLayer) answers 500 and logs
/// why: it must not look like a matter of the client's credentials.
///
/// A token that the authority sent in place of the client's ([`Authorized::restamped`]) goes into the
/// response by itself; a handler that upgrades the connection may hand it on by other means.
#[derive(Clone, Debug)]
pub struct Bearer(pub Authorized);

/// The route by which the request was let in, for [`Route::watch`] on a connection that stays.
#[derive(Clone, Debug)]
pub struct OnRoute(pub Route);

/// The layer is missing in front of a handler that relies on it.
#[derive(Clone, Copy, Debug)]
pub struct LayerMissing;

impl IntoResponse for LayerMissing {
    fn into_response(self) -> Response {
        answer_misuse().map(Body::from)
    }
}

impl<S: Sync> FromRequestParts<S> for Bearer {
    type Rejection = LayerMissing;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, LayerMissing> {
        parts.extensions.get::<Authorized>().cloned().map(Self).ok_or_else(|| missing(parts))
    }
}

impl<S: Sync> FromRequestParts<S> for OnRoute {
    type Rejection = LayerMissing;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, LayerMissing> {
        parts.extensions.get::<Route>().cloned().map(Self).ok_or_else(|| missing(parts))
    }
}

fn missing(parts: &Parts) -> LayerMissing {
    tracing::error!(
        path = parts.uri.path(),
        "a handler takes an annul extractor but AnnulLayer is not on its route; add the layer (500 until then)"
    );
    LayerMissing
}
