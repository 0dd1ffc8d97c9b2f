//! WebSockets on a stream of HTTP/2 (RFC 8441): CONNECT, where HTTP/1.1 has GET and two fields. The rules know one form.

use http::header::{CONNECTION, SEC_WEBSOCKET_KEY, UPGRADE};
use http::request::Parts;
use http::{Extensions, HeaderValue, Method, Request};

/// Gives an opening of a WebSocket its form of HTTP/1.1; answers whether it was one.
pub(super) fn unfold(parts: &mut Parts) -> bool {
    // Any other CONNECT stays one, and is refused.
    if parts.method != Method::CONNECT || protocol(&parts.extensions) != Some("websocket") {
        return false;
    }
    parts.method = Method::GET;
    parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    parts.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    parts.headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_static(NO_KEY));
    true
}

/// Gives it back its own form, which the app reads; the other fields of a connection are gone by now.
pub(super) fn fold<B>(request: &mut Request<B>) {
    *request.method_mut() = Method::CONNECT;
    request.headers_mut().remove(SEC_WEBSOCKET_KEY);
}

#[cfg(any(feature = "server", feature = "outgoing"))]
fn protocol(extensions: &Extensions) -> Option<&str> {
    extensions.get::<hyper::ext::Protocol>().map(hyper::ext::Protocol::as_str)
}

/// Without HTTP/2 of our own its types are not there, and what cannot be told apart is refused.
#[cfg(not(any(feature = "server", feature = "outgoing")))]
fn protocol(_: &Extensions) -> Option<&str> {
    None
}

/// RFC 8441 §5: there is no key; the rules ask for the length of one.
const NO_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAA==";
