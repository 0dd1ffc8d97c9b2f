//! Traefik's `forwardAuth` as its documentation and its answers describe it, for want of Traefik: one request on a
//! connection, asked about first, then handed on with what the answer says.

use std::net::SocketAddr;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Works until it is dropped.
pub struct Traefik {
    address: SocketAddr,
    task: JoinHandle<()>,
}

/// `forwardAuth`, and what stands beside it.
#[derive(Clone)]
pub struct Middleware {
    /// Who decides.
    pub server: SocketAddr,
    /// `address`, without its origin.
    pub path: &'static str,
    /// What a `headers` middleware before it removes.
    pub removes: &'static [&'static str],
    /// `authResponseHeadersRegex`: which fields of the answer replace those of the client.
    pub copies: fn(&str) -> bool,
    /// Below this everything but `check` goes to the server, unasked: the other router.
    pub pages: &'static str,
    /// The `errors` middleware: what the server is asked for in place of a refusal. `{url}` is the address asked for.
    pub on_refusal: Option<&'static str>,
}

/// A request or response that has come as far as its body.
struct Head {
    first: String,
    fields: HeaderMap,
}

impl Traefik {
    /// In front of this app.
    pub fn start(middleware: Middleware, app: SocketAddr) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, middleware.clone(), app));
            }
        });
        Self { address, task }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Traefik {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut client: TcpStream, middleware: Middleware, app: SocketAddr) {
    let Some((mut head, body)) = Head::read(&mut client).await else { return };
    let from = client.peer_addr().unwrap().ip().to_string();
    // Nobody is trusted to say where it comes from (`forwardedHeaders` of the entry point).
    let forwarded = head.fields.keys().filter(|name| name.as_str().starts_with("x-forwarded-")).cloned();
    for name in forwarded.chain([HeaderName::from_static("x-real-ip")]).collect::<Vec<_>>() {
        head.fields.remove(name);
    }
    // The rule of the other router.
    let pages = head.target().strip_prefix(middleware.pages);
    if pages.is_some_and(|rest| !rest.starts_with("check")) {
        return pass(client, head, body, middleware.server).await;
    }
    for name in middleware.removes {
        head.fields.remove(*name);
    }
    let answer = ask(&middleware, &head, &from).await;
    let Some((answer, refusal)) = answer else { return };
    if !answer.first.contains(" 2") {
        return refuse(client, answer, refusal, &middleware, &head).await;
    }
    let replaced = head.fields.keys().filter(|name| (middleware.copies)(name.as_str())).cloned().collect::<Vec<_>>();
    for name in replaced {
        head.fields.remove(name);
    }
    for (name, value) in answer.fields.iter().filter(|(name, _)| (middleware.copies)(name.as_str())) {
        head.fields.append(name, value.clone());
    }
    pass(client, head, body, app).await;
}

/// The question: a GET with the fields of the request and five of Traefik's own.
async fn ask(middleware: &Middleware, head: &Head, from: &str) -> Option<(Head, Vec<u8>)> {
    let mut fields = head.fields.clone();
    for name in ["connection", "keep-alive", "te", "trailers", "transfer-encoding", "upgrade", "content-length"] {
        fields.remove(name);
    }
    let host = fields.get("host").cloned().unwrap_or_else(|| HeaderValue::from_static(""));
    let method = head.first.split(' ').next().unwrap();
    for (name, value) in [
        ("x-forwarded-for", from),
        ("x-forwarded-method", method),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-uri", head.target()),
        ("x-forwarded-host", host.to_str().unwrap()),
        ("host", &middleware.server.to_string()),
        ("connection", "close"),
    ] {
        fields.insert(name, value.parse().unwrap());
    }
    exchange(middleware.server, Head { first: format!("GET {} HTTP/1.1", middleware.path), fields }).await
}

async fn exchange(server: SocketAddr, question: Head) -> Option<(Head, Vec<u8>)> {
    let mut stream = TcpStream::connect(server).await.ok()?;
    stream.write_all(&question.bytes()).await.ok()?;
    let (answer, mut body) = Head::read(&mut stream).await?;
    stream.read_to_end(&mut body).await.ok()?;
    Some((answer, body))
}

/// The answer as it is, but for `Location`: one without a host is the server's own.
async fn refuse(mut client: TcpStream, mut answer: Head, mut body: Vec<u8>, middleware: &Middleware, asked: &Head) {
    let location = answer.fields.get("location").and_then(|to| to.to_str().ok()).unwrap_or_default().to_owned();
    if location.starts_with('/') {
        answer.fields.insert("location", format!("http://{}{location}", middleware.server).parse().unwrap());
    }
    if let Some(query) = middleware.on_refusal {
        let host = asked.fields["host"].to_str().unwrap();
        let url = format!("http://{host}{}", asked.target());
        let url: String = url::form_urlencoded::byte_serialize(url.as_bytes()).collect();
        let first = format!("GET {} HTTP/1.1", query.replace("{url}", &url));
        let mut fields = asked.fields.clone();
        fields.insert("connection", HeaderValue::from_static("close"));
        let Some((page, content)) = exchange(middleware.server, Head { first, fields }).await else { return };
        // The status stays that of the refusal.
        (answer.fields, body) = (page.fields, content);
    }
    let _ = client.write_all(&[answer.bytes(), body].concat()).await;
}

async fn pass(mut client: TcpStream, head: Head, body: Vec<u8>, to: SocketAddr) {
    let Ok(mut stream) = TcpStream::connect(to).await else { return };
    if stream.write_all(&[head.bytes(), body].concat()).await.is_ok() {
        let _ = copy_bidirectional(&mut client, &mut stream).await;
    }
}

impl Head {
    /// As far as the empty line; what came behind it is the beginning of the body.
    async fn read(stream: &mut TcpStream) -> Option<(Self, Vec<u8>)> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        let text = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = text.split("\r\n");
        let first = lines.next()?.to_owned();
        let fields = lines
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (HeaderName::try_from(name).unwrap(), HeaderValue::from_str(value.trim()).unwrap()));
        Some((Self { first, fields: fields.collect() }, bytes[end + 4..].to_vec()))
    }

    fn target(&self) -> &str {
        self.first.split(' ').nth(1).unwrap()
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{}\r\n", self.first).into_bytes();
        for (name, value) in &self.fields {
            bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        [bytes, b"\r\n".to_vec()].concat()
    }
}
