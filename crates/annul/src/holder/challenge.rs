//! What a service's refusal asks for: RFC 6750 §3, RFC 9449 §7.1 and §9, RFC 9470.

use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, StatusCode};

use super::access::Remedy;

/// What may help against this answer, if it is a refusal that a holder can do something about.
pub(super) fn remedy(status: StatusCode, headers: &HeaderMap) -> Option<Remedy> {
    if status != StatusCode::UNAUTHORIZED {
        return None;
    }
    let challenges = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    let errors: Vec<&str> = challenges.flat_map(errors).collect();
    let says = |error: &str| errors.contains(&error);
    if says("use_dpop_nonce") {
        Some(Remedy::Nonce)
    } else if says("invalid_dpop_proof") {
        Some(Remedy::Clock)
    } else if says("insufficient_user_authentication") {
        // A refresh keeps the time at which the user authenticated.
        None
    } else {
        Some(Remedy::Token)
    }
}

/// The `error` of each challenge in a header. A name that only ends in `error` is another parameter.
fn errors(challenges: &str) -> impl Iterator<Item = &str> {
    challenges.split([',', ' ']).filter_map(|parameter| {
        let (name, value) = parameter.trim().split_once('=')?;
        name.eq_ignore_ascii_case("error").then(|| value.trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn to(status: u16, challenges: &[&'static str]) -> Option<Remedy> {
        let values = challenges.iter().map(|value| (WWW_AUTHENTICATE, HeaderValue::from_static(value)));
        remedy(StatusCode::from_u16(status).unwrap(), &values.collect())
    }

    #[test]
    fn a_refusal_is_answered_by_what_it_names() {
        assert_eq!(to(401, &["Bearer error=\"invalid_token\", error_description=\"x\""]), Some(Remedy::Token));
        assert_eq!(to(401, &["Bearer"]), Some(Remedy::Token));
        assert_eq!(to(401, &[]), Some(Remedy::Token));
        assert_eq!(to(401, &["Bearer", "DPoP error=\"use_dpop_nonce\", algs=\"ES256\""]), Some(Remedy::Nonce));
        assert_eq!(to(401, &["DPoP algs=\"ES256\",error=\"invalid_dpop_proof\""]), Some(Remedy::Clock));
        assert_eq!(to(401, &["Bearer error=\"insufficient_user_authentication\", max_age=\"5\""]), None);
        assert_eq!(to(401, &["Bearer my_error=\"use_dpop_nonce\""]), Some(Remedy::Token));
        for status in [200, 400, 403, 503] {
            assert_eq!(to(status, &["Bearer error=\"invalid_token\""]), None);
        }
    }
}
