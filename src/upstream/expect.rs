use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::Request;
use http::header::EXPECT;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use crate::body::{Body, Error};

/// Holds the body of a request with `Expect: 100-continue` back until the upstream wants it.
///
/// The client's 100 is sent when its body is first asked for, so a request that the upstream refuses gets none
/// (RFC 9110 §10.1.1). An upstream that does not know the expectation gets the body after a while.
pub(super) fn hold_body(request: &mut Request<Body>) {
    if !request.headers().contains_key(EXPECT) || request.body().is_end_stream() {
        return;
    }
    let go = Arc::new(Go::default());
    let body = std::mem::take(request.body_mut());
    *request.body_mut() = Body::new(Held { body, go: Some(Arc::clone(&go)), patience: Box::pin(sleep(PATIENCE)) });
    hyper::ext::on_informational(request, move |answer| {
        if answer.status() == http::StatusCode::CONTINUE {
            go.ahead.store(true, Ordering::Release);
            go.waker.wake();
        }
    });
}

#[derive(Default)]
struct Go {
    ahead: AtomicBool,
    waker: AtomicWaker,
}

struct Held {
    body: Body,
    /// Gone once the body may go.
    go: Option<Arc<Go>>,
    patience: Pin<Box<Sleep>>,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(go) = &self.go {
            go.waker.register(cx.waker());
            let may_go = go.ahead.load(Ordering::Acquire);
            if !may_go && self.patience.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.go = None;
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

/// What RFC 9110 calls a reasonable time for a 100 to come; curl waits as long.
const PATIENCE: Duration = Duration::from_secs(1);
