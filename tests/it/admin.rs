//! The operator's listener: probes, figures, who may come in.

use base64::Engine as _;

use crate::support::client::Call;
use crate::support::{Client, RecordingUpstream, Site, Vestibule};

const TOKEN: &str = "brass-weather-vane-8811-on-the-roof";

/// A site whose operators have [`TOKEN`].
fn site(upstream: &RecordingUpstream) -> Site {
    let toml = "[admin]\nlisten = \"127.0.0.1:0\"\ntoken = { env = \"OPERATOR_TOKEN\" }\n\
                [providers.local-userpass]\n[providers.api-key]\n";
    Site::new(upstream, &format!("listen = [\"127.0.0.1:0\"]\n{toml}")).env("OPERATOR_TOKEN", TOKEN)
}

/// Starts it, and a client of its operator's listener.
async fn start(site: Site) -> (Vestibule, Client) {
    let server = site.start_listeners(2).await;
    let address = server.addresses()[1];
    let client = Client::new(address, &format!("http://{address}"));
    (server, client)
}

fn bearer(call: Call, token: &str) -> Call {
    call.header("authorization", format!("Bearer {token}"))
}

fn basic(call: Call, password: &str) -> Call {
    let text = base64::engine::general_purpose::STANDARD.encode(format!("operator:{password}"));
    call.header("authorization", format!("Basic {text}"))
}

/// The value of a figure; 0 when it is not there.
fn figure(page: &str, name: &str) -> u64 {
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse().unwrap())
}

#[tokio::test]
async fn probes_answer_without_a_credential_and_nothing_else_does() {
    let upstream = RecordingUpstream::start();
    let (_server, client) = start(site(&upstream)).await;
    client.get("/healthz").await.is(200);
    let ready = client.get("/readyz").await;
    assert_eq!(ready.is(200).json()["checks"]["store"], "ok");
    for path in ["/metrics", "/", "/api/users", "/api/openapi.json", "/nowhere"] {
        assert_eq!(client.get(path).await.is(401).code(), "authn.needed", "{path}");
        assert_eq!(bearer(client.get(path), &TOKEN.to_uppercase()).await.is(401).code(), "authn.denied", "{path}");
    }
    bearer(client.get("/metrics"), TOKEN).await.is(200);
    basic(client.get("/metrics"), TOKEN).await.is(200);
    bearer(client.get("/nowhere"), TOKEN).await.is(404);
}

#[tokio::test]
async fn without_a_token_only_probes_and_operators_keys_are_answered() {
    let upstream = RecordingUpstream::start();
    let site = site(&upstream);
    site.rewrite(|text| text.replace("token = { env = \"OPERATOR_TOKEN\" }\n", ""));
    let key = site.key(&["deploy", "--operator"]);
    let (_server, client) = start(site).await;
    client.get("/readyz").await.is(200);
    client.get("/metrics").await.is(401);
    bearer(client.get("/metrics"), "").await.is(401);
    bearer(client.get("/metrics"), &key).await.is(200);
}

/// SEC-KEY-03
#[tokio::test]
async fn sec_key_03_an_operators_key_opens_the_operators_listener_and_nothing_else() {
    let upstream = RecordingUpstream::start();
    let site = site(&upstream);
    site.rewrite(|text| format!("{text}\n[routes]\n\"/**\" = {{ all = [\"signed_in\", \"service\"] }}\n"));
    let (operator, service) = (site.key(&["deploy", "--operator"]), site.key(&["ci"]));
    let (server, client) = start(site).await;
    bearer(client.get("/metrics"), &operator).await.is(200);
    bearer(client.get("/metrics"), &service).await.is(401);
    let visitor = server.client();
    visitor.get("/").header("x-api-key", &operator).await.is(401);
    visitor.get("/").header("x-api-key", &service).await.is(200);
    server.cli(&["keys", "disable", &operator]).success();
    bearer(client.get("/metrics"), &operator).await.is(401);
}

#[tokio::test]
async fn requests_are_counted_by_route_and_never_by_what_they_say() {
    let upstream = RecordingUpstream::start();
    let site = site(&upstream).user("ann@example.com", &[]);
    site.rewrite(|text| {
        format!("{text}\n[routes]\n\"/**\" = {{ all = \"signed_in\" }}\n\"/open/**\" = {{ all = \"anyone\" }}\n")
    });
    let (server, client) = start(site).await;
    let visitor = server.client();
    visitor.get("/open/canary-path?canary-query").await.is(200);
    visitor.get("/secret-canary").await.is(401);
    visitor.post("/.auth/login/canary-provider").json(&serde_json::json!({})).await.is(404);
    let body = serde_json::json!({"email": "canary@example.com", "password": "canary-password"});
    visitor.post("/.auth/login/local-userpass").json(&body).await.is(401);
    visitor.tokens("ann@example.com").await;
    let page = bearer(client.get("/metrics"), TOKEN).await.is(200).text();
    let count = |name: &str| figure(&page, name);
    assert_eq!(count("vestibule_requests_total{route=\"/open/**\",outcome=\"2xx\"}"), 1, "{page}");
    assert_eq!(count("vestibule_requests_total{route=\"/**\",outcome=\"refused\"}"), 1, "{page}");
    assert_eq!(count("vestibule_refusals_total{code=\"authn.needed\"}"), 1, "{page}");
    assert_eq!(count("vestibule_sign_ins_total{provider=\"local-userpass\",outcome=\"accepted\"}"), 1, "{page}");
    assert_eq!(count("vestibule_sign_ins_total{provider=\"local-userpass\",outcome=\"refused\"}"), 1, "{page}");
    assert_eq!(count("vestibule_own_seconds_count"), 5, "{page}");
    assert!(count("vestibule_store_seconds_count{kind=\"write\"}") > 0, "{page}");
    assert!(page.contains("vestibule_upstream_up{upstream=") && page.ends_with("# EOF\n"), "{page}");
    assert!(!page.contains("canary") && !page.contains("ann@"), "{page}");
}

