//! Calls to the authority, and what its answers mean for the exit code.

use std::time::Duration;

use reqwest::{Certificate, Client, ClientBuilder, Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;

use crate::credential::{Connection, Credential, is_loopback};
use crate::failure::{Exit, Failure, chain};
use crate::print::clean;

/// The authority, as a client with a credential sees it.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    client: Client,
    base: Url,
    credential: Option<Credential>,
}

impl Remote {
    /// The authority with the credential that the environment or the file holds.
    pub(crate) fn connect(connection: &Connection) -> Result<Self, Failure> {
        let base = connection.base()?;
        let credential = connection.credential()?;
        Ok(Self { client: client(connection, &base)?, base, credential: Some(credential) })
    }

    /// The authority without a credential: for what is public, and for logging in.
    pub(crate) fn anonymous(connection: &Connection) -> Result<Self, Failure> {
        let base = connection.base()?;
        Ok(Self { client: client(connection, &base)?, base, credential: None })
    }

    /// The authority of the demonstration, on this machine.
    pub(crate) fn on_this_machine(base: Url, credential: Credential) -> Result<Self, Failure> {
        Ok(Self { client: build(Client::builder(), &base)?, base, credential: Some(credential) })
    }

    /// A call to the resource with these path segments, which may hold any text.
    pub(crate) fn call(&self, method: Method, segments: &[&str]) -> Call {
        let mut url = self.base.clone();
        url.path_segments_mut().expect("an http URL has a path").pop_if_empty().extend(segments);
        let mut request = self.client.request(method, url);
        if let Some(credential) = &self.credential {
            request = request.basic_auth(&credential.id, Some(&credential.secret));
        }
        Call { request, patience: PATIENCE, origin: self.base.clone() }
    }

    pub(crate) async fn get(&self, segments: &[&str]) -> Result<Value, Failure> {
        self.call(Method::GET, segments).json().await
    }

    pub(crate) async fn post(&self, segments: &[&str], body: &Value) -> Result<Value, Failure> {
        self.call(Method::POST, segments).body(body).json().await
    }
}

/// One request before it is sent.
pub(crate) struct Call {
    request: RequestBuilder,
    patience: Duration,
    origin: Url,
}

impl Call {
    pub(crate) fn body(mut self, body: &Value) -> Self {
        self.request = self.request.json(body);
        self
    }

    pub(crate) fn query(mut self, pairs: &[(&str, String)]) -> Self {
        self.request = self.request.query(pairs);
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// Lets the answer take `wait` longer, for the authority was asked to wait that long.
    pub(crate) fn waiting(mut self, wait: Duration) -> Self {
        self.patience = PATIENCE.saturating_add(wait);
        self
    }

    async fn send(self) -> Result<Response, Failure> {
        let response = self
            .request
            .timeout(self.patience)
            .send()
            .await
            .map_err(|error| not_answered(&self.origin, &error.without_url()))?;
        if response.status().is_success() { Ok(response) } else { Err(refusal(response).await) }
    }

    /// Sends it and reads the bytes it is answered with.
    pub(crate) async fn bytes(self) -> Result<Vec<u8>, Failure> {
        let origin = self.origin.clone();
        let response = self.send().await?;
        bounded(response)
            .await
            .map_err(|error| Failure::unreachable(format!("the answer of {origin} cannot be read: {}", chain(&error))))
    }

    /// Sends it and reads the JSON it is answered with; null when the answer has no body.
    pub(crate) async fn json(self) -> Result<Value, Failure> {
        let origin = self.origin.clone();
        let body = self.bytes().await?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body)
            .map_err(|error| Failure::unreachable(format!("{origin} did not answer with JSON: {error}")))
    }
}

