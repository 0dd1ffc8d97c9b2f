//! A small HTTP client with a cookie jar that follows nothing by itself and distrusts what it is sent.

use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::{ACCEPT, COOKIE, HOST, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;

use super::site::PASSWORD;
use super::{Reply, within};

/// What any answer may carry. A field that is not here fails the test that received it: add on purpose.
const EXPECTED: [&str; 25] = [
    "allow",
    "cache-control",
    "connection",
    "content-disposition",
    "content-length",
    "content-security-policy",
    "content-type",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "date",
    "etag",
    "keep-alive",
    "location",
    "permissions-policy",
    "referrer-policy",
    "retry-after",
    "set-cookie",
    "strict-transport-security",
    "trailer",
    "transfer-encoding",
    "vary",
    "www-authenticate",
    "x-content-type-options",
    "x-frame-options",
    // The name of the request in our log, for whoever reports a fault.
    "x-request-id",
];

/// What the recording upstream may add; nothing of ours begins so.
const FROM_UPSTREAM: &str = "x-up-";

/// A client of one site. Clones share the cookies.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    origin: String,
    version: Version,
    source: Option<IpAddr>,
    tls: Option<Arc<rustls::ClientConfig>>,
    jar: Arc<Mutex<BTreeMap<String, String>>>,
    allowed: Vec<&'static str>,
}

/// A request that is sent when it is awaited.
#[must_use]
pub struct Call {
    client: Client,
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Bytes,
    cookies: bool,
}

impl Client {
    /// Connects to `address` and calls the site by `origin`.
    pub fn new(address: SocketAddr, origin: &str) -> Self {
        Self {
            address,
            origin: origin.to_owned(),
            version: Version::HTTP_11,
            source: None,
            tls: None,
            jar: Arc::default(),
            allowed: EXPECTED.to_vec(),
        }
    }

    /// The same without cookies: another person.
    pub fn stranger(&self) -> Self {
        Self { jar: Arc::default(), ..self.clone() }
    }

    /// The same over HTTP/2: by prior knowledge, or by ALPN over TLS.
    pub fn http2(&self) -> Self {
        let mut client = self.clone();
        client.version = Version::HTTP_2;
        client
    }

    /// The same calling the site by another origin.
    pub fn calling(&self, origin: &str) -> Self {
        Self { origin: origin.to_owned(), ..self.clone() }
    }

    /// The same from another loopback address.
    pub fn from(&self, source: &str) -> Self {
        Self { source: Some(source.parse().unwrap()), ..self.clone() }
    }

    /// The same at another address.
    pub fn at(&self, address: SocketAddr) -> Self {
        Self { address, ..self.clone() }
    }

    /// The same over TLS, trusting this root alone.
    pub fn trusting(&self, root: &CertificateDer<'static>) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(root.clone()).unwrap();
        let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = match self.version {
            Version::HTTP_2 => vec![b"h2".to_vec()],
            _ => vec![b"http/1.1".to_vec()],
        };
        Self { tls: Some(Arc::new(config)), ..self.clone() }
    }

    /// The same expecting these header fields, too.
    pub fn expecting(&self, names: &[&'static str]) -> Self {
        let mut client = self.clone();
        client.allowed.extend(names);
        client
    }

    /// `http://app.localhost`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    pub fn get(&self, target: &str) -> Call {
        self.call(Method::GET, target)
    }

    pub fn post(&self, target: &str) -> Call {
        self.call(Method::POST, target)
    }

    /// Any method; the method `M-SEARCH` is one, too.
    pub fn method(&self, method: &str, target: &str) -> Call {
        self.call(Method::from_bytes(method.as_bytes()).unwrap(), target)
    }

    fn call(&self, method: Method, target: &str) -> Call {
        let client = self.clone();
        Call { client, method, target: target.to_owned(), headers: HeaderMap::new(), body: Bytes::new(), cookies: true }
    }

    /// Signs in by the form of the login page, with the password of [`Site::user`](super::Site::user).
    pub async fn sign_in(&self, email: &str) -> Reply {
        self.sign_in_with(email, PASSWORD).await
    }

    /// Signs in by the form of the login page.
    pub async fn sign_in_with(&self, email: &str, password: &str) -> Reply {
        let form = [("email", email), ("password", password)];
        let reply = self.post("/.auth/login/local-userpass").submit(&form).await;
        assert_eq!(reply.status, 303, "sign-in of {email}: {}", reply.describe());
        assert!(reply.cookies().iter().any(|cookie| !cookie.clears()), "no cookie: {}", reply.describe());
        reply
    }

    /// Signs in as a program does: `{user_id, access_token, refresh_token, expires_in}`.
    pub async fn tokens(&self, email: &str) -> serde_json::Value {
        let body = serde_json::json!({ "email": email, "password": PASSWORD });
        let reply = self.post("/.auth/login/local-userpass").json(&body).await;
        assert_eq!(reply.status, 200, "{}", reply.describe());
        reply.json()
    }

