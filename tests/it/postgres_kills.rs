//! What was acknowledged is there, although the instance, PostgreSQL or both were killed in the middle of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use vestibule::account::email::Email;
use vestibule::id::KeyId;
use vestibule::store::{Address, PostgresSettings, PostgresUrl, Store, open};

use crate::support::postgres::Server;
use crate::support::site::PASSWORD;
use crate::support::{RecordingUpstream, Site, Vestibule, within};

/// How many are at it at the same time; two and two want the same addresses.
const VISITORS: usize = 6;

fn rules(url: &str) -> String {
    format!(
        r#"
[store]
url = "{url}"
connect_timeout = "1s"
statement_timeout = "1s"
[session]
cache = "1ms"
[limits]
sign_in = {{ per_account = "1000/1h", per_address = "100000/1h" }}
sign_up = {{ per_account = "1000/1h", per_address = "100000/1h" }}
[providers.local-userpass]
sign_up = "open"
confirm = "automatic"
[providers.api-key]
[routes]
"/**" = {{ all = "signed_in" }}
"#
    )
}

/// What the service has acknowledged, as its clients wrote it down.
#[derive(Debug, Default)]
struct Acknowledged {
    /// E-mail address to user id.
    users: BTreeMap<String, String>,
    /// Keys that were made.
    keys: Vec<String>,
    /// Keys whose deletion was asked for: whether it was acknowledged.
    deleted: BTreeMap<String, bool>,
    /// Bearers of sessions that were ended.
    ended: Vec<String>,
}

/// Sends one request with JSON and expects to be cut off at any point.
async fn ask(address: SocketAddr, head: &str, body: &Value) -> Option<(u16, Value)> {
    let (status, text) = exchange(address, head, &body.to_string()).await?;
    if text.is_empty() { Some((status, Value::Null)) } else { Some((status, serde_json::from_str(&text).ok()?)) }
}

