//! Three instances on one PostgreSQL, with Redis and without: whoever is disabled or deleted at one of them is out at
//! all of them, by every means, within the promised time and for good.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::websocket::{echo, open};
use crate::support::client::Call;
use crate::support::idp::now;
use crate::support::site::{PASSWORD, PUBLIC_URL};
use crate::support::{Client, RecordingUpstream, Signer, Site, Vestibule, postgres, redis, within};

const NODES: usize = 3;
/// Within it a revocation counts everywhere, whatever the setting.
const BOUND: Duration = Duration::from_secs(5);
/// The same where instances tell each other.
const TOLD: Duration = Duration::from_secs(1);
/// So often everybody is asked again who has refused.
const AGAIN: usize = 10;

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";
const TOKEN: &str = "brass-weather-vane-8811-on-the-roof";
const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Instances that are told by Redis would believe themselves for a minute. Without, a second of the bound is left for
/// asking the store and for ending what is open.
fn rules(store: &str, redis: Option<&redis::Server>) -> String {
    let told = redis.map(|redis| format!("[cluster]\nredis = \"{}\"\n[session]\ncache = \"1m\"", redis.url()));
    format!(
        r#"
listen = ["127.0.0.1:0"]
[store]
url = "{store}"
{}
[admin]
listen = "127.0.0.1:0"
token = {{ env = "OPERATOR_TOKEN" }}
[limits]
sign_in = {{ per_account = "1000/1h", per_address = "1000/1h" }}
[providers.local-userpass]
[providers.api-key]
[providers.custom-token]
keys = [{{ secret = {{ env = "TOKEN_KEY" }} }}]
algorithms = ["HS256"]
audience = "app"
[routes]
"/**" = {{ all = "signed_in" }}
"#,
        told.unwrap_or_else(|| "[session]\ncache = \"4s\"".to_owned())
    )
}

struct House {
    nodes: Vec<Vestibule>,
    redis: Option<redis::Server>,
    _app: RecordingUpstream,
}

impl House {
    async fn open(redis: Option<redis::Server>) -> Option<Self> {
        let url = postgres::shared()?.url();
        let app = RecordingUpstream::start();
        let rules = rules(&url, redis.as_ref());
        let site = || Site::new(&app, &rules).env("TOKEN_KEY", KEY).env("OPERATOR_TOKEN", TOKEN);
        let mut nodes = vec![site().user(ANN, &[]).user(BOB, &[]).start_listeners(2).await];
        while nodes.len() < NODES {
            nodes.push(site().start_listeners(2).await);
        }
        Some(Self { nodes, redis, _app: app })
    }

    /// A call of the operator at the first of them.
    fn operator(&self, call: impl FnOnce(Client) -> Call) -> Call {
        let address = self.nodes[0].addresses()[1];
        let call = call(Client::new(address, &format!("http://{address}")));
        call.header("authorization", format!("Bearer {TOKEN}"))
    }

