//! Hands a request to the upstream of its route. Reads the proof that a rule allowed it, and answers 500
//! without; refuses with 502 and 504 when the upstream does not answer, with 508 what comes back from it. The
//! innermost service.

use std::sync::Arc;
use std::time::Instant;

use http::Request;

use crate::body::Body;
use crate::layer::{Answer, Refusal, cut};
use crate::rejection::Reason;
use crate::session::{Sessions, cookie};
use crate::span;
use crate::upstream::forward::{self, Upgrade};
use crate::upstream::{Error, Pool, Round};
use crate::visit::Visit;

/// What it takes to reach the apps behind.
#[derive(Debug)]
pub struct Behind {
    /// The connections of this worker.
    pub pool: Pool,
    /// The cookie that no app may set.
    pub cookie: cookie::Name,
    /// Who says when a stream is over.
    pub sessions: Sessions,
    /// By which a request that comes back is known.
    pub round: Round,
}

/// Sends it, `upstream` being the route's.
///
/// # Errors
/// The refusal, when there is no answer.
pub async fn forward(mut visit: Box<Visit>, behind: Arc<Behind>, upstream: Option<usize>) -> Result<Answer, Refusal> {
    let pool = &behind.pool;
    // Only the rules give an upstream: a visit that comes here without went past them.
    let Some(upstream) = upstream else {
        tracing::error!(request = %visit.id, "a request reached the upstream without a decision");
        return Err(Refusal::new(visit, Reason::Internal));
    };
    let round = behind.round.after(visit.rounds);
    if round.is_loop() {
        tracing::error!(request = %visit.id, upstream = %pool.name(upstream), "the upstream leads back here");
        return Err(Refusal::new(visit, Reason::Loop));
    }
    let span = span::upstream(&visit.span, visit.request.method().as_str(), || pool.name(upstream));
    span::hand_on(&span, visit.request.headers_mut());
    let sent = Instant::now();
    let outcome = match visit.upgrade {
        Upgrade::No if pool.takes_whole(upstream, &visit.request) => {
            let mut head = forward::head(&mut visit.request, &visit.client, round);
            visit.write_identity_to(&mut head);
            let text = head.finish(visit.request.body().whole().unwrap_or_default());
            pool.ask(upstream, visit.request.method(), &text, sent).await
        }
        // Boxed: else every request would carry the room for a body, or for a tunnel.
        Upgrade::No => Box::pin(pool.send(upstream, whole(&mut visit, round))).await,
        Upgrade::WebSocket => {
            let over = end_of(&visit, behind.sessions.clone());
            Box::pin(pool.upgrade(upstream, whole(&mut visit, round), over)).await
        }
    };
    visit.upstream = Some(sent..Instant::now());
    match outcome {
        Ok(mut response) => {
            span.record("http.response.status_code", response.status().as_u16());
            forward::response(&mut response);
            behind.cookie.guard(response.headers_mut());
            if visit.caller.is_some() {
                response = cut::when(response, || end_of(&visit, behind.sessions.clone()));
            }
            Ok(Answer::new(visit, response))
        }
        Err(error) => {
            let reason = reason(&error);
            span::fail(&span, reason.code());
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

/// The whole request as it goes on; method and target stay for the log.
fn whole(visit: &mut Visit, round: Round) -> Request<Body> {
    visit.asker = Some(visit.asker());
    visit.write_identity();
    let mut request = std::mem::take(&mut visit.request);
    *visit.request.method_mut() = request.method().clone();
    *visit.request.uri_mut() = request.uri().clone();
    *visit.request.version_mut() = request.version();
    forward::request(&mut request, &visit.client, round, visit.upgrade);
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
