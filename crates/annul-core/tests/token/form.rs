//! The bytes: parts, base64url, JSON, header members, size and depth.

use annul_core::token::{Algorithm, Expect, KeySet, MAX_TOKEN, Malformed, TokenError, UnverifiedToken};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::signing::*;

fn refusal(token: &str) -> TokenError {
    UnverifiedToken::parse(token).expect_err("a token that is not well formed")
}

fn valid() -> (Signer, String) {
    let signer = Signer::of(Algorithm::Hs256);
    let token = signer.token(&foreign_claims());
    assert_eq!(code(present(&token, &signer.keys(None), &Expect::foreign(IDP, API))), "OK");
    (signer, token)
}

#[test]
fn a_token_that_is_not_there_is_missing() {
    assert_eq!(refusal(""), TokenError::Missing);
}

#[test]
fn jws_1_only_three_parts_are_a_token() {
    let (_, token) = valid();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    for text in [
        signed.to_owned(),
        "a".to_owned(),
        ".".to_owned(),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.AAAA"),
        format!("{token}.AAAA.AAAA.AAAA"),
        format!("Bearer {token}"),
        ".".repeat(100),
        ".".repeat(MAX_TOKEN),
    ] {
        assert!(matches!(refusal(&text), TokenError::Malformed(_)), "{text}");
    }
    assert_eq!(refusal(&format!("{token}.AAAA.AAAA")), Malformed::Encrypted.into());
    assert_eq!(refusal(&".".repeat(100_000)), TokenError::TooLarge);
    let json = json!({"payload": signed, "signatures": [{"signature": signature}]}).to_string();
    assert!(matches!(refusal(&json), TokenError::Malformed(_)));
}

#[test]
fn jws_1_only_the_canonical_base64url_is_accepted() {
    let (_, token) = valid();
    let parts: Vec<&str> = token.split('.').collect();
    for place in 0..3 {
        for (from, to) in [("", "="), ("", "=="), ("", " "), ("", "\n"), ("", "\r\n"), ("", "\0"), ("", "\u{feff}")] {
            let mut parts: Vec<String> = parts.iter().map(|&part| part.to_owned()).collect();
            parts[place] = format!("{from}{}{to}", parts[place]);
            assert_eq!(refusal(&parts.join(".")), Malformed::Base64.into(), "{to:?} after part {place}");
            parts[place] = format!("{to}{}", parts[place].trim_end_matches(to));
            assert_eq!(refusal(&parts.join(".")), Malformed::Base64.into(), "{to:?} before part {place}");
        }
        for alien in ['+', '/', ' ', '\n', '=', 'é', '%'] {
            let mut part: Vec<char> = parts[place].chars().collect();
            part[2] = alien;
            let part: String = part.into_iter().collect();
            let mut parts = parts.clone();
            parts[place] = &part;
            assert_eq!(refusal(&parts.join(".")), Malformed::Base64.into(), "{alien:?} in part {place}");
        }
    }
}

#[test]
fn jws_7_unused_bits_of_the_last_character_are_zero() {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (signer, token) = valid();
    let keys = signer.keys(None);
    let last = token.as_bytes()[token.len() - 1];
    let mut accepted = Vec::new();
    for &character in ALPHABET {
        let other = format!("{}{}", &token[..token.len() - 1], char::from(character));
        if present(&other, &keys, &Expect::foreign(IDP, API)).is_ok() {
            accepted.push(character);
        }
    }
    // 32 bytes leave two unused bits in the 43rd character: four texts, one canonical.
    assert_eq!(accepted, [last]);
}

#[test]
fn size_is_capped_before_anything_is_read() {
    let (_, token) = valid();
    assert_eq!(refusal(&format!("{token}{}", "A".repeat(MAX_TOKEN))), TokenError::TooLarge);
    assert_eq!(refusal(&"{".repeat(MAX_TOKEN + 1)), TokenError::TooLarge);
    let fits = with(foreign_claims(), json!({"padding": "x".repeat(11_000)})).to_string();
    assert_eq!(code(present_payload(fits)), "OK");
    let too_large = with(foreign_claims(), json!({"padding": "x".repeat(12_500)})).to_string();
    assert_eq!(code(present_payload(too_large)), "token_too_large");
}

