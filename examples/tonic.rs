//! A gRPC server behind the gate; messages are plain text, so that no generated code is needed.

use bytes::{Buf as _, BufMut as _};
use tokio::net::TcpListener;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::{BoxFuture, Context, Poll};
use tonic::server::{Grpc, NamedService};
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::{TcpConnectInfo, TcpIncoming};
use tonic::{Request, Response, Status, body::Body};
use vestibule::{Identity, Vestibule};

const RULES: &str = r#"
public_url = "http://localhost:3000"
store.url  = "memory:"
providers.local-userpass = { sign_up = "open", confirm = "automatic" }
"#;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    serve(TcpListener::bind("127.0.0.1:3000").await?).await
}

/// Serves until the listener fails.
pub async fn serve(listener: TcpListener) -> Result<(), Error> {
    let gate = Vestibule::builder().toml(RULES).build().await?;
    let layer = gate.layer().peer_from(|found| found.get::<TcpConnectInfo>()?.remote_addr());
    let server = Server::builder().accept_http1(true).layer(layer).add_routes(Routes::new(Greeter));
    Ok(server.serve_with_incoming(TcpIncoming::from(listener)).await?)
}

async fn hello(request: Request<String>) -> Result<Response<String>, Status> {
    let who = Identity::of(request.extensions()).ok_or_else(|| Status::unauthenticated("who is it?"))?;
    Ok(Response::new(format!("{}, {}", request.get_ref(), who.email().unwrap_or("-"))))
}

#[derive(Clone)]
struct Greeter;

impl NamedService for Greeter {
    const NAME: &'static str = "hello.Greeter";
}

impl tower::Service<http::Request<Body>> for Greeter {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async { Ok(Grpc::new(Text).unary(tower::service_fn(hello), request).await) })
    }
}

struct Text;
#[rustfmt::skip]
impl Codec for Text {
    type Encode = String; type Decode = String; type Encoder = Self; type Decoder = Self;
    fn encoder(&mut self) -> Self { Text }
    fn decoder(&mut self) -> Self { Text }
}
#[rustfmt::skip]
impl Encoder for Text {
    type Item = String; type Error = Status;
    fn encode(&mut self, text: String, to: &mut EncodeBuf<'_>) -> Result<(), Status> { to.put_slice(text.as_bytes()); Ok(()) }
}
#[rustfmt::skip]
impl Decoder for Text {
    type Item = String; type Error = Status;
    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        String::from_utf8(bytes.into()).map(Some).map_err(|_| Status::invalid_argument("not UTF-8"))
    }
}
