//! Signing keys over instances: made once, known everywhere before they sign, and nobody is turned away meanwhile.
//!
//! The instances are whole stacks in this process, on one PostgreSQL and one clock that goes as the test says: a month
//! passes between two keys.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST};
use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use tokio::sync::watch;
use tower_service::Service as _;
use vestibule::app::App;
use vestibule::body::Body;
use vestibule::client::{Client, Scheme};
use vestibule::clock::{Clock, Timestamp};
use vestibule::config;
use vestibule::layer::{Answer, Refusal};
use vestibule::session::Device;
use vestibule::stack::around;
use vestibule::visit::{RequestId, Visit};

use crate::support::site::PASSWORD;
use crate::support::{postgres, within};

const INSTANCES: usize = 3;
/// A key signs for thirty days; its successor is made then, and published an hour before it signs.
const PERIOD: Duration = Duration::from_hours(30 * 24);
/// So long before that it begins.
const BEFORE: Duration = Duration::from_mins(30);
const STEP: Duration = Duration::from_mins(10);
/// Well beyond the hour.
const STEPS: u32 = 16;
/// Requests of each visitor in each step, at least: more than between two looks at the age of what it holds, or time would
/// go past that under it while another one is served.
const BETWEEN: usize = 12;

type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// One instance.
struct Instance {
    app: App,
    enter: Box<dyn Fn(Box<Visit>) -> Answering + Send + Sync>,
}

impl Instance {
    async fn start(url: &str, clock: &Clock) -> Self {
        let text = format!(
            r#"
public_url = "http://app.localhost"
upstream = "http://127.0.0.1:1"
[store]
url = "{url}"
connect_timeout = "1m"
statement_timeout = "1m"
[limits]
sign_in = {{ per_account = "1000000/1h", per_address = "1000000/1h" }}
sign_up = {{ per_account = "1000/1h", per_address = "1000/1h" }}
[providers.local-userpass]
sign_up = "open"
confirm = "automatic"
[routes]
"/**" = {{ all = "signed_in" }}
"#
        );
        let config =
            config::parse(&text, "instance.toml", std::iter::empty()).unwrap_or_else(|report| panic!("{report}"));
        let app = App::open_at(config, Some(([127, 0, 0, 1], 8080).into()), clock.clone()).await.unwrap();
        // The app behind says what it was told.
        let told = tower::service_fn(|mut visit: Box<Visit>| {
            visit.write_identity();
            let assertion = visit.request.headers().get("x-auth-assertion").cloned();
            let text = assertion.and_then(|value| value.to_str().map(str::to_owned).ok()).unwrap_or_default();
            std::future::ready(Ok::<_, Refusal>(Answer::new(visit, Response::new(Body::from(text)))))
        });
        let service = Mutex::new(around(app.house(), told));
        let enter = move |visit| {
            let mut service = service.lock().unwrap().clone();
            let answering: Answering = Box::pin(async move { service.call(visit).await.unwrap() });
            answering
        };
        Self { app, enter: Box::new(enter) }
    }

    /// What it answers: status and body.
    async fn ask(&self, method: Method, path: &str, header: (http::HeaderName, &str), body: &Value) -> (u16, String) {
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let request = Request::builder().method(method).uri(path).header(HOST, "app.localhost");
        let request = request.header(CONTENT_TYPE, "application/json").header(header.0, header.1).body(body).unwrap();
        let address = [127, 0, 0, 1].into();
        let client = Client { peer: address, address, scheme: Scheme::Http, trusted: false };
        let response = (self.enter)(Visit::new(request, RequestId::from_number(1), client)).await;
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&bytes).into_owned())
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let (status, text) = self.ask(Method::POST, path, (COOKIE, "none=1"), body).await;
        assert!((200..300).contains(&status), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// The assertion that the app behind gets.
    async fn page(&self, header: (http::HeaderName, &str)) -> String {
        let (status, text) = self.ask(Method::GET, "/page", header, &Value::Null).await;
        assert_eq!(status, 200, "{text}");
        text
    }

    /// Verifies as an app does that has just fetched the keys.
    async fn vouches_for(&self, assertion: &str) {
        let (_, keys) = self.ask(Method::GET, "/.auth/jwks.json", (COOKIE, "none=1"), &Value::Null).await;
        let keys: JwkSet = serde_json::from_str(&keys).unwrap();
        let kid = kid(assertion);
        let key = keys.find(&kid).unwrap_or_else(|| panic!("{kid} is not published"));
        let mut rules = Validation::new(jsonwebtoken::Algorithm::ES256);
        // By a clock of our own.
        rules.validate_exp = false;
        rules.set_audience(&["http://app.localhost"]);
        decode::<Value>(assertion, &DecodingKey::from_jwk(key).unwrap(), &rules).unwrap();
    }
}

