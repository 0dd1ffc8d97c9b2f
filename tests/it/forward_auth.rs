//! The decision beside another proxy: `/.auth/check`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::headers::{EVIL, RULES};
use crate::support::tools::{self, Program};
use crate::support::{Client, RecordingUpstream, Reply, Site, Vestibule};

const TRUSTING: &str = r#"
[trusted_proxies]
addresses = ["127.0.0.2", "127.0.0.3"]
"#;

async fn site(app: &RecordingUpstream) -> Vestibule {
    let site = Site::new(app, &format!("{RULES}\n{TRUSTING}"));
    site.user("ann@example.com", &["journalist", "admin"]).user("max@example.com", &[]).start().await
}

/// What a gateway is told.
const TOLD: [&str; 9] = [
    "x-auth-user",
    "x-auth-kind",
    "x-auth-provider",
    "x-auth-email",
    "x-auth-name",
    "x-auth-roles",
    "x-auth-assertion",
    "x-envoy-auth-headers-to-remove",
    "location",
];

/// The gateway of this client.
fn gateway(client: &Client) -> Client {
    client.from("127.0.0.2").expecting(&TOLD)
}

/// A gateway's question in the words of Traefik and Caddy.
async fn ask(client: &Client, method: &str, target: &str) -> Reply {
    let gateway = gateway(client);
    let host = client.origin().trim_start_matches("http://").to_owned();
    let call = gateway.get("/.auth/check").script().header("x-forwarded-method", method);
    call.header("x-forwarded-host", host).header("x-forwarded-proto", "http").header("x-forwarded-uri", target).await
}

#[tokio::test]
async fn a_gateway_is_told_who_it_is_or_that_it_is_nobody() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    assert_eq!(ask(&client, "GET", "/page").await.status, 401);
    client.sign_in("ann@example.com").await;
    let reply = ask(&client, "GET", "/page?a=b").await;
    reply.is(200);
    assert_eq!(reply.header("x-auth-email"), "ann@example.com");
    assert_eq!(reply.header("x-auth-roles"), "admin,journalist");
    assert!(!reply.header("x-auth-assertion").is_empty());
    assert_eq!(app.count(), 0, "a question reaches no app");
}

#[tokio::test]
async fn the_rules_of_the_original_request_decide() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let (ann, max, nobody) = (server.client(), server.client().stranger(), server.client().stranger());
    ann.sign_in("ann@example.com").await;
    max.sign_in("max@example.com").await;
    ask(&ann, "GET", "/admin/x").await.is(200);
    ask(&max, "GET", "/admin/x").await.is(403);
    ask(&nobody, "GET", "/admin/x").await.is(401);
    ask(&nobody, "GET", "/public/x").await.is(200);
    // 403 for whatever is no request: never 200, and nothing nginx takes for a fault of ours.
    for target in ["/public/../admin/x", "/public/%2e%2e/admin/x", "/a%2Fb", "//x", "/a;b", "/.auth/login"] {
        assert_eq!(ask(&ann, "GET", target).await.status, 403, "{target}");
    }
}

#[tokio::test]
async fn a_question_over_http2_has_its_host_beside_the_path() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let ann = server.client();
    ann.sign_in("ann@example.com").await;
    for client in [gateway(&ann), gateway(&ann).http2()] {
        client.get("/.auth/check/admin/x").script().await.is(200);
        client.get("/.auth/check").script().header("x-original-url", "/admin/x").await.is(200);
        client.get("/.auth/check").script().header("x-forwarded-uri", "/admin/x").await.is(200);
    }
}

/// SEC-FWD-01
#[tokio::test]
async fn sec_fwd_01_strangers_are_told_nothing() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    for _ in 0..3 {
        let call = server.client().get("/.auth/check").script();
        let reply = call.header("x-forwarded-uri", "/public/x").header("x-forwarded-method", "GET").await;
        reply.is(403);
        assert_eq!(reply.code(), "forward_auth.untrusted_peer");
    }
    server.client().from("127.0.0.3").expecting(&TOLD).get("/.auth/check/public/x").script().await.is(200);
    let told = server.log().lines().iter().filter(|line| line.contains("asked for a decision")).count();
    assert_eq!(told, 1, "one line for each peer");
}

/// SEC-FWD-01: an empty list trusts nobody.
#[tokio::test]
async fn sec_fwd_01_without_trusted_proxies_nobody_may_ask() {
    let app = RecordingUpstream::start();
    let server = Site::new(&app, RULES).start().await;
    server.client().get("/.auth/check").script().header("x-forwarded-uri", "/public/x").await.is(403);
}