#[test]
fn jws_2_header_members_are_named_once_at_any_depth() {
    for header in [
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","\u0061lg":"none"}"#,
        r#"{"alg":"HS256","kid":"a","kid":"b"}"#,
        r#"{"alg":"HS256","jwk":{"kty":"oct","kty":"EC"}}"#,
        r#"{"alg":"HS256","x":[[{"y":1,"y":1}]]}"#,
    ] {
        assert_eq!(present_header(header).unwrap_err(), Malformed::DuplicateMember.into(), "{header}");
    }
}

#[test]
fn jws_2_claims_are_named_once() {
    for name in ["jti", "sub", "exp", "iss", "aud", "sid", "scope", "anything"] {
        let first = name.chars().next().map(u32::from).unwrap();
        let escaped = format!("\\u{first:04x}{}", &name[1..]);
        for again in [name, &escaped] {
            let claims = foreign_claims().to_string();
            let payload = format!(r#"{},"{name}":"a","{again}":"b"}}"#, claims.trim_end_matches('}'));
            assert_eq!(present_payload(&payload).unwrap_err(), Malformed::DuplicateMember.into(), "{payload}");
        }
    }
    let nested = with(foreign_claims(), json!({"x": 0})).to_string().replace("\"x\":0", r#""x":{"a":1,"a":1}"#);
    assert_eq!(present_payload(nested).unwrap_err(), Malformed::DuplicateMember.into());
}

#[test]
fn jws_2_header_and_claims_are_json_objects_in_utf_8() {
    let claims = foreign_claims().to_string();
    let header = r#"{"alg":"HS256"}"#;
    let header_refusals: [(&[u8], Malformed); 9] = [
        (b"", Malformed::Json),
        (b"null", Malformed::NotObject),
        (b"[]", Malformed::NotObject),
        (b"\"HS256\"", Malformed::NotObject),
        (b"\xef\xbb\xbf{\"alg\":\"HS256\"}", Malformed::Json),
        (b"{\"alg\":\"HS256\"}x", Malformed::Json),
        (b"{\"alg\":\"HS256\"}{}", Malformed::Json),
        (b"{\"alg\":\"HS256\",\"kid\":\"\xff\"}", Malformed::Utf8),
        (b"{\"alg\":\"HS256\",\"kid\":\"\\ud800\"}", Malformed::Json),
    ];
    for (header, malformed) in header_refusals {
        assert_eq!(present_header(header).unwrap_err(), malformed.into(), "{}", header.escape_ascii());
    }
    assert_eq!(code(present_header(format!(" {header}\n"))), "OK", "white space is JSON");
    for payload in ["", "null", "true", "1", "[]", "\"text\"", &format!("[{claims}]"), &format!("\u{feff}{claims}")] {
        assert_eq!(code(present_payload(payload)), "token_malformed", "{payload}");
    }
    for sub in [&b"\xff"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"\\ud800", b"\\udc00\\ud800", b"a\x00b", b"a\nb"] {
        let mut payload = claims.clone().into_bytes();
        let at = claims.find("bob").unwrap();
        payload.splice(at..at + 3, sub.iter().copied());
        assert_eq!(code(present_payload(payload)), "token_malformed", "{}", sub.escape_ascii());
    }
}

#[test]
fn depth_is_capped_in_header_and_claims() {
    for levels in [33, 1_000, 5_000] {
        let deep = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let header = format!(r#"{{"alg":"HS256","x":{deep}}}"#);
        assert_eq!(present_header(header).unwrap_err(), Malformed::TooDeep.into());
        let claims = foreign_claims().to_string();
        let payload = format!(r#"{},"x":{deep}}}"#, claims.trim_end_matches('}'));
        assert_eq!(present_payload(payload).unwrap_err(), Malformed::TooDeep.into());
    }
}

#[test]
fn jws_3_crit_is_refused_whatever_it_says() {
    for crit in [
        "[]",
        r#"["x"]"#,
        r#"["exp"]"#,
        r#"["alg"]"#,
        r#"["b64"]"#,
        r#"["b64","b64"]"#,
        r#""b64""#,
        "{}",
        "null",
        "true",
        "0",
        "[1]",
    ] {
        let header = format!(r#"{{"alg":"HS256","crit":{crit},"b64":false,"exp":1,"x":1}}"#);
        assert_eq!(present_header(header).unwrap_err(), TokenError::CritUnsupported, "{crit}");
        let header = format!(r#"{{"alg":"HS256","crit":{crit}}}"#);
        assert_eq!(present_header(header).unwrap_err(), TokenError::CritUnsupported, "{crit}");
    }
}

#[test]
fn jws_3_b64_is_refused_without_crit_too() {
    for b64 in ["false", "true", "null", "\"false\""] {
        let header = format!(r#"{{"alg":"HS256","b64":{b64}}}"#);
        assert_eq!(present_header(header).unwrap_err(), TokenError::CritUnsupported, "{b64}");
    }
}

#[test]
fn jws_2_registered_header_members_are_strings() {
    for header in [
        "{}",
        r#"{"alg":null}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":{"HS256":1}}"#,
        r#"{"alg":256}"#,
        r#"{"alg":"HS256","typ":1}"#,
        r#"{"alg":"HS256","typ":null}"#,
        r#"{"alg":"HS256","typ":["at+jwt"]}"#,
        r#"{"alg":"HS256","kid":1}"#,
        r#"{"alg":"HS256","kid":null}"#,
        r#"{"alg":"HS256","kid":["a"]}"#,
    ] {
        assert_eq!(present_header(header).unwrap_err(), Malformed::Header.into(), "{header}");
    }
}

#[test]
fn bcp_2_an_encrypted_token_is_not_a_signed_one() {
    let jwe = r#"{"alg":"HS256","enc":"A128GCM"}"#;
    assert_eq!(present_header(jwe).unwrap_err(), Malformed::Encrypted.into());
    let parts = ["eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0", "", "AAAA", "AAAA", "AAAA"];
    assert_eq!(refusal(&parts.join(".")), Malformed::Encrypted.into());
    for header in [r#"{"alg":"RSA1_5"}"#, r#"{"alg":"dir"}"#, r#"{"alg":"PBES2-HS256+A128KW","p2c":2147483647}"#] {
        assert_eq!(present_header(header).unwrap_err(), TokenError::AlgNotAllowed, "{header}");
    }
}

#[test]
fn bcp_7_nothing_is_decompressed() {
    // Raw deflate of an object; as it is no JSON, it is no claims set.
    let deflated = URL_SAFE_NO_PAD.decode("q1ZKrShQsjI0MzQ2AAAA").unwrap();
    let signer = Signer::of(Algorithm::Hs256);
    let token = signer.sign(r#"{"alg":"HS256","zip":"DEF"}"#, deflated);
    let outcome = present(&token, &signer.keys(None), &Expect::foreign(IDP, API));
    assert_eq!(code(outcome), "token_malformed");
}

#[test]
fn nothing_of_a_token_appears_in_a_refusal_or_in_debug_output() {
    let (signer, token) = valid();
    let unverified = UnverifiedToken::parse(&token).unwrap();
    assert!(!format!("{unverified:?}").contains("bob"));
    let verified = unverified.verify(&signer.keys(None), &Expect::foreign(IDP, API), NOW).unwrap();
    assert!(!format!("{verified:?}").contains("bob"));
    assert!(!format!("{:?}", signer.keys(None)).contains("secret of"));
    let refused = present_payload(with(foreign_claims(), json!({"sub": ["bob"]})).to_string()).unwrap_err();
    assert!(!format!("{refused} {refused:?}").contains("bob"));
    let refused = present(&token, &KeySet::empty(), &Expect::foreign(IDP, API)).unwrap_err();
    assert_eq!(refused, TokenError::KeyUnknown);
}
