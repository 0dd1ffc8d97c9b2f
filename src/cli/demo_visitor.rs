//! Somebody who goes through the demo without a browser: follows nothing by itself, and keeps cookies.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, HOST, HeaderName, LOCATION, SET_COOKIE};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::form_urlencoded::Serializer;

use crate::body::Error;

/// A visitor of one site.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    origin: String,
    headers: Vec<(HeaderName, String)>,
    cookies: BTreeMap<String, String>,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    /// How it went.
    pub(super) status: StatusCode,
    /// Where it leads; empty if nowhere.
    pub(super) location: String,
    /// What it says.
    pub(super) body: String,
}

impl Visitor {
    /// Somebody without cookies, on pages of this site.
    pub(super) fn of(origin: &str) -> Self {
        let headers = vec![(HeaderName::from_static("sec-fetch-site"), "same-origin".to_owned())];
        Self { origin: origin.to_owned(), headers, cookies: BTreeMap::new() }
    }

    /// A program without cookies: it sends what it is given, and nothing that browsers add.
    pub(super) fn program(origin: &str) -> Self {
        Self { headers: Vec::new(), ..Self::of(origin) }
    }

    /// The same with this header field.
    pub(super) fn with(mut self, name: HeaderName, value: String) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value));
        self
    }

    /// Asks for a page of the site.
    pub(super) async fn get(&mut self, path: &str) -> Result<Answer, Error> {
        self.ask(Method::GET, path, "", String::new()).await
    }

    /// Sends a form of the site.
    pub(super) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Result<Answer, Error> {
        let form = Serializer::new(String::new()).extend_pairs(fields).finish();
        self.ask(Method::POST, path, "application/x-www-form-urlencoded", form).await
    }

    /// Sends JSON.
    pub(super) async fn json(&mut self, path: &str, text: String) -> Result<Answer, Error> {
        self.ask(Method::POST, path, "application/json", text).await
    }

    async fn ask(&mut self, method: Method, path: &str, kind: &str, body: String) -> Result<Answer, Error> {
        let authority = self.origin.split_once("://").map_or(self.origin.as_str(), |(_, authority)| authority);
        let stream = TcpStream::connect(authority).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut request = Request::builder().method(&method).uri(path).header(HOST, authority);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if !self.cookies.is_empty() {
            let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(COOKIE, cookies.join("; "));
        }
        if method == Method::POST {
            request = request.header(CONTENT_TYPE, kind);
        }
        let response = sender.send_request(request.body(Full::new(Bytes::from(body)))?).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        self.keep(&head.headers);
        let location = head.headers.get(LOCATION).and_then(|location| location.to_str().ok()).unwrap_or_default();
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(Answer { status: head.status, location: location.to_owned(), body })
    }

    fn keep(&mut self, headers: &HeaderMap) {
        for field in headers.get_all(SET_COOKIE).iter().filter_map(|field| field.to_str().ok()) {
            let (name, rest) = field.split_once('=').unwrap_or_default();
            let value = rest.split(';').next().unwrap_or_default();
            match field.contains("Max-Age=0") {
                true => drop(self.cookies.remove(name)),
                false => drop(self.cookies.insert(name.to_owned(), value.to_owned())),
            }
        }
    }
}