    /// The cookies held now, as a `Cookie` field.
    pub fn cookie(&self) -> String {
        let jar = self.jar.lock().unwrap();
        jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    /// The value of the session cookie, whatever its prefix: there is one.
    pub fn session(&self) -> String {
        let name = self.session_name();
        self.jar.lock().unwrap()[&name].clone()
    }

    /// The name of the session cookie.
    pub fn session_name(&self) -> String {
        let jar = self.jar.lock().unwrap();
        let mut names =
            jar.keys().filter(|name| !["-device", "-last", "-language"].iter().any(|end| name.ends_with(end)));
        let name = names.next().unwrap_or_else(|| panic!("no session in {jar:?}")).clone();
        assert_eq!(names.next(), None, "{jar:?}");
        name
    }

    /// Puts a cookie into the jar.
    pub fn keep(&self, name: &str, value: &str) {
        self.jar.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    fn store(&self, reply: &Reply) {
        let mut jar = self.jar.lock().unwrap();
        for cookie in reply.cookies() {
            match cookie.clears() {
                true => jar.remove(&cookie.name),
                false => jar.insert(cookie.name, cookie.value),
            };
        }
    }

    fn distrust(&self, reply: &Reply, target: &str) {
        for name in reply.headers.keys().map(HeaderName::as_str) {
            let known = self.allowed.contains(&name) || name.starts_with(FROM_UPSTREAM);
            assert!(known, "unexpected header `{name}` for {target}: {}", reply.describe());
        }
        if target.starts_with("/.auth/") {
            assert_eq!(reply.header("cache-control"), "no-store", "{target}: {}", reply.describe());
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let socket = match self.address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        };
        let socket = socket.unwrap();
        if let Some(source) = self.source {
            socket.bind(SocketAddr::new(source, 0)).unwrap();
        }
        let stream = socket.connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        match &self.tls {
            None => self.speak(stream, request).await,
            Some(config) => {
                let host = request.uri().host().or(self.host().split(':').next()).unwrap().to_owned();
                let name = ServerName::try_from(host).unwrap();
                let stream = tokio_rustls::TlsConnector::from(config.clone()).connect(name, stream).await.unwrap();
                self.speak(stream, request).await
            }
        }
    }

    async fn speak<S>(&self, stream: S, request: Request<Full<Bytes>>) -> Response<Incoming>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stream = TokioIo::new(stream);
        if self.version == Version::HTTP_2 {
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
            tokio::spawn(connection);
            return sender.send_request(request).await.unwrap();
        }
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        sender.send_request(request).await.unwrap()
    }

    fn host(&self) -> &str {
        self.origin.split("://").nth(1).unwrap()
    }
}

impl Call {
    /// A header field more.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name: HeaderName = name.parse().unwrap();
        self.headers.append(name, HeaderValue::from_bytes(value.as_ref()).unwrap());
        self
    }

    /// Takes a header field away.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    /// Sends no cookie, and keeps none.
    pub fn without_cookies(mut self) -> Self {
        self.cookies = false;
        self
    }

    /// As a browser goes to a page by its address bar.
    pub fn navigate(self) -> Self {
        self.header("user-agent", "Mozilla/5.0 (X11; Linux x86_64) Chrome/142.0.0.0")
            .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
            .header("upgrade-insecure-requests", "1")
            .fetch("navigate", "document", "none")
    }

    /// As a script of the page asks by `fetch`.
    pub fn script(self) -> Self {
        let origin = self.client.origin.clone();
        let unsafe_method = !matches!(self.method, Method::GET | Method::HEAD);
        let call = self.header("accept", "*/*").fetch("cors", "empty", "same-origin");
        if unsafe_method { call.header("origin", origin) } else { call }
    }

    /// `Sec-Fetch-Mode`, `-Dest` and `-Site`.
    pub fn fetch(mut self, mode: &str, dest: &str, site: &str) -> Self {
        for (name, value) in [("sec-fetch-mode", mode), ("sec-fetch-dest", dest), ("sec-fetch-site", site)] {
            self.headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        self
    }

    /// As a browser sends a form of the site's own page.
    pub fn submit(self, fields: &[(&str, &str)]) -> Self {
        let origin = self.client.origin.clone();
        self.navigate().fetch("navigate", "document", "same-origin").header("origin", origin).form(fields)
    }

    /// A form as body, and nothing that a browser would add.
    pub fn form(mut self, fields: &[(&str, &str)]) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.body = body.into();
        self.header("content-type", "application/x-www-form-urlencoded")
    }

    /// JSON as body.
    pub fn json(mut self, body: &serde_json::Value) -> Self {
        self.body = body.to_string().into();
        self.header("content-type", "application/json")
    }

    /// These bytes as body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// `Authorization: Bearer`.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Sends it and leaves the body to the test.
    pub async fn open(self) -> Response<Incoming> {
        let client = self.client.clone();
        within("an answer", client.exchange(self.request())).await
    }

    fn request(mut self) -> Request<Full<Bytes>> {
        let cookie = self.client.cookie();
        if self.cookies && !cookie.is_empty() {
            self.headers.append(COOKIE, cookie.parse().unwrap());
        }
        self.headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        self.headers.entry(USER_AGENT).or_insert(HeaderValue::from_static("vestibule-test"));
        let h2 = self.client.version == Version::HTTP_2;
        let target = match h2 {
            true => format!("{}{}", self.client.origin, self.target),
            false => self.target,
        };
        if !h2 {
            let host = self.client.host().parse().unwrap();
            self.headers.entry(HOST).or_insert(host);
        }
        let mut request = Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = target.parse().unwrap();
        *request.version_mut() = self.client.version;
        *request.headers_mut() = self.headers;
        request
    }
}

impl IntoFuture for Call {
    type Output = Reply;
    type IntoFuture = Pin<Box<dyn Future<Output = Reply> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (client, cookies, target) = (self.client.clone(), self.cookies, self.target.clone());
            let (head, body) = self.open().await.into_parts();
            let body = within("the whole body", body.collect()).await.unwrap();
            let trailers = body.trailers().cloned();
            let reply = Reply {
                status: head.status,
                version: head.version,
                headers: head.headers,
                body: body.to_bytes(),
                trailers,
            };
            client.distrust(&reply, &target);
            if cookies {
                client.store(&reply);
            }
            reply
        })
    }
}
