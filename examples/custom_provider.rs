//! Ways to sign in of one's own: a type that asks a directory, and a closure. `cargo run --example custom_provider`.

use std::collections::BTreeMap;

use axum::{Router, routing::get};
use tokio::net::TcpListener;
use vestibule::custom::{Account, Credentials, Facts, Provider, Verdict};
use vestibule::{Identity, Vestibule};

const RULES: &str = r#"
public_url = "http://localhost:3000"
roles      = ["member", "machine"]

[store]
url = "memory:"

[providers]

[routes]
"/**"      = { all = ["provider:club", "provider:ticket"] }
"/members" = { all = "role:member" }
"#;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Cards by their number; `None` while the directory is away.
struct Club {
    cards: Option<BTreeMap<&'static str, &'static str>>,
}

impl Provider for Club {
    async fn sign_in(&self, credentials: Credentials, facts: Facts) -> Verdict {
        let Some(cards) = &self.cards else { return Verdict::CannotTell("the directory is away".to_owned()) };
        match credentials.text("card").and_then(|card| cards.get(card)) {
            Some(name) => Verdict::Yes(Account::new(*name).name(name).field("door", facts.address).role("member")),
            None => Verdict::No("no such card".to_owned()),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    serve(TcpListener::bind("127.0.0.1:3000").await?).await
}

/// Serves until the listener fails.
pub async fn serve(listener: TcpListener) -> Result<(), Error> {
    let gate = Vestibule::builder()
        .toml(RULES)
        .provider("club", Club { cards: Some(BTreeMap::from([("4711", "ann"), ("4712", "max")])) })
        .provider("old-club", Club { cards: None })
        .provider_fn("ticket", async |credentials, _facts| match credentials.field::<u32>("number") {
            Some(number @ 1..=999) => Verdict::Yes(Account::new(format!("ticket-{number}")).name("a visitor")),
            _ => Verdict::No("not one of our tickets".to_owned()),
        })
        .build()
        .await?;
    let app = Router::new().route("/", get(hello)).route("/members", get(hello));
    axum::serve(listener, gate.protect(app).into_make_service()).await?;
    Ok(())
}

async fn hello(who: Identity) -> String {
    let door = who.field::<String>("door").unwrap_or_else(|| "the gate".to_owned());
    format!("Hello, {}, who came by {} at {door}", who.name().unwrap_or("-"), who.provider())
}
