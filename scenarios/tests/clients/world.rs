//! What a foreign client finds: an authority with a certificate of its own root, clients of every kind that
//! can authenticate, a user's sessions, and a verifier.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use aws_lc_rs::encoding::AsBigEndian as _;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use scenarios::{AUDIENCE, Authority, LocalCa, Process, Service};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

const BACKEND: &str = "backend";
const SIGNER: &str = "signer";
const LEGACY: &str = "legacy";
const SPA: &str = "spa";
const GRANTS: [&str; 3] = ["client_credentials", "refresh_token", "urn:ietf:params:oauth:grant-type:token-exchange"];

/// Libraries of another language, run by `tools/peer`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Driver {
    /// oauth4webapi and dpop.
    Node,
    /// Authlib, requests-oauth2client and requests-oauthlib.
    Python,
}

/// What a driver leaves: access tokens by what must have become of them.
#[derive(Deserialize)]
struct Left {
    alive: Vec<String>,
    dead: Vec<String>,
    bound: Vec<String>,
}

/// A running authority and what it knows.
pub(crate) struct World {
    home: TempDir,
    ca: LocalCa,
    _authority: Process,
    admin: (String, String),
    http: reqwest::Client,
    issuer: String,
    secret: String,
}

impl World {
    /// Starts the authority on a free port, which its issuer names: a client compares the two.
    pub(crate) async fn start() -> Self {
        Self::configured("").await
    }

