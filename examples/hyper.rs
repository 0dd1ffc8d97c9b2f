//! A plain hyper server behind the gate. `cargo run --example hyper`, then open http://localhost:3000/me.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::service_fn;
use vestibule::{Vestibule, identity};

const RULES: &str = r#"
public_url = "http://localhost:3000"

[store]
url = "memory:"

[providers.local-userpass]
sign_up = "open"
confirm = "automatic"

[routes]
"/**" = { all = "anyone" }
"/me" = { all = "signed_in" }
"/here" = { all = "anyone", from = ["127.0.0.0/8"] }
"#;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    serve(TcpListener::bind("127.0.0.1:3000").await?).await
}

/// Serves until the listener fails.
pub async fn serve(listener: TcpListener) -> Result<(), Error> {
    let gate = Vestibule::builder().toml(RULES).build().await?;
    let app = gate.protect(service_fn(hello));
    loop {
        let (stream, peer) = listener.accept().await?;
        let service = TowerToHyperService::new(app.clone().from_peer(peer));
        tokio::spawn(async move {
            let server = Builder::new(TokioExecutor::new());
            server.serve_connection_with_upgrades(TokioIo::new(stream), service).await
        });
    }
}

async fn hello(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let name = identity(&request).and_then(|who| who.email()).unwrap_or("stranger");
    Ok(Response::new(Full::from(format!("Hello, {name}"))))
}
