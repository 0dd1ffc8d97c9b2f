//! Instances that share a Redis: what ends at one ends at all of them, and what is counted is counted once.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use http_body_util::BodyExt;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::support::idp::now;
use crate::support::redis::Server;
use crate::support::site::PASSWORD;
use crate::support::{Answer, Client, RecordingUpstream, Signer, Site, Vestibule, postgres, within};

/// What a revocation may take from one instance to the other, whatever `session.cache` says.
const AT_ONCE: Duration = Duration::from_secs(1);

fn rules(store: &str, redis: &str) -> String {
    format!(
        r#"
public_url = "http://app.localhost"
roles = ["editor"]
[store]
url = "{store}"
[cluster]
redis = "{redis}"
[session]
cache = "1m"
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
"/edit/**" = {{ all = "role:editor" }}
"#
    )
}

struct Pair {
    one: Vestibule,
    other: Vestibule,
    redis: Server,
    app: RecordingUpstream,
}

/// Two instances on one PostgreSQL and one Redis.
async fn pair() -> Option<Pair> {
    let (postgres, redis) = (postgres::shared()?, Server::start(&[])?);
    let app = RecordingUpstream::start();
    let rules = rules(&postgres.url(), &redis.url());
    let site = || Site::new(&app, &rules).env("TOKEN_KEY", KEY);
    let one = site().user("ann@example.com", &["editor"]).user("bob@example.com", &[]).start().await;
    let other = site().start().await;
    Some(Pair { one, other, redis, app })
}

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Until the answer is this; how long that took.
async fn until(status: u16, ask: impl AsyncFn() -> u16) -> Duration {
    let begun = Instant::now();
    within("an answer to change", async { while ask().await != status {} }).await;
    begun.elapsed()
}

async fn status(client: &Client, target: &str) -> u16 {
    client.get(target).script().await.status.as_u16()
}

/// The same browser at the other instance.
fn there(client: &Client, other: &Vestibule) -> Client {
    let twin = other.client();
    let cookie = client.cookie();
    let (name, value) = cookie.split_once('=').unwrap();
    twin.keep(name, value);
    twin
}

#[tokio::test]
async fn sec_sess_03_whatever_ends_at_one_instance_ends_at_the_other_in_under_a_second() {
    let Some(Pair { one, other, redis: _redis, app: _app }) = pair().await else { return };
    let bystander = other.client();
    bystander.sign_in("bob@example.com").await;
    bystander.get("/").script().await.is(200);
    let signed_in = async || {
        let here = one.client();
        here.sign_in("ann@example.com").await;
        let there = there(&here, &other);
        there.get("/edit/a").script().await.is(200);
        (here, there)
    };
    let ended = async |what: &str, there: &Client| {
        let took = until(401, async || status(there, "/").await).await;
        assert!(took < AT_ONCE, "{what}: {took:?}");
    };

    let (here, elsewhere) = signed_in().await;
    here.post("/.auth/logout").submit(&[]).await.is(303);
    ended("a sign-out", &elsewhere).await;

    let (here, elsewhere) = signed_in().await;
    let me = here.get("/.auth/me").await.json();
    let (second, _) = signed_in().await;
    let target = format!("/.auth/account/sessions/{}/end", me["session"]["id"].as_str().unwrap());
    second.post(&target).submit(&[]).await.is(303);
    ended("a session ended by its owner", &elsewhere).await;

    let (_, elsewhere) = signed_in().await;
    one.cli(&["sessions", "revoke", "--user", "ann@example.com"]).success();
    ended("sessions revoked by the operator", &elsewhere).await;

    let (_, elsewhere) = signed_in().await;
    one.cli(&["users", "role", "ann@example.com", "remove", "editor"]).success();
    let took = until(403, async || status(&elsewhere, "/edit/a").await).await;
    assert!(took < AT_ONCE, "a role: {took:?}");
    one.cli(&["users", "role", "ann@example.com", "add", "editor"]).success();

    let (_, elsewhere) = signed_in().await;
    one.cli(&["users", "disable", "ann@example.com"]).success();
    ended("a disabled account", &elsewhere).await;
    one.cli(&["users", "enable", "ann@example.com"]).success();

    let (here, _) = signed_in().await;
    let (_, elsewhere) = signed_in().await;
    let new = "velvet-harbour-12";
    let change = [("current_password", PASSWORD), ("new_password", new)];
    here.post("/.auth/account/password").submit(&change).await.is(303);
    ended("a session before a new password", &elsewhere).await;
    let last = there(&here, &other);
    last.get("/").script().await.is(200);

    one.cli(&["users", "delete", "ann@example.com"]).success();
    ended("a deleted account", &last).await;
    bystander.get("/").script().await.is(200);
}

