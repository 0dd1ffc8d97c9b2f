//! One table of decisions, and every shape in which they are taken: our own proxy, the layer in a program, nginx, Caddy,
//! HAProxy and Envoy (over HTTP and over gRPC) that ask, and a script that asks as Traefik does. The same verdict, and the
//! same identity for the app, in each. A row more runs everywhere.

pub mod gateways;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::headers::{EVIL, RULES};
use crate::support::client::Call;
use crate::support::{Client, RecordingUpstream, Site, Vestibule, within};

const TABLE: &str = include_str!("decisions.txt");
const FIRST: &str = "aliases = [\"envoy\"]";
const MORE: &str =
    "\"/inside/**\" = { all = \"anyone\", from = [\"10.0.0.0/8\"] }\n[trusted_proxies]\naddresses = [\"127.0.0.1\"]\n";

struct Row<'a> {
    line: &'a str,
    verdict: &'a str,
    told: &'a str,
    who: &'a str,
    method: &'a str,
    target: &'a str,
    headers: Vec<(&'a str, &'a str)>,
}

fn rows() -> Vec<Row<'static>> {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let rows = lines.map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [verdict, told, who, method, target, headers @ ..] = &words[..] else { panic!("{line}") };
        let headers = headers.iter().map(|pair| pair.split_once('=').unwrap()).collect();
        Row { line, verdict, told, who, method, target, headers }
    });
    rows.collect()
}

/// Everybody who asks, and what the app is told of them.
struct People {
    clients: BTreeMap<&'static str, Client>,
    bearer: String,
    key: String,
    told: BTreeMap<&'static str, Vec<(&'static str, String)>>,
}

/// Those that take nothing out of a request: there the app gets to see credentials of ours.
const HANDS_EVERYTHING_ON: [&str; 4] = ["nginx", "caddy", "haproxy", "traefik"];

async fn site(app: &RecordingUpstream) -> Vestibule {
    let site = Site::new(app, &format!("{FIRST}\n{RULES}{MORE}"));
    site.user("ann@example.com", &["journalist", "admin"]).user("max@example.com", &[]).start().await
}

async fn people(server: &Vestibule) -> People {
    let adds = ["server", "connection", "location", "via", "alt-svc", "x-envoy-upstream-service-time"];
    let client = server.client().from("127.0.0.9").expecting(&adds);
    let (max, ann, guest) = (client.stranger(), client.stranger(), client.stranger());
    max.sign_in("max@example.com").await;
    ann.sign_in("ann@example.com").await;
    guest.post("/.auth/login/anon-user").submit(&[]).await.is(303);
    let id =
        async |client: &Client| client.get("/.auth/me").script().await.json()["user_id"].as_str().unwrap().to_owned();
    let bearer = client.tokens("ann@example.com").await["access_token"].as_str().unwrap().to_owned();
    let key = server.key(&["machine"]);
    let bad = client.stranger();
    bad.keep(&max.session_name(), &format!("{}x", &max.session()[1..]));
    let said = |kind: &str, id: String| vec![("x-auth-kind", kind.to_owned()), ("x-auth-user", id)];
    let mut told = BTreeMap::from([("-", Vec::new()), ("key", vec![("x-auth-kind", "service".to_owned())])]);
    told.insert("max", [said("user", id(&max).await), vec![("x-auth-email", "max@example.com".to_owned())]].concat());
    told.insert("guest", said("guest", id(&guest).await));
    let more = vec![
        ("x-auth-email", "ann@example.com".to_owned()),
        ("x-auth-roles", "admin,journalist".to_owned()),
        ("x-auth-provider", "local-userpass".to_owned()),
    ];
    told.insert("ann", [said("user", id(&ann).await), more].concat());
    let clients = [("nobody", client.stranger()), ("guest", guest), ("max", max), ("ann", ann), ("bad-cookie", bad)];
    People { clients: BTreeMap::from(clients), bearer, key, told }
}

