//! How this process reaches an authority or a relay: the address, TLS and the credential.
//!
//! Plain HTTP is accepted on loopback only: the credential and every access token would otherwise
//! cross the network in the clear. No redirect is followed, so a credential goes nowhere else.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use reqwest::Url;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use rustls_platform_verifier::BuilderVerifierExt as _;

use crate::error::ConfigError;

/// How long a connection may take to be set up, TLS included. Longer means the address is dead.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Idle connections are closed before the authority (or a balancer in between) does so under a request.
const IDLE_FOR: Duration = Duration::from_secs(30);

/// An HTTP Basic credential. Its `Debug` shows the id and never the secret.
#[derive(Clone)]
pub(crate) struct Credential {
    id: String,
    header: HeaderValue,
}

impl Credential {
    pub(crate) fn basic(id: &str, secret: &str) -> Result<Self, ConfigError> {
        if id.is_empty() || secret.is_empty() || id.contains(':') {
            return Err(ConfigError::Credential);
        }
        let text = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
        let mut header = HeaderValue::from_str(&text).map_err(|_| ConfigError::Credential)?;
        header.set_sensitive(true);
        Ok(Self { id: id.to_owned(), header })
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.header.clone()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The address of an authority: absolute, and TLS unless it is on loopback.
pub(crate) fn address(text: &str) -> Result<Url, ConfigError> {
    let mut url = Url::parse(text).map_err(|_| ConfigError::Address(text.to_owned()))?;
    let named = url.has_host() && url.username().is_empty() && url.password().is_none();
    if !named || !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
        return Err(ConfigError::Address(text.to_owned()));
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err(ConfigError::PlainHttp(url.host_str().unwrap_or_default().to_owned()));
    }
    // A base ends in a slash, or joining a path to it would replace its last segment.
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// A connection pool for `url`: rustls on aws-lc-rs, whatever the process has installed as its
/// default. With `roots` (PEM) only these certificates are trusted, else the platform's.
pub(crate) fn connect(url: &Url, roots: &[Vec<u8>]) -> Result<reqwest::Client, ConfigError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ConfigError::Tls(error.to_string()))?;
    let tls = if url.scheme() == "https" && roots.is_empty() {
        tls.with_platform_verifier().map_err(|error| ConfigError::Tls(error.to_string()))?
    } else {
        tls.with_root_certificates(root_store(roots)?)
    };
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls.with_no_client_auth())
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_WITHIN)
        .pool_idle_timeout(IDLE_FOR)
        .tcp_nodelay(true)
        .user_agent(concat!("annul/", env!("CARGO_PKG_VERSION")));
    if is_loopback(url) {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| ConfigError::Tls(error.to_string()))
}

fn root_store(roots: &[Vec<u8>]) -> Result<rustls::RootCertStore, ConfigError> {
    let mut store = rustls::RootCertStore::empty();
    for pem in roots {
        let before = store.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| ConfigError::TlsRoot)?;
            store.add(certificate).map_err(|_| ConfigError::TlsRoot)?;
        }
        if store.len() == before {
            return Err(ConfigError::TlsRoot);
        }
    }
    Ok(store)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_accepted_on_loopback_only() {
        for url in ["http://127.0.0.1:7400", "http://localhost:1", "http://[::1]:1", "https://auth.example/base"] {
            assert!(address(url).is_ok(), "{url}");
        }
        for url in ["http://auth.example", "http://10.0.0.1:7400", "http://localhost.example", "http://0.0.0.0:1"] {
            assert!(matches!(address(url), Err(ConfigError::PlainHttp(_))), "{url}");
        }
        for url in
            ["", "auth.example", "ftp://auth.example", "https://user:pw@auth.example", "https://a/?q=1", "file:///x"]
        {
            assert!(matches!(address(url), Err(ConfigError::Address(_))), "{url}");
        }
    }

    #[test]
    fn a_path_below_the_address_is_kept() {
        let url = address("https://auth.example/base").unwrap();
        assert_eq!(url.join("v1/feed/head").unwrap().as_str(), "https://auth.example/base/v1/feed/head");
    }

    #[test]
    fn a_credential_never_shows_its_secret() {
        let credential = Credential::basic("api", "hunter2").unwrap();
        let shown = format!("{credential:?} {:?}", credential.header());
        assert!(
            shown.contains("api") && !shown.contains("hunter2") && !shown.contains(&STANDARD.encode("api:hunter2"))
        );
        for (id, secret) in [("", "s"), ("a", ""), ("a:b", "s")] {
            assert_eq!(Credential::basic(id, secret).err(), Some(ConfigError::Credential));
        }
    }

    #[test]
    fn a_root_that_is_no_certificate_is_named() {
        let url = address("https://auth.example").unwrap();
        assert_eq!(connect(&url, &[b"nothing".to_vec()]).err(), Some(ConfigError::TlsRoot));
    }
}