/// The same with any text.
pub async fn exchange(address: SocketAddr, head: &str, body: &str) -> Option<(u16, String)> {
    let request = format!(
        "{head} HTTP/1.1\r\nHost: app.localhost\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {}\r\nAccept: application/json\r\n",
        body.len()
    );
    // What follows the first line of `head` are more header fields.
    let (line, fields) = head.split_once('\n').unwrap_or((head, ""));
    let request = request.replacen(&format!("{head} HTTP/1.1"), &format!("{line} HTTP/1.1"), 1);
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(format!("{request}{fields}\r\n{body}").as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    // Cut short is not acknowledged.
    let (_, text) = answer.split_once("\r\n\r\n")?;
    Some((status, text.to_owned()))
}

async fn visit(number: usize, address: Arc<Mutex<SocketAddr>>, log: Arc<Mutex<Acknowledged>>, over: Arc<AtomicBool>) {
    let here = || *address.lock().unwrap();
    for turn in 0.. {
        if over.load(Ordering::SeqCst) {
            return;
        }
        // Two visitors register the same addresses at about the same time.
        let email = format!("v{}-{turn}@example.com", number / 2);
        let account = json!({ "email": email, "password": PASSWORD });
        ask(here(), "POST /.auth/register", &account).await;
        let Some((200, tokens)) = ask(here(), "POST /.auth/login/local-userpass", &account).await else { continue };
        let id = tokens["user_id"].as_str().unwrap().to_owned();
        let before = log.lock().unwrap().users.insert(email.clone(), id.clone());
        assert!(before.is_none_or(|before| before == id), "{email} is of two users");
        let bearer = tokens["access_token"].as_str().unwrap().to_owned();
        let fields = format!("Authorization: Bearer {bearer}\r\n");
        let named = json!({ "name": "k", "days": "7" });
        if let Some((200 | 201, made)) = ask(here(), &format!("POST /.auth/account/keys\n{fields}"), &named).await {
            let key = made["id"].as_str().unwrap().to_owned();
            log.lock().unwrap().keys.push(key.clone());
            if turn % 2 == 0 {
                log.lock().unwrap().deleted.insert(key.clone(), false);
                let gone = ask(here(), &format!("POST /.auth/account/keys/{key}/delete\n{fields}"), &json!({})).await;
                if gone.is_some_and(|(status, _)| (200..300).contains(&status)) {
                    log.lock().unwrap().deleted.insert(key, true);
                }
            }
        }
        let refresh = json!({ "refresh_token": tokens["refresh_token"] });
        let revoked = ask(here(), "POST /.auth/token/revoke", &refresh).await;
        if revoked.is_some_and(|(status, _)| (200..300).contains(&status)) {
            log.lock().unwrap().ended.push(bearer);
        }
    }
}

/// Reads the log of what was acknowledged against the store.
async fn check(log: &Acknowledged, store: &Arc<dyn Store>, server: &Vestibule) {
    for (email, id) in &log.users {
        let found = store.user_by_email(Email::parse(email).unwrap().key()).await.unwrap();
        let user = found.unwrap_or_else(|| panic!("{email} was acknowledged and is not there"));
        assert_eq!(user.id.to_string(), *id, "{email}");
    }
    for key in &log.keys {
        let there = store.key(key.parse::<KeyId>().unwrap()).await.unwrap().is_some();
        match log.deleted.get(key) {
            None => assert!(there, "the key {key} was acknowledged and is not there"),
            Some(true) => assert!(!there, "the key {key} was deleted and is there"),
            Some(false) => {}
        }
    }
    for bearer in &log.ended {
        server.client().get("/.auth/me").bearer(bearer).await.is(401);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lose_nothing_that_was_acknowledged_and_leave_nothing_half_done() {
    let Some(mut postgres) = Server::start(&[]) else { return };
    let (app, url) = (RecordingUpstream::start(), postgres.url());
    let mut server = Site::new(&app, &rules(&url)).start().await;
    let address = Arc::new(Mutex::new(server.address()));
    let (log, over) = (Arc::new(Mutex::new(Acknowledged::default())), Arc::new(AtomicBool::new(false)));
    let visitors: Vec<_> =
        (0..VISITORS).map(|number| tokio::spawn(visit(number, address.clone(), log.clone(), over.clone()))).collect();
    // So many acknowledgements more each time, and then it is killed in the middle of whatever comes next.
    let mut next = 0;
    for (round, victims) in ["instance", "postgres", "both", "postgres", "both", "instance"].iter().enumerate() {
        next += 7 + 3 * round;
        let acknowledged = || {
            let log = log.lock().unwrap();
            log.users.len() + log.keys.len() + log.ended.len()
        };
        within("visitors to be served", async {
            while acknowledged() < next {
                tokio::task::yield_now().await;
            }
        })
        .await;
        next = acknowledged();
        if *victims != "instance" {
            postgres.signal("KILL");
        }
        if *victims != "postgres" {
            server.signal(Signal::KILL);
        }
        if *victims != "instance" {
            postgres.restart();
        }
        if *victims != "postgres" {
            server = server.kill_and_restart().await;
            *address.lock().unwrap() = server.address();
        }
    }
    over.store(true, Ordering::SeqCst);
    for visitor in visitors {
        visitor.await.unwrap();
    }
    let log = std::mem::take(&mut *log.lock().unwrap());
    let store = open(&Address::Postgres(Box::new(PostgresSettings::new(PostgresUrl::parse(&url).unwrap())))).unwrap();
    check(&log, &store, &server).await;
    let schema = url.rsplit("%3D").next().unwrap();
    let count =
        |sql: &str| postgres.sql("postgres", &format!("SET search_path = {schema}; SELECT count(*) FROM {sql}"));
    assert_eq!(count("(SELECT email_key FROM users GROUP BY 1 HAVING count(*) > 1) twice"), "0");
    let half = "users u WHERE email IS NOT NULL AND NOT EXISTS (SELECT 1 FROM identities i WHERE i.user_id = u.id)";
    assert_eq!(count(half), "0", "a user without the identity that was made with it");
    assert!(log.users.len() > 6 && !log.keys.is_empty() && !log.ended.is_empty(), "{log:?}");
}
