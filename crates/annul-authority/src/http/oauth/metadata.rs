//! What the authority offers (RFC 8414), made from what there is: the tables that the endpoints
//! themselves go by.

use annul_core::token::{Algorithm, PROOF_ALGORITHMS};
use serde_json::{Map, Value};

use super::endpoints::ENDPOINTS;
use crate::http::App;
use crate::http::auth::Scope;
use crate::http::client_auth::{endpoint, methods};
use crate::model::{AuthMethod, GrantType};

/// The document.
///
/// `response_types_supported` would be empty, and RFC 8414 §3.2 leaves empty arrays out: there is no
/// authorization endpoint that could take one.
#[must_use]
pub fn document(app: &App) -> Value {
    let mut document = Map::new();
    let mut set = |member: &str, value: Value| {
        if value.as_array().is_none_or(|list| !list.is_empty()) {
            document.insert(member.to_owned(), value);
        }
    };
    set("issuer", app.authority.issuer().into());
    for advertised in ENDPOINTS {
        set(advertised.member, endpoint(app, advertised.path).into());
    }
    set("grant_types_supported", GrantType::ALL.map(GrantType::name).to_vec().into());
    let methods = methods(app);
    let names = |methods: &[AuthMethod]| Value::from(methods.iter().map(|method| method.name()).collect::<Vec<_>>());
    // Nobody is told about tokens who did not prove who they are.
    let proving: Vec<AuthMethod> = methods.iter().copied().filter(|method| *method != AuthMethod::None).collect();
    let of_endpoint = [("token", &methods), ("revocation", &methods), ("introspection", &proving)];
    let algorithms: Vec<&str> =
        Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_symmetric()).map(Algorithm::name).collect();
    for (name, methods) in of_endpoint {
        set(&format!("{name}_endpoint_auth_methods_supported"), names(methods));
        if methods.contains(&AuthMethod::PrivateKeyJwt) {
            set(&format!("{name}_endpoint_auth_signing_alg_values_supported"), algorithms.clone().into());
        }
    }
    let signing: Vec<&str> = app.authority.signing_algorithm().into_iter().collect();
    set("introspection_signing_alg_values_supported", signing.into());
    set("dpop_signing_alg_values_supported", PROOF_ALGORITHMS.map(Algorithm::name).to_vec().into());
    set("tls_client_certificate_bound_access_tokens", methods.contains(&AuthMethod::TlsClientAuth).into());
    set("scopes_supported", Scope::ALL.map(Scope::name).to_vec().into());
    Value::Object(document)
}
