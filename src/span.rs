//! Spans: what a request spent its time on, for whoever collects traces.
//!
//! They are `tracing` spans under one target, [`TARGET`], named and filled by the semantic conventions of
//! OpenTelemetry for HTTP and databases (1.37). Nobody has to take them: then a request costs one look at a flag. A span
//! holds neither a query nor a header field of a client, and no path below our own prefix that could hold a secret.

use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;
use http::header::HeaderName;
use tracing::{Level, Span};

/// The target of every span, and of the events within.
pub const TARGET: &str = "vestibule::span";

/// Which requests are traced. One for all workers.
#[derive(Debug)]
pub struct Sampling {
    /// Of the 2^64 places on a circle that requests take in turn, how many are traced.
    share: u64,
    taken: AtomicU64,
}

impl Sampling {
    /// Traces this share of all requests: 0 is none, 1 is every one.
    pub fn new(share: f64) -> Self {
        // Saturates at both ends.
        Self { share: (share * TWO_TO_64) as u64, taken: AtomicU64::new(0) }
    }

    /// Whether the next request is traced: evenly spread, so that a tenth is one in ten and not ten in a row.
    /// `wish` is what somebody decided who handed the request on and is believed.
    pub fn takes(&self, wish: Option<bool>) -> bool {
        wish.unwrap_or_else(|| {
            let place = self.taken.fetch_add(1, Ordering::Relaxed).wrapping_mul(GOLDEN);
            place < self.share || self.share == u64::MAX
        })
    }
}

/// Whether anybody takes spans.
pub fn is_on() -> bool {
    tracing::enabled!(target: TARGET, Level::INFO)
}

/// What a request says of the trace it belongs to (W3C Trace Context §3.2): whether it is recorded where it comes from.
/// `None` if it says nothing that can be read.
pub fn wish(headers: &HeaderMap) -> Option<bool> {
    let mut values = headers.get_all(&TRACEPARENT).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    // version-traceid-parentid-flags; later versions may add to it, not change it.
    let flags = value.as_bytes().get(53..55)?;
    let flags = u8::from_str_radix(std::str::from_utf8(flags).ok()?, 16).ok()?;
    Some(flags & SAMPLED != 0)
}

/// A call to the store, as part of the request that waits for it; none outside of one.
pub fn store(system: &'static str, operation: &'static str) -> Span {
    if !is_on() || Span::current().is_none() {
        return Span::none();
    }
    tracing::info_span!(
        target: TARGET,
        "store",
        otel.name = operation,
        otel.kind = "client",
        db.system.name = system,
        db.operation.name = operation,
        error.type = tracing::field::Empty,
        otel.status_code = tracing::field::Empty,
    )
}

/// A request of our own to somebody else, likewise. `host` is with whom.
pub fn call(method: &http::Method, host: &str) -> Span {
    if !is_on() || Span::current().is_none() {
        return Span::none();
    }
    tracing::info_span!(
        target: TARGET,
        "call",
        otel.name = method.as_str(),
        otel.kind = "client",
        http.request.method = method.as_str(),
        server.address = host,
        http.response.status_code = tracing::field::Empty,
        error.type = tracing::field::Empty,
        otel.status_code = tracing::field::Empty,
    )
}

/// Notes when something came about within a span.
pub fn event(span: &Span, what: &'static str) {
    if !span.is_none() {
        tracing::info!(target: TARGET, parent: span, "{what}");
    }
}

/// The answer of an app behind, as part of a request. `upstream` is its address.
pub fn upstream(request: &Span, method: &str, upstream: impl FnOnce() -> String) -> Span {
    if request.is_none() {
        return Span::none();
    }
    tracing::info_span!(
        target: TARGET,
        parent: request,
        "upstream",
        otel.name = method,
        otel.kind = "client",
        http.request.method = method,
        server.address = upstream(),
        http.response.status_code = tracing::field::Empty,
        error.type = tracing::field::Empty,
        otel.status_code = tracing::field::Empty,
    )
}

/// Notes that what a span stands for went wrong.
pub fn fail(span: &Span, why: &str) {
    span.record("error.type", why).record("otel.status_code", "ERROR");
}

/// Makes a span part of the trace that a request says it belongs to, if it says so.
pub fn join(span: &Span, headers: &HeaderMap) {
    remote::join(span, headers);
}

/// Tells whoever a request is handed to which span it belongs to, in place of what the client said.
pub fn hand_on(span: &Span, headers: &mut HeaderMap) {
    remote::hand_on(span, headers);
}

