//! Certificates of clients: on the connection, and from a proxy that is trusted to tell.

use annul_authority::config::Config;
use annul_core::token::UnverifiedToken;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use reqwest::{Certificate, Client, Identity, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::running::{Running, expect, expect_problem, in_memory, text};

/// An authority of certificates, on this machine only.
struct LocalCa(CertifiedIssuer<'static, KeyPair>);

/// A client's certificate and key.
struct Own {
    der: Vec<u8>,
    pem: String,
}

impl LocalCa {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn signs(&self, name: &str, dns: &[&str]) -> Own {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(dns.iter().map(|dns| (*dns).to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Own { der: certificate.der().to_vec(), pem: format!("{}{}", certificate.pem(), key.serialize_pem()) }
    }

    /// A server that speaks TLS by this authority, and asks its clients for certificates by it.
    async fn serves(&self, adjust: impl FnOnce(&mut Config)) -> (Running, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let server = self.signs("server", &["127.0.0.1", "localhost"]);
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            Some(path)
        };
        let authority = in_memory(|config| {
            config.server.tls_cert = write("server.pem", &server.pem);
            config.server.tls_key.clone_from(&config.server.tls_cert);
            config.server.tls_client_ca = write("ca.pem", &self.0.pem());
            adjust(config);
        })
        .await;
        (Running { http: self.client(None), ..authority }, dir)
    }

    /// A client that trusts this authority and has this certificate, or none.
    fn client(&self, own: Option<&Own>) -> Client {
        let root = Certificate::from_pem(self.0.pem().as_bytes()).unwrap();
        let builder = Client::builder().tls_certs_only([root]);
        let builder = match own {
            Some(own) => builder.identity(Identity::from_pem(own.pem.as_bytes()).unwrap()),
            None => builder,
        };
        builder.build().unwrap()
    }
}

impl Own {
    fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &self.der))
    }

    /// What a proxy writes into `Client-Cert`.
    fn header(&self) -> String {
        format!(":{}:", STANDARD.encode(&self.der))
    }
}

fn token(http: &Client, authority: &Running, client_id: &str) -> RequestBuilder {
    let form = [("grant_type", "client_credentials"), ("client_id", client_id)];
    http.request(Method::POST, format!("{}/oauth2/token", authority.server.url())).form(&form)
}

fn confirmation(answer: &Value) -> Value {
    let token = text(answer, "access_token");
    UnverifiedToken::parse(&token).unwrap().claims().get("cnf").cloned().unwrap_or_default()
}

async fn registered(authority: &Running, id: &str, more: Value) {
    let mut client = json!({"client_id": id, "scopes": [], "token_endpoint_auth_method": "tls_client_auth"});
    client.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    authority.post("/v1/clients", client, 201).await;
}

#[tokio::test]
async fn mt_2_a_client_is_known_by_the_certificate_of_its_connection() {
    let ca = LocalCa::new();
    let (authority, _dir) = ca.serves(|_| {}).await;
    registered(&authority, "shop", json!({"tls_client_auth_subject_dn": "CN=shop,O=Example"})).await;
    registered(&authority, "till", json!({"tls_client_auth_san_dns": "till.example"})).await;
    let (shop, till) = (ca.signs("shop", &[]), ca.signs("till", &["till.example"]));
    let (with_shop, with_till) = (ca.client(Some(&shop)), ca.client(Some(&till)));
    let answer = expect(token(&with_shop, &authority, "shop"), 200).await;
    assert_eq!(confirmation(&answer), Value::Null, "it did not ask for bound tokens");
    expect(token(&with_till, &authority, "till"), 200).await;
    // Another's certificate, none, and a header that says otherwise.
    let nobody = ca.client(None);
    for request in [
        token(&with_till, &authority, "shop"),
        token(&with_shop, &authority, "till"),
        token(&nobody, &authority, "shop"),
        token(&nobody, &authority, "shop").header("client-cert", shop.header()),
        token(&with_till, &authority, "shop").header("client-cert", shop.header()),
        token(&with_shop, &authority, "nobody"),
    ] {
        assert_eq!(text(&expect(request, 401).await, "error"), "invalid_client");
    }
    // A certificate by somebody else makes no connection at all.
    let stranger = ca.client(Some(&LocalCa::new().signs("shop", &[])));
    assert!(token(&stranger, &authority, "shop").send().await.is_err());
}