fn kid(token: &str) -> String {
    decode_header(token).unwrap().kid.unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

struct Load {
    instances: [Instance; INSTANCES],
    clock: Clock,
    /// Of each visitor.
    requests: watch::Sender<[usize; 2]>,
    over: AtomicBool,
    /// The names of the keys that signed access tokens and assertions.
    signers: Mutex<BTreeSet<String>>,
}

impl Load {
    /// Signs in, is known everywhere, and is renewed at one after the other; again and again. Tokens of a while ago are good, too.
    async fn visit(&self, number: usize) {
        let account = json!({ "email": format!("v{number}@example.com"), "password": PASSWORD });
        let mut tokens = self.instances[number].post("/.auth/login/local-userpass", &account).await;
        let mut held: Vec<(Timestamp, String)> = Vec::new();
        for turn in 0.. {
            if self.over.load(Ordering::SeqCst) {
                return;
            }
            let at = |offset: usize| &self.instances[(number + turn + offset) % INSTANCES];
            let made_at = self.clock.now();
            let refresh = json!({ "refresh_token": tokens["refresh_token"] });
            tokens = at(0).post("/.auth/token/refresh", &refresh).await;
            held.push((made_at, text(&tokens["access_token"])));
            // They last for half an hour.
            held.retain(|(made_at, _)| self.clock.now().since(*made_at) < 2 * STEP);
            for (position, (_, token)) in held.iter().rev().take(4).enumerate() {
                let assertion = at(position).page((AUTHORIZATION, &format!("Bearer {token}"))).await;
                at(position + 1).vouches_for(&assertion).await;
                self.signers.lock().unwrap().extend([kid(token), kid(&assertion)]);
                self.requests.send_modify(|counts| counts[number] += 2);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_under_load_makes_one_key_for_all_instances_and_fails_no_request() {
    let Some(server) = postgres::shared() else { return };
    let (url, clock) = (server.url(), Clock::manual(Timestamp::from_seconds(1_790_000_000)));
    let mut instances = Vec::new();
    for _ in 0..INSTANCES {
        instances.push(Instance::start(&url, &clock).await);
    }
    let Ok(instances) = <[Instance; INSTANCES]>::try_from(instances) else { unreachable!() };
    for number in 0..2 {
        let account = json!({ "email": format!("v{number}@example.com"), "password": PASSWORD });
        instances[0].post("/.auth/register", &account).await;
    }
    let keys = format!("SELECT count(*) FROM {}.signing_keys", url.rsplit("%3D").next().unwrap());
    let load = Arc::new(Load {
        instances,
        clock,
        requests: watch::Sender::new([0; 2]),
        over: AtomicBool::new(false),
        signers: Mutex::default(),
    });
    for made in ["2", "3"] {
        rotate(&load).await;
        assert_eq!(server.sql("postgres", &keys), made, "one key for all");
        assert_eq!(std::mem::take(&mut *load.signers.lock().unwrap()).len(), 2, "one and then the other");
    }
}

/// A month later: all instances look after their keys at once, again and again, until the next one signs.
async fn rotate(load: &Arc<Load>) {
    let [one, ..] = &load.instances;
    let keys = one.app.store().signing_keys().await.unwrap();
    let due = keys.iter().map(|key| key.signs_from).max().unwrap() + PERIOD;
    load.clock.advance((due - BEFORE).since(load.clock.now()));
    // One after the other, as their minutes are: who reads first makes nothing yet.
    for instance in &load.instances {
        instance.app.maintain().await;
    }
    let user = one.app.store().user_by_email("v0@example.com").await.unwrap().unwrap();
    let cookie = one.app.house().sessions.start(&user, "local-userpass", Device::default()).await.unwrap();
    let (name, cookie) = (one.app.house().cookie, cookie.expose().to_owned());
    let cookie = format!("{}={cookie}", name.as_str());
    let early =
        one.post("/.auth/login/local-userpass", &json!({ "email": "v0@example.com", "password": PASSWORD })).await;
    load.over.store(false, Ordering::SeqCst);
    let visitors: Vec<_> = (0..2)
        .map(|number| {
            let load = load.clone();
            tokio::spawn(async move { load.visit(number).await })
        })
        .collect();
    for _ in 0..STEPS {
        let wanted = load.requests.borrow().map(|count| count + BETWEEN);
        let [one, two, three] = &load.instances;
        tokio::join!(one.app.maintain(), two.app.maintain(), three.app.maintain());
        for (position, instance) in load.instances.iter().enumerate() {
            let assertion = instance.page((COOKIE, &cookie)).await;
            load.instances[(position + 1) % INSTANCES].vouches_for(&assertion).await;
        }
        let mut requests = load.requests.subscribe();
        within(
            "visitors to be served",
            requests.wait_for(|counts| counts.iter().zip(wanted).all(|(count, wanted)| *count >= wanted)),
        )
        .await
        .unwrap();
        load.clock.advance(STEP);
    }
    load.over.store(true, Ordering::SeqCst);
    for visitor in visitors {
        visitor.await.unwrap();
    }
    // Made with the key before.
    let refresh = json!({ "refresh_token": early["refresh_token"] });
    load.instances[2].post("/.auth/token/refresh", &refresh).await;
}