/// Gives a span another name, now that more is known of it.
pub fn rename(span: &Span, name: String) {
    remote::rename(span, name);
}

/// The number of the trace, for the log.
pub fn trace_id(span: &Span) -> Option<String> {
    remote::trace_id(span)
}

#[cfg(feature = "cli")]
mod remote {
    use http::HeaderMap;
    use http::header::{HeaderName, HeaderValue};
    use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
    use opentelemetry::trace::TraceContextExt as _;
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use tracing::Span;
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;

    use super::TRACEPARENT;

    pub(super) fn join(span: &Span, headers: &HeaderMap) {
        if headers.contains_key(&TRACEPARENT) {
            // It has not begun, and if nobody takes it there is nothing to join.
            let _ = span.set_parent(TraceContextPropagator::new().extract(&Fields(headers)));
        }
    }

    pub(super) fn hand_on(span: &Span, headers: &mut HeaderMap) {
        if span.is_none() {
            return;
        }
        let context = span.context();
        if context.span().span_context().is_valid() {
            headers.remove(&TRACEPARENT);
            headers.remove(&TRACESTATE);
            TraceContextPropagator::new().inject_context(&context, &mut FieldsMut(headers));
        }
    }

    pub(super) fn rename(span: &Span, name: String) {
        // By `otel.name` it could only be named before it has begun.
        span.context().span().update_name(name);
    }

    pub(super) fn trace_id(span: &Span) -> Option<String> {
        if span.is_none() {
            return None;
        }
        let context = span.context();
        let id = context.span().span_context().trace_id();
        (id != opentelemetry::TraceId::INVALID).then(|| id.to_string())
    }

    /// W3C Trace Context §3.3.
    const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

    struct Fields<'a>(&'a HeaderMap);

    impl Extractor for Fields<'_> {
        /// Nothing of a field that is there twice: who says which of them counts?
        fn get(&self, key: &str) -> Option<&str> {
            let mut values = self.0.get_all(key).iter();
            match (values.next(), values.next()) {
                (Some(value), None) => value.to_str().ok(),
                _ => None,
            }
        }

        fn keys(&self) -> Vec<&str> {
            self.0.keys().map(HeaderName::as_str).collect()
        }
    }

    struct FieldsMut<'a>(&'a mut HeaderMap);

    impl Injector for FieldsMut<'_> {
        fn set(&mut self, key: &str, value: String) {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value))
                && !value.is_empty()
            {
                self.0.insert(name, value);
            }
        }
    }
}

/// Only the command sends spans to others; inside another program they are part of its own traces.
#[cfg(not(feature = "cli"))]
mod remote {
    use http::HeaderMap;
    use tracing::Span;

    pub(super) fn join(_: &Span, _: &HeaderMap) {}

    pub(super) fn hand_on(_: &Span, _: &mut HeaderMap) {}

    pub(super) fn rename(_: &Span, _: String) {}

    pub(super) fn trace_id(_: &Span) -> Option<String> {
        None
    }
}

/// W3C Trace Context §3.2.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// W3C Trace Context §3.2.2.5.1.
const SAMPLED: u8 = 1;
const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;
/// 2^64 by the golden ratio: its multiples are spread evenly, however many there are.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_spread_evenly_and_its_ends_are_none_and_all() {
        let traced = |share: f64| {
            let sampling = Sampling::new(share);
            (0..1000).map(|_| sampling.takes(None)).collect::<Vec<_>>()
        };
        assert!(traced(0.0).iter().all(|taken| !taken) && traced(1.0).iter().all(|taken| *taken));
        for hundred in traced(0.1).chunks(100) {
            let count = hundred.iter().filter(|taken| **taken).count();
            assert!((9..=11).contains(&count), "{count}");
        }
    }

    #[test]
    fn what_somebody_believed_has_decided_counts() {
        assert!(Sampling::new(0.0).takes(Some(true)));
        assert!(!Sampling::new(1.0).takes(Some(false)));
    }

    #[test]
    fn a_wish_is_read_from_the_flags_alone_and_only_where_they_are_clear() {
        let ids = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-";
        let says = |values: &[String]| {
            let pairs = values.iter().map(|value| (TRACEPARENT, value.parse().unwrap()));
            wish(&pairs.collect())
        };
        for (flags, wish) in [("01", Some(true)), ("00", Some(false)), ("03", Some(true)), ("zz", None), ("", None)] {
            assert_eq!(says(&[format!("{ids}{flags}")]), wish, "{flags}");
        }
        assert_eq!(says(&[]), None);
        assert_eq!(says(&[format!("{ids}01"), format!("{ids}00")]), None);
    }
}
