//! A disk that is full: what cannot be kept is refused and said, what was acknowledged is there, and it ends by itself.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;

use rusqlite::Connection;
use serde_json::json;

use crate::support::site::PASSWORD;
use crate::support::{Client, RecordingUpstream, Reply, Site, Vestibule, within};

const RULES: &str = r#"
listen = ["127.0.0.1:0"]
[store]
url = "sqlite:disk/vestibule.db"
[session]
cache = "1ms"
[limits]
sign_in = { per_account = "1000/1h", per_address = "100000/1h" }
sign_up = { per_account = "1000/1h", per_address = "100000/1h" }
[admin]
listen = "127.0.0.1:0"
token = { env = "ADMIN_TOKEN" }
[providers.local-userpass]
sign_up = "open"
confirm = "automatic"
[routes]
"/**" = { all = "signed_in" }
"/public/**" = { all = "anyone" }
"#;

/// What the service said to each address: whether there is an account.
type Log = BTreeMap<String, bool>;

async fn register(server: &Vestibule, email: &str, log: &mut Log) -> bool {
    let reply = server.client().post("/.auth/register").json(&json!({ "email": email, "password": PASSWORD })).await;
    let acknowledged = decided(&reply, 202);
    *log.entry(email.to_owned()).or_default() |= acknowledged;
    acknowledged
}

/// Whether it was done; what was not is refused for a while, and says so.
fn decided(reply: &Reply, done: u16) -> bool {
    if reply.status == done {
        return true;
    }
    assert_eq!(reply.status, 503, "{}", reply.describe());
    assert!(!reply.header("retry-after").is_empty(), "{}", reply.describe());
    assert!(!reply.describe().to_lowercase().contains("disk"), "sec_err_01: {}", reply.describe());
    false
}

async fn sign_in(client: &Client, email: &str) -> Reply {
    let body = json!({ "email": email, "password": PASSWORD });
    client.post("/.auth/login/local-userpass").json(&body).await
}

/// Takes all the room there is.
fn fill(server: &Vestibule) {
    let mut filler = File::create(server.disk().join("filler")).unwrap();
    for size in [1 << 16, 1 << 12, 1] {
        while filler.write_all(&vec![b'x'; size]).is_ok() {}
    }
}

#[tokio::test]
async fn sec_sess_09_a_full_disk_refuses_what_cannot_be_kept_loses_nothing_and_ends_by_itself() {
    let app = RecordingUpstream::start();
    let token = "velvet-harbour-12-velvet-harbour-12";
    let Some(site) = Site::new(&app, RULES).env("ADMIN_TOKEN", token).on_a_disk_of("8m") else { return };
    let server = site.start_listeners(2).await;
    let operator = Client::new(server.addresses()[1], "http://127.0.0.1");
    let mut log = Log::new();
    assert!(register(&server, "ann@example.com", &mut log).await);
    let ann = server.client();
    ann.sign_in("ann@example.com").await;
    let tokens = sign_in(&server.client(), "ann@example.com").await.json();
    assert_eq!(operator.get("/readyz").await.json()["checks"]["store"], "ok");

    fill(&server);
    // What has room in a file that is there already is still kept.
    let mut number = 0;
    while register(&server, &format!("v{number}@example.com"), &mut log).await {
        number += 1;
        assert!(number < 2000, "the disk is not full");
    }
    assert!(!decided(&sign_in(&server.client(), "ann@example.com").await, 200));
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    assert!(!decided(&server.client().post("/.auth/token/refresh").json(&refresh).await, 200));
    assert!(server.log().text().contains("disk is full"), "{}", server.log().text());
    let ready = operator.get("/readyz").await;
    assert_eq!((ready.status.as_u16(), ready.json()["checks"]["store"].as_str()), (503, Some("down")));
    // Who is in stays in, what is open is open, and nobody else comes in.
    ann.get("/page").script().await.is(200);
    server.client().get("/page").script().await.is(401);
    server.client().get("/public/page").script().await.is(200);

    std::fs::remove_file(server.disk().join("filler")).unwrap();
    let last = format!("v{number}@example.com");
    within("room to be used", async { while !register(&server, &last, &mut log).await {} }).await;
    operator.get("/readyz").await.is(200);
    server.client().post("/.auth/token/refresh").json(&refresh).await.is(200);
    for (email, acknowledged) in &log {
        assert!(acknowledged, "{email}");
        assert_eq!(sign_in(&server.client(), email).await.status, 200, "{email} was acknowledged");
    }
    // A copy: SQLite does not look through the door to the disk of another process.
    let copy = tempfile::tempdir().unwrap();
    for name in ["vestibule.db", "vestibule.db-wal"] {
        std::fs::copy(server.disk().join(name), copy.path().join(name)).unwrap();
    }
    let store = Connection::open(copy.path().join("vestibule.db")).unwrap();
    assert_eq!(store.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
    let users: i64 = store.query_row("SELECT count(*) FROM users", [], |row| row.get(0)).unwrap();
    assert_eq!(usize::try_from(users).unwrap(), log.len(), "nobody is there twice, and nobody halfway");
}
