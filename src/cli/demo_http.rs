//! What the demo's own little servers have in common: the blog, and the identity providers it plays.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// An answer of theirs.
pub(super) type Page = Response<Full<Bytes>>;

/// Answers every request on this listener for as long as the runtime lives.
pub(super) fn serve<S, A, F>(listener: TcpListener, server: Arc<S>, answer: A)
where
    S: Send + Sync + 'static,
    A: Fn(Arc<S>, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Page> + Send,
{
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (server, answer) = (server.clone(), answer.clone());
            tokio::spawn(async move {
                let service = hyper::service::service_fn(|request| {
                    let page = answer(server.clone(), request);
                    async move { Ok::<_, Infallible>(page.await) }
                });
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "the demo lost a connection");
                }
            });
        }
    });
}

/// A page.
pub(super) fn html(status: StatusCode, body: String) -> Page {
    typed(status, "text/html; charset=utf-8", body)
}

/// An object for programs.
pub(super) fn json(status: StatusCode, body: &serde_json::Value) -> Page {
    typed(status, "application/json", body.to_string())
}

/// The way to another page.
pub(super) fn see_other(location: &str) -> Page {
    let mut response = html(StatusCode::SEE_OTHER, String::new());
    match HeaderValue::try_from(location) {
        Ok(location) => drop(response.headers_mut().insert(LOCATION, location)),
        Err(_) => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    response
}

fn typed(status: StatusCode, kind: &'static str, body: String) -> Page {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Text, harmless in HTML.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' | '<' | '>' | '"' | '\'' => drop(write!(out, "&#{};", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}
