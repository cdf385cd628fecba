//! Certificates for a test, by a certificate authority that nobody else trusts.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// A certificate authority of this machine and a server's certificate by it, as files.
pub struct LocalCa {
    issuer: CertifiedIssuer<'static, KeyPair>,
    home: PathBuf,
    root: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl LocalCa {
    /// Makes both in `home`, in files that begin with `name`. The server goes by `localhost` and 127.0.0.1.
    pub fn in_directory(home: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a root");
        let root = home.join(format!("{name}-root.pem"));
        std::fs::write(&root, issuer.pem()).expect("a file is written");
        let ca = Self { issuer, home: home.to_owned(), root, certificate: PathBuf::new(), key: PathBuf::new() };
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let (certificate, key) = ca.certify(name, CertificateParams::new(names).expect("names"));
        Self { certificate, key, ..ca }
    }

    /// A certificate by this authority and its key, as files that begin with `name`.
    pub fn certify(&self, name: &str, params: CertificateParams) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let write = |suffix: &str, text: &str| {
            let path = self.home.join(format!("{name}-{suffix}.pem"));
            std::fs::write(&path, text).expect("a file is written");
            path
        };
        (write("cert", &certificate.pem()), write("key", &key.serialize_pem()))
    }

    /// The file with the root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file with the server's certificate.
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// The file with the server's key.
    pub fn key(&self) -> &Path {
        &self.key
    }
}
