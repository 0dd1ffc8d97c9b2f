//! One HTTP/2 connection to an upstream for all the streams of a worker (RFC 9113), as gRPC speaks it.

use std::io;
use std::sync::{Mutex, PoisonError};

use http::header::{EXPECT, HOST, HeaderMap, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{Request, Response, Version};
use hyper::client::conn::http2::SendRequest;
use tokio::time::{Instant, timeout};

use super::connect::{connect_http2, too_late};
use super::patience::Patience;
use super::upload::Upload;
use super::{Address, Error, Pool, is_grpc, reply};
use crate::body::Body;

/// The connection in use, if there is one.
#[derive(Default)]
pub(super) struct Shared {
    current: Mutex<Option<SendRequest<Body>>>,
    /// Held while one is opened: a hundred requests after a restart must not open a hundred.
    opening: tokio::sync::Mutex<()>,
}

/// Whether a request goes over HTTP/2: to a server that speaks nothing else, or gRPC, which knows nothing else.
/// A WebSocket never does: its handshake is that of HTTP/1.1.
pub(super) fn carries(address: &Address, headers: &HeaderMap) -> bool {
    match address {
        Address::Tcp { .. } | Address::Unix(_) => false,
        Address::H2c { .. } => !headers.contains_key(UPGRADE),
        Address::Https { .. } => is_grpc(headers),
    }
}

impl Shared {
    fn current(&self) -> Option<SendRequest<Body>> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(SendRequest::is_closed) {
            *current = None;
        }
        current.clone()
    }

    /// The next request gets a new connection; what goes on this one goes on.
    fn retire(&self) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Pool {
    /// Sends a request on the connection that all streams of this worker share, and returns when the answer has begun.
    ///
    /// What the connection did not take is sent again on a new one, once; anything else is up to the client, who knows
    /// whether its call may be repeated.
    pub(super) async fn send_http2(
        &self,
        upstream: usize,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, Error> {
        prepare(&mut request, self.address(upstream)?)?;
        let upload = Upload::watch(&mut request);
        let limit = self.timeouts().upstream;
        let mut request = Some(request);
        let mut is_second = false;
        loop {
            let mut sender = self.join(upstream).await.map_err(Error::Down)?;
            let Some(sent) = request.take() else { return Err(Error::Unknown(upstream)) };
            let now = Instant::now();
            let mut patience = Patience::new(now + limit);
            let goes_on = || upload.as_ref().is_some_and(Upload::goes_on);
            match patience.wait(sender.try_send_request(sent), goes_on, now, limit).await {
                Some(Ok(response)) => return Ok(response.map(reply::stream)),
                Some(Err(mut error)) => {
                    request = error.take_message();
                    if request.is_some() && !is_second {
                        is_second = true;
                        self.shared(upstream)?.retire();
                        continue;
                    }
                    let error = error.into_error();
                    return Err(if error.is_user() { Error::Request(error) } else { Error::Broken(error.into()) });
                }
                None => {
                    // It may be the connection that is dead, and nobody has noticed.
                    self.shared(upstream)?.retire();
                    return Err(Error::Timeout);
                }
            }
        }
    }

    /// The connection that is open, else a new one.
    async fn join(&self, upstream: usize) -> io::Result<SendRequest<Body>> {
        let shared = self.shared(upstream).map_err(io::Error::other)?;
        if let Some(sender) = shared.current() {
            return Ok(sender);
        }
        let limit = self.timeouts().connect;
        let _one = timeout(limit, shared.opening.lock()).await.map_err(|_| too_late())?;
        if let Some(sender) = shared.current() {
            return Ok(sender);
        }
        let (sender, _) = self.reach(upstream, connect_http2).await?;
        *shared.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender.clone());
        Ok(sender)
    }
}

/// Makes a request of HTTP/1.1 one of HTTP/2 (RFC 9113 §8.3.1): `Host` becomes `:authority`.
fn prepare(request: &mut Request<Body>, upstream: &Address) -> Result<(), Error> {
    let scheme = if matches!(upstream, Address::Https { .. }) { Scheme::HTTPS } else { Scheme::HTTP };
    let named = request.headers_mut().remove(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let Some(authority) = named.or_else(|| own_authority(upstream)) else { return Err(Error::Authority) };
    // The client was told to go on when its body was first asked for.
    request.headers_mut().remove(EXPECT);
    let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build();
    *request.uri_mut() = uri.map_err(|_| Error::Authority)?;
    *request.version_mut() = Version::HTTP_2;
    Ok(())
}

/// For clients of HTTP/1.0, which need not say where they go.
fn own_authority(upstream: &Address) -> Option<Authority> {
    let text = upstream.to_string();
    Authority::try_from(text.split_once("://")?.1).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::CONTENT_TYPE;

    use super::*;

    fn of(kind: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))])
    }

    #[test]
    fn what_goes_over_http2_depends_on_the_address_and_on_what_it_is() {
        let at = |text: &str| text.parse::<Address>().unwrap();
        assert!(carries(&at("https://app"), &of("application/grpc")));
        assert!(!carries(&at("https://app"), &of("text/plain")));
        assert!(!carries(&at("http://app"), &of("application/grpc")));
        assert!(carries(&at("h2c://app"), &of("text/plain")));
        let mut upgrade = of("text/plain");
        upgrade.insert(UPGRADE, HeaderValue::from_static("websocket"));
        assert!(!carries(&at("h2c://app"), &upgrade));
    }

    #[test]
    fn host_becomes_authority() {
        let upstream = "h2c://127.0.0.1:50051".parse().unwrap();
        for (host, uri) in [(Some("a.test:8"), "http://a.test:8/p?q"), (None, "http://127.0.0.1:50051/p?q")] {
            let mut request = Request::get("/p?q").body(Body::empty()).unwrap();
            if let Some(host) = host {
                request.headers_mut().insert(HOST, HeaderValue::from_static(host));
            }
            prepare(&mut request, &upstream).unwrap();
            assert_eq!(request.uri().to_string(), uri);
            assert!(request.headers().is_empty() && request.version() == Version::HTTP_2);
        }
    }
}
