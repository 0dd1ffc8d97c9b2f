//! A function in JavaScript decides who comes in, as App Services ran it. It runs in a process of its own: this program
//! again, as a worker. `cargo run --example custom_function`.

use std::path::PathBuf;

use axum::{Router, routing::get};
use tokio::net::TcpListener;
use vestibule::{Identity, Vestibule};

const RULES: &str = r#"
public_url = "http://localhost:3000"

[store]
url = "memory:"

[providers.custom-function]
javascript = "examples/functions/auth.js"
values = { cards = { env = "CARDS" } }
"#;

const WORKER: &str = "function-worker";

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Error> {
    // First of all: a worker has no other business.
    if std::env::args().nth(1).as_deref() == Some(WORKER) {
        return Ok(vestibule::function::serve()?);
    }
    tokio::runtime::Runtime::new()?
        .block_on(async { serve(TcpListener::bind("127.0.0.1:3000").await?, std::env::current_exe()?).await })
}

/// Serves until the listener fails.
pub async fn serve(listener: TcpListener, worker: PathBuf) -> Result<(), Error> {
    let gate = Vestibule::builder()
        .toml(RULES)
        .environment([("CARDS", r#"{ "17": { "card": "4711", "name": "Ann" } }"#)])
        .worker(worker, &[WORKER])
        .build()
        .await?;
    let app = Router::new().route("/", get(hello));
    axum::serve(listener, gate.protect(app).into_make_service()).await?;
    Ok(())
}

async fn hello(who: Identity) -> String {
    format!("Hello, {}", who.name().unwrap_or("-"))
}
