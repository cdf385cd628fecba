//! An authority for one test, and the calls it is asked.

use annul_authority::config::{Config, StoreKind};
use annul_authority::serve::{Notice, Server};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

/// A running authority on a free port with data of its own.
pub(crate) struct Running {
    pub(crate) server: Server,
    pub(crate) http: Client,
    pub(crate) admin: Credential,
    pub(crate) dir: tempfile::TempDir,
}

/// A client's id and secret.
#[derive(Clone, Debug)]
pub(crate) struct Credential {
    pub(crate) id: String,
    pub(crate) secret: String,
}

/// A configuration on a free port with its data in `dir`.
pub(crate) fn config(dir: &tempfile::TempDir, kind: StoreKind) -> Config {
    let mut config = Config::default();
    config.server.listen = "127.0.0.1:0".parse().unwrap();
    config.store.kind = kind;
    config.store.data = dir.path().join("data");
    config.feed.heartbeat = annul_authority::span::Span::parse("100ms").unwrap();
    config
}

/// An authority on each store.
pub(crate) async fn both() -> Vec<Running> {
    let mut running = Vec::new();
    for kind in [StoreKind::Memory, StoreKind::Sqlite] {
        running.push(start(kind, |_| {}).await);
    }
    running
}

/// An authority in memory, configured by `adjust`.
pub(crate) async fn in_memory(adjust: impl FnOnce(&mut Config)) -> Running {
    start(StoreKind::Memory, adjust).await
}

async fn start(kind: StoreKind, adjust: impl FnOnce(&mut Config)) -> Running {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&dir, kind);
    adjust(&mut config);
    let server = Server::start(config.clone()).await.unwrap();
    let admin = admin_of(&server, &config);
    Running { server, http: Client::new(), admin, dir }
}

/// The administrator's credential, where the first start left it.
pub(crate) fn admin_of(server: &Server, config: &Config) -> Credential {
    let in_memory = server.notices().iter().find_map(|notice| match notice {
        Notice::CredentialInMemory { client_id, client_secret } => {
            Some(Credential { id: client_id.clone(), secret: client_secret.expose().to_owned() })
        }
        _ => None,
    });
    in_memory.unwrap_or_else(|| {
        let text = std::fs::read_to_string(config.store.data.join("admin.credential")).unwrap();
        let member = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        Credential { id: member("ANNUL_CLIENT_ID="), secret: member("ANNUL_CLIENT_SECRET=") }
    })
}

impl Running {
    /// A request as the administrator.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_as(&self.admin, method, path)
    }

    /// A request as that client.
    pub(crate) fn request_as(&self, client: &Credential, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).basic_auth(&client.id, Some(&client.secret))
    }

    /// A request without a credential.
    pub(crate) fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.server.url()))
    }

    /// Sends as the administrator and expects this status.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Value, status: u16) -> Value {
        let mut request = self.request(method, path);
        if !body.is_null() {
            request = request.json(&body);
        }
        expect(request, status).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, Value::Null, 200).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value, status: u16) -> Value {
        self.call(Method::POST, path, body, status).await
    }

    /// Opens a session and gives its first answer.
    pub(crate) async fn session(&self, subject: &str) -> Value {
        self.post("/v1/sessions", json!({ "subject": subject, "roles": ["reader"] }), 201).await
    }

    /// What the authority says of a token now.
    pub(crate) async fn verdict(&self, token: &str) -> String {
        let answer = self.post("/v1/tokens/check", json!({ "token": token }), 200).await;
        text(&answer, "verdict")
    }

    /// A new client with these scopes.
    pub(crate) async fn client(&self, id: &str, scopes: &[&str]) -> Credential {
        let answer = self.post("/v1/clients", json!({ "client_id": id, "scopes": scopes }), 201).await;
        Credential { id: id.to_owned(), secret: text(&answer, "client_secret") }
    }
}

/// Sends a request, expects this status and reads the JSON answer.
pub(crate) async fn expect(request: RequestBuilder, status: u16) -> Value {
    let response = request.send().await.unwrap();
    let (found, url) = (response.status(), response.url().clone());
    let body = response.text().await.unwrap();
    assert_eq!(found, StatusCode::from_u16(status).unwrap(), "{url} answered {body}");
    if body.is_empty() { Value::Null } else { serde_json::from_str(&body).unwrap() }
}

/// Sends a request and expects a problem document of this code, whole.
pub(crate) async fn expect_problem(request: RequestBuilder, status: u16, code: &str) -> Value {
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let request_id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let found = response.status().as_u16();
    let problem: Value = response.json().await.unwrap();
    assert_eq!((found, text(&problem, "code").as_str()), (status, code), "{problem}");
    assert_eq!(problem["status"], status);
    assert_eq!(problem["request_id"], request_id.as_str());
    for member in ["type", "title", "detail", "hint"] {
        assert!(!text(&problem, member).is_empty(), "{member} is empty in {problem}");
    }
    problem
}

/// A text member of an answer.
pub(crate) fn text(answer: &Value, member: &str) -> String {
    answer[member].as_str().unwrap_or_else(|| panic!("{member} is no text in {answer}")).to_owned()
}
