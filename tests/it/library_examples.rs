//! The examples of the library, each run by its transcript: `who method target [body] → status [text]`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use tokio::net::TcpListener;
use vestibule::store::{Address, open};
use vestibule::test::conforms;

use crate::support::site::BINARY;
use crate::support::{Client, within};

#[allow(dead_code, reason = "its own main is not what runs here")]
#[path = "../../examples/axum.rs"]
mod axum_app;
#[allow(dead_code, reason = "likewise")]
#[path = "../../examples/custom_function.rs"]
mod custom_function;
#[allow(dead_code, reason = "likewise")]
#[path = "../../examples/custom_provider.rs"]
mod custom_provider;
#[allow(dead_code, reason = "likewise")]
#[path = "../../examples/hyper.rs"]
mod hyper_app;
#[allow(dead_code, reason = "likewise")]
#[path = "../../examples/own_store.rs"]
mod own_store;
#[allow(dead_code, reason = "likewise")]
#[path = "../../examples/tonic.rs"]
mod tonic_app;

async fn transcript<F>(text: &str, serve: impl FnOnce(TcpListener) -> F)
where
    F: Future<Output = Result<(), Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(serve(listener));
    let mut said = Said { address, tokens: BTreeMap::new() };
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (asked, answered) = line.split_once('→').unwrap();
        let found = within(line, said.say(asked.trim())).await;
        let expected = answered.trim();
        let right = found == expected || found.split(' ').next() == Some(expected) && asked.contains("/.auth/");
        let right = right || found.split(' ').next() == Some(expected) && !expected.starts_with("200");
        assert!(right, "{line}\nanswered: {found}");
    }
    assert!(!server.is_finished());
}

struct Said {
    address: SocketAddr,
    /// What they signed in with.
    tokens: BTreeMap<String, String>,
}

impl Said {
    async fn say(&mut self, asked: &str) -> String {
        let mut words = asked.splitn(4, ' ');
        let (who, method, target) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        let body = words.next().unwrap_or_default().to_owned();
        let client = Client::new(self.address, "http://localhost:3000").expecting(&["grpc-status", "grpc-message"]);
        let call = match method {
            "GRPC" => client.http2().post(target).header("content-type", "application/grpc").body(framed(&body)),
            _ if body.starts_with('{') => client.method(method, target).json(&serde_json::from_str(&body).unwrap()),
            _ => client.method(method, target).body(body),
        };
        let call = match self.tokens.get(who) {
            Some(token) => call.bearer(token),
            None => call,
        };
        let reply = call.without_cookies().await;
        if method == "GRPC" {
            let status = reply.trailers.as_ref().and_then(|found| found.get("grpc-status"));
            let status = status.or_else(|| reply.headers.get("grpc-status")).unwrap().to_str().unwrap();
            let message = reply.body.get(5..).unwrap_or_default();
            return format!("{status} {}", String::from_utf8_lossy(message)).trim().to_owned();
        }
        if target.starts_with("/.auth/login/") && reply.status == 200 {
            self.tokens.insert(who.to_owned(), reply.json()["access_token"].as_str().unwrap().to_owned());
        }
        format!("{} {}", reply.status.as_u16(), reply.text()).trim().to_owned()
    }
}

/// One message as gRPC frames it.
fn framed(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    [&[0][..], &length, text.as_bytes()].concat()
}

#[tokio::test]
async fn axum_answers_as_its_transcript_says() {
    transcript(include_str!("../golden/examples/axum.txt"), axum_app::serve).await;
}

#[tokio::test]
async fn hyper_answers_as_its_transcript_says() {
    transcript(include_str!("../golden/examples/hyper.txt"), hyper_app::serve).await;
}

#[tokio::test]
async fn tonic_answers_as_its_transcript_says() {
    transcript(include_str!("../golden/examples/tonic.txt"), tonic_app::serve).await;
}

#[tokio::test]
async fn providers_of_ones_own_answer_as_their_transcript_says() {
    transcript(include_str!("../golden/examples/custom_provider.txt"), custom_provider::serve).await;
}

#[tokio::test]
async fn a_function_in_javascript_answers_as_its_transcript_says() {
    let serve = |listener| custom_function::serve(listener, BINARY.into());
    transcript(include_str!("../golden/examples/custom_function.txt"), serve).await;
}

#[tokio::test]
async fn a_store_of_ones_own_answers_as_its_transcript_says() {
    transcript(include_str!("../golden/examples/own_store.txt"), own_store::serve).await;
}

#[test]
fn examples_are_short_and_each_has_a_transcript() {
    for name in ["axum", "hyper", "tonic", "custom_provider", "custom_function", "own_store"] {
        let source = std::fs::read_to_string(format!("{}/examples/{name}.rs", env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert!(source.lines().count() <= 80, "{name}: {}", source.lines().count());
    }
}

/// What whoever writes a store runs on it.
#[tokio::test]
async fn the_store_of_the_example_conforms_and_one_that_is_not_empty_does_not() {
    let memory = || open(&Address::Memory).unwrap();
    let announcing = |store| own_store::Announcing(store, own_store::News::default());
    conforms(async || announcing(memory())).await;
    // The same one again and again holds what the tests before have put into it.
    let kept = memory();
    let held = AssertUnwindSafe(conforms(async || announcing(kept.clone()))).catch_unwind();
    assert!(held.await.is_err());
}
