//! The floor of an HTTP answer: axum with nothing behind it.

use std::collections::BTreeMap;

use anyhow::Result;
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use serde_json::{Value, json};

/// Serves `GET /empty`, which answers nothing, and `POST /form`, which parses a form and answers
/// `{"active":true}`; prints its address first.
///
/// # Errors
/// When no port is free.
pub fn serve() -> Result<()> {
    let app = Router::new().route("/empty", get(async || "")).route("/form", post(form));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("http://{}", listener.local_addr()?);
        Ok(axum::serve(listener, app).await?)
    })
}

async fn form(Form(members): Form<BTreeMap<String, String>>) -> Json<Value> {
    Json(json!({ "active": members.contains_key("token") }))
}
