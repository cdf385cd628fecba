//! The services as their clients see them: a token goes in, an answer comes out.

use std::sync::Arc;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::Mutex;

use super::Problem;
use super::process::Process;

/// What a service answered to a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It did what was asked, for this subject with these roles.
    Accepted { subject: String, roles: Vec<String> },
    /// It refuses the token: 401.
    Refused,
    /// It cannot know: 503 with Retry-After.
    CannotKnow,
}

/// A service that tokens are shown to.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) name: String,
    door: Door,
}

#[derive(Clone)]
enum Door {
    Http { url: String, client: Client },
    Queue(Arc<Mutex<Queue>>),
}

struct Queue {
    jobs: ChildStdin,
    results: Lines<BufReader<ChildStdout>>,
    next: u64,
}

impl Service {
    /// The HTTP service that a process runs on this machine, reached without a proxy.
    pub(crate) fn http(name: &str, process: &Process) -> Result<Self, Problem> {
        let client = Client::builder().no_proxy().build().map_err(|error| Problem::from(error.to_string()))?;
        Ok(Self { name: name.to_owned(), door: Door::Http { url: format!("{}/me", process.url()?), client } })
    }

    /// The worker that takes jobs from its stdin.
    pub(crate) fn worker(name: &str, process: &mut Process) -> Result<Self, Problem> {
        let (jobs, results) = process.pipes().ok_or("the worker has no queue")?;
        let queue = Queue { jobs, results, next: 0 };
        Ok(Self { name: name.to_owned(), door: Door::Queue(Arc::new(Mutex::new(queue))) })
    }

    /// Shows a token and waits for the answer.
    pub(crate) async fn show(&self, token: &str) -> Result<Answer, Problem> {
        match &self.door {
            Door::Http { url, client } => over_http(client, url, token).await,
            Door::Queue(queue) => queue.lock().await.run(token).await,
        }
        .map_err(|problem| format!("{}: {}", self.name, problem.text).into())
    }
}

async fn over_http(client: &Client, url: &str, token: &str) -> Result<Answer, Problem> {
    let failed = |error: reqwest::Error| Problem::from(error.without_url().to_string());
    let response = client.get(url).bearer_auth(token).send().await.map_err(failed)?;
    match response.status() {
        StatusCode::OK => Ok(accepted(&response.json::<Value>().await.map_err(failed)?)),
        StatusCode::UNAUTHORIZED => Ok(Answer::Refused),
        StatusCode::SERVICE_UNAVAILABLE if response.headers().contains_key("retry-after") => Ok(Answer::CannotKnow),
        status => Err(format!("answered {status}").into()),
    }
}

fn accepted(body: &Value) -> Answer {
    let roles = body["roles"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    Answer::Accepted { subject: body["subject"].as_str().unwrap_or_default().to_owned(), roles }
}

impl Queue {
    async fn run(&mut self, token: &str) -> Result<Answer, Problem> {
        self.next += 1;
        let job = json!({ "job": self.next, "token": token });
        self.jobs.write_all(format!("{job}\n").as_bytes()).await?;
        self.jobs.flush().await?;
        let line = self.results.next_line().await?.ok_or("the worker is gone")?;
        let result: Value = serde_json::from_str(&line).map_err(|error| Problem::from(error.to_string()))?;
        match (result["job"].as_u64(), result["status"].as_u64()) {
            (Some(job), _) if job != self.next => Err("the worker answered another job".into()),
            (_, Some(200)) => Ok(accepted(&result)),
            (_, Some(401)) => Ok(Answer::Refused),
            (_, Some(503)) => Ok(Answer::CannotKnow),
            (_, status) => Err(format!("answered {status:?}").into()),
        }
    }
}