#[tokio::test]
async fn what_operators_have_to_be_woken_for_is_a_figure() {
    let upstream = RecordingUpstream::start();
    let site = site(&upstream).env("CORP_SECRET", "a long way to the lighthouse");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    site.rewrite(|text| {
        let provider = "type = \"oidc\"\nclient_id = \"app\"\nclient_secret = { env = \"CORP_SECRET\" }\n";
        let text = text.replace("[providers.local-userpass]", "[providers.local-userpass]\nsign_up = \"open\"");
        format!("{text}\n[providers.corp]\n{provider}issuer = \"http://{nobody}\"\n")
    });
    let (server, client) = start(site).await;
    let figures = async || bearer(client.get("/metrics"), TOKEN).await.is(200).text();
    let before = figures().await;
    for silent in ["mails_total{outcome=\"sent\"}", "config_reloads_total{result=\"taken\"}", "mails_waiting"] {
        assert!(before.contains(&format!("vestibule_{silent} 0\n")), "{before}");
    }
    let body = serde_json::json!({"email": "ann@example.com", "password": "copper lantern 47 on the pier"});
    server.client().post("/.auth/register").json(&body).await.is(202);
    server.mailbox().wait("ann@example.com", 1).await;
    server.rewrite(|text| text.replace("sign_up = \"open\"", "sign_up = \"invite\""));
    server.signal(rustix::process::Signal::HUP);
    server.log().line("configuration reloaded").await;
    server.rewrite(|text| text.replace("sign_up", "sing_up"));
    server.signal(rustix::process::Signal::HUP);
    server.log().line("config.rejected").await;
    server.log().line("the issuer cannot be used now").await;
    let page = figures().await;
    let count = |name: &str| figure(&page, &format!("vestibule_{name}"));
    assert_eq!(count("config_reloads_total{result=\"taken\"}"), 1, "{page}");
    assert_eq!(count("config_reloads_total{result=\"rejected\"}"), 1, "{page}");
    assert_eq!(count("mails_total{outcome=\"sent\"}"), 1, "{page}");
    assert!(page.contains("vestibule_provider_up{provider=\"corp\"} 0\n"), "{page}");
    let last = page.lines().find_map(|line| line.strip_prefix("vestibule_config_last_success_timestamp_seconds "));
    let first = before.lines().find_map(|line| line.strip_prefix("vestibule_config_last_success_timestamp_seconds "));
    assert!(last.unwrap().parse::<f64>().unwrap() > first.unwrap().parse::<f64>().unwrap(), "{page}");
}

#[tokio::test]
async fn a_mail_that_no_server_takes_is_counted() {
    let upstream = RecordingUpstream::start();
    let site = site(&upstream);
    site.rewrite(|text| {
        let smtp = "from = \"blog@example.com\"\nsmtp = { url = \"smtp://127.0.0.1:1\" }";
        let text = text.replace("directory = \"outbox\"", smtp);
        text.replace("[providers.local-userpass]", "[providers.local-userpass]\nsign_up = \"open\"")
    });
    let (server, client) = start(site).await;
    let body = serde_json::json!({"email": "ann@example.com", "password": "copper lantern 47 on the pier"});
    server.client().post("/.auth/register").json(&body).await.is(202);
    server.log().line("mail.failed").await;
    let page = bearer(client.get("/metrics"), TOKEN).await.is(200).text();
    let count = |outcome: &str| figure(&page, &format!("vestibule_mails_total{{outcome=\"{outcome}\"}}"));
    assert_eq!((count("failed"), count("sent")), (1, 0), "{page}");
}

#[tokio::test]
async fn what_another_site_makes_an_operators_browser_send_is_refused() {
    let upstream = RecordingUpstream::start();
    let (_server, client) = start(site(&upstream)).await;
    let post = || basic(client.post("/nowhere"), TOKEN);
    let reply = post().header("sec-fetch-site", "cross-site").await;
    assert_eq!(reply.is(403).code(), "csrf.rejected");
    post().header("sec-fetch-site", "same-origin").await.is(404);
    post().header("origin", "https://evil.example").await.is(403);
    let own = client.origin().to_owned();
    post().header("origin", &own).await.is(404);
}