/// SEC-FWD-02, SEC-FWD-03
#[tokio::test]
async fn sec_fwd_02_03_only_a_good_credential_is_one() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    let (name, session) = (client.session_name(), client.session());
    let good = format!("{name}={session}");
    let asked = async |header: &str, value: &str| {
        let gateway = gateway(&server.client());
        gateway
            .get("/.auth/check")
            .script()
            .header("x-forwarded-uri", "/page")
            .header("x-forwarded-method", "GET")
            .header(header, value)
            .await
    };
    asked("cookie", &good).await.is(200);
    let token = client.stranger().tokens("ann@example.com").await["access_token"].as_str().unwrap().to_owned();
    let (head, rest) = token.split_once('.').unwrap();
    let mut fields = unsealed(head);
    fields["kid"] = serde_json::json!("retired");
    let retired = format!("Bearer {}.{rest}", URL_SAFE_NO_PAD.encode(fields.to_string()));
    let stripped = format!("Bearer {head}.{}.", rest.split('.').next().unwrap());
    let cut = &good[..good.len() - 1];
    for (header, value) in [
        ("user-agent", "GoogleHC/1.0"),
        ("user-agent", "kube-probe/1.30"),
        ("x-health", "1"),
        ("cookie", &format!("{name}=%%%")),
        ("cookie", cut),
        ("cookie", "authentik_proxy_x=garbage"),
        ("authorization", "Bearer anything"),
        ("authorization", "Basic YTpi"),
        ("authorization", &retired),
        ("authorization", &stripped),
    ] {
        let reply = asked(header, value).await;
        reply.is(401);
        assert_eq!(reply.header("x-auth-user"), "", "{header}: {value}");
    }
    asked("authorization", &format!("Bearer {token}")).await.is(200);
    for target in ["/.auth/check?token=anything", "/.auth/check/page?token=anything"] {
        let reply = gateway(&server.client()).get(target).script().header("x-forwarded-uri", "/page?token=anything");
        let reply = reply.header("x-forwarded-method", "GET").await;
        assert!(matches!(reply.status.as_u16(), 401 | 403), "{}", reply.describe());
        assert_eq!(reply.header("x-auth-user"), "", "{target}");
    }
}

fn unsealed(part: &str) -> serde_json::Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// SEC-FWD-02
#[tokio::test]
async fn sec_fwd_02_guessing_by_the_gateway_is_limited_as_anywhere() {
    let app = RecordingUpstream::start();
    let rules = format!("{RULES}\n{TRUSTING}[limits]\nrequests = {{ per_address = \"50/1h\" }}\n");
    let server = Site::new(&app, &rules).start().await;
    let ask = async |address: &str, user: &str| {
        let call = gateway(&server.client()).get("/.auth/check").script().header("x-forwarded-uri", "/page");
        let call = call.header("x-forwarded-method", "GET").header("x-forwarded-for", address);
        call.header("authorization", format!("Basic {}", STANDARD.encode(format!("a:{user}")))).await
    };
    let mut counts = BTreeMap::new();
    for number in 0..500 {
        let reply = ask("198.51.100.7", &format!("guess{number}")).await;
        *counts.entry(reply.status.as_u16()).or_insert(0) += 1;
        if reply.status == 429 {
            assert_eq!(
                (&reply.json()["code"], reply.header("retry-after").is_empty()),
                (&"rate.limited".into(), false)
            );
        }
    }
    assert_eq!(counts, BTreeMap::from([(401, 50), (429, 450)]));
    assert_eq!(ask("198.51.100.8", "guess").await.status, 401, "others are not kept out");
}

/// SEC-FWD-04
#[tokio::test]
async fn sec_fwd_04_a_question_that_contradicts_itself_is_refused() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let gateway = gateway(&server.client());
    let asked = async |lines: &[(&str, &str)]| {
        let call = gateway.get("/.auth/check").script();
        lines.iter().fold(call, |call, (name, value)| call.header(name, value)).await.status
    };
    assert_eq!(asked(&[("x-forwarded-uri", "/public/x"), ("x-forwarded-method", "GET")]).await, 200);
    assert_eq!(asked(&[]).await, 403);
    assert_eq!(asked(&[("x_forwarded_uri", "/public/x")]).await, 403);
    assert_eq!(asked(&[("x-forwarded-uri", "/public/x"), ("x-forwarded-uri", "/public/x")]).await, 403);
    assert_eq!(asked(&[("x-forwarded-uri", "/public/x"), ("x-original-url", "/page")]).await, 403);
    // The words of nginx beside those of Traefik and Caddy, each way round.
    let mixed = [("x-forwarded-uri", "/page"), ("x-forwarded-method", "GET"), ("x-original-url", "/public/x")];
    assert_eq!(asked(&mixed).await, 403);
    let both = [("x-forwarded-uri", "/public/x"), ("x-forwarded-method", "GET"), ("x-original-url", "/public/x")];
    assert_eq!(asked(&[&both[..], &[("x-original-method", "POST")]].concat()).await, 403);
    assert_eq!(asked(&[&both[..], &[("x-original-method", "GET")]].concat()).await, 200);
    let mixed = [("x-forwarded-method", "GET"), ("x-original-url", "/public/x"), ("x-original-method", "GET")];
    assert_eq!(asked(&mixed).await, 403);
    // A port beside a scheme it does not belong to decides nothing.
    let odd = [("x-forwarded-uri", "/page"), ("x-forwarded-proto", "https"), ("x-forwarded-port", "80")];
    assert_eq!(asked(&odd).await, 401);
    // What else a client may send changes nothing.
    assert_eq!(asked(&[("x-forwarded-uri", "/page"), ("x-forwarded-prefix", "/public")]).await, 401);
}

