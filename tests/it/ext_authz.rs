//! Envoy's questions over gRPC, as friends, strangers and liars ask them. Envoy itself is in `decisions`.

use crate::headers::{EVIL, RULES};
use crate::support::{Client, RecordingUpstream, Reply, Site, Vestibule};

const FIRST: &str = "aliases = [\"envoy\"]\n";
const MORE: &str = r#"
"/inside/**" = { all = "anyone", from = ["127.0.0.77"] }
[trusted_proxies]
addresses = ["127.0.0.2"]
"#;
const PATH: &str = "/envoy.service.auth.v3.Authorization/Check";

async fn site(app: &RecordingUpstream, first: &str) -> Vestibule {
    let site = Site::new(app, &format!("{first}{RULES}{MORE}"));
    site.user("ann@example.com", &["journalist", "admin"]).user("max@example.com", &[]).start().await
}

/// The gateway of this client.
fn gateway(client: &Client) -> Client {
    client.from("127.0.0.2").http2().expecting(&["grpc-status", "grpc-message"])
}

fn field(number: u8, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    let mut field = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        field.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend(content);
    field
}

/// A `CheckRequest` about a request that came from 127.0.0.77.
fn question(method: &str, target: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let header = |(name, value): &(&str, &str)| field(3, [field(1, name), field(2, value)].concat());
    let headers: Vec<u8> = headers.iter().flat_map(header).collect();
    let http = [field(2, method), headers, field(4, target), field(5, "app.localhost"), field(6, "http")].concat();
    let peer = field(1, field(1, field(1, field(2, "127.0.0.77"))));
    field(1, [peer, field(4, field(2, http))].concat())
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&[0], &(message.len() as u32).to_be_bytes()[..], message].concat()
}

async fn send(gateway: &Client, body: Vec<u8>) -> Reply {
    let call = gateway.post(PATH).without_cookies().header("te", "trailers");
    call.header("content-type", "application/grpc").body(body).await
}

/// A `CheckResponse`.
#[derive(Debug, Default)]
struct Decision {
    status: u64,
    http: u64,
    set: Vec<(String, String)>,
    removed: Vec<String>,
    for_the_client: Vec<(String, String)>,
    body: String,
}

fn varint(message: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = message[0];
        *message = &message[1..];
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return number;
        }
    }
}

/// The fields of a message: number, value if it is a number, content if it is bytes.
fn fields(mut message: &[u8]) -> Vec<(u64, u64, &[u8])> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message);
        let number = varint(&mut message);
        match tag & 7 {
            0 => fields.push((tag >> 3, number, &[][..])),
            2 => {
                let (content, rest) = message.split_at(number as usize);
                fields.push((tag >> 3, 0, content));
                message = rest;
            }
            kind => panic!("a field of kind {kind}"),
        }
    }
    fields
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn option(bytes: &[u8]) -> (String, String) {
    let header = fields(bytes)[0].2;
    let header = fields(header);
    (text(header[0].2), text(header[1].2))
}

impl Decision {
    fn of(reply: &Reply) -> Self {
        reply.is(200);
        assert_eq!(reply.header("content-type"), "application/grpc");
        assert_eq!(reply.trailers.as_ref().unwrap()["grpc-status"], "0", "{}", reply.describe());
        let mut found = Self { status: u64::MAX, ..Self::default() };
        for (number, _, content) in fields(&reply.body[5..]) {
            for (inner, value, bytes) in fields(content) {
                match (number, inner) {
                    (1, 1) => found.status = value,
                    (2, 1) => found.http = fields(bytes)[0].1,
                    (2, 2) | (3, 6) => found.for_the_client.push(option(bytes)),
                    (2, 3) => found.body = text(bytes),
                    (3, 2) => found.set.push(option(bytes)),
                    (3, 5) => found.removed.push(text(bytes)),
                    other => panic!("field {other:?}"),
                }
            }
        }
        found
    }

    fn sets(&self, name: &str) -> Option<&str> {
        self.set.iter().find(|(set, _)| set == name).map(|(_, value)| &**value)
    }
}

async fn ask(gateway: &Client, method: &str, target: &str, headers: &[(&str, &str)]) -> Decision {
    Decision::of(&send(gateway, framed(&question(method, target, headers))).await)
}

