//! The certificate of the client behind a request.
//!
//! Where TLS ends here it is the connection's own. Where it ends at a proxy, the proxy says so in
//! `Client-Cert` (RFC 9440), and is believed when the configuration names its address and this header:
//! from anybody else the header means nothing, for whoever can connect could write it.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderName;
use http::request::Parts;

use super::App;
use super::codes::Code;
use super::problem::Problem;
use crate::client_certificate::ClientCertificate;

/// The header in which a proxy passes on the certificate that it verified.
const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");

/// The certificate behind the request, verified by whoever ended the TLS connection; `None` where the
/// client sent none. One that a trusted proxy sends and that cannot be read is refused.
pub fn of(parts: &Parts, app: &App) -> Result<Option<ClientCertificate>, Problem> {
    let server = &app.config.server;
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let is_proxy = peer.is_some_and(|peer| server.trusted_proxies.iter().any(|network| network.contains(peer)));
    if !(server.client_cert_header && is_proxy) {
        return Ok(parts.extensions.get::<ClientCertificate>().cloned());
    }
    // The connection's own certificate, if it has one, is the proxy's.
    let mut values = parts.headers.get_all(CLIENT_CERT).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::new(Code::RequestAmbiguous, "the request has two Client-Cert headers"));
    }
    let read = value.to_str().ok().and_then(byte_sequence).and_then(|der| ClientCertificate::from_der(&der));
    read.map(Some).ok_or_else(|| Problem::new(Code::RequestInvalid, "Client-Cert is not a certificate (RFC 9440)"))
}

/// A byte sequence of RFC 8941 §3.3.5: base64 between colons.
fn byte_sequence(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.trim_matches(' ').strip_prefix(':')?.strip_suffix(':')?).ok()
}

#[cfg(test)]
mod tests {
    use super::byte_sequence;

    #[test]
    fn mt_3_the_header_is_a_byte_sequence() {
        assert_eq!(byte_sequence(":aGVsbG8=:").as_deref(), Some(&b"hello"[..]));
        assert_eq!(byte_sequence(" :aGVsbG8=: ").as_deref(), Some(&b"hello"[..]));
        for text in ["aGVsbG8=", ":aGVsbG8=", "aGVsbG8=:", ":aGVsbG8:", ":!:", "", ":"] {
            assert_eq!(byte_sequence(text), None, "{text:?}");
        }
    }
}
