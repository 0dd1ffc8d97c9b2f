//! Makes users and sessions in a store, and prints a `Cookie:` line for each: for load tests.
//!
//! `cargo run --release --example mint_sessions -- FILE.db COUNT`

use std::path::PathBuf;

use futures_util::future::try_join_all;
use serde_json::json;
use vestibule::account::{Kind, User};
use vestibule::clock::Clock;
use vestibule::id::UserId;
use vestibule::public_url::PublicUrl;
use vestibule::session::{Device, Sessions};
use vestibule::store::{self, Address};

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let (Some(file), Some(count)) = (arguments.next(), arguments.next()) else {
        return Err("usage: mint_sessions FILE.db COUNT".into());
    };
    let count: usize = count.parse()?;
    let store = store::open(&Address::Sqlite(PathBuf::from(file)))?;
    let clock = Clock::system();
    let public_url: PublicUrl = "http://localhost:8080".parse()?;
    let sessions = Sessions::open(store.clone(), clock.clone(), Default::default(), &public_url).await?;
    for batch in 0..count.div_ceil(500) {
        let numbers = batch * 500..count.min((batch + 1) * 500);
        // All of a batch at once: the store writes them together.
        let lines = try_join_all(numbers.map(|number| {
            let (store, sessions, clock) = (store.clone(), sessions.clone(), clock.clone());
            async move {
                let mut user = User::new(UserId::generate(clock.now()), Kind::User, clock.now());
                let data = json!({ "email": format!("user-{number}@example.com"), "name": format!("User {number}") });
                user.data = data.as_object().cloned().unwrap_or_default().into();
                user.roles.insert("journalist".to_owned());
                store.save_user(&user).await?;
                let token = sessions.start(&user, "local-userpass", Device::default()).await?;
                Ok::<_, store::Error>(format!("Cookie: vestibule={}", token.expose()))
            }
        }));
        println!("{}", lines.await?.join("\n"));
    }
    Ok(())
}
