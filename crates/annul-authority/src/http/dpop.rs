//! DPoP at the endpoints that give tokens, and where one is presented: the proof of a request, its nonce,
//! and that it is new.

use annul_core::token::{HttpUri, Nonce, PROOF_ALGORITHMS, Proof, ProofError, ProofExpect, Seen};
use axum::extract::FromRequestParts;
use http::HeaderName;
use http::request::Parts;

use super::App;
use super::client_auth::endpoint;
use super::codes::Code;
use super::problem::Problem;
use crate::config::DpopNonce;
use crate::error::VerbError;
use crate::model::ProofKey;

/// The header that carries a proof.
pub const DPOP: HeaderName = HeaderName::from_static("dpop");
/// The header that carries a nonce for the next proof.
pub const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// The key that a request proves to hold by DPoP, if it does.
#[derive(Debug)]
pub struct ProvenKey(pub Option<ProofKey>);

impl FromRequestParts<App> for ProvenKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        proof_key(parts, app).map(Self)
    }
}

/// The key that the request's DPoP proof proves; `None` where the request has no `DPoP` header.
///
/// The proof is for the address that clients know: of `server.public_url`, else the one listened on,
/// and never what a header says. One that was seen before is refused, and while more were seen than
/// are remembered every one is: forgetting would let an old one pass.
pub fn proof_key(parts: &Parts, app: &App) -> Result<Option<ProofKey>, Problem> {
    if parts.headers.contains_key(DPOP) { proven(parts, app, None).map(Some) } else { Ok(None) }
}

/// The key that the request's DPoP proof proves for the access token that it presents, which the proof has
/// to name (RFC 9449 §7.1). Without a right one the request is not authorised.
pub fn proof_key_with(token: &str, parts: &Parts, app: &App) -> Result<ProofKey, Problem> {
    proven(parts, app, Some(token)).map_err(|problem| {
        let status = problem.code().status_beside_token();
        problem.with_status(status)
    })
}

fn proven(parts: &Parts, app: &App, access_token: Option<&str>) -> Result<ProofKey, Problem> {
    let invalid = |detail: String| Problem::new(Code::DpopProofInvalid, detail);
    let address = endpoint(app, parts.uri.path());
    let uri = HttpUri::parse(&address).ok_or_else(|| invalid("server.public_url is no http address".to_owned()))?;
    let now = app.authority.clock().seconds();
    let accepts = |nonce: &str| app.authority.dpop_nonces().accepts(nonce, now);
    let expect = ProofExpect {
        method: parts.method.as_str(),
        uri: &uri,
        now,
        algorithms: &PROOF_ALGORITHMS,
        access_token,
        key: None,
        nonce: match app.config.server.dpop_nonce {
            DpopNonce::Off => Nonce::NotDemanded,
            DpopNonce::Required => Nonce::Demanded(&accepts),
        },
    };
    let headers = parts.headers.get_all(DPOP).iter().map(http::HeaderValue::as_bytes);
    let proof = match Proof::verify(headers, &expect) {
        Ok(proof) => proof,
        Err(error @ ProofError::NonceNeeded) => {
            let nonce = app.authority.dpop_nonces().make(now).map_err(VerbError::from)?;
            return Err(Problem::new(Code::DpopNonceNeeded, error.to_string()).with_dpop_nonce(nonce));
        }
        Err(error) => return Err(invalid(error.to_string())),
    };
    match app.proofs_seen.first_use(proof.name(), now) {
        Seen::New => Ok(ProofKey::Jwk(proof.thumbprint().to_owned())),
        Seen::Before => Err(invalid("the DPoP proof was used before".to_owned())),
        Seen::Full => Err(Problem::new(Code::Busy, "more DPoP proofs came in this minute than are remembered")),
    }
}