#[tokio::test]
async fn mt_1_a_token_is_bound_to_the_certificate_it_was_got_with() {
    let ca = LocalCa::new();
    let (authority, _dir) = ca.serves(|_| {}).await;
    let bound = json!({
        "tls_client_auth_subject_dn": "CN=shop,O=Example", "tls_client_certificate_bound_access_tokens": true,
    });
    registered(&authority, "shop", bound).await;
    let shop = ca.signs("shop", &[]);
    let answer = expect(token(&ca.client(Some(&shop)), &authority, "shop"), 200).await;
    assert_eq!(confirmation(&answer), json!({"x5t#S256": shop.thumbprint()}));
    assert_eq!(answer["token_type"], "Bearer");
    let introspect = authority.request(Method::POST, "/oauth2/introspect");
    let found = expect(introspect.form(&[("token", text(&answer, "access_token"))]), 200).await;
    assert_eq!(found["cnf"], json!({"x5t#S256": shop.thumbprint()}));

    // A secret proves the client, and its certificate is the key.
    let by_secret = json!({"client_id": "till", "scopes": [], "tls_client_certificate_bound_access_tokens": true});
    let secret = text(&authority.post("/v1/clients", by_secret, 201).await, "client_secret");
    let ask = |http: &Client| {
        let url = format!("{}/oauth2/token", authority.server.url());
        http.post(url).basic_auth("till", Some(&secret)).form(&[("grant_type", "client_credentials")])
    };
    let answer = expect(ask(&ca.client(Some(&shop))), 200).await;
    assert_eq!(confirmation(&answer), json!({"x5t#S256": shop.thumbprint()}));
    let refused = expect(ask(&ca.client(None)), 400).await;
    assert_eq!(text(&refused, "code"), "certificate_required");
}

#[tokio::test]
async fn mt_3_a_proxy_that_is_named_tells_the_certificate_and_nobody_else_does() {
    let ca = LocalCa::new();
    let shop = ca.signs("shop", &[]);
    let by_subject = json!({"tls_client_auth_subject_dn": "CN=shop,O=Example"});
    let behind = |trusted: &str, takes_header: bool| {
        let trusted = vec![trusted.parse().unwrap()];
        in_memory(move |config| {
            config.server.trusted_proxies = trusted;
            config.server.client_cert_header = takes_header;
        })
    };
    let authority = behind("127.0.0.0/8", true).await;
    registered(&authority, "shop", by_subject.clone()).await;
    let plain = Client::new();
    let ask = |authority: &Running| token(&plain, authority, "shop").header("client-cert", shop.header());
    expect(ask(&authority), 200).await;
    expect(token(&plain, &authority, "shop"), 401).await;
    for damaged in ["", "garbage", ":AAAA:", &shop.header()[1..]] {
        let request = token(&plain, &authority, "shop").header("client-cert", damaged);
        assert_eq!(text(&expect(request, 400).await, "error"), "invalid_request", "{damaged:?}");
    }
    assert_eq!(
        text(&expect(ask(&authority).header("client-cert", shop.header()), 400).await, "error"),
        "invalid_request"
    );

    for authority in [behind("192.0.2.1", true).await, behind("127.0.0.1", false).await, in_memory(|_| {}).await] {
        registered(&authority, "shop", by_subject.clone()).await;
        expect(ask(&authority), 401).await;
    }

    // Between proxy and authority there may be TLS too: what counts is the client's, not the proxy's.
    let (authority, _dir) = ca
        .serves(|config| {
            config.server.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
            config.server.client_cert_header = true;
        })
        .await;
    registered(&authority, "shop", by_subject).await;
    let proxy = ca.client(Some(&shop));
    expect(token(&proxy, &authority, "shop"), 401).await;
    expect(token(&proxy, &authority, "shop").header("client-cert", shop.header()), 200).await;
}

#[tokio::test]
async fn mt_1_a_token_bound_to_a_certificate_logs_out_on_its_connection_only() {
    let ca = LocalCa::new();
    let (authority, _dir) = ca.serves(|_| {}).await;
    let (hers, thiefs) = (ca.signs("app", &[]), ca.signs("thief", &[]));
    let key = json!({"confirmation": {"x5t#S256": hers.thumbprint()}});
    let token = text(&authority.session_of("shop", "alice", key).await, "access_token");
    let logout = |http: &Client| http.post(format!("{}/v1/logout", authority.server.url())).bearer_auth(&token);
    expect_problem(logout(&ca.client(None)), 401, "certificate_needed").await;
    expect_problem(logout(&ca.client(Some(&thiefs))), 401, "certificate_mismatch").await;
    assert_eq!(authority.verdict(&token).await, "active");
    expect(logout(&ca.client(Some(&hers))), 200).await;
    assert_eq!(authority.verdict(&token).await, "revoked");
}
