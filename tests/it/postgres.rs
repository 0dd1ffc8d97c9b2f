//! Instances on one PostgreSQL server, and what they do while it is away.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::postgres::{Server, shared};
use crate::support::site::PASSWORD;
use crate::support::{RecordingUpstream, Site, within};

/// An instance on this schema.
fn rules(url: &str) -> String {
    format!(
        r#"
public_url = "http://app.localhost"
[store]
url = "{url}"
connect_timeout = "500ms"
statement_timeout = "500ms"
[session]
cache = "2s"
[limits]
sign_in = {{ per_account = "1000/1h", per_address = "1000/1h" }}
guest = {{ per_address = "1000/1h" }}
[providers.anon-user]
[providers.local-userpass]
[providers.api-key]
[routes]
"/**" = {{ all = "signed_in" }}
"/public/**" = {{ all = "anyone" }}
"/guests/**" = {{ all = "guest" }}
"#
    )
}

#[tokio::test]
async fn two_instances_share_accounts_sessions_and_keys() {
    let Some(postgres) = shared() else { return };
    let (app, url) = (RecordingUpstream::start(), postgres.url());
    let site = Site::new(&app, &rules(&url)).user("ann@example.com", &[]);
    let key = site.key(&["phone", "--user", &site.user_id("ann@example.com")]);
    let (one, two) = (site.start().await, Site::new(&app, &rules(&url)).start().await);
    let (here, there) = (one.client(), two.client());
    here.sign_in("ann@example.com").await;
    let tokens = one.client().tokens("ann@example.com").await;
    let cookie = here.cookie();
    there.get("/a").script().header("cookie", &cookie).await.is(200);
    two.client().get("/a").bearer(tokens["access_token"].as_str().unwrap()).await.is(200);
    two.client().get("/a").header("x-api-key", &key).await.is(200);
    assert_eq!(one.client().get("/.auth/jwks.json").await.text(), two.client().get("/.auth/jwks.json").await.text());
    // What ends at one instance ends at the other within `session.cache`.
    here.post("/.auth/logout").submit(&[]).await;
    let over = async { while there.get("/a").script().header("cookie", &cookie).await.status == 200 {} };
    within("the session to end at the other instance", over).await;
    assert_eq!(there.get("/a").script().header("cookie", &cookie).await.status, 401);
}

/// SEC-SESS-09
#[tokio::test]
async fn sec_sess_09_without_postgresql_the_known_go_on_for_the_cache_and_then_nobody_is_admitted() {
    let Some(mut postgres) = Server::start(&[]) else { return };
    let app = RecordingUpstream::start();
    let site = Site::new(&app, &rules(&postgres.url())).user("ann@example.com", &[]);
    let key = site.key(&["machine", "--user", &site.user_id("ann@example.com")]);
    let server = site.start().await;
    for (away, back) in [("STOP", "CONT"), ("KILL", "start")] {
        let client = server.client();
        client.sign_in("ann@example.com").await;
        let tokens = server.client().tokens("ann@example.com").await;
        client.get("/").script().await.is(200);
        postgres.signal(away);
        client.get("/").script().await.is(200);
        within("the cache to forget", async { while client.get("/").script().await.status == 200 {} }).await;
        let reached = app.count();
        let stranger = || server.client();
        let account = json!({ "email": "ann@example.com", "password": PASSWORD });
        let refresh = json!({ "refresh_token": tokens["refresh_token"] });
        let answers = [
            ("a cookie", client.get("/").script().await),
            ("a bearer", stranger().get("/").bearer(tokens["access_token"].as_str().unwrap()).await),
            ("a key", stranger().get("/").header("x-api-key", &key).await),
            ("oneself", client.get("/.auth/me").await),
            ("a sign-out", client.post("/.auth/logout").submit(&[]).await),
            ("a sign-in", stranger().post("/.auth/login/local-userpass").json(&account).await),
            ("a refresh", stranger().post("/.auth/token/refresh").json(&refresh).await),
            ("a guest to be made", stranger().get("/guests/a").navigate().await),
        ];
        for (what, reply) in &answers {
            assert_eq!(reply.status, 503, "{away}, {what}: {}", reply.describe());
            assert!(!reply.header("retry-after").is_empty(), "{away}, {what}: {}", reply.describe());
            let text = reply.describe().to_lowercase();
            assert!(!text.contains("sql") && !text.contains("postgres"), "sec_err_01: {text}");
        }
        stranger().get("/").script().await.is(401);
        stranger().get("/.auth/login").navigate().await.is(200);
        stranger().get("/.auth/jwks.json").await.is(200);
        assert_eq!(app.count(), reached, "{away}: nobody was admitted");
        stranger().get("/public/a").await.is(200);
        // Nothing piles up: each of many is refused as fast as the first.
        let started = Instant::now();
        for _ in 0..100 {
            client.get("/").script().await.is(503);
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());

        postgres.signal(back);
        let returned = Instant::now();
        within("it to be found again", async { while client.get("/").script().await.status != 200 {} }).await;
        assert!(returned.elapsed() < Duration::from_secs(5), "{away}: {:?}", returned.elapsed());
        server.client().sign_in("ann@example.com").await;
    }
    assert!(!server.log().text().contains("ann@example.com"), "the log shows no parameter of a statement");
    assert!(!server.log().with("PostgreSQL is away").is_empty() && !server.log().with("PostgreSQL is back").is_empty());
}