#[tokio::test]
async fn a_question_over_grpc_is_decided_by_the_rules() {
    let app = RecordingUpstream::start();
    let server = site(&app, FIRST).await;
    let client = server.client();
    let envoy = gateway(&client);
    let nobody = ask(&envoy, "GET", "/page", &[]).await;
    assert_eq!((nobody.status, nobody.http), (16, 401));
    assert!(nobody.body.contains("\"code\"") && nobody.set.is_empty(), "{nobody:?}");
    client.sign_in("ann@example.com").await;
    let cookie = client.cookie();
    let ann = ask(&envoy, "GET", "/admin/x?a=b", &[("cookie", &cookie)]).await;
    assert_eq!((ann.status, ann.sets("x-auth-email")), (0, Some("ann@example.com")));
    assert_eq!(ann.sets("x-auth-roles"), Some("admin,journalist"));
    assert!(ann.removed.contains(&"x-auth-name".to_owned()), "absent is removed: {ann:?}");
    let max = client.stranger();
    max.sign_in("max@example.com").await;
    let max = ask(&envoy, "GET", "/admin/x", &[("cookie", &max.cookie())]).await;
    assert_eq!((max.status, max.http), (7, 403));
    for target in ["/public/%2e%2e/admin/x", "/a%2Fb", "/.auth/login", "/a;b"] {
        assert_eq!(ask(&envoy, "GET", target, &[("cookie", &cookie)]).await.http, 403, "{target}");
    }
    assert_eq!(app.count(), 0, "a question reaches no app");
}

#[tokio::test]
async fn a_person_is_sent_to_the_sign_in_page_and_an_ended_cookie_is_cleared() {
    let app = RecordingUpstream::start();
    let server = site(&app, FIRST).await;
    let envoy = gateway(&server.client());
    let person = [("accept", "text/html"), ("sec-fetch-mode", "navigate"), ("cookie", "vestibule=ended")];
    let found = ask(&envoy, "GET", "/page?a=b", &person).await;
    assert_eq!((found.status, found.http), (16, 303));
    let said = |name: &str, start: &str| {
        found.for_the_client.iter().any(|(said, value)| said == name && value.starts_with(start))
    };
    assert!(said("location", "/.auth/login?rd=%2Fpage%3Fa%3Db"), "{found:?}");
    assert!(said("set-cookie", "vestibule=; "), "{found:?}");
    let open = ask(&envoy, "GET", "/public/x", &person).await;
    assert_eq!((open.status, open.for_the_client.len()), (0, 1), "cleared on the way through: {open:?}");
}

#[tokio::test]
async fn sec_fwd_05_identity_and_credentials_of_the_client_are_taken_out() {
    let app = RecordingUpstream::start();
    let server = site(&app, FIRST).await;
    let client = server.client();
    let envoy = gateway(&client);
    let forged = [("x-auth-roles", EVIL), ("x.auth.user", EVIL), ("x_auth_user", EVIL), ("x-original-url", "/a")];
    let found = ask(&envoy, "GET", "/public/x", &forged).await;
    assert_eq!((found.status, found.set.len()), (0, 0));
    for (name, _) in forged {
        assert!(found.removed.contains(&name.to_owned()), "{name}: {found:?}");
    }
    client.sign_in("ann@example.com").await;
    let cookies = format!("theme=dark; {}", client.cookie());
    let forged = [("x-auth-roles", EVIL), ("cookie", &cookies), ("authorization", "Digest its own")];
    let found = ask(&envoy, "GET", "/page", &forged).await;
    assert_eq!(found.sets("x-auth-roles"), Some("admin,journalist"));
    assert!(!found.removed.contains(&"x-auth-roles".to_owned()), "{found:?}");
    assert_eq!(found.sets("cookie"), Some("theme=dark"), "the rest goes on");
    assert!(!found.removed.contains(&"authorization".to_owned()), "what is not ours goes on");
    let key = server.key(&["machine"]);
    let found = ask(&envoy, "GET", "/machines/x", &[("x-api-key", &key)]).await;
    assert_eq!((found.status, found.sets("x-auth-kind")), (0, Some("service")));
    assert!(found.removed.contains(&"x-api-key".to_owned()), "{found:?}");
}

#[tokio::test]
async fn sec_fwd_04_forwarding_headers_of_the_client_decide_nothing() {
    let app = RecordingUpstream::start();
    let server = site(&app, FIRST).await;
    let envoy = gateway(&server.client());
    let lies = [
        ("x-forwarded-uri", "/public/x"),
        ("x-forwarded-method", "GET"),
        ("x-forwarded-host", "other.test"),
        ("x-original-url", "/public/x"),
        ("x-forwarded-for", "127.0.0.77"),
        ("host", "other.test"),
        (":path", "/public/x"),
    ];
    assert_eq!(ask(&envoy, "GET", "/page", &lies).await.http, 401);
    assert_eq!(ask(&envoy, "GET", "/public/x", &lies).await.status, 0);
    // The client is whom Envoy names, and not what the client says of itself.
    assert_eq!(ask(&envoy, "GET", "/inside/x", &[("x-forwarded-for", "10.9.9.9")]).await.status, 0);
    let named = |address: &[u8; 10]| {
        let question = question("GET", "/inside/x", &lies);
        let at = question.windows(10).position(|part| part == b"127.0.0.77").unwrap();
        [&question[..at], address, &question[at + 10..]].concat()
    };
    let other = send(&envoy, framed(&named(b"127.0.0.78"))).await;
    assert_eq!(Decision::of(&other).http, 403);
    assert_eq!(Decision::of(&send(&envoy, framed(&named(b"127.0.0.77"))).await).status, 0);
}

