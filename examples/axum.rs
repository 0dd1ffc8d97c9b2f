//! An axum app behind the gate. `cargo run --example axum`, then open http://localhost:3000/me.

use axum::Router;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use vestibule::{Identity, Vestibule, role};

const RULES: &str = r#"
public_url = "http://localhost:3000"
roles      = ["editor"]

[store]
url = "memory:"

[providers.local-userpass]
sign_up = "open"
confirm = "automatic"

[routes]
"/**"   = { read = "anyone", write = "signed_in" }
"/me"   = { read = "signed_in" }
"#;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    serve(TcpListener::bind("127.0.0.1:3000").await?).await
}

/// Serves until the listener fails.
pub async fn serve(listener: TcpListener) -> Result<(), Error> {
    let gate = Vestibule::builder().toml(RULES).build().await?;
    let editors = Router::new().route("/publish", post(publish)).route_layer(gate.require(role("editor")));
    let app = Router::new().route("/", get(home)).route("/me", get(me)).route("/notes", post(note)).merge(editors);
    axum::serve(listener, gate.protect(app).into_make_service()).await?;
    Ok(())
}

async fn home(who: Option<Identity>) -> String {
    match who {
        Some(who) => format!("Hello, {}", who.email().unwrap_or("guest")),
        None => "Hello, stranger".to_owned(),
    }
}

async fn me(who: Identity) -> String {
    let how = if who.is_by_cookie() { "a browser" } else { "a program" };
    format!("{} by {} in {how}", who.email().unwrap_or("-"), who.provider())
}

async fn note(who: Identity, text: String) -> String {
    format!("{} noted {text}", who.email().unwrap_or("-"))
}

async fn publish() -> &'static str {
    "published"
}
