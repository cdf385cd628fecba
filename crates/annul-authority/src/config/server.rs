//! `[server]`: how the server is reached, and whom it believes about who reached it.

use std::net::SocketAddr;
use std::path::PathBuf;

use annul_core::token::HttpUri;
use serde::{Deserialize, Serialize};

use super::error::refused;
use super::{ConfigError, Network};
use crate::span::Span;

/// `[server]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Address and port. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The certificate chain as PEM. With it and `tls_key`, the server speaks TLS only.
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key as PEM.
    pub tls_key: Option<PathBuf>,
    /// Serve plain HTTP beyond loopback all the same: TLS ends at a proxy in front. The feed and
    /// every credential then travel unprotected between that proxy and here.
    pub allow_insecure: bool,
    /// How clients reach the server, when that is not the address it listens on: the endpoints in
    /// `/.well-known` begin with it.
    pub public_url: Option<String>,
    /// The certificates as PEM by which clients' certificates are verified. With it the TLS server asks
    /// for one, and goes on without.
    pub tls_client_ca: Option<PathBuf>,
    /// Take the client's certificate from the header `Client-Cert` (RFC 9440) of `trusted_proxies`.
    pub client_cert_header: bool,
    /// Addresses and networks of proxies that end TLS in front of the server and verify certificates.
    pub trusted_proxies: Vec<Network>,
    /// Whether DPoP proofs need a nonce of ours: `off` or `required`.
    pub dpop_nonce: DpopNonce,
    /// How long requests in flight may take after a signal to stop; then connections are closed.
    pub drain: Span,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7400)),
            tls_cert: None,
            tls_key: None,
            allow_insecure: false,
            public_url: None,
            tls_client_ca: None,
            client_cert_header: false,
            trusted_proxies: Vec::new(),
            dpop_nonce: DpopNonce::Off,
            drain: Span::seconds(10),
        }
    }
}

impl ServerConfig {
    /// Whether the server listens on loopback only.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.listen.ip().is_loopback()
    }

    /// Whether the server speaks TLS.
    #[must_use]
    pub const fn has_tls(&self) -> bool {
        self.tls_cert.is_some()
    }

    /// Whether a client's certificate can come in at all.
    #[must_use]
    pub const fn takes_client_certificates(&self) -> bool {
        self.tls_client_ca.is_some() || self.client_cert_header
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return refused("server.tls_cert", "tls_cert and tls_key are given together");
        }
        if self.tls_client_ca.is_some() && !self.has_tls() {
            return refused(
                "server.tls_client_ca",
                "it asks for certificates on TLS connections: give tls_cert and tls_key",
            );
        }
        if self.client_cert_header && self.trusted_proxies.is_empty() {
            return refused(
                "server.client_cert_header",
                "it is believed from server.trusted_proxies only, and there are none",
            );
        }
        if self.public_url.as_deref().is_some_and(|url| HttpUri::parse(url).is_none()) {
            return refused("server.public_url", "it is an http or https address");
        }
        if !self.is_loopback() && !self.has_tls() && !self.allow_insecure {
            return Err(ConfigError::PlainBeyondLoopback { listen: self.listen });
        }
        Ok(())
    }
}

/// Whether DPoP proofs need a nonce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DpopNonce {
    /// They do not: one round trip, and a proof made in advance is good within its minute.
    #[default]
    Off,
    /// They do: a client asks once for a nonce every two minutes, and none of its proofs is older.
    Required,
}