/// `ExtAuthz` stands above `ByAddress`.
#[tokio::test]
async fn the_client_of_a_question_is_counted_and_not_its_gateway() {
    let app = RecordingUpstream::start();
    let limits = "[limits]\nrequests = { per_address = \"2/1h\" }\n";
    let server = Site::new(&app, &format!("{FIRST}{RULES}{MORE}{limits}")).start().await;
    let envoy = gateway(&server.client());
    let by = |address: &[u8; 10]| {
        let question = question("GET", "/public/x", &[]);
        let at = question.windows(10).position(|part| part == b"127.0.0.77").unwrap();
        framed(&[&question[..at], address, &question[at + 10..]].concat())
    };
    let statuses = async |address| Decision::of(&send(&envoy, by(address)).await).status;
    let first = [statuses(b"127.0.0.77").await, statuses(b"127.0.0.77").await];
    assert_eq!((first, statuses(b"127.0.0.78").await), ([0, 0], 0), "each client has its own count");
    assert_ne!(statuses(b"127.0.0.77").await, 0);
}

#[tokio::test]
async fn sec_fwd_01_a_stranger_over_grpc_is_told_nothing() {
    let app = RecordingUpstream::start();
    let server = site(&app, FIRST).await;
    let asked = framed(&question("GET", "/public/x", &[]));
    for _ in 0..3 {
        let reply = send(&gateway(&server.client()).from("127.0.0.9"), asked.clone()).await;
        assert_eq!((reply.header("grpc-status"), &reply.body[..]), ("7", &b""[..]), "{}", reply.describe());
    }
    server.log().line("asked for a decision").await;
    let told = server.log().with("asked for a decision").len();
    assert_eq!(told, 1, "one line for each peer");
    assert_eq!(Decision::of(&send(&gateway(&server.client()), asked.clone()).await).status, 0);
    // Off unless it is named: then the path is the app's.
    let plain = site(&app, "").await;
    let reply = send(&gateway(&plain.client()), asked).await;
    assert_eq!((reply.header("grpc-status"), app.count()), ("16", 0));
}

#[tokio::test]
async fn what_is_no_question_is_refused_and_never_allowed() {
    let app = RecordingUpstream::start();
    let server = site(&app, FIRST).await;
    let envoy = gateway(&server.client());
    let good = question("GET", "/public/x", &[("accept", "*/*")]);
    let without = |method: &str, target: &str| framed(&question(method, target, &[]));
    let mut longer = framed(&good);
    longer[4] += 1;
    let mut packed = framed(&good);
    packed[0] = 1;
    let cases = [
        ("nothing", Vec::new()),
        ("no message", framed(b"")),
        ("half a frame", vec![0, 0, 0]),
        ("half a message", framed(&good)[..20].to_vec()),
        ("a longer length", longer),
        ("compressed", packed),
        ("two messages", [framed(&good), framed(&good)].concat()),
        ("noise", framed(&[0xff; 64])),
        ("a cut message", framed(&good[..good.len() - 3])),
        ("no method", without("", "/public/x")),
        ("no path", without("GET", "")),
        ("no slash", without("GET", "public/x")),
        ("a fragment", without("GET", "/admin/x#/public/x")),
        ("a line break in a header", framed(&question("GET", "/public/x", &[("a", "b\r\nc: d")]))),
        ("a blank in a name", framed(&question("GET", "/public/x", &[("a b", "c")]))),
    ];
    for (what, body) in cases {
        let reply = send(&envoy, body).await;
        assert_eq!((reply.header("grpc-status"), &reply.body[..]), ("3", &b""[..]), "{what}: {}", reply.describe());
    }
    let long = question("GET", "/public/x", &[("a", &"b".repeat(200 << 10))]);
    assert_eq!(send(&envoy, framed(&long)).await.header("grpc-status"), "8");
    let plain = envoy.post(PATH).without_cookies().body(framed(&good)).await;
    plain.is(415);
    assert_eq!(Decision::of(&send(&envoy, framed(&good)).await).status, 0);
    assert_eq!(app.count(), 0);
}
