use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::body;

pin_project! {
    /// The body of an answer behind a gate: the app's own, as it is, or one of ours.
    pub struct Body<R> {
        #[pin]
        kind: Kind<R>,
    }
}

pin_project! {
    #[project = Project]
    enum Kind<R> {
        App { #[pin] body: R },
        Own { body: body::Body },
    }
}

impl<R> Body<R> {
    pub(super) fn app(body: R) -> Self {
        Self { kind: Kind::App { body } }
    }

    pub(super) fn own(body: body::Body) -> Self {
        Self { kind: Kind::Own { body } }
    }

    /// The app's own, or what of ours `own` makes of it.
    #[cfg(feature = "axum")]
    pub(super) fn unify(self, own: impl FnOnce(body::Body) -> R) -> R {
        match self.kind {
            Kind::App { body } => body,
            Kind::Own { body } => own(body),
        }
    }
}

/// Nothing, whatever the app's own is: layers outside that answer themselves, such as time limits and CORS, ask for it.
impl<R> Default for Body<R> {
    fn default() -> Self {
        Self::own(body::Body::empty())
    }
}

impl<R> HttpBody for Body<R>
where
    R: HttpBody<Error: Into<body::Error>>,
{
    type Data = Bytes;
    type Error = body::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, body::Error>>> {
        match self.project().kind.project() {
            Project::App { body } => body.poll_frame(cx).map(|frame| {
                // Of `Bytes` this copies nothing.
                let plain = |frame: Frame<R::Data>| frame.map_data(|mut data| data.copy_to_bytes(data.remaining()));
                frame.map(|frame| frame.map(plain).map_err(Into::into))
            }),
            Project::Own { body } => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::App { body } => body.is_end_stream(),
            Kind::Own { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::App { body } => body.size_hint(),
            Kind::Own { body } => body.size_hint(),
        }
    }
}

impl<R> fmt::Debug for Body<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the content.
        f.write_str("Body")
    }
}
