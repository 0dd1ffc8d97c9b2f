//! Ends what streams when what let it in no longer counts: events and calls that may go on for days.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http::header::CONTENT_TYPE;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::body::{Body, Error};

/// The same answer; if it is a stream without an end of its own, it breaks off when `over` completes. A clean end would
/// look complete.
pub(super) fn when<F>(response: Response<Body>, over: impl FnOnce() -> F) -> Response<Body>
where
    F: Future<Output = ()> + Send + 'static,
{
    // Whatever has a length is no stream: the usual answer costs no look at its type.
    if response.body().size_hint().exact().is_some() || !is_stream(&response) {
        return response;
    }
    let over = Box::pin(over());
    response.map(|body| Body::new(Cut { body, over }))
}

/// What begins with one of these goes on until somebody ends it.
const STREAMS: [&str; 5] = [
    "text/event-stream",
    "application/grpc",
    "application/x-ndjson",
    "application/stream+json",
    "multipart/x-mixed-replace",
];

fn is_stream(response: &Response<Body>) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    STREAMS.iter().any(|stream| kind.get(..stream.len()).is_some_and(|start| start.eq_ignore_ascii_case(stream)))
}

struct Cut<F> {
    body: Body,
    over: Pin<Box<F>>,
}

/// Why it was broken off.
#[derive(Debug, thiserror::Error)]
#[error("the session of this stream is over")]
struct Over;

impl<F: Future<Output = ()>> HttpBody for Cut<F> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.over.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(Over.into())));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, StreamBody};
    use tokio::sync::oneshot;

    use super::*;

    /// A body that never ends by itself.
    fn endless(kind: &str) -> Response<Body> {
        let frames = futures_util::stream::repeat_with(|| Ok::<_, Error>(Frame::data(Bytes::from_static(b"tick"))));
        Response::builder().header(CONTENT_TYPE, kind).body(Body::new(StreamBody::new(frames))).unwrap()
    }

    #[tokio::test]
    async fn a_stream_breaks_off_when_it_is_over_and_not_before() {
        for kind in ["text/event-stream; charset=utf-8", "Text/Event-Stream", "application/grpc+proto"] {
            let (end, ended) = oneshot::channel::<()>();
            let mut response = when(endless(kind), || async { _ = ended.await });
            for _ in 0..3 {
                assert!(response.body_mut().frame().await.unwrap().is_ok(), "{kind}");
            }
            end.send(()).unwrap();
            assert!(response.body_mut().frame().await.unwrap().is_err(), "{kind}");
        }
    }

    #[tokio::test]
    async fn what_is_no_stream_is_left_alone() {
        let mut response = when(endless("text/html"), || std::future::ready(()));
        assert!(response.body_mut().frame().await.unwrap().is_ok());
        let whole = Response::builder().header(CONTENT_TYPE, "text/event-stream").body("data: 1".into()).unwrap();
        let whole = when(whole, || std::future::ready(()));
        assert_eq!(whole.into_body().collect().await.unwrap().to_bytes(), "data: 1");
    }
}