#[tokio::test]
async fn a_method_nobody_tells_is_every_method() {
    let app = RecordingUpstream::start();
    let rules = "[providers.local-userpass]\n[routes]\n\"/**\" = { read = \"anyone\", write = \"nobody\" }\n\"/open/**\" = { all = \"anyone\" }\n";
    let server = Site::new(&app, &format!("{rules}{TRUSTING}")).start().await;
    let gateway = gateway(&server.client());
    let asked = async |target: &str, method: Option<&str>| {
        let call = gateway.get("/.auth/check").script().header("x-original-url", target);
        method.into_iter().fold(call, |call, method| call.header("x-original-method", method)).await.status
    };
    assert_eq!(asked("/page", Some("GET")).await, 200);
    assert_eq!(asked("/page", None).await, 401);
    assert_eq!(asked("/open/page", None).await, 200);
}

/// SEC-FWD-05
#[tokio::test]
async fn sec_fwd_05_the_whole_set_is_always_there() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    let reply = ask(&client, "GET", "/public/x").await;
    for name in ["user", "kind", "provider", "email", "name", "roles", "assertion"] {
        let name = format!("x-auth-{name}");
        assert!(reply.headers.contains_key(&name), "{name}");
        assert_eq!(reply.header(&name), "", "{name}");
    }
    // Somebody without e-mail address, name and roles.
    let guest = server.client();
    guest.post("/.auth/login/anon-user").submit(&[]).await.is(303);
    let reply = ask(&guest, "GET", "/public/x").await;
    reply.is(200);
    assert_eq!((reply.header("x-auth-kind"), reply.header("x-auth-user").len()), ("guest", 24));
    for name in ["x-auth-email", "x-auth-name", "x-auth-roles"] {
        assert_eq!(reply.headers.get(name).map(|value| value.as_bytes()), Some(&b""[..]), "{name}");
    }
}

#[tokio::test]
async fn people_are_led_to_the_sign_in_as_their_gateway_can() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let gateway = gateway(&server.client());
    let call = gateway.get("/.auth/check").navigate();
    let reply = call.header("x-forwarded-uri", "/page?a=b").header("x-forwarded-method", "GET").await;
    reply.is(303);
    assert_eq!(reply.location(), "http://app.localhost/.auth/login?rd=%2Fpage%3Fa%3Db");
    let call = gateway.get("/.auth/check").navigate().header("x-forwarded-host", "b.test:8443");
    let call = call.header("x-forwarded-uri", "/page").header("x-forwarded-method", "GET");
    let reply = call.without("host").header("host", "b.test:8443").header("x-forwarded-proto", "https").await;
    assert_eq!(reply.location(), "https://b.test:8443/.auth/login?rd=%2Fpage");
    let call = gateway.get("/.auth/check").navigate();
    let reply = call.header("x-original-url", "/page?a=b").header("x-original-method", "GET").await;
    reply.is(401);
    assert_eq!(reply.location(), "/.auth/login?rd=%2Fpage%3Fa%3Db");
}

