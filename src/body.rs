//! The one body type that travels through the stack, without a box on the usual ways.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;

/// What went wrong while a body was read or written.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A request or response body: nothing, some bytes, a stream of a connection, or any other body.
pub struct Body(Kind);

enum Kind {
    Empty,
    Full(Bytes),
    Incoming(Incoming),
    Boxed(UnsyncBoxBody<Bytes, Error>),
}

impl Body {
    /// No body at all.
    pub fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// Any other body, boxed; its trailers are kept.
    pub fn new<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<Error>,
    {
        Self(Kind::Boxed(body.map_err(Into::into).boxed_unsync()))
    }

    /// All of it, if it is there already.
    pub fn whole(&self) -> Option<&[u8]> {
        match &self.0 {
            Kind::Empty => Some(&[]),
            Kind::Full(bytes) => Some(bytes),
            Kind::Incoming(body) if body.is_end_stream() => Some(&[]),
            Kind::Boxed(body) if body.is_end_stream() => Some(&[]),
            Kind::Incoming(_) | Kind::Boxed(_) => None,
        }
    }

    /// Reads the whole body, at most `limit` bytes.
    ///
    /// # Errors
    /// [`TooLarge`](ReadError::TooLarge) beyond the limit, [`Broken`](ReadError::Broken) when the sender went away.
    pub async fn read(self, limit: usize) -> Result<Bytes, ReadError> {
        match self.0 {
            Kind::Empty => Ok(Bytes::new()),
            Kind::Full(bytes) if bytes.len() <= limit => Ok(bytes),
            Kind::Full(_) => Err(ReadError::TooLarge),
            kind => match Limited::new(Self(kind), limit).collect().await {
                Ok(all) => Ok(all.to_bytes()),
                Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(ReadError::TooLarge),
                Err(error) => Err(ReadError::Broken(error)),
            },
        }
    }
}

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is longer than allowed.
    #[error("the body is longer than allowed")]
    TooLarge,
    /// The connection broke or the framing was wrong.
    #[error("the body could not be read: {0}")]
    Broken(Error),
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl From<Incoming> for Body {
    fn from(body: Incoming) -> Self {
        Self(if body.is_end_stream() { Kind::Empty } else { Kind::Incoming(body) })
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(if bytes.is_empty() { Kind::Empty } else { Kind::Full(bytes) })
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the content: it may hold a password.
        f.debug_struct("Body").field("size", &self.size_hint().exact()).finish()
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Kind::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Kind::Incoming(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Kind::Boxed(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Full(_) => false,
            Kind::Incoming(body) => body.is_end_stream(),
            Kind::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Incoming(body) => body.size_hint(),
            Kind::Boxed(body) => body.size_hint(),
        }
    }
}