    /// How long each may go on to take what was ended. `at_once`: the first was told by the operator itself.
    fn bounds(&self, at_once: Option<usize>) -> [Duration; NODES] {
        let others = if self.redis.is_some() { TOLD } else { BOUND };
        std::array::from_fn(|node| if at_once == Some(node) { Duration::ZERO } else { others })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Credential {
    Cookie,
    AccessToken,
    RefreshToken,
    ApiKey,
}

const CREDENTIALS: [Credential; 4] =
    [Credential::Cookie, Credential::AccessToken, Credential::RefreshToken, Credential::ApiKey];

/// Somebody with all of them.
struct Person {
    email: &'static str,
    id: String,
    cookie: String,
    access_token: String,
    refresh_token: Mutex<String>,
    api_key: String,
}

impl Person {
    async fn of(house: &House, email: &'static str) -> Self {
        let node = &house.nodes[0];
        let id = node.user_id(email);
        let api_key = node.key(&["phone", "--user", &id]);
        let browser = node.client();
        browser.sign_in(email).await;
        let session = format!("{}={}", browser.session_name(), browser.session());
        let (tokens, others) = (node.client().tokens(email).await, node.client().tokens(email).await);
        let access_token = tokens["access_token"].as_str().unwrap().to_owned();
        let link = node.client().post("/.auth/login/custom-token?link=true").bearer(&access_token);
        assert_eq!(link.json(&foreign(email)).await.is(200).json()["user_id"], *id);
        let refresh_token = Mutex::new(others["refresh_token"].as_str().unwrap().to_owned());
        Self { email, id, cookie: session, access_token, refresh_token, api_key }
    }

    /// Whether this node takes it; a refresh token gives way to the next.
    async fn gets_in(&self, node: &Vestibule, credential: Credential) -> bool {
        let client = node.client();
        let call = match credential {
            Credential::Cookie => client.get("/a").script().header("cookie", &self.cookie),
            Credential::AccessToken => client.get("/a").bearer(&self.access_token),
            Credential::ApiKey => client.get("/a").header("x-api-key", &self.api_key),
            Credential::RefreshToken => {
                let token = self.refresh_token.lock().unwrap().clone();
                client.post("/.auth/token/refresh").json(&json!({ "refresh_token": token }))
            }
        };
        let reply = call.without_cookies().await;
        match reply.status.as_u16() {
            200 => {
                if credential == Credential::RefreshToken {
                    *self.refresh_token.lock().unwrap() = reply.json()["refresh_token"].as_str().unwrap().to_owned();
                }
                true
            }
            401 => false,
            _ => panic!("{} by {credential:?}: {}", self.email, reply.describe()),
        }
    }

    async fn gets_in_everywhere(&self, house: &House) {
        for (number, node) in house.nodes.iter().enumerate() {
            for credential in CREDENTIALS {
                assert!(self.gets_in(node, credential).await, "{} by {credential:?} at {number}", self.email);
            }
        }
    }

    /// An open WebSocket at each of them.
    async fn sockets(&self, house: &House) -> Vec<WebSocketStream<TcpStream>> {
        let mut sockets = Vec::new();
        for node in &house.nodes {
            let mut socket = open(node, "/live", &[("cookie", &self.cookie), ("origin", PUBLIC_URL)]).await.unwrap();
            echo(&mut socket, Message::text("hi")).await;
            sockets.push(socket);
        }
        sockets
    }

    /// Who is signed in here by the password and by the token of another house.
    async fn sign_ins(&self, node: &Vestibule) -> [Option<Value>; 2] {
        let account = json!({ "email": self.email, "password": PASSWORD });
        let by_password = node.client().post("/.auth/login/local-userpass").json(&account).await;
        let by_token = node.client().post("/.auth/login/custom-token").json(&foreign(self.email)).await;
        [by_password, by_token].map(|reply| (reply.status == 200).then(|| reply.json()["user_id"].clone()))
    }
}

fn foreign(subject: &str) -> Value {
    let claims = json!({ "sub": subject, "aud": "app", "iat": now(), "exp": now() + 600 });
    json!({ "token": Signer::secret(KEY.as_bytes()).sign(&claims) })
}

/// When it ends.
fn end_of(mut socket: WebSocketStream<TcpStream>) -> JoinHandle<Instant> {
    tokio::spawn(async move {
        while let Some(Ok(_)) = socket.next().await {}
        Instant::now()
    })
}

/// The operator ends Ann at the first node; `at_once` is the node that knows by itself.
async fn ann_is_out(house: &House, what: &str, at_once: Option<usize>, deed: impl AsyncFnOnce(&Person)) -> Person {
    let (ann, bob) = (Person::of(house, ANN).await, Person::of(house, BOB).await);
    let bounds = house.bounds(at_once);
    for person in [&ann, &bob] {
        person.gets_in_everywhere(house).await;
    }
    let mut kept = bob.sockets(house).await;
    let ends: Vec<_> = ann.sockets(house).await.into_iter().map(end_of).collect();
    deed(&ann).await;
    let acknowledged = Instant::now();
    let mut refused = BTreeMap::new();
    let mut again = 0;
    while again < AGAIN {
        for (number, node) in house.nodes.iter().enumerate() {
            for credential in CREDENTIALS {
                let asked = acknowledged.elapsed();
                if ann.gets_in(node, credential).await {
                    assert!(asked <= bounds[number], "{what}: {credential:?} at {number} after {asked:?}");
                    assert!(!refused.contains_key(&(credential, number)), "{what}: {credential:?} at {number} again");
                } else {
                    refused.entry((credential, number)).or_insert(asked);
                }
            }
        }
        bob.gets_in_everywhere(house).await;
        again += usize::from(refused.len() == CREDENTIALS.len() * NODES);
    }
    for ((credential, number), after) in refused {
        println!("{what}: {credential:?} refused at {number} after {after:?}");
    }
    for (number, end) in ends.into_iter().enumerate() {
        let after = within("the WebSocket to be closed", end).await.unwrap().saturating_duration_since(acknowledged);
        println!("{what}: WebSocket closed at {number} after {after:?}");
        assert!(after <= bounds[number].max(TOLD), "{what}: a WebSocket at {number} after {after:?}");
    }
    for (node, socket) in house.nodes.iter().zip(&mut kept) {
        echo(socket, Message::text("still here")).await;
        assert_eq!(bob.sign_ins(node).await, [Some(json!(bob.id)), Some(json!(bob.id))]);
    }
    ann
}

async fn disabled_by_the_api(house: &House, what: &str) {
    let ann = ann_is_out(house, what, Some(0), async |ann: &Person| {
        let change = json!({ "disabled": true });
        house.operator(|api| api.method("PATCH", &format!("/api/users/{}", ann.id)).json(&change)).await.is(200);
    });
    let ann = ann.await;
    for node in &house.nodes {
        assert_eq!(ann.sign_ins(node).await, [None, None]);
    }
}

async fn disabled_by_the_command_line(house: &House, what: &str) {
    let ann = ann_is_out(house, what, None, async |_: &Person| {
        house.nodes[0].cli(&["users", "disable", ANN]).success();
    });
    let ann = ann.await;
    for node in &house.nodes {
        assert_eq!(ann.sign_ins(node).await, [None, None]);
    }
}

async fn deleted_by_the_api(house: &House, what: &str) {
    let ann = ann_is_out(house, what, Some(0), async |ann: &Person| {
        house.operator(|api| api.method("DELETE", &format!("/api/users/{}", ann.id))).await.is(204);
    });
    comes_as_somebody_else(house, &ann.await).await;
}

async fn deleted_by_the_command_line(house: &House, what: &str) {
    let ann = ann_is_out(house, what, None, async |_: &Person| {
        house.nodes[0].cli(&["users", "delete", ANN]).success();
    });
    comes_as_somebody_else(house, &ann.await).await;
}

/// Whom another house vouches for is a stranger, once deleted here.
async fn comes_as_somebody_else(house: &House, ann: &Person) {
    for node in &house.nodes {
        let [by_password, by_token] = ann.sign_ins(node).await;
        assert_eq!(by_password, None);
        assert_ne!(by_token.unwrap(), *ann.id);
    }
}

#[tokio::test]
async fn sec_sess_01_a_disabled_account_is_out_at_three_nodes_in_under_a_second_with_redis() {
    let Some(redis) = redis::Server::start(&[]) else { return };
    let Some(house) = House::open(Some(redis)).await else { return };
    disabled_by_the_api(&house, "disabled, Redis").await;
}

#[tokio::test]
async fn sec_sess_01_a_deleted_account_is_out_at_three_nodes_in_under_a_second_with_redis() {
    let Some(redis) = redis::Server::start(&[]) else { return };
    let Some(house) = House::open(Some(redis)).await else { return };
    deleted_by_the_command_line(&house, "deleted, Redis").await;
}

#[tokio::test]
async fn sec_sess_01_a_disabled_account_is_out_at_three_nodes_within_five_seconds_without_redis() {
    let Some(house) = House::open(None).await else { return };
    disabled_by_the_command_line(&house, "disabled, no Redis").await;
}

#[tokio::test]
async fn sec_sess_01_a_deleted_account_is_out_at_three_nodes_within_five_seconds_without_redis() {
    let Some(house) = House::open(None).await else { return };
    deleted_by_the_api(&house, "deleted, no Redis").await;
}