#[test]
fn a_server_that_is_not_there_or_refuses_is_told_with_the_way_out() {
    let Some(postgres) = shared() else { return };
    let app = "http://127.0.0.1:9";
    let nowhere = Site::before(app, &rules("postgres://nobody@127.0.0.1:1/vestibule")).cli(&["run"]);
    assert_eq!(nowhere.code, 5, "{nowhere:?}");
    assert!(nowhere.stderr.contains("postgres://127.0.0.1:1/vestibule"), "{nowhere:?}");
    assert!(nowhere.stderr.contains("help: see that the server runs"), "{nowhere:?}");
    let elsewhere = postgres.url().replace("/postgres?", "/canary?");
    let unknown = Site::before(app, &rules(&elsewhere)).cli(&["users", "list"]);
    assert_eq!(unknown.code, 5, "{unknown:?}");
    assert!(unknown.stderr.contains("database \"canary\" does not exist"), "{unknown:?}");
}

#[test]
fn a_site_moves_to_postgresql_and_back() {
    let Some(postgres) = shared() else { return };
    let url = postgres.url();
    let site = Site::before("http://127.0.0.1:9", "[providers.local-userpass]\n").user("ann@example.com", &["a"][..0]);
    site.key(&["backup"]);
    let there = site.cli(&["store", "copy", "config", &url]).success();
    assert!(there.stdout.starts_with("copied "), "{there:?}");
    let again = site.cli(&["store", "copy", "config", &url]).success();
    assert!(again.stdout.starts_with("copied 0 rows"), "{again:?}");
    let moved = Site::before("http://127.0.0.1:9", &rules(&url));
    let listed = |site: &Site| site.cli(&["users", "list", "--json"]).success().stdout;
    assert_eq!(listed(&moved), listed(&site));
    moved.cli(&["store", "copy", "config", &format!("sqlite:{}", moved.path("back.db").display())]).success();
    moved.add_user("bob@example.com", PASSWORD, &[]);
    let refused = site.cli(&["store", "copy", "config", &url]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains(&moved.user_id("bob@example.com")), "{refused:?}");
    let shown = site.cli(&["store", "copy", "config", "postgres://ann:canary@db.test/v"]);
    assert_eq!(shown.code, 2, "{shown:?}");
    assert!(!shown.text().contains("canary"), "{shown:?}");
}
