//! The least an axum application does to send one event to everybody: a broadcast channel and `Sse`.

use std::convert::Infallible;

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use futures::Stream;
use tokio::sync::broadcast;

/// Events a slow follower may be behind.
const BACKLOG: usize = 64;

/// Serves `GET /stream` and `POST /publish`, which sends its body to every stream as an event named
/// `frame`; prints its address first.
///
/// # Errors
/// When no port is free.
pub fn serve() -> Result<()> {
    let app = Router::new()
        .route("/stream", get(stream))
        .route("/publish", post(publish))
        .with_state(broadcast::channel::<String>(BACKLOG).0);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("http://{}", listener.local_addr()?);
        Ok(axum::serve(listener, app).await?)
    })
}

async fn stream(State(events): State<broadcast::Sender<String>>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let stream = futures::stream::unfold(events.subscribe(), |mut events| async {
        let data = events.recv().await.ok()?;
        Some((Ok(Event::default().event("frame").data(data)), events))
    });
    Sse::new(stream)
}

async fn publish(State(events): State<broadcast::Sender<String>>, body: String) -> StatusCode {
    match events.send(body) {
        Ok(_) => StatusCode::OK,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
