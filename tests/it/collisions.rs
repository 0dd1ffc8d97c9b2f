//! Names chosen to fall together in a table: as many as may come are served beside everybody else, more are refused.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use http::HeaderName;
use serde_json::json;

use crate::support::client::Call;
use crate::support::site::PASSWORD;
use crate::support::{Client, RawUpstream, RecordingUpstream, Site, Vestibule};

const RULES: &str = r#"
[providers.local-userpass]
sign_up = "open"
[providers.api-key]
[routes]
"/**" = { all = "signed_in" }
"/public/**" = { all = "anyone" }
"#;

/// An app that answers however many fields come.
async fn app() -> RawUpstream {
    RawUpstream::start("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await
}

/// Over either version of HTTP.
fn clients(server: &Vestibule) -> [Client; 2] {
    [server.client(), server.client().http2()]
}

fn asking(client: &Client, names: &[String]) -> Call {
    names.iter().fold(client.get("/public/a"), |call, name| call.header(name, "v"))
}

/// What every client adds: `Accept`, `User-Agent`, and on HTTP/1.1 a `Host`.
fn own_fields(client: usize) -> usize {
    3 - client
}

#[tokio::test]
async fn sec_dos_07_as_many_colliding_names_as_fields_are_admitted_and_one_more_is_refused() {
    let app = app().await;
    let server = Site::before(&app.url(), RULES).start().await;
    let names = colliding();
    for (number, client) in clients(&server).iter().enumerate() {
        let most = 100 - own_fields(number);
        asking(client, &names[..most]).await.is(200);
        assert!(app.received().contains(&names[most - 1]), "all of them are the app's to see");
        assert!(!app.received().contains(&names[most]));
        asking(client, &names[..=most]).await.is(431);
        assert!(!app.received().contains(&names[most]), "nothing of a refused request reaches the app");
    }
    let attackers: Vec<_> = clients(&server)
        .iter()
        .flat_map(|client| (0..100).map(|turn| asking(client, &names[turn..turn + 97]).into_future()))
        .map(tokio::spawn)
        .collect();
    for client in clients(&server) {
        client.get("/public/healthy").await.is(200);
    }
    for attacker in attackers {
        attacker.await.unwrap().is(200);
    }
}

/// With the most that can be allowed, too.
#[tokio::test]
async fn sec_dos_07_no_more_than_a_thousand_fields_can_be_allowed() {
    let app = app().await;
    let rules = |fields: usize| format!("[limits]\nheader_fields = {fields}\nheader_bytes = \"64KiB\"\n{RULES}");
    let refused = Site::before(&app.url(), &rules(1_001)).cli(&["check"]);
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(refused.stderr.contains("header_fields"), "{refused:?}");
    let server = Site::before(&app.url(), &rules(1_000)).start().await;
    let names = colliding();
    for (number, client) in clients(&server).iter().enumerate() {
        let most = 1_000 - own_fields(number);
        asking(client, &names[..most]).await.is(200);
        let resident = server.resident();
        let attackers: Vec<_> = (0..20).map(|_| tokio::spawn(asking(client, &names[..most]).into_future())).collect();
        client.get("/public/healthy").await.is(200);
        for attacker in attackers {
            attacker.await.unwrap().is(200);
        }
        assert!(server.resident() < resident + (16 << 20), "what was answered is not kept");
        asking(client, &names[..=most]).await.is(431);
    }
}

#[tokio::test]
async fn sec_dos_07_an_object_of_a_hundred_thousand_names_is_refused_unread() {
    let app = RecordingUpstream::start();
    let server = Site::new(&app, RULES).user("ann@example.com", &[]).start().await;
    let object = |names: usize| {
        let mut object = json!({ "email": "ann@example.com", "password": PASSWORD });
        (0..names).for_each(|number| object[format!("k{number}")] = json!(number));
        object
    };
    let huge = object(100_000);
    server.client().sign_in("ann@example.com").await;
    let before = server.resident();
    for path in ["login/local-userpass", "login/api-key", "token/refresh", "token/revoke", "register", "reset/send"] {
        for client in clients(&server) {
            let reply = client.post(&format!("/.auth/{path}")).json(&huge).await;
            assert_eq!(reply.is(413).code(), "body.too_large", "{path}");
        }
    }
    assert!(server.resident() < before + (8 << 20), "megabytes were not kept");
    let sign_in =
        async |names: usize| server.client().post("/.auth/login/local-userpass").json(&object(names - 2)).await;
    sign_in(1_000).await.is(200);
    assert_eq!(sign_in(1_001).await.is(400).code(), "json.too_complex");
}

/// 4,096 names to which the `http` crate gives the same place in its table. It hashes with a key when names fall together,
/// but does not notice when all of them do.
///
/// Of FNV-1a it uses fifteen bits, and those depend on nothing above them. So four times in a row eight blocks are
/// looked for that lead from one state to one other; any of the eight will do each time.
fn colliding() -> Vec<String> {
    let mut recorder = Recorder::default();
    let length = PREFIX.len() + BLOCKS * BLOCK;
    HeaderName::from_bytes("x".repeat(length).as_bytes()).unwrap().hash(&mut recorder);
    let before = recorder.0.windows(length).position(|window| window.iter().all(|byte| *byte == b'x')).unwrap();
    let mut state = fnv(fnv(FNV_BEGIN, &recorder.0[..before]), PREFIX.as_bytes());
    let mut names = vec![PREFIX.to_owned()];
    for _ in 0..BLOCKS {
        let (next, blocks) = blocks_from(state);
        names = names.iter().flat_map(|name| blocks.iter().map(move |block| format!("{name}{block}"))).collect();
        state = next;
    }
    let place = |name: &String| {
        let mut recorder = Recorder::default();
        HeaderName::from_bytes(name.as_bytes()).unwrap().hash(&mut recorder);
        fnv(FNV_BEGIN, &recorder.0) & PLACES
    };
    assert!(names.iter().all(|name| place(name) == place(&names[0])));
    names
}

/// Eight blocks that lead to the same state.
fn blocks_from(state: u64) -> (u64, Vec<String>) {
    let mut found: HashMap<u64, Vec<String>> = HashMap::new();
    for number in 0_u32.. {
        let block = format!("{number:0BLOCK$x}");
        let next = fnv(state, block.as_bytes()) & PLACES;
        let blocks = found.entry(next).or_default();
        blocks.push(block);
        if blocks.len() == CHOICES {
            return (next, found.remove(&next).unwrap());
        }
    }
    unreachable!("there are more blocks than states")
}

fn fnv(state: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(state, |state, byte| (state ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// What is hashed, in one piece.
#[derive(Default)]
struct Recorder(Vec<u8>);

impl Hasher for Recorder {
    fn finish(&self) -> u64 {
        0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

const FNV_BEGIN: u64 = 0xcbf2_9ce4_8422_2325;
/// Fifteen bits.
const PLACES: u64 = 0x7fff;
const PREFIX: &str = "x-";
const BLOCKS: usize = 4;
const BLOCK: usize = 5;
const CHOICES: usize = 8;
