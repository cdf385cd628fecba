//! HTTP as a backend would speak it.

use std::panic::Location;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};

/// The grant by which a token is given for another one (RFC 8693 §2.1).
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// The grant by which a token is given for an assertion (RFC 7523 §2.1).
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// What an exchange is given and what is wanted of it: an access token (RFC 8693 §3).
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

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

    /// A client without a secret, which names itself in forms and proves nothing: an application on its
    /// user's device.
    pub fn public(url: &str, id: &str) -> Self {
        Self::new(url, id, "")
    }

    /// The same client elsewhere: on connections of its own, with this user agent.
    pub fn elsewhere(&self, agent: &str) -> Self {
        let http = builder().user_agent(agent).build().expect("a client needs nothing from outside");
        Self { http, ..self.clone() }
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
        Answer::whole(self.request(Method::POST, path).json(&body).send().await.ok()?).await
    }

    /// `POST path` with these bytes, said to be JSON.
    pub async fn post_bytes(&self, path: &str, body: Vec<u8>) -> Answer {
        let request = self.request(Method::POST, path).header("content-type", "application/json").body(body);
        Answer::of(request.send().await.unwrap_or_else(|error| panic!("{path}: {error}"))).await
    }

    /// `POST path` with a form.
    pub async fn post_form(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let own_name = self.secret.is_empty().then_some(("client_id", self.id.as_str()));
        let form: Vec<_> = form.iter().copied().chain(own_name).collect();
        let request = self.request(Method::POST, path).form(&form);
        Answer::of(request.send().await.unwrap_or_else(|error| panic!("{path}: {error}"))).await
    }

    /// Gives a refresh token for the next tokens of its session.
    pub async fn refresh(&self, refresh_token: &str) -> Answer {
        self.post_form("/oauth2/token", &[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await
    }

    /// The next tokens of a session for the refresh token of its last answer; they must be given.
    #[track_caller]
    pub fn renew(&self, last: &Answer) -> impl Future<Output = Answer> {
        let caller = Location::caller();
        let redeemed = self.refresh(last.refresh_token());
        async move {
            let answer = redeemed.await;
            assert_eq!(answer.status, 200, "{caller}: answered {}", answer.body);
            answer
        }
    }

    /// Asserts that the refresh token of this answer gets nothing, because its session is revoked.
    #[track_caller]
    pub fn cannot_renew(&self, last: &Answer) -> impl Future<Output = ()> {
        let caller = Location::caller();
        let redeemed = self.refresh(last.refresh_token());
        async move {
            let answer = redeemed.await;
            assert_eq!((answer.status, &answer.body["code"]), (400, &json!("session_revoked")), "{caller}");
        }
    }

    /// Gives an access token for one of this client's own, in a session that descends from the token's.
    pub async fn derive(&self, token: &str) -> Answer {
        let form = [("grant_type", TOKEN_EXCHANGE), ("subject_token", token), ("subject_token_type", ACCESS_TOKEN)];
        self.post_form("/oauth2/token", &form).await
    }

    /// Gives an assertion for an access token of whom it is about (RFC 7523).
    pub async fn assert(&self, assertion: &str) -> Answer {
        self.post_form("/oauth2/token", &[("grant_type", JWT_BEARER), ("assertion", assertion)]).await
    }

    /// Asks what a token is worth (RFC 7662).
    pub async fn introspect(&self, token: &str) -> Answer {
        self.post_form("/oauth2/introspect", &[("token", token)]).await
    }

    /// Gives an access token for the next one of its session.
    pub async fn exchange(&self, token: &str) -> Answer {
        let form = [
            ("grant_type", TOKEN_EXCHANGE),
            ("subject_token", token),
            ("subject_token_type", ACCESS_TOKEN),
            ("requested_token_type", ACCESS_TOKEN),
        ];
        self.post_form("/oauth2/token", &form).await
    }

    /// Revokes a token of any kind (RFC 7009).
    pub async fn revoke_token(&self, token: &str) -> Answer {
        self.post_form("/oauth2/revoke", &[("token", token)]).await
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
        let answer = self.request(Method::GET, path).send().await.unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.text().await.expect("the body is text")
    }

    /// A request to `path` with the client's credential, if it has one.
    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        if self.secret.is_empty() { request } else { request.basic_auth(&self.id, Some(&self.secret)) }
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.request(method, path);
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

    /// Asserts that it is a refusal with this status and code.
    #[track_caller]
    pub fn expect_refusal(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, self.text("code")), (status, code), "{}", self.body);
        self
    }

    /// Asserts that a grant was refused: `invalid_grant` for any client (RFC 6749 §5.2), and `code` for those
    /// who know this server.
    #[track_caller]
    pub fn expect_invalid_grant(self, code: &str) -> Self {
        assert_eq!(self.body["error"], "invalid_grant", "{}", self.body);
        self.expect_refusal(400, code)
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

    /// The refresh token of a token answer.
    #[track_caller]
    pub fn refresh_token(&self) -> &str {
        self.text("refresh_token")
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
    builder().build().expect("a client needs nothing from outside")
}

fn builder() -> reqwest::ClientBuilder {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().timeout(std::time::Duration::from_secs(75))
}