#[tokio::test]
async fn keys_and_tokens_of_others_end_at_every_instance_in_under_a_second() {
    let Some(Pair { one, other, redis: _redis, app: _app }) = pair().await else { return };
    let key = one.key(&["machine", "--user", &one.user_id("ann@example.com")]);
    let by_key = async || other.client().get("/").header("x-api-key", &key).await.status.as_u16();
    assert_eq!(by_key().await, 200);
    let id = one.cli(&["keys", "list", "--json"]).success().json()["id"].as_str().unwrap().to_owned();
    one.cli(&["keys", "disable", &id]).success();
    let took = until(401, by_key).await;
    assert!(took < AT_ONCE, "a key: {took:?}");

    let tokens = one.client().tokens("bob@example.com").await;
    let by_token = async || {
        let call = other.client().get("/").bearer(tokens["access_token"].as_str().unwrap());
        call.await.status.as_u16()
    };
    assert_eq!(by_token().await, 200);
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    let revoked = one.client().post("/.auth/token/revoke").json(&refresh).await;
    assert!(revoked.status.is_success(), "{}", revoked.describe());
    let took = until(401, by_token).await;
    assert!(took < AT_ONCE, "an access token: {took:?}");

    let foreign = foreign_token("carl");
    let by_foreign = async || other.client().get("/").bearer(&foreign).await.status.as_u16();
    assert_eq!(by_foreign().await, 200);
    let all = one.cli(&["users", "list", "--json"]).success().stdout;
    let carl = all.lines().find(|line| line.contains("\"custom-token\"")).unwrap();
    let carl: serde_json::Value = serde_json::from_str(carl).unwrap();
    one.cli(&["users", "disable", carl["id"].as_str().unwrap()]).success();
    let took = until(401, by_foreign).await;
    assert!(took < AT_ONCE, "somebody else's token: {took:?}");
}

fn foreign_token(subject: &str) -> String {
    let claims = json!({ "sub": subject, "aud": "app", "iat": now(), "exp": now() + 600 });
    Signer::secret(KEY.as_bytes()).sign(&claims)
}

#[tokio::test]
async fn open_streams_end_with_their_session_at_every_instance_in_under_a_second() {
    let Some(Pair { one, other, app, redis: _redis }) = pair().await else { return };
    let here = one.client();
    here.sign_in("ann@example.com").await;
    let there = there(&here, &other);
    let mut request = "ws://app.localhost/live".into_client_request().unwrap();
    for (name, value) in [("cookie", there.cookie()), ("origin", there.origin().to_owned())] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let stream = TcpStream::connect(other.address()).await.unwrap();
    let (mut socket, _) = client_async(request, stream).await.unwrap();
    let senders = std::sync::Mutex::new(Vec::new());
    app.script(move |_| {
        let (answer, sender) = Answer::events();
        senders.lock().unwrap().push(sender);
        answer
    });
    let mut events = there.get("/events").header("accept", "text/event-stream").open().await;
    assert_eq!(events.status(), 200);
    let begun = Instant::now();
    here.post("/.auth/logout").submit(&[]).await.is(303);
    within("the socket to be closed", async { while let Some(Ok(_)) = socket.next().await {} }).await;
    let took = begun.elapsed();
    assert!(took < AT_ONCE, "a WebSocket: {took:?}");
    within("the events to end", async { while let Some(Ok(_)) = events.body_mut().frame().await {} }).await;
    assert!(begun.elapsed() < AT_ONCE, "an event stream: {:?}", begun.elapsed());
}

#[tokio::test]
async fn sec_rate_01_instances_have_one_budget_together_and_each_its_own_without_redis() {
    let (Some(postgres), Some(mut redis)) = (postgres::shared(), Server::start(&[])) else { return };
    let app = RecordingUpstream::start();
    let rules = rules(&postgres.url(), &redis.url()).replace(
        "per_account = \"1000/1h\", per_address = \"1000/1h\"",
        "per_account = \"4/1h\", per_address = \"6/1h\"",
    );
    let site = || Site::new(&app, &rules).env("TOKEN_KEY", KEY);
    let (one, other) = (site().start().await, site().start().await);
    let attempt = async |server: &Vestibule, email: &str| {
        let body = json!({ "email": email, "password": "wrong-password" });
        server.client().post("/.auth/login/local-userpass").json(&body).await
    };
    let mut seen = Vec::new();
    for server in [&one, &other, &one, &other, &one, &other] {
        seen.push(attempt(server, "ann@example.com").await.status);
    }
    assert_eq!(seen, [401, 401, 401, 401, 429, 429], "four for the account, whichever instance is asked");
    let refused = attempt(&other, "bob@example.com").await;
    assert_eq!(refused.status, 429, "and six for the address: {}", refused.describe());
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=900).contains(&seconds), "{seconds}");

    redis.signal("KILL");
    other.log().line("Redis is away").await;
    // Here three were counted: this instance alone has as many left as it has not seen itself.
    assert_eq!(attempt(&other, "carl@example.com").await.status, 401);
    redis.restart();
    other.log().first(2, "Redis is there").await.unwrap();
    assert_eq!(other.log().with("Redis is away").len(), 1, "{}", other.log().text());
}