    /// The same, with further sections of the configuration.
    pub(crate) async fn configured(sections: &str) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let ca = LocalCa::in_directory(home.path(), "local");
        let listen = free_address();
        let issuer = format!("https://{listen}");
        let (certificate, key) = (ca.certificate(), ca.key());
        let settings = format!("[server]\ntls_cert = {certificate:?}\ntls_key = {key:?}\n{sections}");
        let mut command = Authority::command(home.path(), &settings, &listen);
        let authority = Process::listening(command.args(["--set", &format!("tokens.issuer={issuer}")]));
        // There is no harm in a second call: it leaves the first provider.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let root = reqwest::Certificate::from_pem(&std::fs::read(ca.root()).expect("the root")).expect("a certificate");
        let http = reqwest::Client::builder().tls_certs_only([root]).build().expect("a client");
        let admin = credential(home.path());
        let mut world = Self { home, ca, _authority: authority, admin, http, issuer, secret: String::new() };
        let made = world.client(json!({"client_id": BACKEND, "scopes": ["annul.read", "orders.read"]})).await;
        world.secret = made["client_secret"].as_str().expect("a secret").to_owned();
        world
    }

    /// The authority's address, which is its issuer.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// A client that trusts the local root.
    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// The id and secret of a backend.
    pub(crate) fn backend(&self) -> (&str, &str) {
        (BACKEND, &self.secret)
    }

    /// The refresh token of a new session of alice's with a client.
    pub(crate) async fn refresh_token(&self, client: &str) -> String {
        let session = json!({"subject": "alice", "client_id": client, "scope": "orders.read", "refresh_token": true});
        let opened = self.post("/v1/sessions", session).await;
        opened["refresh_token"].as_str().expect("a refresh token").to_owned()
    }

    /// Runs a driver to its end, and holds what it left against a verifier.
    pub(crate) async fn driven_by(&self, driver: Driver) {
        let world = self.described().await;
        let service = self.service().await;
        let left = self.drive(driver, &world).await;
        for token in &left.dead {
            service.refuses_as_revoked(token).await;
        }
        for token in &left.alive {
            service.accepts_soon(token).await;
        }
        for token in &left.bound {
            assert_eq!(service.call(token).await.status, 401, "DP-5: a bound token is taken as Bearer");
        }
        assert!(!left.dead.is_empty() && !left.alive.is_empty());
    }

    /// Makes the other clients and the sessions, and writes all of it down for a driver.
    async fn described(&self) -> PathBuf {
        let (signer, signer_public) = private_jwk("signer-1");
        let (legacy, legacy_public) = private_jwk("legacy-1");
        let key = |public: &Value| json!({"keys": [public]});
        for (id, more) in [
            (SIGNER, json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": key(&signer_public)})),
            (
                LEGACY,
                json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": key(&legacy_public), "legacy_audience": true}),
            ),
            (
                SPA,
                json!({"token_endpoint_auth_method": "none", "grant_types": ["refresh_token"], "dpop_bound_access_tokens": true}),
            ),
        ] {
            let mut client = json!({"client_id": id, "scopes": ["orders.read"], "grant_types": GRANTS});
            client.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            self.client(client).await;
        }
        let account = json!({"username": "bob", "password": "correct horse battery staple"});
        self.post("/v1/accounts", account.clone()).await;
        let backend =
            [self.refresh_token(BACKEND).await, self.refresh_token(BACKEND).await, self.refresh_token(BACKEND).await];
        let world = json!({
            "issuer": self.issuer,
            "root": self.ca.root(),
            "audience": AUDIENCE,
            "backend": {"id": BACKEND, "secret": self.secret, "refresh": backend},
            "signer": {"id": SIGNER, "jwk": signer, "refresh": self.refresh_token(SIGNER).await},
            "legacy": {"id": LEGACY, "jwk": legacy},
            "spa": {"id": SPA, "account": account},
        });
        self.written(&world)
    }

    /// The file that tells a driver what the world is.
    pub(crate) fn written(&self, world: &Value) -> PathBuf {
        let path = self.home.path().join("world.json");
        std::fs::write(&path, world.to_string()).expect("a file is written");
        path
    }

    /// The local root's certificate.
    pub(crate) fn root(&self) -> &Path {
        self.ca.root()
    }

    async fn service(&self) -> Service {
        let made = self.client(json!({"client_id": "api", "scopes": ["annul.follow", "annul.read"]})).await;
        let credential = ("api".to_owned(), made["client_secret"].as_str().expect("a secret").to_owned());
        let service = Service::launch("api", &self.issuer, credential, |options| {
            options.issuer = self.issuer.clone();
            options.tls_root = Some(self.ca.root().to_owned());
        });
        service.ready().await;
        service
    }

    async fn drive(&self, driver: Driver, world: &Path) -> Left {
        let language = match driver {
            Driver::Node => "node",
            Driver::Python => "python",
        };
        let said = self.peer("clients", language, world).await;
        let last = said.lines().last().expect("a last line");
        serde_json::from_str(last).expect("the last line is what is left")
    }

    /// Runs a suite of `tools/peer` to its end, and returns what it said.
    ///
    /// # Panics
    /// If it does not end well, with all it said.
    pub(crate) async fn peer(&self, suite: &str, language: &str, world: &Path) -> String {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../tools/peer");
        let ran = tokio::process::Command::new(program)
            .args([suite, language])
            .arg(world)
            .env("PEER_ROOT", self.ca.root())
            .stdin(Stdio::null())
            .output()
            .await
            .expect("tools/peer starts");
        let (said, complained) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        println!("{said}");
        assert!(ran.status.success(), "{suite} in {language} ended with {}:\n{said}{complained}", ran.status);
        said.into_owned()
    }

    /// Makes a client, for every grant unless it says for which.
    pub(crate) async fn client(&self, client: Value) -> Value {
        let mut client = client;
        let members = client.as_object_mut().expect("an object");
        members.entry("grant_types").or_insert_with(|| json!(GRANTS));
        self.post("/v1/clients", client).await
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let request = self.http.post(format!("{}{path}", self.issuer)).basic_auth(&self.admin.0, Some(&self.admin.1));
        let answer = request.json(&body).send().await.expect("the authority answers");
        let status = answer.status();
        let text = answer.text().await.expect("a body");
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }
}

/// A loopback address that nobody listens on.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it has an address").to_string()
}

/// The administrator's credential, as the first start left it.
fn credential(home: &Path) -> (String, String) {
    let text = std::fs::read_to_string(home.join("annul-data/admin.credential")).expect("the credential");
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("no {name}")).to_owned()
    };
    (value("ANNUL_CLIENT_ID"), value("ANNUL_CLIENT_SECRET"))
}

/// A new P-256 key as JWK, private and public.
pub(crate) fn private_jwk(kid: &str) -> (Value, Value) {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    let point = key.public_key().as_ref().to_vec();
    let private = key.private_key().as_be_bytes().expect("its private half");
    let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    // An uncompressed point: 4, x, y.
    let public = json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid,
        "x": encoded(&point[1..33]), "y": encoded(&point[33..])});
    let mut jwk = public.clone();
    jwk["d"] = encoded(private.as_ref()).into();
    jwk.as_object_mut().expect("an object").remove("use");
    (jwk, public)
}
