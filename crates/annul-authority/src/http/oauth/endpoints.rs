//! What is offered under `/oauth2`: the one table that the metadata and the tests of it read. That
//! each is a route, and each route is here, a test holds.

/// An endpoint: its member in the metadata (RFC 8414 §2), and its path.
pub struct Endpoint {
    /// The member.
    pub member: &'static str,
    /// The path.
    pub path: &'static str,
}

/// Every endpoint that clients discover.
pub const ENDPOINTS: [Endpoint; 5] = [
    Endpoint { member: "token_endpoint", path: "/oauth2/token" },
    Endpoint { member: "revocation_endpoint", path: "/oauth2/revoke" },
    Endpoint { member: "introspection_endpoint", path: "/oauth2/introspect" },
    Endpoint { member: "end_session_endpoint", path: "/oauth2/logout" },
    Endpoint { member: "jwks_uri", path: "/.well-known/jwks.json" },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::openapi;

    #[test]
    fn md_3_what_is_advertised_is_a_route_and_every_route_is_advertised() {
        let (_, document) = openapi::routes().split_for_parts();
        let routes: BTreeSet<&str> = document.paths.paths.keys().map(String::as_str).collect();
        let advertised: BTreeSet<&str> = ENDPOINTS.iter().map(|endpoint| endpoint.path).collect();
        assert!(advertised.is_subset(&routes), "{advertised:?}");
        let under_oauth: BTreeSet<&str> = routes.into_iter().filter(|path| path.starts_with("/oauth2/")).collect();
        assert!(under_oauth.is_subset(&advertised), "{under_oauth:?}");
    }
}
