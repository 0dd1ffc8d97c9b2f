//! Listening on a Unix socket, for a proxy on the same machine.

use std::fs::Permissions;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::PathBuf;

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::decisions::gateways;
use crate::support::{Client, RecordingUpstream, Site, Vestibule, within};

const RULES: &str = r#"
socket_mode = "600"
[trusted_proxies]
addresses = ["127.0.0.1"]
[providers.local-userpass]
[providers.anon-user]
[routes]
"/**" = { all = "signed_in" }
"/public/**" = { all = "anyone" }
"/guests/**" = { read = "guest" }
"/inside/**" = { all = "anyone", from = ["10.0.0.0/8"] }
[shutdown]
drain = "0s"
"#;

/// A server on a free port and on a socket in a folder of its own.
struct Local {
    server: Vestibule,
    folder: TempDir,
}

impl Local {
    async fn before(upstream: &str, rules: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listen = format!("listen = [\"127.0.0.1:0\", \"unix:{}\"]", folder.path().join("v.sock").display());
        let server = Site::before(upstream, &format!("{listen}\n{rules}")).user("ann@example.com", &[]).start().await;
        Self { server, folder }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("v.sock")
    }
}

async fn connect(local: &Local) -> UnixStream {
    UnixStream::connect(local.socket()).await.unwrap()
}

/// What comes back to this request, to its end.
async fn ask(local: &Local, target: &str, fields: &str) -> String {
    let mut stream = connect(local).await;
    let request = format!("GET {target} HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("the answer", stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn a_proxy_on_the_socket_counts_as_127_0_0_1_and_is_believed_if_that_is_trusted() {
    let app = RecordingUpstream::start();
    let question = "X-Original-URL: http://app.localhost/public/a\r\nX-Original-Method: GET\r\n";
    for (trusted, inside, asked) in [("127.0.0.1", 200, 200), ("127.0.0.2", 403, 403)] {
        let local = Local::before(&app.url(), &RULES.replace("127.0.0.1", trusted)).await;
        assert_eq!(local.server.cli(&["check"]).text().contains("VB0397"), trusted == "127.0.0.2");
        let status = async |target, fields| ask(&local, target, fields).await[9..12].parse::<u16>().unwrap();
        assert_eq!(status("/public/a", "").await, 200);
        assert_eq!(status("/page", "").await, 401);
        assert_eq!(status("/inside/a", "X-Forwarded-For: 10.1.2.3\r\n").await, inside);
        assert_eq!(status("/inside/a", "X-Forwarded-For: 192.0.2.1\r\n").await, 403);
        assert_eq!(status("/.auth/check", question).await, asked);
    }
}

#[tokio::test]
async fn the_file_is_open_to_whom_it_should_be_and_goes_with_the_server() {
    let app = RecordingUpstream::start();
    let mut local = Local::before(&app.url(), RULES).await;
    let file = std::fs::metadata(local.socket()).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    let second = local.server.cli(&["run", "--listen", &format!("unix:{}", local.socket().display())]);
    assert!(second.code == 4 && second.stderr.contains("v.sock: in use"), "{second:?}");
    assert!(ask(&local, "/public/a", "").await.starts_with("HTTP/1.1 200 "));
    // What a server leaves behind that is killed, the next one takes over.
    local.server = local.server.kill_and_restart().await;
    assert!(ask(&local, "/public/a", "").await.starts_with("HTTP/1.1 200 "));
    local.server.signal(Signal::TERM);
    assert!(local.server.exit().await.success());
    assert!(!local.socket().exists());
}

#[tokio::test]
async fn a_proxy_that_gives_up_ends_its_request_and_one_that_has_said_all_does_not() {
    let app = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let local = Local::before(&format!("http://{}", app.local_addr().unwrap()), RULES).await;
    for closes in [true, false] {
        let mut client = connect(&local).await;
        client.write_all(b"GET /public/slow HTTP/1.1\r\nHost: app.localhost\r\n\r\n").await.unwrap();
        let (mut connection, _) = app.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(connection.read_u8().await.unwrap());
        }
        if closes {
            drop(client);
            assert!(within("the end of the app's connection", connection.read_u8()).await.is_err());
            continue;
        }
        client.shutdown().await.unwrap();
        // The server takes notice of one client before it answers the next.
        ask(&local, "/.auth/login", "").await;
        connection.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        let mut answer = [0; 12];
        within("the answer", client.read_exact(&mut answer)).await.unwrap();
        assert_eq!(answer, *b"HTTP/1.1 204");
    }
}

#[tokio::test]
async fn nginx_asks_over_the_socket_and_hands_the_cookie_of_a_guest_on() {
    let app = RecordingUpstream::start();
    // The workers of nginx belong to another account.
    let local = Local::before(&app.url(), &RULES.replace("600", "666")).await;
    std::fs::set_permissions(local.folder.path(), Permissions::from_mode(0o755)).unwrap();
    let place = format!("unix:{}", local.socket().display());
    let Some((nginx, at)) = gateways::nginx_asking(&place, app.address()) else { return };
    nginx.said("start worker process").await;
    let client = Client::new(at, "http://app.localhost").expecting(&["server", "connection", "location"]);
    let guest = client.stranger();
    guest.get("/guests/a").navigate().await.is(200);
    let first = app.last().header("x-auth-user");
    guest.get("/guests/b").navigate().await.is(200);
    assert!(!first.is_empty() && app.last().header("x-auth-user") == first, "the browser gets the guest's cookie");
    client.get("/page").script().await.is(401);
    client.sign_in("ann@example.com").await;
    client.get("/page").script().await.is(200);
    assert_eq!(app.last().header("x-auth-email"), "ann@example.com");
}
