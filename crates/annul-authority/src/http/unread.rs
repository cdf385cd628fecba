//! What a refused request has still to send is taken in before its answer leaves.
//!
//! A handler that refuses by the head alone leaves the body unread, and the connection is closed after the
//! answer. Bytes that arrive afterwards reset it, and the client, which was still sending, loses the answer
//! with it (RFC 9112 §9.6): it would see a broken connection in place of its 401.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::StatusCode;
use futures::poll;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::sync::oneshot;

/// Bytes that are taken in at most. A refused body is of no use, so this does not grow with `limits.body`; who
/// sends more is cut off, as before.
const MOST: usize = 2 * 1024 * 1024;
/// How long a refused client may take over the rest of its body.
const LONGEST: Duration = Duration::from_secs(2);

/// The part of a request's body that nobody has read, once its handler is done.
pub(super) struct Unread(Option<oneshot::Receiver<Body>>);

impl Unread {
    /// The request as its handler gets it. Looks once at what has come of its body, and waits for nothing.
    pub(super) async fn of(request: Request) -> (Request, Self) {
        if request.body().is_end_stream() {
            return (request, Self(None));
        }
        let (parts, mut body) = request.into_parts();
        let first = match poll!(body.frame()) {
            // Most bodies came with the head, and whole: whatever the handler does, nothing is left to take in.
            Poll::Ready(Some(Ok(frame))) if frame.is_data() && body.is_end_stream() => {
                let whole = frame.into_data().unwrap_or_default();
                return (Request::from_parts(parts, Body::from(whole)), Self(None));
            }
            Poll::Ready(first) => first,
            Poll::Pending => None,
        };
        let (back, rest) = oneshot::channel();
        let lent = Body::new(Lent { first, body, ended: false, back: Some(back) });
        (Request::from_parts(parts, lent), Self(Some(rest)))
    }

    /// Takes in the rest if the request was refused, within [`MOST`] bytes and [`LONGEST`].
    pub(super) async fn take_in(self, status: StatusCode) {
        let rest = self.0.filter(|_| status.is_client_error()).and_then(|mut rest| rest.try_recv().ok());
        let Some(mut rest) = rest else { return };
        let all = async {
            let mut taken = 0;
            while taken <= MOST
                && let Some(Ok(frame)) = rest.frame().await
            {
                taken += frame.data_ref().map_or(0, Bytes::len);
            }
        };
        // Whoever is slower than that loses the answer after all.
        let _ = tokio::time::timeout(LONGEST, all).await;
    }
}

/// A body that comes back when it is dropped before its end.
struct Lent {
    /// What had come of it when it was lent.
    first: Option<Result<Frame<Bytes>, axum::Error>>,
    body: Body,
    ended: bool,
    back: Option<oneshot::Sender<Body>>,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = match self.first.take() {
            Some(first) => Poll::Ready(Some(first)),
            None => Pin::new(&mut self.body).poll_frame(context),
        };
        self.ended = matches!(frame, Poll::Ready(None | Some(Err(_))));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().and_then(|first| first.as_ref().ok()?.data_ref());
        let (first, rest) = (first.map_or(0, |data| data.len() as u64), self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(first));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(first));
        }
        hint
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(back) = self.back.take()
            && !self.ended
            && !self.body.is_end_stream()
        {
            // Nobody waits for it when the connection is gone.
            let _ = back.send(std::mem::take(&mut self.body));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::StreamExt as _;

    use super::*;

    /// A request with so many pieces of a kibibyte, and how many of them were asked for.
    fn request(pieces: usize) -> (Request, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let body = futures::stream::iter(0..pieces).map(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 1024]))
        });
        (Request::new(Body::from_stream(body)), asked)
    }

    #[tokio::test]
    async fn a_refused_request_has_sent_all_before_it_is_answered() {
        let (request, asked) = request(40);
        let (request, unread) = Unread::of(request).await;
        drop(request);
        unread.take_in(StatusCode::UNAUTHORIZED).await;
        assert_eq!(asked.load(Ordering::Relaxed), 40);
    }

    #[tokio::test]
    async fn what_was_read_is_read_once_and_what_succeeds_waits_for_nothing() {
        let (whole, asked) = request(3);
        let (whole, unread) = Unread::of(whole).await;
        assert_eq!(whole.into_body().collect().await.unwrap().to_bytes().len(), 3 * 1024);
        unread.take_in(StatusCode::BAD_REQUEST).await;
        assert_eq!(asked.load(Ordering::Relaxed), 3);

        let (request, asked) = request(3);
        let (request, unread) = Unread::of(request).await;
        drop(request);
        unread.take_in(StatusCode::OK).await;
        assert!(asked.load(Ordering::Relaxed) <= 1, "no more than what had come with the head");
    }

    #[tokio::test]
    async fn nobody_sends_for_ever() {
        let (request, asked) = request(usize::MAX);
        let (request, unread) = Unread::of(request).await;
        drop(request);
        unread.take_in(StatusCode::FORBIDDEN).await;
        assert!(asked.load(Ordering::Relaxed) <= MOST / 1024 + 2);
    }
}
