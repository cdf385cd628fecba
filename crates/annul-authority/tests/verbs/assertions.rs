//! Assertions as grants: who may make them, and that each counts once.

use annul_authority::authority::Caller;
use annul_authority::error::VerbError;
use annul_authority::model::SubjectNames;
use annul_authority::secrets::secret::Secret;
use annul_authority::secrets::signing::{SigningAlgorithm, SigningKey};
use annul_authority::verbs::assertion::AssertionRequest;
use annul_authority::verbs::granted::Granted;
use annul_authority::verbs::issuers::IssuerRequest;
use annul_authority::verbs::revocations::RevokeRequest;
use serde_json::{Value, json};

use crate::exchange::{client, said};
use crate::idp::Idp;
use crate::world::{FOREIGN, ISSUER, World, code, target};

/// How often the issuer is removed and added again while assertions are redeemed.
const COMINGS_AND_GOINGS: usize = 800;

async fn trusting(idp: &Idp) -> World {
    let world = World::new().await;
    let request = IssuerRequest { subjects: Some(SubjectNames::Shared), ..idp.request() };
    world.authority.add_issuer(&world.caller, request, None).await.unwrap();
    world
}

/// An assertion about alice, changed by `more`; what is null there is left out.
fn assertion(idp: &Idp, world: &World, typ: &str, more: Value) -> Secret {
    let mut claims = json!({
        "iss": FOREIGN, "sub": "alice", "aud": ISSUER, "iat": world.now(), "exp": world.now() + 60, "jti": "a1",
    });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    Secret::new(idp.key.sign_token(typ, claims.as_object().unwrap()).unwrap())
}

async fn redeem(world: &World, assertion: &Secret) -> Result<Granted, VerbError> {
    let request = AssertionRequest { assertion: assertion.clone(), audience: Vec::new(), scope: None };
    world.authority.redeem_assertion(&Caller::client("app"), &client("app"), request).await
}

#[tokio::test]
async fn ca_3_an_assertion_of_a_trusted_issuer_opens_a_session_once() {
    let idp = Idp::new();
    let mut world = trusting(&idp).await;
    let once = assertion(&idp, &world, "authorization-grant+jwt", json!({ "sid": "f1" }));
    let granted = redeem(&world, &once).await.unwrap();
    let token = said(&granted.access_token);
    assert_eq!((&token["sub"], &token["client_id"], &token["scope"]), (&json!("alice"), &json!("app"), &json!("read")));
    assert_eq!(token["origin"], json!([{ "iss": FOREIGN, "sid": "f1", "sub": "alice" }]));
    world.assert_active(&granted.access_token, "granted").await;
    assert_eq!(code(redeem(&world, &once).await), "assertion_used", "ca_4");
    let untyped = assertion(&idp, &world, "JWT", json!({ "jti": "a2", "sid": "f1" }));
    redeem(&world, &untyped).await.unwrap();
    world.revoke(RevokeRequest { issuer: Some(FOREIGN.to_owned()), ..target("subject:alice") }).await;
    world.assert_revoked(&granted.access_token, "with its subject at its issuer").await;
    let of_the_revoked = assertion(&idp, &world, "JWT", json!({ "jti": "a3" }));
    assert_eq!(code(redeem(&world, &of_the_revoked).await), "token_revoked");
}

#[tokio::test]
async fn ca_4_what_is_not_made_for_this_once_and_soon_is_refused() {
    let idp = Idp::new();
    let world = trusting(&idp).await;
    let now = world.now();
    for (more, expected) in [
        (json!({ "aud": "https://elsewhere" }), "audience_mismatch"),
        (json!({ "aud": [ISSUER, "https://elsewhere"] }), "audience_mismatch"),
        (json!({ "exp": now - 10 }), "token_expired"),
        (json!({ "exp": now + 3600 }), "life_too_long"),
        (json!({ "iat": now + 600, "exp": now + 660 }), "token_not_yet_valid"),
        (json!({ "nbf": now + 60 }), "token_not_yet_valid"),
        (json!({ "jti": null }), "claim_invalid"),
        (json!({ "exp": null }), "claim_invalid"),
        (json!({ "iss": "https://nobody" }), "opens_no_session"),
    ] {
        let refused = redeem(&world, &assertion(&idp, &world, "JWT", more.clone())).await;
        assert_eq!(code(refused), expected, "{more}");
    }
    for typ in ["at+jwt", "client-authentication+jwt", "dpop+jwt", "logout+jwt"] {
        let refused = redeem(&world, &assertion(&idp, &world, typ, json!({}))).await;
        assert_eq!(code(refused), "typ_mismatch", "bcp_4: {typ}");
    }
    let forged = assertion(&Idp::new(), &world, "JWT", json!({}));
    assert!(redeem(&world, &forged).await.is_err());
    assert!(redeem(&world, &assertion(&idp, &world, "JWT", json!({}))).await.is_ok(), "none of them used the id up");
}

#[tokio::test]
async fn an_issuer_that_is_only_accepted_asserts_nobody() {
    let idp = Idp::new();
    let world = World::new().await;
    world.authority.add_issuer(&world.caller, idp.request(), None).await.unwrap();
    assert_eq!(code(redeem(&world, &assertion(&idp, &world, "JWT", json!({}))).await), "opens_no_session");
}

/// While the issuer is removed and added again without a pause, its alice is never taken for ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ca_3_an_issuer_that_is_removed_meanwhile_names_none_of_our_own_subjects() {
    // Quick to sign with and slow to verify by, so that more happens meanwhile.
    let idp = Idp { key: SigningKey::generate(SigningAlgorithm::EdDsa).unwrap() };
    let world = World::new().await;
    let request = IssuerRequest { subjects: Some(SubjectNames::Apart), ..idp.request() };
    world.authority.add_issuer(&world.caller, request.clone(), None).await.unwrap();
    let redeem_one = async |attempt: usize| {
        let one = assertion(&idp, &world, "JWT", json!({ "jti": format!("a{attempt}") }));
        let granted = redeem(&world, &one).await?;
        assert_eq!(said(&granted.access_token)["sub"], format!("{FOREIGN}|alice"), "attempt {attempt}");
        assert_eq!(said(&granted.access_token)["origin"], json!([{ "iss": FOREIGN, "sub": "alice" }]));
        Ok::<_, VerbError>(())
    };
    redeem_one(0).await.unwrap();
    let (authority, caller) = (world.authority.clone(), world.caller.clone());
    let comings_and_goings = tokio::spawn(async move {
        for _ in 0..COMINGS_AND_GOINGS {
            authority.remove_issuer(&caller, FOREIGN).await.unwrap();
            authority.add_issuer(&caller, request.clone(), None).await.unwrap();
        }
    });
    let mut attempt = 0;
    while !comings_and_goings.is_finished() {
        attempt += 1;
        match redeem_one(attempt).await {
            Ok(()) => {}
            Err(error) => assert_eq!(error.code(), "opens_no_session", "{error}"),
        }
    }
    comings_and_goings.await.unwrap();
    assert_eq!(code(redeem_one(0).await), "assertion_used");
    redeem_one(attempt + 1).await.unwrap();
}
