//! A stub of the token endpoint: one session, its refresh tokens rotated, with a grace that lasts until
//! the successor is used.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Form, Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

pub(crate) const LIFE: u64 = 300;

/// What becomes of the next answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Answers,
    /// Does what is asked, and the connection breaks before the answer is whole.
    LosesAnswers(u32),
    /// Answers this, and does nothing.
    Fails(u16, &'static str),
    /// Answers 503 with this `Retry-After`, and does nothing.
    PutsOff(&'static str),
    /// Wants this nonce in every proof.
    WantsNonce(&'static str),
    /// Wants a nonce and calls none good.
    WantsEveryNonce,
}

/// The stub, serving until the test's runtime ends.
#[derive(Clone)]
pub(crate) struct Tokens {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

struct Shared {
    session: Mutex<Session>,
    answers: Semaphore,
}

struct Session {
    generation: u32,
    rotations: u32,
    requests: u32,
    mood: Mood,
    life: u64,
    proofs: HashSet<String>,
    forms: Vec<HashMap<String, String>>,
}

impl Tokens {
    pub(crate) async fn start() -> Self {
        let session = Session {
            generation: 1,
            rotations: 0,
            requests: 0,
            mood: Mood::Answers,
            life: LIFE,
            proofs: HashSet::new(),
            forms: Vec::new(),
        };
        let shared = Arc::new(Shared { session: Mutex::new(session), answers: Semaphore::new(1_000_000) });
        let app = Router::new()
            .route("/oauth2/token", post(token))
            .route("/v1/login", post(login))
            .with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, shared }
    }

    fn session<T>(&self, look: impl FnOnce(&mut Session) -> T) -> T {
        look(&mut self.shared.session.lock().unwrap())
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.session(|session| session.mood = mood);
    }

    pub(crate) fn set_life(&self, seconds: u64) {
        self.session(|session| session.life = seconds);
    }

    /// Requests that arrived.
    pub(crate) fn requests(&self) -> u32 {
        self.session(|session| session.requests)
    }

    /// Refresh tokens that were spent.
    pub(crate) fn rotations(&self) -> u32 {
        self.session(|session| session.rotations)
    }

    pub(crate) fn forms(&self) -> Vec<HashMap<String, String>> {
        self.session(|session| session.forms.clone())
    }

    /// Holds every answer back, its work undone, until it is let go.
    pub(crate) fn hold(&self) {
        self.shared.answers.forget_permits(1_000_000);
    }

    pub(crate) fn let_go(&self) {
        self.shared.answers.add_permits(1_000_000);
    }
}

impl Session {
    /// Spends a refresh token of the current generation; one of the last is a repeat.
    fn redeem(&mut self, refresh: &str) -> Result<Value, &'static str> {
        if refresh == format!("r{}", self.generation) {
            self.generation += 1;
            self.rotations += 1;
        } else if refresh != format!("r{}", self.generation - 1) {
            return Err("refresh_token_reused");
        }
        Ok(self.tokens())
    }

    fn tokens(&self) -> Value {
        let generation = self.generation;
        let token_type = if self.proofs.is_empty() { "Bearer" } else { "DPoP" };
        json!({
            "access_token": format!("access.{generation}"), "token_type": token_type, "expires_in": self.life,
            "refresh_token": format!("r{generation}"),
        })
    }

    /// What is wrong with the proof of a request, if it is.
    fn judge_proof(&mut self, headers: &HeaderMap) -> Option<Response> {
        let wanted = match self.mood {
            Mood::WantsNonce(nonce) => Some(nonce),
            Mood::WantsEveryNonce => Some("never"),
            _ => None,
        };
        let proof = headers.get("dpop").map(|proof| proof.to_str().unwrap().to_owned());
        let nonce = proof.as_deref().and_then(|proof| claims(proof)["nonce"].as_str().map(str::to_owned));
        if let Some(proof) = proof {
            let jti = claims(&proof)["jti"].as_str().unwrap().to_owned();
            assert!(self.proofs.insert(jti), "a proof is used once");
        }
        let is_good = wanted.is_none() || (self.mood != Mood::WantsEveryNonce && nonce.as_deref() == wanted);
        (!is_good).then(|| {
            let mut answer = refusal(400, "use_dpop_nonce", "use_dpop_nonce");
            answer.headers_mut().insert("dpop-nonce", HeaderValue::from_static(wanted.unwrap_or_default()));
            answer
        })
    }
}

fn claims(proof: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(proof.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

fn refusal(status: u16, error: &str, code: &str) -> Response {
    (StatusCode::from_u16(status).unwrap(), Json(json!({"error": error, "code": code}))).into_response()
}

async fn token(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    shared.session.lock().unwrap().requests += 1;
    shared.answers.acquire().await.unwrap().forget();
    let mut session = shared.session.lock().unwrap();
    if let Some(refused) = session.judge_proof(&headers) {
        return refused;
    }
    session.forms.push(form.clone());
    match session.mood {
        Mood::Fails(status, error) => return refusal(status, error, "stub_fails"),
        Mood::PutsOff(until) => {
            let mut answer = refusal(503, "temporarily_unavailable", "stub_puts_off");
            answer.headers_mut().insert("retry-after", HeaderValue::from_static(until));
            return answer;
        }
        Mood::LosesAnswers(left) => {
            session.mood = if left > 1 { Mood::LosesAnswers(left - 1) } else { Mood::Answers };
            session.redeem(&form["refresh_token"]).unwrap();
            let torn = futures::stream::iter([Ok("{\"access"), Err(std::io::Error::other("the line breaks"))]);
            return Body::from_stream(torn).into_response();
        }
        Mood::Answers | Mood::WantsNonce(_) | Mood::WantsEveryNonce => {}
    }
    match session.redeem(&form["refresh_token"]) {
        Ok(tokens) => Json(tokens).into_response(),
        Err(code) => refusal(400, "invalid_grant", code),
    }
}

async fn login(State(shared): State<Arc<Shared>>, headers: HeaderMap, Json(login): Json<Value>) -> Response {
    let mut session = shared.session.lock().unwrap();
    session.requests += 1;
    if let Some(refused) = session.judge_proof(&headers) {
        return refused;
    }
    assert_eq!(login["refresh_token"], true, "a refresh token is asked for");
    if login["password"] != "right" {
        return refusal(401, "", "credentials_wrong");
    }
    Json(session.tokens()).into_response()
}
