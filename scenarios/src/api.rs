//! HTTP as a backend would speak it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::Value;

/// One side's HTTP client: an address and, where there is one, a credential.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    id: String,
    secret: String,
}

/// What came back: status, headers and JSON.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body as JSON, `null` when it is none.
    pub body: Value,
}

impl Client {
    /// A client of the server at `url` with a client id and secret.
    pub fn new(url: &str, id: &str, secret: &str) -> Self {
        Self { http: http(), url: url.to_owned(), id: id.to_owned(), secret: secret.to_owned() }
    }

    /// Where the server listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The client id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The client secret.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// `POST path` with a JSON body.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    /// `POST path` with a JSON body; `None` when the line broke, so that nobody knows what became of it.
    pub async fn try_post(&self, path: &str, body: Value) -> Option<Answer> {
        let request = self.http.post(format!("{}{path}", self.url)).basic_auth(&self.id, Some(&self.secret));
        Answer::whole(request.json(&body).send().await.ok()?).await
    }

    /// `POST path` with these bytes, said to be JSON.
    pub async fn post_bytes(&self, path: &str, body: Vec<u8>) -> Answer {
        let request = self.http.post(format!("{}{path}", self.url)).basic_auth(&self.id, Some(&self.secret));
        let request = request.header("content-type", "application/json").body(body);
        Answer::of(request.send().await.unwrap_or_else(|error| panic!("{path}: {error}"))).await
    }

    /// `PUT path` with a JSON body.
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, Some(body)).await
    }

    /// `GET path`.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    /// `DELETE path`.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    /// The body at `path` as text.
    pub async fn text(&self, path: &str) -> String {
        let request = self.http.get(format!("{}{path}", self.url)).basic_auth(&self.id, Some(&self.secret));
        let answer = request.send().await.unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.text().await.expect("the body is text")
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request =
            self.http.request(method, format!("{}{path}", self.url)).basic_auth(&self.id, Some(&self.secret));
        if let Some(body) = body {
            request = request.json(&body);
        }
        Answer::of(request.send().await.unwrap_or_else(|error| panic!("{path}: {error}"))).await
    }
}

impl Answer {
    /// Reads a response to its end.
    pub async fn of(response: reqwest::Response) -> Self {
        Self::whole(response).await.expect("the body arrives")
    }

    /// Reads a response to its end, if it has one.
    async fn whole(response: reqwest::Response) -> Option<Self> {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = response.bytes().await.ok()?;
        Some(Self { status, headers, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
    }

    /// This answer, which must have `status`.
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "answered {}", self.body);
        self
    }

    /// The string at a JSON pointer's name.
    #[track_caller]
    pub fn text(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap_or_else(|| panic!("no string {name} in {}", self.body))
    }

    /// The number of that name.
    #[track_caller]
    pub fn number(&self, name: &str) -> u64 {
        self.body[name].as_u64().unwrap_or_else(|| panic!("no number {name} in {}", self.body))
    }

    /// The access token of a token answer.
    #[track_caller]
    pub fn token(&self) -> &str {
        self.text("access_token")
    }

    /// The `kid` in the header of the access token.
    #[track_caller]
    pub fn key_id(&self) -> String {
        let header = self.token().split('.').next().expect("a token has a header");
        let header = URL_SAFE_NO_PAD.decode(header).expect("base64url");
        let header: Value = serde_json::from_slice(&header).expect("JSON");
        header["kid"].as_str().expect("a kid").to_owned()
    }

    /// A claim of the access token, `null` when it has none of that name.
    #[track_caller]
    pub fn claim(&self, name: &str) -> Value {
        let payload = self.token().split('.').nth(1).expect("a token has a payload");
        let payload = URL_SAFE_NO_PAD.decode(payload).expect("base64url");
        let claims: Value = serde_json::from_slice(&payload).expect("JSON");
        claims[name].clone()
    }

    /// The session id of a token answer.
    #[track_caller]
    pub fn sid(&self) -> &str {
        self.text("sid")
    }
}

/// What a token says, unverified.
#[track_caller]
pub fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("a token has three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("JSON")
}

/// An HTTP client that keeps connections alive.
pub(crate) fn http() -> reqwest::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(std::time::Duration::from_secs(75))
        .build()
        .expect("a client needs nothing from outside")
}