#[tokio::test]
async fn sec_rate_05_failures_in_a_row_are_counted_by_all_instances_and_a_success_at_any_begins_anew() {
    let (Some(postgres), Some(mut redis)) = (postgres::shared(), Server::start(&[])) else { return };
    let app = RecordingUpstream::start();
    let rules = rules(&postgres.url(), &redis.url()).replace("[limits]", "[limits]\nfailures = 5");
    let site = || Site::new(&app, &rules).env("TOKEN_KEY", KEY);
    let one = site().user("ann@example.com", &[]).user("bob@example.com", &[]).start().await;
    let other = site().start().await;
    let attempt = async |server: &Vestibule, email: &str, password: &str| {
        let body = json!({ "email": email, "password": password });
        server.client().post("/.auth/login/local-userpass").json(&body).await.status.as_u16()
    };
    let wrong = async |server: &Vestibule, email: &str| attempt(server, email, "wrong-password").await;
    for server in [&one, &other, &one, &other] {
        assert_eq!(wrong(server, "ann@example.com").await, 401);
    }
    assert_eq!(attempt(&other, "ann@example.com", PASSWORD).await, 200);
    let began_anew = async {
        while redis.cli(&["KEYS", "vestibule:row:*"]).contains("row") {
            tokio::task::yield_now().await;
        }
    };
    within("the row to go", began_anew).await;
    // Whoever signed in at the other is strange nowhere; here two were counted before, there none since.
    let mut seen = Vec::new();
    for server in [&other, &other, &other, &one, &one, &one, &other] {
        seen.push(wrong(server, "ann@example.com").await);
    }
    assert_eq!(seen, [401, 401, 401, 401, 401, 429, 429], "five together");
    assert_eq!(attempt(&one, "ann@example.com", PASSWORD).await, 429, "the right one comes too late");
    assert_eq!(attempt(&one, "bob@example.com", PASSWORD).await, 200);

    redis.signal("KILL");
    other.log().line("Redis is away").await;
    assert_eq!(attempt(&other, "ann@example.com", PASSWORD).await, 200, "alone it has seen four");
}

#[tokio::test]
async fn without_redis_sign_ins_and_traffic_go_on_and_revocations_reach_others_within_the_cache() {
    let (Some(postgres), Some(mut redis)) = (postgres::shared(), Server::start(&[])) else { return };
    let app = RecordingUpstream::start();
    let rules = rules(&postgres.url(), &redis.url()).replace("cache = \"1m\"", "cache = \"2s\"");
    let site = || Site::new(&app, &rules).env("TOKEN_KEY", KEY);
    let one = site().user("ann@example.com", &[]).start().await;
    let other = site().start().await;
    for (times, (gone, back)) in [("STOP", "CONT"), ("KILL", "")].into_iter().enumerate() {
        redis.signal(gone);
        other.log().first(times + 1, "Redis is away").await.unwrap();
        let begun = Instant::now();
        let here = one.client();
        here.sign_in("ann@example.com").await;
        assert!(begun.elapsed() < Duration::from_secs(3), "{gone}: a sign-in waits for nobody: {:?}", begun.elapsed());
        let there = there(&here, &other);
        there.get("/").script().await.is(200);
        here.post("/.auth/logout").submit(&[]).await.is(303);
        let took = until(401, async || status(&there, "/").await).await;
        assert!(took < Duration::from_secs(3), "{gone}: {took:?}");
        one.client().get("/").script().await.is(401);

        if back.is_empty() {
            redis.restart()
        } else {
            redis.signal(back)
        }
        for server in [&one, &other] {
            server.log().first(times + 2, "Redis is there").await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_redis_that_is_not_there_is_no_reason_not_to_start_and_one_that_is_none_is() {
    let app = RecordingUpstream::start();
    let rules = "[cluster]\nredis = \"redis://127.0.0.1:1\"\n[providers.local-userpass]\n[routes]\n\"/**\" = { all = \"signed_in\" }\n";
    let server = Site::new(&app, rules).user("ann@example.com", &[]).start().await;
    assert!(server.log().line("Redis is away").await.contains("redis://127.0.0.1:1"));
    server.client().sign_in("ann@example.com").await;
    let told = server.cli(&["users", "disable", "ann@example.com"]).success();
    assert!(told.stderr.contains("note: Redis does not answer"), "{told:?}");
    let faulty = Site::new(&app, &rules.replace("redis://127.0.0.1:1", "http://127.0.0.1:1")).cli(&["run"]);
    assert_eq!(faulty.code, 3, "{faulty:?}");
    assert!(faulty.stderr.contains("help:"), "{faulty:?}");
}

#[tokio::test]
async fn nothing_in_redis_tells_a_name_a_token_or_an_address() {
    let Some(Pair { one, other, redis, app: _app }) = pair().await else { return };
    let client = one.client();
    client.sign_in("ann@example.com").await;
    other.client().sign_in("bob@example.com").await;
    let all = redis.cli(&["KEYS", "*"]);
    let values = all.lines().map(|key| redis.cli(&["GET", key])).collect::<Vec<_>>().join(" ");
    let token = client.session();
    for secret in ["ann", "example", "bob", "127.0.0.1", token.as_str()] {
        assert!(!all.contains(secret) && !values.contains(secret), "{secret}: {all} {values}");
    }
    assert!(all.lines().any(|key| key.starts_with("vestibule:limit:{sign_in}:")), "{all}");
}