/// nginx overwrites the names that it was set up for and no others, Caddy and Traefik what matches; Envoy does as it is
/// told.
#[tokio::test]
async fn sec_hdr_01_what_a_gateway_would_hand_on_is_refused_before() {
    let app = RecordingUpstream::start();
    let named = "[identity_headers]\nset = { \"X-Tenant\" = \"data.tenant\" }\n";
    let server = Site::new(&app, &format!("{RULES}\n{TRUSTING}{named}")).start().await;
    let gateway = gateway(&server.client()).expecting(&[&TOLD[..], &["x-tenant"]].concat());
    let asked = async |form: &str, header: &str| {
        let path = if form.is_empty() { "/.auth/check/public/x" } else { "/.auth/check" };
        let call = gateway.get(path).script().header(header, EVIL);
        let call = if form.is_empty() { call } else { call.header(form, "/public/x") };
        let reply = call.await;
        assert!(reply.status == 200 || reply.code() == "forward_auth.forged", "{}", reply.describe());
        reply.status.as_u16()
    };
    for (header, nginx, caddy) in [
        ("x-tenant", 403, 403),
        ("x-tenant-", 403, 403),
        ("x-auth-meta-plan", 403, 200),
        ("x-auth-user", 200, 200),
        ("x-auth-token", 200, 200),
        ("x-tenants", 200, 200),
    ] {
        assert_eq!(asked("x-original-url", header).await, nginx, "{header}");
        assert_eq!(asked("x-forwarded-uri", header).await, caddy, "{header}");
        assert_eq!(asked("", header).await, 200, "{header}");
    }
}

#[tokio::test]
async fn envoy_is_told_what_to_take_out() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let gateway = gateway(&server.client());
    let reply = gateway.get("/.auth/check/public/x").script().header("x-auth-meta-plan", EVIL).await;
    reply.is(200);
    assert_eq!(reply.header("x-envoy-auth-headers-to-remove"), "x-auth-meta-plan");
}

/// nginx with `auth_request`, as the documentation shows it.
fn nginx(server: SocketAddr, app: SocketAddr) -> (Program, SocketAddr) {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let names = ["User", "Kind", "Provider", "Email", "Name", "Roles", "Assertion"];
    let lines = |each: &dyn Fn(&str, String) -> String| {
        names.iter().map(|name| each(name, name.to_lowercase())).collect::<String>()
    };
    let taken = lines(&|_, lower| format!("auth_request_set $a_{lower} $upstream_http_x_auth_{lower};\n"));
    let given = lines(&|name, lower| format!("proxy_set_header X-Auth-{name} $a_{lower};\n"));
    let program = Program::start(Path::new("nginx"), |command, folder| {
        let config = folder.join("nginx.conf");
        let text = format!(
            "daemon off; worker_processes 1; pid {folder}/pid; error_log stderr info;\n\
             events {{}}\nhttp {{ access_log off; absolute_redirect off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;\n\
             fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n\
             server {{ listen {free};\n\
             location /.auth/ {{ proxy_pass http://{server}; proxy_bind 127.0.0.2; proxy_set_header Host $http_host;\n\
               proxy_set_header X-Forwarded-For $remote_addr; }}\n\
             location = /vestibule {{ internal; proxy_pass http://{server}/.auth/check; proxy_bind 127.0.0.2;\n\
               proxy_pass_request_body off; proxy_set_header Content-Length \"\"; proxy_set_header Host $http_host;\n\
               proxy_set_header X-Original-URL $scheme://$http_host$request_uri;\n\
               proxy_set_header X-Original-Method $request_method; proxy_set_header X-Forwarded-For $remote_addr; }}\n\
             location / {{ auth_request /vestibule; auth_request_set $to $upstream_http_location;\n\
               {taken} error_page 401 = @sign_in; {given} proxy_set_header Host $http_host; proxy_pass http://{app}; }}\n\
             location @sign_in {{ if ($http_accept ~ text/html) {{ return 303 $to; }} return 401; }}\n\
             }} }}\n",
            folder = folder.display(),
        );
        std::fs::write(&config, text).unwrap();
        command.arg("-p").arg(folder).arg("-c").arg(&config);
    });
    (program, free)
}

#[tokio::test]
async fn nginx_asks_and_hands_the_identity_on() {
    if !tools::have(&[Path::new("nginx")], "nginx_asks_and_hands_the_identity_on") {
        return;
    }
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let (nginx, address) = nginx(server.address(), app.address());
    nginx.said("start worker process").await;
    let client = Client::new(address, server.client().origin()).expecting(&["server", "connection", "location"]);
    let reply = client.get("/page?a=b").navigate().await;
    reply.is(303);
    assert_eq!(reply.location(), "/.auth/login?rd=%2Fpage%3Fa%3Db");
    client.get("/page").script().await.is(401);
    assert_eq!(app.count(), 0);
    client.sign_in("max@example.com").await;
    client.get("/page").script().header("x-auth-user", EVIL).header("x-auth-roles", EVIL).await.is(200);
    assert_eq!(app.last().header("x-auth-email"), "max@example.com");
    assert_eq!(app.last().header("x-auth-roles"), "");
    client.get("/admin/x").script().await.is(403);
    // A client that says what nginx does not ask for.
    client.get("/admin/x").script().header("x-forwarded-uri", "/public/x").await.is(403);
    assert!(!String::from_utf8_lossy(&app.bytes()).contains(EVIL));
}
