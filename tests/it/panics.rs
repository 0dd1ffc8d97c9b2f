//! A mistake of ours that ends a request ends nothing else.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use http::{Request, Response};
use serde_json::{Map, Value, json};
use tower::service_fn;
use vestibule::app::App;
use vestibule::body::Body;
use vestibule::client::Scheme;
use vestibule::config::Embedded;
use vestibule::layer::{Answer, Refusal};
use vestibule::listen::{self, Settings, Shutdown};
use vestibule::own::Own;
use vestibule::provider::{Deciding, Facts, Provider, Verdict};
use vestibule::stack::{Entrance, around};
use vestibule::visit::{Client as Peer, Visit};

use crate::support::{Client, Overheard};

const FILE: &str = r#"
public_url = "http://app.localhost"
store.url = "memory:"
[providers.local-userpass]
[routes]
"/**" = { all = "anyone" }
"#;
/// What nobody outside may read.
const INSIDE: &str = "the pantry is at 10.9.8.7";

#[derive(Debug)]
struct Club;

impl Provider for Club {
    fn sign_in<'a>(&'a self, credentials: &'a Map<String, Value>, _: &'a Facts) -> Deciding<'a> {
        Box::pin(async move {
            assert!(credentials.contains_key("card"), "{INSIDE}");
            Verdict::No("unknown card".to_owned())
        })
    }
}

async fn house() -> App {
    let providers = BTreeMap::from([("club".to_owned(), Own(Arc::new(Club) as Arc<dyn Provider>))]);
    let config = Embedded { providers, ..Embedded::default() }.parse(FILE, "test.toml", []).unwrap();
    App::open(config, Some(([127, 0, 0, 1], 8080).into())).await.unwrap()
}

/// An app that panics at once, or a moment later, where the path says so.
fn app(visit: Box<Visit>) -> Pin<Box<dyn Future<Output = Result<Answer, Refusal>> + Send>> {
    let path = visit.request.uri().path().to_owned();
    assert!(path != "/at-once", "{INSIDE}");
    Box::pin(async move {
        tokio::task::yield_now().await;
        assert!(path != "/late", "{INSIDE}");
        Ok(Answer::new(visit, Response::new(Body::from("fine"))))
    })
}

async fn served() -> (SocketAddr, Shutdown) {
    let house = house().await;
    let settings = Settings { addresses: vec!["127.0.0.1:0".to_owned()], workers: 1, ..Settings::default() };
    let bound = listen::bind(&settings).unwrap();
    let address: SocketAddr = bound.address().unwrap();
    let (shutdown, limits) = (Shutdown::new(), house.house().config.limits.clone());
    let until = shutdown.clone();
    tokio::spawn(async move {
        let make = move |_| Entrance::new(around(house.house(), service_fn(app)));
        listen::serve(bound, &settings, &limits, make, until).await
    });
    (address, shutdown)
}

#[tokio::test]
async fn sec_err_01_a_panic_is_a_500_that_tells_nothing_and_its_connection_goes_on() {
    let (address, shutdown) = served().await;
    let client = Client::new(address, "http://app.localhost");
    for client in [client.stranger(), client.http2()] {
        for path in ["/at-once", "/late"] {
            let reply = client.get(path).await;
            let problem = reply.is(500).json();
            assert_eq!(problem["code"], "internal");
            assert_eq!(
                (problem["request_id"].as_str().unwrap(), reply.header("cache-control")),
                (reply.header("x-request-id"), "no-store")
            );
            for inside in ["pantry", "10.9.8.7", "panic", ".rs"] {
                assert!(!reply.describe().contains(inside), "{}", reply.describe());
            }
            assert_eq!(client.get("/fine").await.is(200).text(), "fine");
        }
        client.post("/.auth/login/club").json(&json!({})).await.is(500);
        client.post("/.auth/login/club").json(&json!({ "card": "4711" })).await.is(401);
    }
    let mut raw = crate::support::RawClient::connect(address).await;
    for (path, status) in [("/at-once", 500), ("/late", 500), ("/fine", 200)] {
        let reply = raw.ask(format!("GET {path} HTTP/1.1\r\nHost: app.localhost\r\n\r\n")).await;
        assert_eq!(reply.status, status, "on one connection");
    }
    shutdown.force();
}

#[tokio::test]
async fn sec_err_01_a_panic_is_a_line_of_the_log_with_the_number_of_its_answer() {
    let log = Overheard::start();
    let house = house().await;
    let entrance = Entrance::new(around(house.house(), service_fn(app)));
    let here = [127, 0, 0, 1].into();
    let peer = Peer { peer: here, address: here, scheme: Scheme::Http, trusted: false };
    let ask = async |path: &'static str| {
        let request = Request::get(path).header("host", "app.localhost").body(Body::empty()).unwrap();
        entrance.enter(request, peer).await.unwrap().headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    for path in ["/at-once", "/late"] {
        let id = ask(path).await;
        let text = log.text();
        let line = text.lines().find(|line| line.contains(&id)).unwrap_or_else(|| panic!("{id} in {text}"));
        assert!(line.contains("ERROR") && line.contains("a request ended in a panic"), "{line}");
    }
    assert!(!log.text().contains("pantry"));
}
