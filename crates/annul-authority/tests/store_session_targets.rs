//! A session and the tokens it brings forth agree on their targets: what reaches one reaches the other.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use annul_authority::model::{Ancestor, Claims, Device, ProofKey, Session, TokenFormat};
use annul_core::position::Position;
use annul_core::settings::Settings;
use annul_core::target::HashKey;
use annul_core::time::{UnixMillis, UnixSeconds};
use annul_core::token::{Claims as TokenClaims, Facts};
use serde_json::json;

#[test]
fn a_session_has_the_targets_of_its_tokens_but_the_tokens_own() {
    let settings = Settings {
        revision: 1,
        issuer: "https://auth.example".to_owned(),
        longest_life: 900,
        max_leeway: 60,
        clock_skew: 5,
        claims: ["roles", "scope", "aud", "level", "deep", "beta", "cfp", "none"].map(str::to_owned).to_vec(),
        ask_on: Vec::new(),
        hash_key: String::new(),
    };
    let token = json!({
        "iss": "https://auth.example", "sub": "alice", "aud": ["api", "web"], "exp": 1000, "iat": 900,
        "jti": "j1", "client_id": "web", "sid": "s1", "device_id": "phone/1", "auth_time": 800,
        "scope": "read  write", "lpos": "1:5", "cnf": {"jkt": "proof"},
        "origin": [{"iss": "https://idp.example", "sid": "f1"}, {"iss": "https://idp.example", "sub": "bob"}],
        "roles": ["a", 7, 7.0, 1.5, -0.0, true, null, ["x"], "a"], "level": 3.0, "deep": {"x": 1}, "beta": false, "cfp": "f1",
    });
    let mut claims = Claims::new();
    for name in ["roles", "level", "deep", "beta"] {
        claims.insert(name.to_owned(), token[name].clone());
    }
    let idp = "https://idp.example";
    let session = Session {
        sid: "s1".to_owned(),
        subject: "alice".to_owned(),
        client_id: Some("web".to_owned()),
        audience: vec!["api".to_owned(), "web".to_owned()],
        scope: Some("read  write".to_owned()),
        device: Some(Device { id: "phone/1".to_owned(), ..Device::default() }),
        created: UnixMillis(800_000),
        auth_time: UnixSeconds(800),
        last_used: UnixMillis(800_000),
        expires: UnixSeconds(5000),
        idle_limit: None,
        claims,
        confirmation: Some(ProofKey::Jwk("proof".to_owned())),
        bound_from: None,
        fingerprint: Some("f1".to_owned()),
        ancestors: vec![Ancestor::session(idp, "f1"), Ancestor::subject(idp, "bob")],
        actor: None,
        format: TokenFormat::Jwt,
        position: Position::new(1, 5),
        claims_position: Position::new(1, 5),
        ended: None,
        refresh_by: None,
    };

    let key = HashKey::from_bytes([1; 32]);
    let token = TokenClaims::from_map(token.as_object().unwrap().clone()).unwrap();
    let facts = Facts::for_issue(&token, "print", &settings, &key).unwrap();
    let of_token: BTreeSet<_> = facts.targets.iter().copied().filter(|(kind, _)| kind.reaches_sessions()).collect();
    let of_session: BTreeSet<_> = session.hashed_targets(&settings, &key).into_iter().collect();
    assert_eq!(of_session, of_token);
    let kept: Session = serde_json::from_str(&serde_json::to_string(&session).unwrap()).unwrap();
    assert_eq!(kept, session);
}