fn client(connection: &Connection, base: &Url) -> Result<Client, Failure> {
    let mut builder = Client::builder();
    if let Some(path) = &connection.tls_root {
        let bad = |what: String| Failure::usage(format!("--tls-root {}: {what}", path.display()));
        let pem = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
        let roots = Certificate::from_pem_bundle(&pem).map_err(|error| bad(chain(&error)))?;
        builder = builder.tls_certs_merge(roots);
    }
    build(builder, base)
}

/// A client of `base`. What is on this machine is reached directly: a proxy from the environment would
/// read the secret, which is why plain HTTP is taken on loopback only.
fn build(builder: ClientBuilder, base: &Url) -> Result<Client, Failure> {
    let builder = if is_loopback(base) { builder.no_proxy() } else { builder };
    builder
        .connect_timeout(CONNECT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("annul/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Failure::refused(format!("TLS cannot be set up: {}", chain(&error))))
}

/// No connection, so nothing was sent; or one that was lost, after which nobody here knows. Only the
/// first has a hint of its own: after the second it depends on what was asked.
fn not_answered(origin: &Url, error: &reqwest::Error) -> Failure {
    if error.is_connect() {
        return Failure::not_sent(format!("the authority at {origin} cannot be reached: {}", chain(error)))
            .with_hint("nothing was done; start it with `annul serve`, or say where it is with ANNUL_URL");
    }
    Failure::unreachable(format!("the authority at {origin} did not answer: {}", chain(error)))
}

/// What a refusal by the authority means here: who asks is not permitted, the authority cannot
/// answer, or it refused what was asked.
async fn refusal(response: Response) -> Failure {
    let status = response.status();
    let body: Value =
        bounded(response).await.ok().and_then(|body| serde_json::from_slice(&body).ok()).unwrap_or_default();
    let text = |name: &str| body[name].as_str().map(clean);
    let code = text("code").or_else(|| text("error"));
    let detail = text("detail").or_else(|| text("error_description")).or_else(|| text("title"));
    let mut message = detail.unwrap_or_else(|| format!("the authority answered {status}"));
    if let Some(code) = &code {
        message = format!("{message} ({code})");
    }
    if let Some(request_id) = text("request_id") {
        message = format!("{message}, request {request_id}");
    }
    let failure = Failure::new(exit_of(status, code.as_deref()), message);
    match text("hint") {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

fn exit_of(status: StatusCode, code: Option<&str>) -> Exit {
    match status {
        StatusCode::UNAUTHORIZED => Exit::NotPermitted,
        // A session or token that is refused is the answer to the question, not to who asked it.
        StatusCode::FORBIDDEN if code != Some("insufficient_scope") => Exit::Refused,
        StatusCode::FORBIDDEN => Exit::NotPermitted,
        // It failed, or whatever stands before it did: no answer to what was asked.
        _ if status.is_server_error() => Exit::Unreachable,
        _ => Exit::Refused,
    }
}

/// The body, read no further than [`MAX_ANSWER`].
async fn bounded(mut response: Response) -> Result<Vec<u8>, std::io::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(std::io::Error::other)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(std::io::Error::other("the answer is longer than any this command asks for"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A machine that does not take a connection within this is down for whoever is waiting.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take that the authority was not asked to wait for.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest list the authority answers with is a page of a thousand rows of a few kilobytes.
const MAX_ANSWER: usize = 32 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_tells_who_asked_from_what_was_asked() {
        assert_eq!(exit_of(StatusCode::UNAUTHORIZED, None), Exit::NotPermitted);
        assert_eq!(exit_of(StatusCode::FORBIDDEN, Some("insufficient_scope")), Exit::NotPermitted);
        assert_eq!(exit_of(StatusCode::FORBIDDEN, Some("session_revoked")), Exit::Refused);
        assert_eq!(exit_of(StatusCode::CONFLICT, None), Exit::Refused);
        for status in [500, 502, 503, 504, 520] {
            assert_eq!(exit_of(StatusCode::from_u16(status).unwrap(), Some("internal")), Exit::Unreachable, "{status}");
        }
    }
}
