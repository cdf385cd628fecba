//! What a process of the demonstration runs: hidden verbs of this binary.
//!
//! The services are what an application with the `annul` crate looks like, and no more.

use std::path::PathBuf;

use annul::axum::Bearer;
use annul::policy::{Authorized, Decision, Policy};
use annul::token::Expect;
use annul::{AnnulLayer, Route, Verifier};
use annul_authority::config::{Config, Sources};
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::TcpListener;

use super::foreign;
use crate::failure::{Exit, Failure, Outcome};
use crate::when::DurationArg;
use crate::{logging, print};

/// The `iss` of the demonstration's own tokens.
pub(crate) const ISSUER: &str = "https://auth.demo.example";
/// The `aud` of every token in it.
pub(crate) const AUDIENCE: &str = "demo";

/// A process of the demonstration
#[derive(Args, Debug)]
pub(crate) struct DemoRole {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// The authority
    Authority {
        #[arg(long)]
        listen: String,
        #[arg(long)]
        data: String,
    },
    /// An HTTP service
    Api(Service),
    /// A WebSocket service
    Socket(Service),
    /// A worker that takes jobs from stdin
    Worker(Service),
}

/// What a service has to know; its credential is in the environment.
#[derive(Args, Debug)]
struct Service {
    #[arg(long, env = "ANNUL_CLIENT_ID")]
    client_id: String,
    #[arg(long, env = "ANNUL_CLIENT_SECRET", hide_env_values = true)]
    client_secret: String,
    #[arg(long)]
    authority: String,
    #[arg(long)]
    name: String,
    #[arg(long)]
    max_staleness: DurationArg,
    #[arg(long)]
    state: Option<PathBuf>,
}

impl DemoRole {
    pub(crate) async fn run(self) -> Outcome {
        logging::start();
        match self.verb {
            Verb::Authority { listen, data } => authority(listen, data).await,
            Verb::Api(service) => api(service).await,
            Verb::Socket(service) => socket(service).await,
            Verb::Worker(service) => worker(service).await,
        }
    }
}

async fn authority(listen: String, data: String) -> Outcome {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let sources = Sources {
        flags: vec![
            pair("server.listen", &listen),
            pair("store.data", &data),
            pair("tokens.issuer", ISSUER),
            pair("tokens.audience", AUDIENCE),
        ],
        ..Sources::default()
    };
    let config = Config::load(&sources).map_err(|error| Failure::usage(error.to_string()))?;
    tokio::select! {
        result = annul_authority::serve::run(config) => result.map_err(|error| Failure::refused(error.to_string()))?,
        () = parent_gone() => {}
    }
    Ok(Exit::Done)
}

impl Service {
    async fn start(self) -> Result<Route, Failure> {
        let mut builder = Verifier::builder(ISSUER, AUDIENCE)
            .authority(&self.authority, &self.client_id, &self.client_secret)
            .name(&self.name)
            .max_staleness(self.max_staleness.0)
            .foreign(Expect::foreign(foreign::ISSUER, AUDIENCE));
        if let Some(path) = self.state {
            builder = builder.state_dir(path);
        }
        let verifier = builder.build().await.map_err(|error| Failure::refused(error.to_string()))?;
        let route = verifier.route(Policy::check(self.max_staleness.0));
        verifier.ready().await;
        Ok(route)
    }
}

async fn api(service: Service) -> Outcome {
    let route = service.start().await?;
    serve(Router::new().route("/me", get(me)).layer(AnnulLayer::new(route))).await
}

async fn me(Bearer(authorized): Bearer) -> Json<Value> {
    Json(who(&authorized))
}

fn who(authorized: &Authorized) -> Value {
    let token = authorized.token();
    json!({ "subject": token.subject(), "roles": token.claims().get("roles") })
}

async fn socket(service: Service) -> Outcome {
    let route = service.start().await?;
    let layer = AnnulLayer::new(route.clone());
    serve(Router::new().route("/socket", get(upgrade)).layer(layer).with_state(route)).await
}

async fn upgrade(
    State(route): State<Route>,
    Extension(authorized): Extension<Authorized>,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade.on_upgrade(move |socket| talk(socket, route, authorized))
}

/// Answers messages until the client goes or the token is no longer good.
async fn talk(mut socket: WebSocket, route: Route, authorized: Authorized) {
    let mut end = std::pin::pin!(route.watch(&authorized).close());
    loop {
        tokio::select! {
            event = &mut end => {
                tracing::info!(?event, "closing a connection");
                let frame = CloseFrame { code: NOT_AUTHORISED, reason: "token no longer valid".into() };
                // The client may be gone already.
                let _ = socket.send(Message::Close(Some(frame))).await;
                return;
            }
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => {
                    if socket.send(Message::Text(text)).await.is_err() {
                        return;
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
        }
    }
}

async fn serve(router: Router) -> Outcome {
    let failed = |error: std::io::Error| Failure::refused(error.to_string());
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
    print::notice(&format!("listening http://{}", listener.local_addr().map_err(failed)?));
    axum::serve(listener, router).with_graceful_shutdown(parent_gone()).await.map_err(failed)?;
    Ok(Exit::Done)
}

async fn worker(service: Service) -> Outcome {
    let route = service.start().await?;
    print::notice("ready");
    let mut jobs = BufReader::new(tokio::io::stdin()).lines();
    let broken = |what: String| Failure::refused(format!("the queue is broken: {what}"));
    while let Some(line) = jobs.next_line().await.map_err(|error| broken(error.to_string()))? {
        let job: Value = serde_json::from_str(&line).map_err(|error| broken(error.to_string()))?;
        let mut result = match route.decide(job["token"].as_str().unwrap_or_default()).await {
            Decision::Allow(authorized) => {
                let mut done = who(&authorized);
                done["status"] = json!(200);
                done
            }
            Decision::Deny(denial) => json!({ "status": denial.status(), "code": denial.code() }),
            Decision::Ask(_) => json!({ "status": 503 }),
        };
        result["job"] = job["job"].clone();
        print::json_line(&result);
    }
    Ok(Exit::Done)
}

/// Ends when the process that started this one is gone: it held the other end of stdin.
async fn parent_gone() {
    let mut nothing = [0; 64];
    let mut stdin = tokio::io::stdin();
    while matches!(stdin.read(&mut nothing).await, Ok(read) if read > 0) {}
}

/// The close code that RFC 6455 leaves to applications and many use for 401.
const NOT_AUTHORISED: u16 = 4401;
