//! One canonical path: for the decision and for the app. What has none is refused before any rule.

use crate::support::h2::{Outcome, PROTOCOL_ERROR, RawH2};
use crate::support::raw::RawReply;
use crate::support::{RecordingUpstream, Site, Vestibule};

const RULES: &str = r#"
roles = ["editor"]
[providers.local-userpass]
[routes]
"/**" = { all = "signed_in" }
"/public/**" = { all = "anyone" }
"/admin/**" = { all = "role:editor" }
"#;

async fn site(app: &RecordingUpstream) -> Vestibule {
    Site::new(app, RULES).user("ed@example.com", &["editor"]).start().await
}

/// A request line of exactly these bytes, as nobody or as the editor.
async fn ask(server: &Vestibule, target: &[u8], cookie: &str) -> RawReply {
    let mut bytes = b"GET ".to_vec();
    bytes.extend_from_slice(target);
    bytes.extend_from_slice(b" HTTP/1.1\r\nHost: app.localhost\r\n");
    if !cookie.is_empty() {
        bytes.extend_from_slice(format!("Cookie: {cookie}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    server.raw().await.ask(bytes).await
}

/// Every target is 400 for nobody and for the editor, and the app hears of none.
async fn refused(targets: &[&str]) {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    client.sign_in("ed@example.com").await;
    for target in targets {
        for cookie in [String::new(), client.cookie()] {
            let reply = ask(&server, target.as_bytes(), &cookie).await;
            assert_eq!(reply.status, 400, "{target} (cookie: {}): {}", !cookie.is_empty(), reply.head);
        }
    }
    assert!(app.bytes().is_empty(), "{}", String::from_utf8_lossy(&app.bytes()));
    assert_eq!(ask(&server, b"/public/a", "").await.status, 200);
}

#[tokio::test]
async fn sec_path_01_dot_segments_are_refused() {
    refused(&[
        "/public/../admin/keys",
        "/public/./../admin/keys",
        "/public/%2e%2e/admin/keys",
        "/public/.%2E/admin/keys",
        "/public/..",
        "/public/../../admin",
        "/public/.",
        "/./public/a",
        "/..",
    ])
    .await;
}

#[tokio::test]
async fn sec_path_02_encoded_slashes_and_backslashes_are_refused() {
    refused(&[
        "/public%2f..%2fadmin/keys",
        "/admin%2Fkeys",
        "/public%5c..%5cadmin",
        "/admin%5ckeys",
        "/public\\..\\admin",
        "/public/a%2fb",
        "//admin",
        "/public//a",
    ])
    .await;
}

#[tokio::test]
async fn sec_path_02_a_route_that_takes_encoded_slashes_passes_them_on_untouched() {
    let app = RecordingUpstream::start();
    let rules =
        "[routes]\n\"/**\" = { all = \"nobody\" }\n\"/files/**\" = { all = \"anyone\", allow_in_path = [\"%2F\"] }\n";
    let server = Site::new(&app, rules).start().await;
    assert_eq!(ask(&server, b"/files/a%2Fb", "").await.status, 200);
    assert_eq!(app.last().target, "/files/a%2Fb");
    assert_eq!(ask(&server, b"/other/a%2Fb", "").await.status, 400);
    assert_eq!(ask(&server, b"/files/..%2F..%2Fother", "").await.status, 400);
    assert_eq!(app.count(), 1);
}

#[tokio::test]
async fn sec_path_04_matrix_parameters_are_refused() {
    refused(&[
        "/public/..;/admin/keys",
        "/admin;x=1/keys",
        "/public;/../admin/keys",
        "/admin/keys;.css",
        "/public/a;b",
        "/public/a%3bb",
        "/public/..%3b/admin/keys",
    ])
    .await;
}

#[tokio::test]
async fn sec_path_04_a_route_may_take_semicolons_but_no_dots_before_them() {
    let app = RecordingUpstream::start();
    let rules =
        "[routes]\n\"/**\" = { all = \"anyone\", allow_in_path = [\";\"] }\n\"/admin/**\" = { all = \"nobody\" }\n";
    let server = Site::new(&app, rules).start().await;
    assert_eq!(ask(&server, b"/shop;v=1/a", "").await.status, 200);
    assert_eq!(app.last().target, "/shop;v=1/a");
    for target in ["/shop/..;/admin/keys", "/shop/.;x/a", "/admin;x=1/keys"] {
        let status = ask(&server, target.as_bytes(), "").await.status;
        assert!((400..=403).contains(&status), "{target}: {status}");
    }
    assert_eq!(app.count(), 1);
}

#[tokio::test]
async fn sec_path_05_a_fragment_decides_nothing() {
    refused(&["/admin/keys#/public/x/endpoint", "/public/secret%23/endpoint", "/public/a#", "/public/a%3Fb"]).await;
}

#[tokio::test]
async fn sec_path_07_a_path_is_decoded_once() {
    refused(&["/%2561dmin/keys", "/public/%252e%252e/admin/keys", "/%25%36%31dmin/keys"]).await;
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    assert_eq!(ask(&server, b"/%61dmin/keys", "").await.status, 401);
    let client = server.client();
    client.sign_in("ed@example.com").await;
    assert_eq!(ask(&server, b"/%61dmin/%6beys?q=%61", &client.cookie()).await.status, 200);
    assert_eq!(app.last().target, "/admin/keys?q=%61", "decoded for the app, too; the query is left alone");
}

#[tokio::test]
async fn sec_path_07_a_route_that_takes_percent_signs_passes_them_on_as_they_are() {
    let app = RecordingUpstream::start();
    let rules =
        "[routes]\n\"/**\" = { all = \"anyone\", allow_in_path = [\"%25\"] }\n\"/admin/**\" = { all = \"nobody\" }\n";
    let server = Site::new(&app, rules).start().await;
    assert_eq!(ask(&server, b"/%2561dmin/keys", "").await.status, 200);
    assert_eq!(app.last().target, "/%2561dmin/keys");
}

#[tokio::test]
async fn sec_path_09_a_host_is_one_host_in_every_spelling() {
    for others in [0, 500] {
        let app = RecordingUpstream::start();
        let mut rules = "[providers.local-userpass]\n[routes]\n\"/**\" = { all = \"anyone\" }\n\"admin.test/**\" = { all = \"signed_in\" }\n".to_owned();
        (0..others).for_each(|n| rules += &format!("\"host{n}.test/**\" = {{ all = \"anyone\" }}\n"));
        let server = Site::new(&app, &rules).start().await;
        for host in ["admin.test", "ADMIN.test", "admin.test.", "admin.test:80", "Admin.Test.:8443", "admin.test:443"] {
            let reply = server.raw().await.ask(format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
            assert_eq!(reply.status, 401, "{host} among {others}: {}", reply.head);
        }
        for host in ["admin.test:", "admin.test:x", "admin.test:99999", "admin.test:-1"] {
            let reply = server.raw().await.ask(format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
            assert_eq!(reply.status, 400, "{host}");
            let outcome = by_authority(&server, host).await;
            let refused = matches!(outcome, Outcome::Status(400) | Outcome::Reset(PROTOCOL_ERROR));
            assert!(refused || outcome == Outcome::GoAway(PROTOCOL_ERROR), "{host}: {outcome:?}");
        }
        for host in ["admin.test", "ADMIN.test", "admin.test.", "admin.test:80", "Admin.Test.:8443", "admin.test:443"] {
            assert_eq!(by_authority(&server, host).await, Outcome::Status(401), "{host} among {others}, HTTP/2");
        }
        assert_eq!(app.count(), 0);
        let other = server.raw().await.ask("GET /x HTTP/1.1\r\nHost: other.test\r\n\r\n").await;
        assert_eq!(other.status, 200);
        assert_eq!(by_authority(&server, "other.test").await, Outcome::Status(200));
    }
}

/// A request over HTTP/2 whose `:authority` is exactly this.
async fn by_authority(server: &Vestibule, authority: &str) -> Outcome {
    let fields = [(":method", "GET"), (":scheme", "http"), (":authority", authority), (":path", "/x")];
    RawH2::connect(server.address()).await.ask(&fields, None).await
}

#[tokio::test]
async fn sec_path_10_two_authorities_are_none() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    for request in [
        "GET http://public.test/public/x HTTP/1.1\r\nHost: admin.test\r\n\r\n",
        "GET http://u:p@app.localhost/public/x HTTP/1.1\r\nHost: app.localhost\r\n\r\n",
        "GET http://u@app.localhost/public/x HTTP/1.1\r\nHost: u@app.localhost\r\n\r\n",
        "GET /public/x HTTP/1.1\r\nHost: app.localhost\r\nHost: app.localhost\r\n\r\n",
        "GET /public/x HTTP/1.1\r\nHost: app.localhost\r\nHost: admin.test\r\n\r\n",
        "GET /public/x HTTP/1.1\r\nHost: app.localhost,admin.test\r\n\r\n",
        "GET /public/x HTTP/1.1\r\nHost: app.localhost/x\r\n\r\n",
        "GET /public/x HTTP/1.1\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: app.localhost\r\n\r\n",
    ] {
        let mut raw = server.raw().await;
        let reply = raw.ask(request).await;
        assert_eq!(reply.status, 400, "{request}{}", reply.head);
        assert!(raw.rest().await.is_empty(), "closed");
    }
    let mut raw = server.raw().await;
    for path in ["/public/%00", "/public/%zz"] {
        let reply = raw.ask(format!("GET {path} HTTP/1.1\r\nHost: app.localhost\r\n\r\n")).await;
        assert_eq!((reply.status, reply.header("connection")), (400, ""), "the same connection goes on");
    }
    assert_eq!(app.count(), 0);
    let same = "GET http://app.localhost/public/x?y HTTP/1.1\r\nHost: app.localhost\r\n\r\n";
    assert_eq!(server.raw().await.ask(same).await.status, 200);
    assert_eq!((app.last().target.as_str(), app.last().header("host").as_str()), ("/public/x?y", "app.localhost"));
}

#[tokio::test]
async fn sec_path_12_what_is_no_text_is_refused() {
    refused(&[
        "/public/%00/../admin",
        "/public/%00",
        "/%c0%ae%c0%ae/admin",
        "/%zz",
        "/public/%",
        "/public/%4",
        "/public/%0a",
        "/public/%7f",
        "/public/%ff",
        "admin",
        "public/a",
    ])
    .await;
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    assert_eq!(ask(&server, b"/public/\xff", "").await.status, 400);
    assert_eq!(ask(&server, b"/public/a\x01b", "").await.status, 400);
    for host in ["xn--admin-.test", "admin.test.xn--", "adm\u{e4}n.test"] {
        let reply = server.raw().await.ask(format!("GET /public/a HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(reply.status, 400, "{host}");
    }
    assert_eq!(app.count(), 0);
    assert_eq!(ask(&server, "/public/%C3%BCber".as_bytes(), "").await.status, 200);
}

#[tokio::test]
async fn a_path_that_only_in_lower_case_meets_another_verdict_is_refused() {
    let app = RecordingUpstream::start();
    let rules = "[providers.local-userpass]\n[routes]\n\"/**\" = { all = \"anyone\" }\n\"/admin/**\" = { all = \"signed_in\" }\n\"/shop/**\" = { all = \"anyone\" }\n";
    let server = Site::new(&app, rules).start().await;
    let client = server.client();
    assert_eq!(client.get("/Admin").await.is(400).code(), "path.case");
    client.get("/ADMIN/keys").await.is(400);
    client.get("/Shop/a").await.is(200);
    let exact = Site::new(&app, &format!("case = \"exact\"\n{rules}")).start().await;
    exact.client().get("/Admin").await.is(200);
    assert_eq!(app.last().target, "/Admin");
}

#[tokio::test]
async fn a_host_that_is_not_listed_is_misdirected() {
    let app = RecordingUpstream::start();
    let server =
        Site::new(&app, "hosts = [\"app.localhost\"]\n[routes]\n\"/**\" = { all = \"anyone\" }\n").start().await;
    server.client().get("/").await.is(200);
    server.client().calling("http://App.Localhost.:80").get("/").await.is(200);
    let reply = server.client().calling("http://evil.test").get("/").await;
    assert_eq!(reply.is(421).code(), "host.unknown");
    server.client().calling("http://evil.test").get("/.auth/login").navigate().await.is(421);
    assert_eq!(app.count(), 2);
}

#[tokio::test]
async fn our_own_pages_are_never_forwarded() {
    let app = RecordingUpstream::start();
    let server = Site::new(&app, "[routes]\n\"/**\" = { all = \"anyone\" }\n").start().await;
    for target in ["/.auth/no-such-page", "/.auth/", "/.auth/me/x.css", "/.auth/login/", "/.auth/check/../me"] {
        let reply = server.client().get(target).await;
        assert!(matches!(reply.status.as_u16(), 400 | 403 | 404), "{target}: {}", reply.describe());
    }
    assert_eq!(app.count(), 0);
}

#[tokio::test]
async fn sec_path_11_the_path_that_is_sent_is_the_one_that_was_decided() {
    let app = RecordingUpstream::start();
    let rules = "[providers.local-userpass]\n[routes]\n\"/api/**\" = { all = \"anyone\" }\n\
                 \"/api/admin/**\" = { all = \"nobody\" }\n\"/\" = { all = \"nobody\" }\n";
    let server = Site::new(&app, rules).start().await;
    for target in [
        "/api../admin/keys",
        "/api/./admin/keys",
        "/api%2e/admin/keys",
        "/api/admin",
        "/api/admin/",
        "/api/%61dmin/keys",
        "/api//admin/keys",
        "/api/x/..//admin/keys",
        "/api/%2e/admin/keys",
        "/API/admin/keys",
        "//api/keys",
    ] {
        let reply = ask(&server, target.as_bytes(), "").await;
        assert!(matches!(reply.status, 400 | 401), "{target}: {}", reply.head);
        assert_eq!(app.count(), 0, "{target}");
    }
    for (target, sent) in
        [("/api/keys", "/api/keys"), ("/api/%6beys/a%2eb", "/api/keys/a.b"), ("/api/adminx", "/api/adminx")]
    {
        assert_eq!(ask(&server, target.as_bytes(), "").await.status, 200, "{target}");
        assert_eq!(app.last().target, sent);
    }
}
