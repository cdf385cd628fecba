//! Who may call the endpoints that are not for everybody: one configured client each, by HTTP Basic.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::config::ClientConfig;

/// A client id and secret to compare with, joined as they are sent.
pub(crate) struct Client(Zeroizing<String>);

impl Client {
    /// The configured client, if one is.
    pub(crate) fn of(config: &ClientConfig) -> Option<Self> {
        config.is_set().then(|| Self(Zeroizing::new(format!("{}:{}", config.client_id, config.client_secret.expose()))))
    }

    /// Whether a request carries exactly this client's credential, once. The comparison takes as long
    /// wherever the texts differ.
    pub(crate) fn sent(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        let Some((scheme, encoded)) = value.to_str().ok().and_then(|value| value.split_once(' ')) else {
            return false;
        };
        if !scheme.eq_ignore_ascii_case("basic") {
            return false;
        }
        let Ok(decoded) = STANDARD.decode(encoded.trim()).map(Zeroizing::new) else { return false };
        decoded.ct_eq(self.0.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn sent(values: &[&str]) -> bool {
        let config = ClientConfig { client_id: "rs".into(), client_secret: "s:1".to_owned().into() };
        let client = Client::of(&config).unwrap();
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        client.sent(&headers)
    }

    #[test]
    fn exactly_the_configured_credential_is_accepted() {
        let good = format!("Basic {}", STANDARD.encode("rs:s:1"));
        assert!(sent(&[&good]));
        assert!(!sent(&[&good, &good]), "two credentials are ambiguous");
        assert!(!sent(&[]));
        for bad in ["rs:s:2", "rs", "", "r:s:1", "rs:s:11"] {
            assert!(!sent(&[&format!("Basic {}", STANDARD.encode(bad))]), "{bad:?} was accepted");
        }
        assert!(!sent(&["Bearer x"]));
        assert!(!sent(&["Basic %%%"]));
    }
}