impl People {
    fn call(&self, row: &Row<'_>, at: SocketAddr) -> Call {
        let client = self.clients.get(row.who).unwrap_or(&self.clients["nobody"]).at(at);
        let call = match row.method {
            "UPGRADE" => client
                .get(row.target)
                .header("origin", client.origin())
                .header("connection", "upgrade")
                .header("upgrade", "websocket")
                .header("sec-websocket-version", "13")
                .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            method => client.method(method, row.target).script(),
        };
        let call = match row.who {
            "bearer" => call.bearer(&self.bearer),
            "bad-bearer" => call.bearer("anything"),
            "key" => call.header("x-api-key", &self.key),
            "bad-key" => call.header("x-api-key", "vk_nothing"),
            _ => call,
        };
        row.headers.iter().fold(call, |call, (name, value)| call.without(name).header(name, value))
    }
}

/// Sends every row to this address, and tells the rows that came out otherwise.
async fn differing(shape: &str, at: SocketAddr, people: &People, app: &RecordingUpstream) -> Vec<String> {
    let mut faults = Vec::new();
    for row in rows() {
        let before = app.count();
        let response = people.call(&row, at).open().await;
        let status = response.status().as_u16();
        let verdict = match (app.count() > before, status) {
            (true, _) => "allow",
            (false, 401 | 303) => "sign_in",
            (false, 400 | 403) => "no",
            (false, _) => "?",
        };
        if verdict != row.verdict {
            faults.push(format!("{shape}: {}: {verdict} ({status})", row.line));
        }
        if verdict != "allow" {
            continue;
        }
        let seen = app.last();
        let said = seen.family("x-auth").into_iter().filter(|(_, value)| !value.is_empty()).collect::<Vec<_>>();
        let value = |name: &str| said.iter().find(|(said, _)| said.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let expected = &people.told[row.told];
        let right = expected.iter().all(|(name, expected)| value(name) == Some(expected));
        let nobody = !expected.is_empty() || said.is_empty();
        if !right || !nobody {
            faults.push(format!("{shape}: {}: the app is told {said:?}", row.line));
        }
        if seen.family("").iter().any(|(_, value)| value.contains(EVIL)) {
            faults.push(format!("{shape}: {}: the app gets what no client may say", row.line));
        }
        // Over h2c a client would talk to the app past every decision; without its settings there is none (RFC 7540
        // §3.2.1).
        if seen.header("upgrade").contains("h2c") && !seen.family("http2-settings").is_empty() {
            faults.push(format!("{shape}: {}: the app is asked for another protocol", row.line));
        }
    }
    let seen = String::from_utf8_lossy(&app.bytes()).into_owned();
    let sessions = ["guest", "max", "ann"].map(|who| people.clients[who].session());
    for secret in sessions.iter().chain([&people.bearer, &people.key]) {
        if seen.contains(secret) && !HANDS_EVERYTHING_ON.contains(&shape) {
            faults.push(format!("{shape}: the app got hold of a credential"));
        }
    }
    faults
}

/// What a decision says to the browser gets there: a guest stays one, a session that is over goes.
async fn forgetting(shape: &str, at: SocketAddr, people: &People, app: &RecordingUpstream) -> Vec<String> {
    let guest = people.clients["nobody"].stranger().at(at);
    let mut ids = BTreeSet::new();
    for path in ["/guests/a", "/guests/b"] {
        guest.get(path).navigate().await.is(200);
        ids.insert(app.last().header("x-auth-user"));
    }
    let name = people.clients["max"].session_name();
    let over = |path: &str, status: u16| {
        let client = people.clients["nobody"].stranger().at(at);
        client.keep(&name, &"A".repeat(people.clients["max"].session().len()));
        let call = client.get(path).navigate();
        let name = name.clone();
        async move {
            let reply = call.await;
            let cleared = reply.cookies().iter().any(|cookie| cookie.clears() && cookie.name == name);
            (!cleared || reply.status != status)
                .then(|| format!("{shape}: the dead cookie stays: {}", reply.describe()))
        }
    };
    let anew = (ids.len() != 1).then(|| format!("{shape}: a guest is made anew at every visit"));
    anew.into_iter().chain(over("/public/x", 200).await).chain(over("/page", 303).await).collect()
}

/// A gate by the file of this server.
async fn gate_at(server: &Vestibule) -> vestibule::Vestibule {
    let builder = vestibule::Vestibule::builder().file(server.config());
    builder.environment([("PATH", "")]).build().await.unwrap()
}

/// Takes every decision of the table in this shape.
async fn decides<P>(shape: &str, start: impl FnOnce(SocketAddr, SocketAddr) -> Option<(P, SocketAddr)>) {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let people = people(&server).await;
    let Some((_program, at)) = start(server.address(), app.address()) else { return };
    within(shape, async {
        while TcpStream::connect(at).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut faults = differing(shape, at, &people, &app).await;
    // The script has no `addAuthCookiesToResponse`.
    if shape != "traefik" {
        faults.extend(forgetting(shape, at, &people, &app).await);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_table_is_long_enough_and_says_nothing_twice() {
    let rows = rows();
    let lines: BTreeSet<_> = rows.iter().map(|row| row.line).collect();
    assert!(rows.len() >= 60 && lines.len() == rows.len(), "{}", rows.len());
}

#[tokio::test]
async fn our_own_proxy_decides_by_the_table() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let people = people(&server).await;
    let faults = differing("proxy", server.address(), &people, &app).await;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test]
async fn the_layer_in_a_program_decides_by_the_table() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let people = people(&server).await;
    // On the same file and the same store, while the server goes on.
    let gate = gate_at(&server).await;
    let at = crate::gate_servers::forwarding(&gate, app.address()).await;
    let faults = differing("layer", at, &people, &app).await;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test]
async fn nginx_decides_by_the_table() {
    decides("nginx", gateways::nginx).await;
}

/// nginx keeps 4 KiB of an answer unless it is told otherwise.
#[tokio::test]
async fn nginx_hands_a_long_identity_on() {
    let app = RecordingUpstream::start();
    let roles: Vec<String> = (0..100).map(|number| format!("department-{number}-of-the-company")).collect();
    let roles: Vec<&str> = roles.iter().map(String::as_str).collect();
    let rules =
        format!("roles = {roles:?}\n[providers.local-userpass]\n[trusted_proxies]\naddresses = [\"127.0.0.1\"]\n");
    let server = Site::new(&app, &rules).user("ann@example.com", &roles).start().await;
    let Some((_nginx, at)) = gateways::nginx(server.address(), app.address()) else { return };
    within("nginx", async {
        while TcpStream::connect(at).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let client = server.client().at(at).expecting(&["server", "connection", "location"]);
    client.sign_in("ann@example.com").await;
    client.get("/page").script().await.is(200);
    assert_eq!(app.last().header("x-auth-roles").split(',').count(), 100);
}

/// Balancers look whether somebody is there by a request of HTTP/1.0, without a host.
#[tokio::test]
async fn nginx_refuses_what_names_no_host_and_does_not_fail() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let Some((_nginx, at)) = gateways::nginx(server.address(), app.address()) else { return };
    let answer = within("nginx", async {
        let mut stream = loop {
            if let Ok(stream) = TcpStream::connect(at).await {
                break stream;
            }
            tokio::task::yield_now().await;
        };
        stream.write_all(b"GET /public/x HTTP/1.0\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    })
    .await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
}

#[tokio::test]
async fn caddy_decides_by_the_table() {
    decides("caddy", gateways::caddy).await;
}

#[tokio::test]
async fn what_traefik_does_decides_by_the_table() {
    decides("traefik", gateways::traefik).await;
}

#[tokio::test]
async fn haproxy_decides_by_the_table() {
    decides("haproxy", gateways::haproxy).await;
}

#[tokio::test]
async fn envoy_decides_by_the_table() {
    decides("envoy", gateways::envoy).await;
}

#[tokio::test]
async fn envoy_decides_by_the_table_over_grpc() {
    decides("envoy over gRPC", gateways::envoy_grpc).await;
}
