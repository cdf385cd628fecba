//! TLS: the server's certificate, and the certificate of the client at the other end.
//!
//! Where `server.tls_client_ca` is configured a client is asked for a certificate and may leave it
//! out. One that it sends is verified in the handshake, so a connection that exists has a good one or
//! none; what the requests on it are told is only which.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use http::Request;
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tower::Service;

use super::ServeError;
use crate::client_certificate::ClientCertificate;
use crate::config::Config;
use crate::connections::Bounded;

/// What the server speaks TLS with; `None` where it speaks plain HTTP.
pub(super) fn configured(config: &Config) -> Result<Option<RustlsConfig>, ServeError> {
    let (Some(cert), Some(key)) = (&config.server.tls_cert, &config.server.tls_key) else { return Ok(None) };
    let chain = certificates(cert)?;
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(cert, error))?;
    let builder = match &config.server.tls_client_ca {
        Some(path) => builder.with_client_cert_verifier(client_verifier(path)?),
        None => builder.with_no_client_auth(),
    };
    let mut server = builder.with_single_cert(chain, key_der).map_err(|error| unusable(key, error))?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(RustlsConfig::from_config(Arc::new(server))))
}

/// Asks for a certificate by one of these authorities, and lets in who has none.
fn client_verifier(path: &Path) -> Result<Arc<dyn ClientCertVerifier>, ServeError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| unusable(path, error))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .allow_unauthenticated()
        .build()
        .map_err(|error| unusable(path, error))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ServeError> {
    let chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(path, error))?;
    if chain.is_empty() { Err(unusable(path, "it holds no certificate")) } else { Ok(chain) }
}

fn unusable(path: &Path, detail: impl ToString) -> ServeError {
    ServeError::Tls { path: path.to_owned(), detail: detail.to_string() }
}

/// Accepts TLS connections and tells the requests on each which certificate the client has.
#[derive(Clone)]
pub(super) struct TlsAcceptor(RustlsAcceptor<Bounded>);

impl TlsAcceptor {
    /// No more connections than `bounded` takes, and TLS as configured.
    pub(super) fn new(bounded: Bounded, tls: RustlsConfig) -> Self {
        Self(RustlsAcceptor::new(tls).acceptor(bounded))
    }
}

type TlsStream = <RustlsAcceptor<Bounded> as Accept<TcpStream, ()>>::Stream;
type Accepting<S> = Pin<Box<dyn Future<Output = io::Result<(TlsStream, OnConnection<S>)>> + Send>>;

impl<S: Send + 'static> Accept<TcpStream, S> for TlsAcceptor {
    type Stream = TlsStream;
    type Service = OnConnection<S>;
    type Future = Accepting<S>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let accepting = self.0.accept(stream, service);
        Box::pin(async move {
            let (stream, service) = accepting.await?;
            let chain = stream.get_ref().1.peer_certificates();
            let certificate = chain.and_then(<[_]>::first).and_then(|leaf| ClientCertificate::from_der(leaf));
            Ok((stream, OnConnection { service, certificate }))
        })
    }
}

/// A service that finds the connection's certificate among its requests' extensions.
#[derive(Clone)]
pub(super) struct OnConnection<S> {
    service: S,
    certificate: Option<ClientCertificate>,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for OnConnection<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        if let Some(certificate) = &self.certificate {
            request.extensions_mut().insert(certificate.clone());
        }
        self.service.call(request)
    }
}
