//! What the clients share: where everything listens, and what they have been handed.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use scenarios::{Client, Dice, Secrets};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::notebook::Came;

/// How long a client waits for an answer. A suspended process answers later than that or never.
const ANSWER: Duration = Duration::from_secs(6);
/// What is remembered of each kind, newest first out of the oldest's place.
const REMEMBERED: usize = 400;

/// A session that was opened.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) sid: String,
    pub(crate) subject: String,
    pub(crate) token: String,
    pub(crate) jti: String,
}

/// A verifier, wherever it listens at present.
pub(crate) struct Address {
    pub(crate) name: &'static str,
    /// The path at which a token is checked.
    pub(crate) path: &'static str,
    /// Where it keeps its view.
    pub(crate) state: PathBuf,
    url: Mutex<String>,
}

impl Address {
    pub(crate) fn new(name: &'static str, path: &'static str, state: PathBuf, url: &str) -> Self {
        Self { name, path, state, url: Mutex::new(url.to_owned()) }
    }

    pub(crate) fn url(&self) -> String {
        locked(&self.url).clone()
    }
}

/// Everything the clients share.
pub(crate) struct Shared {
    pub(crate) began: Instant,
    pub(crate) verifiers: Vec<Address>,
    pub(crate) secrets: Mutex<Secrets>,
    admin: Client,
    http: reqwest::Client,
    held: Mutex<VecDeque<Held>>,
    revocations: Mutex<VecDeque<String>>,
    acknowledged: AtomicU64,
    is_up: watch::Sender<bool>,
    is_over: AtomicBool,
}

impl Shared {
    pub(crate) fn new(admin: &Client, verifiers: Vec<Address>, secrets: Secrets) -> Self {
        let http = reqwest::Client::builder().timeout(ANSWER).build().expect("a client needs nothing from outside");
        Self {
            began: Instant::now(),
            verifiers,
            secrets: Mutex::new(secrets),
            admin: admin.clone(),
            http,
            held: Mutex::default(),
            revocations: Mutex::default(),
            acknowledged: AtomicU64::new(0),
            is_up: watch::Sender::new(true),
            is_over: AtomicBool::new(false),
        }
    }

    /// A request to the authority as its administrator.
    pub(crate) async fn ask(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<Value>,
        key: Option<&str>,
    ) -> Came {
        let mut request = self.http.request(method, format!("{}{path}", self.admin.url()));
        request = request.basic_auth(self.admin.id(), Some(self.admin.secret()));
        if let Some(body) = body {
            request = request.json(&body);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.send(request).await
    }

    /// A request with a bearer token, to the authority or to a verifier.
    pub(crate) async fn bear(&self, url: &str, token: &str, body: Option<Value>) -> Came {
        let request = match body {
            Some(body) => self.http.post(url).json(&body),
            None => self.http.get(url),
        };
        self.send(request.bearer_auth(token)).await
    }

    /// What is at a URL, as text; nothing when the line broke.
    pub(crate) async fn text(&self, path: &str) -> Option<String> {
        let request = self.http.get(format!("{}{path}", self.admin.url()));
        let answer = request.basic_auth(self.admin.id(), Some(self.admin.secret())).send().await.ok()?;
        answer.error_for_status().ok()?.text().await.ok()
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Came {
        let Ok(answer) = request.send().await else { return Came::default() };
        let status = answer.status().as_u16();
        let Ok(bytes) = answer.bytes().await else { return Came::default() };
        Came { status: Some(status), body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
    }

    /// Says that a verifier was started again and listens elsewhere.
    pub(crate) fn moved(&self, name: &str, url: &str) {
        for verifier in self.verifiers.iter().filter(|verifier| verifier.name == name) {
            url.clone_into(&mut locked(&verifier.url));
        }
    }

    /// Where the authority listens.
    pub(crate) fn authority(&self) -> &str {
        self.admin.url()
    }

    /// Remembers a session with its newest token.
    pub(crate) fn hold(&self, held: Held) {
        locked(&self.secrets).add_token("an access token", &held.token);
        remember(&self.held, held);
    }

    /// A session at random.
    pub(crate) fn any_held(&self, dice: &mut Dice) -> Option<Held> {
        dice.one_of(locked(&self.held).make_contiguous()).cloned()
    }

    /// The sessions remembered.
    pub(crate) fn all_held(&self) -> Vec<Held> {
        locked(&self.held).iter().cloned().collect()
    }

    /// Remembers the position of a revocation.
    pub(crate) fn revoked(&self, position: String) {
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        remember(&self.revocations, position);
    }

    /// The position of a revocation at random.
    pub(crate) fn any_revocation(&self, dice: &mut Dice) -> Option<String> {
        dice.one_of(locked(&self.revocations).make_contiguous()).cloned()
    }

    /// How many revocations were acknowledged so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Says that the authority is gone, or there again.
    pub(crate) fn set_up(&self, is_up: bool) {
        self.is_up.send_replace(is_up);
    }

    /// Waits while the authority is known to be gone.
    pub(crate) async fn up(&self) {
        let _ = self.is_up.subscribe().wait_for(|is_up| *is_up).await;
    }

    /// Lets every client end after what it is doing.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

fn remember<T>(queue: &Mutex<VecDeque<T>>, item: T) {
    let mut queue = locked(queue);
    queue.push_back(item);
    if queue.len() > REMEMBERED {
        queue.pop_front();
    }
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The parts of a token that its holder can read: the `kid` and the claims.
pub(crate) fn readable(token: &str) -> Value {
    use base64::Engine as _;
    let mut parts = token.split('.').map(|part| {
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).ok()?;
        serde_json::from_slice::<Value>(&bytes).ok()
    });
    let header = parts.next().flatten().expect("a token has a header");
    json!({"kid": header["kid"], "claims": parts.next().flatten().expect("a token has claims")})
}
