//! The claims: types, dates, issuer, audience, kind of token, and what own tokens must carry.

use annul_core::settings::ClaimNames;
use annul_core::time::UnixSeconds;
use annul_core::token::{Algorithm, Expect, MAX_NAME, TokenError, Typ, UnverifiedToken, VerifiedToken};
use serde_json::{Value, json};

use crate::signing::*;

fn foreign(changes: Value) -> &'static str {
    code(present_payload(with(foreign_claims(), changes).to_string()))
}

/// The claim's value as raw JSON, which `json!` could not hold.
fn foreign_raw(claim: &str, raw: &str) -> &'static str {
    let claims = with(foreign_claims(), json!({ claim: null })).to_string();
    code(present_payload(format!(r#"{},"{claim}":{raw}}}"#, claims.trim_end_matches('}'))))
}

fn own_token(changes: Value) -> &'static str {
    code(present_own(&with(own_claims(), changes)))
}

#[test]
fn jwt_1_dates_are_numbers() {
    for claim in ["exp", "nbf", "iat", "auth_time"] {
        for raw in [r#""1800000000""#, r#""""#, "null", "true", "[]", "[1800000000]", "{}"] {
            assert_eq!(foreign_raw(claim, raw), "claim_invalid", "{claim}: {raw}");
        }
        assert_eq!(foreign_raw(claim, "1e400"), "token_malformed", "{claim}");
        assert_eq!(foreign_raw(claim, "NaN"), "token_malformed", "{claim}");
    }
}

#[test]
fn jwt_1_dates_of_every_size_are_compared_and_never_panic() {
    for (raw, exp, nbf, iat) in [
        ("1800000100.5", "OK", "token_not_yet_valid", "token_not_yet_valid"),
        ("1e30", "OK", "token_not_yet_valid", "token_not_yet_valid"),
        ("1.7976931348623157e308", "OK", "token_not_yet_valid", "token_not_yet_valid"),
        ("18446744073709551615", "OK", "token_not_yet_valid", "token_not_yet_valid"),
        ("18446744073709551616", "OK", "token_not_yet_valid", "token_not_yet_valid"),
        ("1799999990.9", "token_expired", "OK", "OK"),
        ("0", "token_expired", "OK", "OK"),
        ("-0", "token_expired", "OK", "OK"),
        ("-0.5", "token_expired", "OK", "OK"),
        ("-1", "token_expired", "OK", "OK"),
        ("-9223372036854775808", "token_expired", "OK", "OK"),
        ("-1e300", "token_expired", "OK", "OK"),
        ("1e-300", "token_expired", "OK", "OK"),
    ] {
        assert_eq!(foreign_raw("exp", raw), exp, "exp {raw}");
        assert_eq!(foreign_raw("nbf", raw), nbf, "nbf {raw}");
        assert_eq!(foreign_raw("iat", raw), iat, "iat {raw}");
    }
}

#[test]
fn jwt_1_fractions_never_lengthen_a_token() {
    let signer = Signer::of(Algorithm::Hs256);
    let at = |claims: &Value, now| {
        let token = signer.token(claims);
        let expect = Expect::foreign(IDP, API).with_leeway(0);
        code(UnverifiedToken::parse(&token).unwrap().verify(&signer.keys(None), &expect, UnixSeconds(now)))
    };
    let claims = with(foreign_claims(), json!({"exp": 200.5, "nbf": 100.5, "iat": 100}));
    assert_eq!(at(&claims, 100), "token_not_yet_valid");
    assert_eq!(at(&claims, 101), "OK");
    assert_eq!(at(&claims, 199), "OK");
    assert_eq!(at(&claims, 200), "token_expired");
    let verified = present_payload(with(foreign_claims(), json!({"iat": 1_799_999_000.9})).to_string()).unwrap();
    assert_eq!(verified.issued(), Some(UnixSeconds(1_799_999_000)));
}

#[test]
fn jwt_2_expiry_and_not_before_hold_to_the_second() {
    let signer = Signer::of(Algorithm::Hs256);
    let claims = with(foreign_claims(), json!({"exp": 1000, "nbf": 500, "iat": 500}));
    let token = signer.token(&claims);
    let at = |leeway, now| {
        let expect = Expect::foreign(IDP, API).with_leeway(leeway);
        code(UnverifiedToken::parse(&token).unwrap().verify(&signer.keys(None), &expect, UnixSeconds(now)))
    };
    for (leeway, now, answer) in [
        (0, 999, "OK"),
        (0, 1000, "token_expired"),
        (0, 500, "OK"),
        (0, 499, "token_not_yet_valid"),
        (5, 1004, "OK"),
        (5, 1005, "token_expired"),
        (5, 495, "OK"),
        (5, 494, "token_not_yet_valid"),
        (60, 1059, "OK"),
        (60, 1060, "token_expired"),
        (60, 440, "OK"),
        (60, 439, "token_not_yet_valid"),
        (u64::MAX, u64::MAX - 1, "OK"),
        (u64::MAX, u64::MAX, "token_expired"),
    ] {
        assert_eq!(at(leeway, now), answer, "leeway {leeway}, now {now}");
    }
    let default = UnverifiedToken::parse(&token).unwrap();
    assert_eq!(
        code(default.verify(&signer.keys(None), &Expect::foreign(IDP, API), UnixSeconds(1005))),
        "token_expired",
        "the default leeway is five seconds"
    );
}

#[test]
fn a_token_without_expiry_is_refused() {
    assert_eq!(foreign(json!({"exp": null})), "claim_invalid");
    assert_eq!(own_token(json!({"exp": null})), "claim_invalid");
}

#[test]
fn life_is_bounded_by_the_issuer() {
    let signer = Signer::of(Algorithm::Hs256);
    let lives = |seconds: u64| {
        let token = signer.token(&with(foreign_claims(), json!({"exp": NOW.0 + seconds, "iat": null})));
        let expect = Expect::foreign(IDP, API).with_longest_life(900).with_leeway(5);
        code(present(&token, &signer.keys(None), &expect))
    };
    assert_eq!(lives(900), "OK");
    assert_eq!(lives(905), "OK");
    assert_eq!(lives(906), "life_too_long");
    assert_eq!(own_token(json!({"exp": NOW.0 + 906})), "life_too_long");
    assert_eq!(own_token(json!({"exp": 1e300})), "life_too_long");
}

/// An entry is kept for the longest life. A foreign token made to live longer would outlive the
/// entries against it and come back when its end is near.
#[test]
fn a_foreign_token_made_to_live_too_long_is_refused_even_near_its_end() {
    let signer = Signer::of(Algorithm::Hs256);
    let expect = Expect::foreign(IDP, API).with_longest_life(900).with_leeway(5);
    let lived = |iat: u64, exp: u64| {
        let token = signer.token(&with(foreign_claims(), json!({"iat": iat, "exp": exp})));
        code(present(&token, &signer.keys(None), &expect))
    };
    assert_eq!(lived(NOW.0 - 890, NOW.0 + 10), "OK", "exactly the longest life");
    assert_eq!(lived(NOW.0 - 891, NOW.0 + 10), "life_too_long", "the leeway stretches no life");
    assert_eq!(lived(NOW.0 - 905, NOW.0 - 4), "life_too_long", "inside the leeway neither");
    assert_eq!(lived(0, NOW.0 + 1), "life_too_long");
    assert_eq!(lived(NOW.0 - 905, NOW.0 - 5), "token_expired");
    let unbounded = Expect::foreign(IDP, API);
    let token = signer.token(&with(foreign_claims(), json!({"iat": 0})));
    assert_eq!(code(present(&token, &signer.keys(None), &unbounded)), "OK");
    // The authority keeps its entries for as long as any own token was ever allowed to live.
    assert_eq!(own_token(json!({"iat": NOW.0 - 5000, "exp": NOW.0 + 10})), "OK");
    assert_eq!(own_token(json!({"iat": NOW.0 - 5000, "exp": NOW.0 + 905})), "OK");
    assert_eq!(own_token(json!({"iat": NOW.0, "exp": NOW.0 + 906})), "life_too_long");
}

#[test]
fn t_4_a_token_from_the_future_is_refused() {
    assert_eq!(foreign(json!({"iat": NOW.0 + 60})), "OK");
    assert_eq!(foreign(json!({"iat": NOW.0 + 61})), "token_not_yet_valid");
    assert_eq!(own_token(json!({"iat": NOW.0 + 60})), "OK");
    assert_eq!(own_token(json!({"iat": NOW.0 + 61})), "token_not_yet_valid");
    assert_eq!(own_token(json!({"auth_time": NOW.0 + 61})), "token_not_yet_valid");
    let signer = Signer::of(Algorithm::Hs256);
    let token = signer.token(&with(foreign_claims(), json!({"iat": NOW.0 + 90})));
    let expect = Expect::foreign(IDP, API).with_skew(30);
    assert_eq!(code(present(&token, &signer.keys(None), &expect)), "OK", "a clock that is known to run ahead");
}

#[test]
fn jwt_3_the_audience_is_named_exactly() {
    for aud in [json!(API), json!([API]), json!(["other", API]), json!([API, API])] {
        assert_eq!(foreign(json!({"aud": aud})), "OK", "{aud}");
    }
    for aud in [
        json!(""),
        json!("other"),
        json!("https://API.example"),
        json!("https://api.example/"),
        json!("https://api.example.evil.example"),
        json!("api.example"),
        json!("https://api.exampl"),
        json!(" https://api.example"),
        json!("https://api.example other"),
        json!("*"),
        json!(["https://api.example/"]),
    ] {
        assert_eq!(foreign(json!({"aud": aud})), "audience_mismatch", "{aud}");
    }
    for aud in [json!([]), json!(7), json!(true), json!({"a": API}), json!([[API]]), json!([API, 7])] {
        assert_eq!(foreign(json!({"aud": aud})), "claim_invalid", "{aud}");
    }
    assert_eq!(foreign_raw("aud", "null"), "claim_invalid");
    assert_eq!(foreign(json!({"aud": null})), "audience_mismatch", "a token for nobody is not for us");
    let signer = Signer::of(Algorithm::Hs256);
    let token = signer.token(&with(foreign_claims(), json!({"aud": "second"})));
    let expect = Expect::foreign(IDP, API).or_audience("second");
    assert_eq!(code(present(&token, &signer.keys(None), &expect)), "OK");
}

#[test]
fn jwt_3_the_issuer_is_named_exactly() {
    for iss in
        ["https://idp.example/", "https://IDP.example", "https://idp.exampl", "idp.example", "https://idp.example.evil"]
    {
        assert_eq!(foreign(json!({"iss": iss})), "issuer_mismatch", "{iss}");
    }
    assert_eq!(foreign(json!({"iss": null})), "issuer_mismatch");
    for raw in [r#"["https://idp.example"]"#, "null", "7", "{}", r#""""#] {
        assert_eq!(foreign_raw("iss", raw), "claim_invalid", "{raw}");
    }
}

#[test]
fn jwt_4_names_are_strings_and_say_something() {
    for claim in ["sub", "jti", "sid", "client_id", "azp", "device_id"] {
        for raw in ["7", "1.5", "null", "true", "[]", r#"["a"]"#, "{}", r#""""#] {
            assert_eq!(foreign_raw(claim, raw), "claim_invalid", "{claim}: {raw}");
        }
        for value in ["a", "\0", "\u{202e}a", "a/b=c%d", "é", "e\u{301}", " "] {
            assert_eq!(foreign(json!({ claim: value })), "OK", "{claim}: {value:?}");
        }
        assert_eq!(foreign(json!({ claim: "x".repeat(MAX_NAME) })), "OK", "{claim}");
        assert_eq!(foreign(json!({ claim: "x".repeat(MAX_NAME + 1) })), "claim_invalid", "{claim}");
    }
    assert_eq!(foreign_raw("scope", r#"["read"]"#), "claim_invalid");
    assert_eq!(foreign(json!({"scope": ""})), "OK");
    for cnf in [json!("x"), json!([]), json!({"jkt": 7}), json!({"jkt": ""}), json!({"x5t#S256": ["a"]})] {
        assert_eq!(foreign(json!({"cnf": cnf})), "claim_invalid", "{cnf}");
    }
    assert_eq!(foreign(json!({"cnf": {"kid": 7}})), "OK", "other methods are not read");
}

#[test]
fn jwt_4_unknown_claims_are_ignored() {
    assert_eq!(foreign(json!({"x": {"deep": [1, {"y": true}]}, "lpos": 7, "origin": 7, "": ""})), "OK");
}

#[test]
fn jwt_4_jti_is_optional_unless_the_issuer_requires_it() {
    assert_eq!(foreign(json!({"jti": null})), "OK");
    let signer = Signer::of(Algorithm::Hs256);
    let token = signer.token(&with(foreign_claims(), json!({"jti": null})));
    let expect = Expect::foreign(IDP, API).requiring_jti();
    assert_eq!(code(present(&token, &signer.keys(None), &expect)), "claim_invalid");
    assert_eq!(foreign(json!({"iat": null, "sub": null})), "OK");
}

#[test]
fn at_1_own_tokens_are_typed_and_signed_asymmetrically() {
    let signer = Signer::of(Algorithm::EdDsa);
    let typed = |typ: Value| {
        let header = with(json!({"alg": "EdDSA"}), json!({"typ": typ}));
        code(present(&signer.sign(header.to_string(), own_claims().to_string()), &signer.keys(None), &own()))
    };
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "APPLICATION/AT+JWT"] {
        assert_eq!(typed(json!(typ)), "OK", "{typ}");
    }
    for typ in ["JWT", "jwt", "", "at+jwt ", "logout+jwt", "secevent+jwt", "dpop+jwt", "text/at+jwt", "xat+jwt"] {
        assert_eq!(typed(json!(typ)), "typ_mismatch", "{typ}");
    }
    assert_eq!(typed(Value::Null), "typ_mismatch", "absent");
    let secret = Signer::of(Algorithm::Hs256);
    assert_eq!(code(present(&secret.token(&own_claims()), &secret.keys(None), &own())), "alg_not_allowed");
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_symmetric()) {
        let signer = Signer::of(algorithm);
        assert_eq!(code(present(&signer.token(&own_claims()), &signer.keys(None), &own())), "OK", "{algorithm}");
    }
}

#[test]
fn at_2_own_tokens_carry_what_access_tokens_must() {
    assert_eq!(own_token(json!({})), "OK");
    for claim in ["sub", "exp", "iat", "jti", "client_id", "lpos"] {
        assert_eq!(own_token(json!({ claim: null })), "claim_invalid", "{claim}");
    }
    assert_eq!(own_token(json!({"iss": null})), "issuer_mismatch");
    assert_eq!(own_token(json!({"aud": null})), "audience_mismatch");
    for claim in ["sid", "device_id", "auth_time"] {
        assert_eq!(own_token(json!({ claim: null })), "OK", "{claim} is optional");
    }
}

#[test]
fn own_tokens_carry_a_valid_position() {
    for lpos in [json!("1:42"), json!("0:0"), json!("4294967295:9007199254740991")] {
        assert_eq!(own_token(json!({"lpos": lpos})), "OK", "{lpos}");
    }
    for lpos in
        [json!("1"), json!("1:042"), json!("1:42 "), json!("-1:1"), json!("1:9007199254740992"), json!(42), json!("")]
    {
        assert_eq!(own_token(json!({"lpos": lpos})), "claim_invalid", "{lpos}");
    }
}

#[test]
fn own_tokens_list_at_most_eight_well_formed_ancestors() {
    let ancestors = |count| json!(vec![json!({"iss": IDP, "sid": "s"}); count]);
    assert_eq!(own_token(json!({"origin": ancestors(0)})), "OK");
    assert_eq!(own_token(json!({"origin": ancestors(8)})), "OK");
    assert_eq!(own_token(json!({"origin": ancestors(9)})), "claim_invalid");
    assert_eq!(own_token(json!({"origin": [{"iss": IDP, "sub": "bob"}, {"iss": OWN, "sid": "s", "sub": "a"}]})), "OK");
    for origin in [
        json!("s-1"),
        json!({}),
        json!(["s-1"]),
        json!([{"iss": IDP}]),
        json!([{"sid": "s"}]),
        json!([{"iss": "", "sid": "s"}]),
        json!([{"iss": IDP, "sid": 7}]),
        json!([{"iss": IDP, "sid": ""}]),
        json!([{"iss": IDP, "sid": "s", "sub": null}]),
    ] {
        assert_eq!(own_token(json!({"origin": origin})), "claim_invalid", "{origin}");
    }
}

#[test]
fn bcp_4_foreign_tokens_of_another_kind_are_refused() {
    let signer = Signer::of(Algorithm::Hs256);
    let presented = |typ: &str, expect: &Expect| {
        let header = json!({"alg": "HS256", "typ": typ}).to_string();
        code(present(&signer.sign(header, foreign_claims().to_string()), &signer.keys(None), expect))
    };
    let foreign = Expect::foreign(IDP, API);
    for typ in ["JWT", "jwt", "at+jwt", "application/jwt"] {
        assert_eq!(presented(typ, &foreign), "OK", "{typ}");
    }
    for typ in ["logout+jwt", "secevent+jwt", "dpop+jwt", "statuslist+jwt", "token-introspection+jwt", "JOSE", ""] {
        assert_eq!(presented(typ, &foreign), "typ_mismatch", "{typ}");
    }
    let exactly = foreign.with_typ(Typ::Exactly("partner+jwt".to_owned()));
    assert_eq!(presented("partner+jwt", &exactly), "OK");
    assert_eq!(presented("application/Partner+JWT", &exactly), "OK");
    assert_eq!(presented("JWT", &exactly), "typ_mismatch");
    assert_eq!(presented("at+jwt", &exactly), "typ_mismatch");
}

#[test]
fn claims_that_configuration_names_are_names_too() {
    let signer = Signer::of(Algorithm::Hs256);
    let names = ClaimNames {
        session: "session_state".to_owned(),
        device: "did".to_owned(),
        client: vec!["appid".to_owned(), "azp".to_owned()],
    };
    let expect = Expect::foreign(IDP, API).with_claim_names(names);
    let presented = |changes| present(&signer.token(&with(foreign_claims(), changes)), &signer.keys(None), &expect);
    let verified =
        presented(json!({"session_state": "s", "sid": "unread", "did": "d", "appid": "app", "azp": "web"})).unwrap();
    assert_eq!((verified.sid(), verified.device(), verified.client()), (Some("s"), Some("d"), Some("app")));
    assert_eq!(presented(json!({"azp": "web"})).unwrap().client(), Some("web"));
    for claim in ["session_state", "did", "appid"] {
        let refused = presented(json!({ claim: 7 })).unwrap_err();
        assert!(matches!(&refused, TokenError::ClaimInvalid { claim: named, .. } if named == claim), "{refused}");
    }
}

#[test]
fn a_verified_token_tells_what_it_says() {
    let claims = with(own_claims(), json!({"scope": "read  write", "roles": ["admin"]}));
    let verified = present_own(&claims).unwrap();
    assert_eq!(verified.issuer(), OWN);
    assert_eq!(verified.subject(), Some("alice"));
    assert_eq!(verified.jti(), Some("t-1"));
    assert_eq!(verified.sid(), Some("s-1"));
    assert_eq!(verified.device(), Some("phone"));
    assert_eq!(verified.client(), Some("web"));
    assert_eq!(verified.expires(), NOW.plus(300));
    assert_eq!(verified.issued(), Some(NOW.minus(10)));
    assert_eq!(verified.auth_time(), Some(NOW.minus(100)));
    assert_eq!(verified.lpos(), Some(LPOS));
    assert_eq!(verified.scopes().collect::<Vec<_>>(), ["read", "write"]);
    assert_eq!(verified.claims().get("roles"), Some(&json!(["admin"])));
    assert!(verified.is_own());
    let foreign = present_payload(with(foreign_claims(), json!({"lpos": "9:9"})).to_string()).unwrap();
    assert_eq!(foreign.lpos(), None, "a foreign token has no position, whatever it says");
}

#[test]
fn r7662_2_an_answer_repeats_the_registered_claims_and_names_the_client_and_the_type() {
    let said = |token: &VerifiedToken| {
        serde_json::from_str::<Value>(&format!("{{{}}}", token.introspected_members())).unwrap()
    };
    let own = with(own_claims(), json!({ "scope": "a b", "act": {"sub": "x"}, "tenant": "not registered" }));
    let token = present_own(&own).unwrap();
    let expected = with(own, json!({ "token_type": "Bearer", "lpos": null, "tenant": null }));
    assert_eq!(said(&token), expected);
    assert!(std::ptr::eq(token.introspected_members(), token.clone().introspected_members()), "written once");

    let bound = present_own(&with(own_claims(), json!({ "cnf": {"jkt": "a thumbprint"} }))).unwrap();
    assert_eq!(said(&bound)["token_type"], "DPoP");
    let odd = foreign_claims().to_string().replace("bob", r#"b\u00f6b \"x\""#);
    assert_eq!(said(&present_payload(odd).unwrap())["sub"], "b\u{f6}b \"x\"");
    let awkward = foreign_claims().to_string().replace(r#""f-1""#, r#""f-1","nbf":0.5,"auth_time":1e9"#);
    let token = present_payload(awkward).unwrap();
    assert_eq!((&said(&token)["nbf"], &said(&token)["auth_time"]), (&json!(0.5), &json!(1e9)));
}
