//! The feed over HTTP: one request, one input for the follower.
//!
//! Bodies are bounded by what the format allows before they are read into memory. Deadlines beyond
//! those here are the follower's.

use std::sync::Arc;
use std::time::Duration;

use annul_core::feed::follower::{Input, Request};
use annul_core::feed::frame::Frame;
use annul_core::feed::report::{Introduction, ReportAnswer};
use annul_core::feed::snapshot::Snapshot;
use annul_core::feed::sse::SseParser;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, StreamExt as _};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Response, Url};

use crate::client::{innermost, seconds};
use crate::clock;
use crate::transport::Credential;

/// How long an answer may take besides what it was asked to wait for. The follower gives up earlier;
/// this keeps an abandoned connection from staying.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);

/// Speaks to the feed of one authority or relay.
#[derive(Clone)]
pub(crate) struct FeedClient(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    base: Url,
    credential: Credential,
}

/// Why there is no data.
enum NoData {
    Refused { status: u16, retry_after: Option<Duration> },
    Failed(String),
}

impl NoData {
    fn about(self, request: Request) -> Input {
        match self {
            Self::Refused { status, retry_after } => {
                tracing::debug!(%request, status, "the feed refused");
                Input::Refused { request, status, retry_after }
            }
            // What comes first tells of a wrong address or certificate, which no waiting mends.
            Self::Failed(cause) if matches!(request, Request::Introduction { .. }) => {
                tracing::warn!(code = "feed_unreachable", cause, "the feed cannot be reached; it is tried again");
                Input::Failed(request)
            }
            Self::Failed(cause) => {
                tracing::debug!(%request, cause, "the feed did not answer");
                Input::Failed(request)
            }
        }
    }
}

impl FeedClient {
    pub(crate) fn new(http: reqwest::Client, base: Url, credential: Credential) -> Self {
        Self(Arc::new(Inner { http, base, credential }))
    }

    /// Sends a request other than a stream; what came of it.
    pub(crate) fn exchange(&self, request: Request) -> BoxFuture<'static, Input> {
        let feed = self.clone();
        async move {
            // Read before anything is sent: a view may not look fresher than the question.
            let sent = clock::now().mono;
            let fetched = tokio::time::timeout(ANSWER_WITHIN, feed.fetch(&request)).await;
            match fetched.unwrap_or_else(|_| Err(NoData::Failed("no answer in time".to_owned()))) {
                Ok(body) => match request {
                    Request::Introduction { .. } => Input::Introduced(body),
                    Request::Snapshot => Input::Snapshot(body),
                    Request::Changes { .. } => Input::Changes(body),
                    Request::Report { .. } => Input::Reported { sent, body },
                    Request::Stream { .. } => unreachable!("streams are opened, not exchanged"),
                },
                Err(no_data) => no_data.about(request),
            }
        }
        .boxed()
    }

    /// Opens a stream: its events, to its end.
    pub(crate) fn stream(&self, request: Request) -> BoxStream<'static, Input> {
        let feed = self.clone();
        let opening = async move {
            match feed.send(&request).await {
                Ok(response) => stream::once(async { Input::StreamOpened }).chain(events(response)).boxed(),
                Err(no_data) => stream::once(async move { no_data.about(request) }).boxed(),
            }
        };
        stream::once(opening).flatten().boxed()
    }

    async fn fetch(&self, request: &Request) -> Result<Vec<u8>, NoData> {
        let limit = match request {
            Request::Introduction { .. } => Introduction::MAX_BYTES,
            Request::Snapshot => Snapshot::MAX_BYTES,
            Request::Changes { .. } | Request::Stream { .. } => Frame::MAX_BYTES,
            Request::Report { .. } => ReportAnswer::MAX_BYTES,
        };
        let response = self.send(request).await?;
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| NoData::Failed(innermost(&error)))?;
            if body.len() + chunk.len() > limit {
                return Err(NoData::Failed(format!("the answer is longer than {limit} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    async fn send(&self, request: &Request) -> Result<Response, NoData> {
        let Inner { http, base, credential } = &*self.0;
        let path = request.path_and_query();
        let url = base.join(path.trim_start_matches('/')).map_err(|error| NoData::Failed(error.to_string()))?;
        let method = if request.method() == "POST" { http::Method::POST } else { http::Method::GET };
        let mut builder = http.request(method, url).header(AUTHORIZATION, credential.header());
        if let Some(body) = request.body() {
            builder = builder.header(CONTENT_TYPE, "application/json").body(body);
        }
        if matches!(request, Request::Stream { .. }) {
            builder = builder.header(ACCEPT, "text/event-stream");
        }
        let response = builder.send().await.map_err(|error| NoData::Failed(innermost(&error)))?;
        let status = response.status().as_u16();
        if status == 200 {
            return Ok(response);
        }
        Err(NoData::Refused { status, retry_after: seconds(response.headers()) })
    }
}

/// The events of an open stream, then its end.
fn events(response: Response) -> BoxStream<'static, Input> {
    let open = Some((response.bytes_stream(), SseParser::new()));
    stream::unfold(open, |open| async {
        let (mut chunks, mut parser) = open?;
        let parsed = match chunks.next().await {
            Some(Ok(chunk)) => parser.push(&chunk).map_err(|error| error.to_string()),
            Some(Err(error)) => Err(innermost(&error)),
            None => Err("the server ended it".to_owned()),
        };
        Some(match parsed {
            Ok(events) => (events.into_iter().map(Input::StreamEvent).collect(), Some((chunks, parser))),
            Err(cause) => {
                tracing::debug!(cause, "the stream ended");
                (vec![Input::StreamClosed], None)
            }
        })
    })
    .flat_map(|inputs: Vec<Input>| stream::iter(inputs))
    .boxed()
}
