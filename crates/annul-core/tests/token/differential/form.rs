//! Sound tokens, and defects of a token's text.

use annul_core::token::Algorithm;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::defect::{Case, Defect, claims, defect, header, rewritten};
use crate::signing::{API, Signer, with};

/// What every library has to accept.
pub(super) fn sound() -> Vec<Defect> {
    let with_claims = |changes: &serde_json::Value| with(claims(), changes.clone()).to_string();
    let contents = [
        json!({}),
        json!({"aud": [API, "other"]}),
        json!({"nbf": super::defect::now() - 60}),
        json!({"sub": "Ωmega 😀 \u{301}\u{0}"}),
        json!({"nested": {"a": [1, 2.5, -3, true, null, {"b": "c"}]}}),
    ];
    let of = |algorithm: Algorithm, contents: &[serde_json::Value]| {
        let signer = Signer::of(algorithm);
        let tokens: Vec<String> =
            contents.iter().map(|it| signer.sign(header(&signer).to_string(), with_claims(it))).collect();
        tokens.into_iter().map(|token| Case::new(&signer, token)).collect::<Vec<_>>()
    };
    let everywhere = Algorithm::ALL.into_iter().filter(|algorithm| *algorithm != Algorithm::Es512);
    vec![
        Defect { id: "sound", what: "nothing is wrong", cases: everywhere.flat_map(|it| of(it, &contents)).collect() },
        Defect { id: "sound, ES512", what: "nothing is wrong", cases: of(Algorithm::Es512, &contents[..2]) },
    ]
}

pub(super) fn defects() -> Vec<Defect> {
    vec![
        defect("JWS-1 padding", "`=` behind a part, signed as it stands", |signer| {
            let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
            let (header, payload) = (encode(header(signer).to_string()), encode(claims().to_string()));
            let padded = |part: &str| format!("{part}{}", "=".repeat((4 - part.len() % 4) % 4));
            let signed =
                |message: String| format!("{message}.{}", URL_SAFE_NO_PAD.encode(signer.raw(message.as_bytes())));
            let signature_padded = padded(&signed(format!("{header}.{payload}")));
            let all = [
                signed(format!("{}.{payload}", padded(&header))),
                signed(format!("{header}.{}", padded(&payload))),
                signed(format!("{header}.{payload}=")),
                format!("{}=", signature_padded.trim_end_matches('=')),
            ];
            all.into_iter().filter(|text| text.contains('=')).collect()
        }),
        rewritten("JWS-7 spare bits", "the unused bits of the signature's last character are not zero", |token| {
            let last = token.chars().last().unwrap();
            let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            let index = alphabet.find(last).unwrap();
            let bits = if token.rsplit('.').next().unwrap().len() % 4 == 2 { 15 } else { 3 };
            let others = (1..=bits).map(|spare| alphabet.as_bytes()[index & !bits | spare] as char);
            others.take(3).map(|other| format!("{}{other}", &token[..token.len() - 1])).collect()
        }),
        rewritten("JWS-1 white space", "white space or a line end around or inside", |token| {
            let (header, rest) = token.split_once('.').unwrap();
            vec![
                format!("{token} "),
                format!(" {token}"),
                format!("{token}\n"),
                format!("{token}\r\n"),
                format!("{header} .{rest}"),
                format!("{header}.\n{rest}"),
            ]
        }),
        rewritten("JWS-1 other characters", "NUL, a byte order mark or letters outside of the alphabet", |token| {
            vec![format!("{token}\0"), format!("\u{feff}{token}"), format!("{token}é"), format!("{token}!")]
        }),
        rewritten("JWS-1 parts", "one, two, four or five parts", |token| {
            let (signed, _) = token.rsplit_once('.').unwrap();
            let header = signed.split('.').next().unwrap();
            vec![
                header.to_owned(),
                signed.to_owned(),
                format!("{token}."),
                format!("{token}.AAAA.AAAA"),
                format!(".{token}"),
            ]
        }),
        rewritten("JWS-1 empty parts", "an empty header, payload or signature", |token| {
            let parts: Vec<&str> = token.split('.').collect();
            vec![
                format!(".{}.{}", parts[1], parts[2]),
                format!("{}..{}", parts[0], parts[2]),
                format!("{}.{}.", parts[0], parts[1]),
                "..".to_owned(),
            ]
        }),
        rewritten("JWS-1 JSON form", "the JSON serialization of the same token", |token| {
            let parts: Vec<&str> = token.split('.').collect();
            let flat = json!({"protected": parts[0], "payload": parts[1], "signature": parts[2]});
            let general = json!({"payload": parts[1], "signatures": [{"protected": parts[0], "signature": parts[2]}]});
            vec![flat.to_string(), general.to_string()]
        }),
    ]
}
