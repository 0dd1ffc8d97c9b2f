//! Hands a request to the upstream of its route. Reads the proof that a rule allowed it, and answers 500
//! without; refuses with 502 and 504 when the upstream does not answer. The innermost service.

use std::time::Instant;

use http::Request;

use crate::body::Body;
use crate::layer::{Answer, Refusal, cut};
use crate::rejection::Reason;
use crate::session::{Sessions, cookie};
use crate::upstream::forward::{self, Upgrade};
use crate::upstream::{Error, Pool};
use crate::visit::Visit;

/// Sends it, `upstream` being the route's.
pub async fn forward(
    mut visit: Box<Visit>,
    pool: Pool,
    upstream: Option<usize>,
    cookie: cookie::Name,
    sessions: Sessions,
) -> Result<Answer, Refusal> {
    // Only the rules give an upstream: a visit that comes here without went past them.
    let Some(upstream) = upstream else {
        tracing::error!(request = %visit.id, "a request reached the upstream without a decision");
        return Err(Refusal::new(visit, Reason::Internal));
    };
    let mut request = take(&mut visit);
    forward::request(&mut request, &visit.client, visit.upgrade);
    let sent = Instant::now();
    let outcome = match visit.upgrade {
        Upgrade::No => pool.send(upstream, request).await,
        // Boxed: else every request would carry the room for a tunnel.
        Upgrade::WebSocket => Box::pin(pool.upgrade(upstream, request, end_of(&visit, sessions.clone()))).await,
    };
    visit.upstream_time = sent.elapsed();
    match outcome {
        Ok(mut response) => {
            forward::response(&mut response, &[cookie.as_str()]);
            cookie.guard(response.headers_mut());
            if visit.caller.is_some() {
                response = cut::when(response, || end_of(&visit, sessions));
            }
            Ok(Answer::new(visit, response))
        }
        Err(error) => {
            let reason = reason(&error);
            tracing::debug!(request = %visit.id, %error, "no answer of the upstream");
            Err(Refusal::new(visit, reason))
        }
    }
}

/// When a tunnel or a stream has to end although both ends go on: when what let it in no longer counts.
fn end_of(visit: &Visit, sessions: Sessions) -> impl Future<Output = ()> + Send + use<> {
    let caller = visit.caller.clone();
    async move {
        match caller {
            Some(caller) => sessions.over(&caller).await,
            None => std::future::pending().await,
        }
    }
}

/// Moves headers and body out, and leaves method and target for the log.
fn take(visit: &mut Visit) -> Request<Body> {
    let request = std::mem::take(&mut visit.request);
    *visit.request.method_mut() = request.method().clone();
    *visit.request.uri_mut() = request.uri().clone();
    *visit.request.version_mut() = request.version();
    request
}

fn reason(error: &Error) -> Reason {
    match error {
        Error::Down(_) | Error::Broken(_) => Reason::UpstreamDown,
        Error::Timeout => Reason::UpstreamTimeout,
        Error::Request(cause) if is_too_large(cause) => Reason::BodyTooLarge,
        Error::Request(_) => Reason::Malformed("body.broken"),
        Error::Authority => Reason::Malformed("host.missing"),
        Error::Unknown(_) => Reason::Internal,
    }
}

fn is_too_large(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if cause.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        source = cause.source();
    }
    false
}
