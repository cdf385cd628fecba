//! Defects of the claims.

use serde_json::json;

use super::defect::{Defect, appended, changed, now, payloads};
use crate::signing::{API, IDP, with};

pub(super) fn defects() -> Vec<Defect> {
    [json_of_the_claims(), dates(), audience_and_issuer(), names()].concat()
}

fn json_of_the_claims() -> Vec<Defect> {
    let deep = |levels: usize| format!("\"deep\":{}{}", "[".repeat(levels), "]".repeat(levels));
    vec![
        appended(
            "JWS-2 claims named twice",
            "a claim is named twice, also escaped and inside another",
            &[
                r#""sub":"bob","sub":"alice""#,
                r#""jti":"f-2""#,
                r#""exp":1"#,
                r#""\u006ati":"f-2""#,
                r#""tenant":{"a":1,"a":2}"#,
            ],
        ),
        payloads(
            "JWS-2 claims are no object",
            "the payload is an array, a text, a number, empty, or no JSON",
            &["[]", "\"text\"", "7", "null", "", "{", "{}x", "\0"],
        ),
        appended(
            "JWS-2 claims, no JSON",
            "comments, surplus commas, `NaN`, `Infinity`",
            &["\"a\":1,", "\"a\":1/**/", "\"a\":NaN", "\"a\":Infinity", "\"a\":01", "\"a\":'b'"],
        ),
        appended("JWT-1 numbers that no double holds", "`1e400`", &["\"a\":1e400", "\"a\":-1e400"]),
        appended(
            "JWT-1 whole numbers beyond 2^53",
            "2^53 + 1, and 2^64 - 1 (sound)",
            &["\"a\":9007199254740993", "\"a\":18446744073709551615"],
        ),
        appended("JWS-2 lone surrogates", "an escaped half of a pair", &[r#""a":"\ud800""#, r#""a":"\udc00 ""#]),
        payloads(
            "JWS-2 claims, UTF-8",
            "the payload is not UTF-8",
            &[
                &b"{\"iss\":\"https://idp.example\",\"aud\":\"https://api.example\",\"exp\":9999999999,\"a\":\"\xff\"}"
                    [..],
                b"\xff\xfe{\x00}\x00",
            ],
        ),
        payloads(
            "JWS-2 claims, mark",
            "a byte order mark before the claims",
            &[format!("\u{feff}{}", super::defect::claims())],
        ),
        appended("depth", "33, 120 and 2000 levels", &[&deep(33), &deep(120), &deep(2000)]),
    ]
}

fn dates() -> Vec<Defect> {
    vec![
        changed("JWT-2 no exp", "`exp` is missing", &[json!({"exp": null})]),
        payloads(
            "JWT-1 dates that are null",
            "`exp`, `nbf` or `iat` is null",
            &["exp", "nbf", "iat"].map(|name| {
                let others = with(super::defect::claims(), json!({ name: null })).to_string();
                format!("{},\"{name}\":null}}", others.strip_suffix('}').unwrap())
            }),
        ),
        changed(
            "JWT-1 exp",
            "`exp` is a text, a boolean, a list or an object",
            &[
                json!({"exp": (now() + 600).to_string()}),
                json!({"exp": true}),
                json!({"exp": [now() + 600]}),
                json!({"exp": {}}),
                json!({"exp": ""}),
            ],
        ),
        changed(
            "JWT-1 nbf",
            "`nbf` is a text, a boolean or a list",
            &[json!({"nbf": (now() - 60).to_string()}), json!({"nbf": true}), json!({"nbf": []})],
        ),
        changed(
            "JWT-1 iat",
            "`iat` is a text, a boolean or a list",
            &[json!({"iat": (now() - 60).to_string()}), json!({"iat": false}), json!({"iat": []})],
        ),
        changed("JWT-1 auth_time", "`auth_time` is a text", &[json!({"auth_time": "yesterday"})]),
        changed(
            "JWT-1 fractions",
            "dates with a fraction (sound)",
            &[
                json!({"exp": now() as f64 + 600.5}),
                json!({"iat": now() as f64 - 10.5}),
                json!({"nbf": now() as f64 - 10.5}),
            ],
        ),
        changed(
            "JWT-2 expired",
            "`exp` has passed, lies before 1970 or is 0",
            &[json!({"exp": now() - 600}), json!({"exp": -1}), json!({"exp": 0}), json!({"exp": now() as f64 - 600.5})],
        ),
        changed(
            "JWT-2 far future",
            "`exp` is 2^53, 2^63 or 1e300, and the issuer's longest life not known (sound)",
            &[
                json!({"exp": 9_007_199_254_740_992_u64}),
                json!({"exp": 9_223_372_036_854_775_808_u64}),
                json!({"exp": 1e300}),
            ],
        ),
        changed("JWT-2 nbf", "`nbf` is not reached", &[json!({"nbf": now() + 600}), json!({"nbf": 1e300})]),
        changed(
            "T-4 iat from the future",
            "`iat` lies ten minutes ahead",
            &[json!({"iat": now() + 600, "exp": now() + 1200}), json!({"iat": 1e300})],
        ),
    ]
}

fn audience_and_issuer() -> Vec<Defect> {
    vec![
        changed("JWT-3 no aud", "`aud` is missing", &[json!({"aud": null})]),
        changed(
            "JWT-3 another aud",
            "`aud` is another, by a slash, a case, a prefix, a pattern or a space",
            &[
                json!({"aud": "https://other.example"}),
                json!({"aud": format!("{API}/")}),
                json!({"aud": API.to_uppercase()}),
                json!({"aud": API[..API.len() - 1]}),
                json!({"aud": "*"}),
                json!({"aud": format!(" {API}")}),
                json!({"aud": ""}),
                json!({"aud": ["https://other.example"]}),
            ],
        ),
        changed(
            "JWT-3 aud",
            "`aud` is a number, a boolean, an object or an empty list",
            &[json!({"aud": 7}), json!({"aud": true}), json!({"aud": {API: true}}), json!({"aud": []})],
        ),
        changed(
            "JWT-3 aud, mixed",
            "`aud` lists our own beside something that is no text",
            &[json!({"aud": [API, 7]}), json!({"aud": [API, null]}), json!({"aud": [7, API]}), json!({"aud": [[API]]})],
        ),
        changed("JWT-3 no iss", "`iss` is missing", &[json!({"iss": null})]),
        changed(
            "JWT-3 another iss",
            "`iss` is another, by a slash, a case, a prefix or a port",
            &[
                json!({"iss": "https://evil.example"}),
                json!({"iss": format!("{IDP}/")}),
                json!({"iss": IDP.to_uppercase()}),
                json!({"iss": "https://idp.exampl"}),
                json!({"iss": format!("{IDP}:443")}),
                json!({"iss": ""}),
            ],
        ),
        changed(
            "JWT-3 iss",
            "`iss` is a list with our own, a number or an object",
            &[
                json!({"iss": [IDP]}),
                json!({"iss": [IDP, "https://evil.example"]}),
                json!({"iss": 7}),
                json!({"iss": {}}),
            ],
        ),
    ]
}

fn names() -> Vec<Defect> {
    vec![
        changed(
            "JWT-4 sub or jti",
            "`sub` or `jti` is a number, a list or an object",
            &[json!({"sub": 7}), json!({"sub": ["bob"]}), json!({"jti": 7}), json!({"jti": {}})],
        ),
        changed(
            "JWT-4 empty",
            "`sub`, `jti` or `sid` is empty",
            &[json!({"sub": ""}), json!({"jti": ""}), json!({"sid": ""})],
        ),
        changed(
            "JWT-4 long",
            "`sub`, `jti` or `client_id` has more than 512 bytes",
            &[json!({"sub": "s".repeat(513)}), json!({"jti": "é".repeat(257)}), json!({"client_id": "c".repeat(513)})],
        ),
        changed(
            "JWT-4 other names",
            "`sid`, `client_id`, `azp` or `device_id` is no text",
            &[json!({"sid": 7}), json!({"client_id": ["web"]}), json!({"azp": 7}), json!({"device_id": {}})],
        ),
        changed(
            "JWT-4 scope, cnf",
            "`scope` is a list, `cnf` a text or its thumbprint a number",
            &[json!({"scope": ["read"]}), json!({"cnf": "key"}), json!({"cnf": {"jkt": 7}})],
        ),
        changed("size", "more than 16 KiB", &[json!({"ballast": "b".repeat(20_000)})]),
    ]
}
