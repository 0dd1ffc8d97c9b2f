//! Certificates made on the spot, and an app behind TLS or plain HTTP/2 that answers with what it saw.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Somebody who vouches for names.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub struct Leaf {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for this name.
    pub fn vouch(&self, name: &str) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        Leaf { certificate: params.signed_by(&key, &self.0).unwrap(), key }
    }

    /// Writes its own certificate.
    pub fn write(&self, file: &Path) {
        std::fs::write(file, self.0.pem()).unwrap();
    }
}

impl Leaf {
    /// Writes both as PEM.
    pub fn write(&self, certificate: &Path, key: &Path) {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::write(certificate, self.certificate.pem()).unwrap();
        std::fs::write(key, self.key.serialize_pem()).unwrap();
        std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// A server that shows it, speaks these protocols, and demands a certificate of `clients` if there are any.
    pub fn server(&self, protocols: &[&str], clients: Option<&Authority>) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.0.der().clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
                builder.with_client_cert_verifier(verifier)
            }
        };
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let mut config = builder.with_single_cert(vec![self.certificate.der().clone()], key).unwrap();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// The app. Paths that begin with `/up.Echo/` speak gRPC; all answers tell what was seen in `x-up-…`.
pub struct EchoApp {
    address: SocketAddr,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: AtomicUsize,
    cancelled: AtomicUsize,
}

impl EchoApp {
    /// Over TLS, or without: HTTP/1.1, and HTTP/2 by ALPN or by prior knowledge.
    pub async fn start(tls: Option<Arc<ServerConfig>>) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), tls).await
    }

    /// The same at this address.
    pub async fn at(address: SocketAddr, tls: Option<Arc<ServerConfig>>) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(64).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Seen>::default();
        let task = tokio::spawn(accept(listener, tls, seen.clone()));
        Self { address, seen, task }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that got as far as HTTP.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Requests that came.
    pub fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::SeqCst)
    }

    /// Calls that were given up by whoever made them.
    pub fn cancelled(&self) -> usize {
        self.seen.cancelled.load(Ordering::SeqCst)
    }

    /// Ends it with all connections.
    pub async fn stop(mut self) -> SocketAddr {
        self.task.abort();
        let _ = (&mut self.task).await;
        self.address
    }
}

impl Drop for EchoApp {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, tls: Option<Arc<ServerConfig>>, seen: Arc<Seen>) {
    // Dropped with this task: its end cuts the connections.
    let mut serving = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, seen) = (tls.clone(), seen.clone());
        serving.spawn(async move {
            let Some(tls) = tls else { return serve(stream, String::new(), seen).await };
            let Ok(stream) = tokio_rustls::TlsAcceptor::from(tls).accept(stream).await else { return };
            let session = stream.get_ref().1;
            let shown = if session.peer_certificates().is_some() { "yes" } else { "no" };
            let facts = format!("sni={} certificate={shown}", session.server_name().unwrap_or_default());
            serve(stream, facts, seen).await;
        });
    }
}

async fn serve<S>(stream: S, facts: String, seen: Arc<Seen>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    seen.connections.fetch_add(1, Ordering::SeqCst);
    let service = service_fn(move |request| answer(request, facts.clone(), seen.clone()));
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

type Payload = UnsyncBoxBody<Bytes, hyper::Error>;

async fn answer(request: Request<Incoming>, facts: String, seen: Arc<Seen>) -> Result<Response<Payload>, Infallible> {
    seen.requests.fetch_add(1, Ordering::SeqCst);
    let mut response = Response::builder()
        .header("x-up-version", format!("{:?}", request.version()))
        .header("x-up-tls", facts)
        .header("x-up-target", request.uri().to_string());
    for (name, told) in [
        ("host", "x-up-host"),
        ("te", "x-up-te"),
        ("grpc-timeout", "x-up-timeout"),
        ("x-auth-email", "x-up-email"),
        ("x-auth-kind", "x-up-kind"),
    ] {
        if let Some(value) = request.headers().get(name) {
            response = response.header(told, value);
        }
    }
    if request.uri().path().starts_with("/up.Echo/") {
        response = response.header("content-type", "application/grpc");
    }
    Ok(match request.uri().path() {
        "/up.Echo/Hang" => {
            let _counts = Counts(seen);
            std::future::pending().await
        }
        "/up.Echo/Refuse" => {
            let none = http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync();
            response.header("grpc-status", 5).header("grpc-message", "no such thing").body(none).unwrap()
        }
        _ => response.body(StreamBody::new(echo(request.into_body())).boxed_unsync()).unwrap(),
    })
}

/// Piece by piece, and the trailers of the call in those of the answer.
fn echo(body: Incoming) -> impl futures_util::Stream<Item = Result<Frame<Bytes>, hyper::Error>> {
    futures_util::stream::unfold(Some(body), |body| async move {
        let mut body = body?;
        match body.frame().await {
            Some(Ok(frame)) if frame.is_data() => Some((Ok(frame), Some(body))),
            Some(Ok(frame)) => Some((Ok(trailers(frame.into_trailers().ok())), None)),
            Some(Err(error)) => Some((Err(error), None)),
            None => Some((Ok(trailers(None)), None)),
        }
    })
}

fn trailers(of_call: Option<HeaderMap>) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers.insert("x-up-sum", HeaderValue::from_static("42"));
    for (name, value) in of_call.iter().flatten() {
        trailers.insert(HeaderName::try_from(format!("x-up-{}", name.as_str())).unwrap(), value.clone());
    }
    Frame::trailers(trailers)
}

/// Counts when it is dropped.
struct Counts(Arc<Seen>);

impl Drop for Counts {
    fn drop(&mut self) {
        self.0.cancelled.fetch_add(1, Ordering::SeqCst);
    }
}
