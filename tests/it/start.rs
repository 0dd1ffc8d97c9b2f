//! Configuration files: the three of the documentation start, a broken one starts nothing.

use std::fs::read_to_string;
use std::path::Path;

use rustix::process::Signal;

use crate::support::log::Log;
use crate::support::{Client, RecordingUpstream, Site};

fn example(name: &str) -> String {
    read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)).unwrap()
}

/// The file with a free port in place of its own.
fn on_a_free_port(text: &str) -> String {
    let others: Vec<_> =
        text.lines().filter(|line| !line.starts_with("listen ") && !line.starts_with("listen=")).collect();
    format!("listen = [\"127.0.0.1:0\"]\n{}\n", others.join("\n"))
}

#[tokio::test]
async fn the_minimal_file_starts_and_needs_an_account_for_everything() {
    let text = example("minimal.toml");
    assert_eq!(text.trim(), "upstream = \"http://127.0.0.1:3000\"", "the file of the README");
    let app = RecordingUpstream::start();
    let site = Site::exactly(&on_a_free_port(&text).replace("http://127.0.0.1:3000", &app.url()));
    let server = site.start().await;
    let client = server.client().calling(&format!("http://{}", server.address()));
    client.get("/").await.is(401);
    assert!(client.get("/").navigate().await.leads_to_login());
    let page = client.get("/.auth/login").navigate().await.is(200).text();
    assert!(!page.contains("/.auth/register"), "sign-up is closed");
    assert!(server.path("vestibule.db").exists(), "beside the file");
    let log = server.log().text();
    let link = log
        .split_whitespace()
        .find(|word| word.contains("/.auth/") && word.contains("token"))
        .unwrap_or_else(|| panic!("no link for the first account:\n{log}"));
    assert!(link.starts_with(client.origin()), "{link}");
    assert_eq!(app.count(), 0);
}

#[tokio::test]
async fn the_first_account_is_made_by_the_link_printed_at_start_and_there_is_no_second() {
    let app = RecordingUpstream::start();
    let server = Site::new(&app, "").start().await;
    let log = server.log().text();
    let link = log
        .split_whitespace()
        .find(|word| word.contains("/.auth/") && word.contains("token"))
        .unwrap_or_else(|| panic!("no link:\n{log}"));
    let path = link.strip_prefix("http://app.localhost").unwrap_or_else(|| panic!("{link}")).to_owned();
    let client = server.client();
    let page = client.get(&path).navigate().await.is(200).text();
    let token = url::Url::parse(link).unwrap().query_pairs().find(|(name, _)| name == "token").unwrap().1.into_owned();
    let action = super::sessions::action(&page, "/.auth/");
    let form = [("token", token.as_str()), ("email", "first@example.com"), ("password", "copper-lantern-47")];
    let done = client.post(&action).submit(&form).await;
    assert!(matches!(done.status.as_u16(), 200 | 303), "{}", done.describe());
    server.client().sign_in("first@example.com").await;
    let again = server.client().post(&action).submit(&form).await;
    assert!(again.status.is_client_error(), "{}", again.describe());
    let server = server.kill_and_restart().await;
    assert!(!server.log().text().contains("token"), "with an account there is no such link");
}

#[tokio::test]
async fn the_blog_file_starts_and_does_what_its_comments_say() {
    let app = RecordingUpstream::start();
    let text = on_a_free_port(&example("blog.toml")).replace("http://127.0.0.1:3000", &app.url());
    let site = Site::exactly(&format!("{text}\n[trusted_proxies]\naddresses = [\"127.0.0.1\"]\n"));
    let server = site.user("ann@example.com", &["journalist"]).start().await;
    let guest = server.client().calling("https://blog.example.com");
    guest.get("/posts/1").navigate().header("x-forwarded-proto", "https").await.is(200);
    guest.post("/posts").submit(&[("title", "Hi")]).header("x-forwarded-proto", "https").await;
    assert_eq!(app.count(), 1, "guests read");
    let ann = server.client().calling("https://blog.example.com");
    ann.sign_in("ann@example.com").await;
    ann.post("/posts").submit(&[("title", "Hi")]).header("x-forwarded-proto", "https").await.is(200);
    assert_eq!(app.last().header("x-auth-roles"), "journalist");
}

#[tokio::test]
async fn the_full_file_starts() {
    let app = RecordingUpstream::start();
    let site = Site::exactly(&on_a_free_port(&example("full.toml")).replace("http://127.0.0.1:3000", &app.url()));
    site.cli(&["check"]).success();
    let server = site.start().await;
    server.client().get("/.auth/login").navigate().await.is(200);
}

#[tokio::test]
async fn every_fault_is_told_at_once_with_its_place_and_nothing_starts() {
    let app = RecordingUpstream::start();
    let site = Site::exactly(&format!(
        "upstraem = \"{}\"\nlisten = [\"127.0.0.1:0\"]\n[session]\nidle_timeout = 12\n[providers.local-userpass]\nsign_up = \"opne\"\n[routes]\n\"/**\" = {{ read = \"anyon\", write = \"role:ghost\" }}\n",
        app.url()
    ));
    for command in ["run", "check"] {
        let output = site.cli(&[command]);
        assert_eq!(output.code, 3, "{output:?}");
        for place in ["vestibule.toml:1:1", "vestibule.toml:4:16", "vestibule.toml:6:11", "vestibule.toml:8:"] {
            assert!(output.text().contains(place), "{place} in {}", output.text());
        }
        for word in ["did you mean", "`upstream`", "\"open\"", "\"anyone\"", "ghost", "^^^"] {
            assert!(output.text().contains(word), "{word} in {}", output.text());
        }
        assert!(!output.text().contains("listening on"));
    }
    assert!(!site.path("vestibule.db").exists(), "nothing was started");
}

#[tokio::test]
async fn sec_conf_05_a_file_that_is_missing_half_written_or_of_unknown_words_opens_nothing() {
    let app = RecordingUpstream::start();
    let url = app.url();
    let faults = [
        format!("listen = [\"127.0.0.1:0\"]\nupstream = \"{url}\"\n[routes]\n\"/**\" = {{ all = \"any"),
        format!(
            "listen = [\"127.0.0.1:0\"]\nupstream = \"{url}\"\n[routes]\n\"/a\" = {{ all = \"anyone\" }}\n\"/a\" = {{ all = \"nobody\" }}\n"
        ),
        format!("listen = [\"127.0.0.1:0\"]\nupstream = \"{url}\"\n[routes]\n\"/a\" = {{ }}\n"),
        format!("listen = [\"127.0.0.1:0\"]\nupstream = \"{url}\"\n[routes]\n\"/a\" = {{ all = [] }}\n"),
        format!(
            "listen = [\"127.0.0.1:0\"]\nupstream = \"{url}\"\n[routes]\n\"/a\" = {{ all = [\"anyone\", \"signed_in\"] }}\n"
        ),
        format!("listen = [\"127.0.0.1:0\"]\nupstream = \"{url}\"\n[routes]\n\"/a/**/b\" = {{ all = \"anyone\" }}\n"),
        format!("listen = [\"127.0.0.1:0\"]\nupstream = \"{url}\"\n[routes]\n\"/a%2f\" = {{ all = \"anyone\" }}\n"),
        format!("listen = [\"127.0.0.1:0\"]\nupstream = \"{url}\"\n[routes]\n\"^/a.*$\" = {{ all = \"anyone\" }}\n"),
        format!("listen = [\"127.0.0.1:0\"]\nupstream = \"{url}\"\n[routes]\n\"/a\" = {{ all = \"policy:none\" }}\n"),
        format!("listen = [\"127.0.0.1:0\"]\nupstream = \"{url}\"\n[routes]\n\"/a\" = {{ all = \"provider:none\" }}\n"),
        format!("listen = [\"127.0.0.1:0\"]\nupstream = \"{url}\"\nroles = [\"a,b\"]\n"),
        format!("listen = [\"127.0.0.1:0\"]\nupstream = \"{url}\"\npublic_url = \"http://blog.example.com\"\n"),
        format!("listen = [\"127.0.0.1:0\"]\nupstream = \"{url}\"\n[trusted_proxies]\naddresses = [\"0.0.0.0/0\"]\n"),
        format!("listen = [\"127.0.0.1:0\"]\nupstream = \"{url}\"\n[trusted_proxies]\naddresses = [\"::/0\"]\n"),
        format!(
            "listen = [\"127.0.0.1:0\"]\nupstream = \"{url}\"\n[tls]\nmode = \"files\"\ncertificate = \"none.pem\"\nkey = {{ file = \"none.pem\" }}\n"
        ),
        format!(
            "listen = [\"127.0.0.1:0\"]\nupstream = \"{url}\"\n[mail]\nfrom = \"a@example.com\"\nsmtp = {{ url = \"smtps://localhost:1\", user = \"a\", password = {{ env = \"NO_SUCH_VARIABLE\" }} }}\n"
        ),
        format!(
            "listen = [\"127.0.0.1:0\"]\nupstream = \"{url}\"\n[mail]\nfrom = \"a@example.com\"\nsmtp = {{ url = \"smtps://localhost:1\", user = \"a\", password = \"canary-literal-4711\" }}\n"
        ),
    ];
    for toml in faults {
        let output = Site::exactly(&toml).cli(&["run"]);
        assert_eq!(output.code, 3, "{toml}\n{output:?}");
        assert!(!output.text().contains("canary-literal"), "sec_conf_01: {output:?}");
        assert!(output.text().contains("vestibule.toml"), "{output:?}");
    }
    let site = Site::exactly("");
    std::fs::remove_file(site.config()).unwrap();
    assert_eq!(site.cli(&["run"]).code, 3);
}

#[tokio::test]
async fn a_key_in_the_environment_goes_before_the_file_and_a_misspelt_one_is_a_fault() {
    let app = RecordingUpstream::start();
    let rules = "[routes]\n\"/**\" = { all = \"anyone\" }\n\"/admin/**\" = { all = \"nobody\" }\n";
    let server =
        Site::new(&app, rules).env("VESTIBULE_CASE", "exact").env("VESTIBULE_PORT", "tcp://10.0.0.1:80").start().await;
    server.client().get("/Admin").await.is(200);
    let misspelt = Site::new(&app, rules).env("VESTIBULE_CAES", "exact").cli(&["check"]);
    assert_eq!(misspelt.code, 3);
    assert!(misspelt.text().contains("VESTIBULE_CASE"), "{misspelt:?}");
}

#[tokio::test]
async fn an_address_in_use_is_exit_code_4_and_a_store_that_cannot_be_opened_5() {
    let (app, other) = (RecordingUpstream::start(), RecordingUpstream::start());
    let taken = Site::new(&app, &format!("listen = [\"{}\"]\n", other.address())).cli(&["run"]);
    assert_eq!(taken.code, 4, "{taken:?}");
    assert!(taken.text().contains("in use"), "{taken:?}");
    let site = Site::new(&app, "[store]\nurl = \"sqlite:store.db\"\n");
    std::fs::write(site.path("store.db"), "this is no database, and it is long enough to be looked at".repeat(100))
        .unwrap();
    let broken = site.cli(&["run"]);
    assert_eq!(broken.code, 5, "{broken:?}");
    let usage = site.cli(&["run", "--no-such-flag"]);
    assert_eq!(usage.code, 2, "{usage:?}");
}

#[tokio::test]
async fn an_upstream_that_is_not_there_yet_is_no_reason_not_to_start() {
    let app = RecordingUpstream::start();
    app.stop().await;
    let mut server = Site::new(&app, "[routes]\n\"/**\" = { all = \"anyone\" }\n").start().await;
    server.client().get("/").await.is(502);
    app.restart();
    server.client().get("/").await.is(200);
    server.signal(Signal::TERM);
    assert!(server.exit().await.success());
}

#[tokio::test]
async fn a_second_server_on_one_store_says_so_and_a_killed_one_leaves_nothing_behind() {
    const SAYS: &str = "another server uses this store";
    let app = RecordingUpstream::start();
    let server = Site::new(&app, "").start().await;
    server.cli(&["users", "list"]).success();
    let mut second = server.command(&["run"]).spawn().unwrap();
    let log = Log::of(second.stdout.take().unwrap(), second.stderr.take().unwrap());
    assert!(log.line(SAYS).await.contains("WARN"));
    log.line("listening on").await;
    second.kill().unwrap();
    second.wait().unwrap();
    assert!(server.log().with(SAYS).is_empty());
    let server = server.kill_and_restart().await;
    assert!(server.log().with(SAYS).is_empty(), "{}", server.log().text());
}

#[tokio::test]
async fn a_visit_by_another_host_than_the_public_one_is_told_once() {
    const SAYS: &str = "a host that is not in `public_url`";
    let app = RecordingUpstream::start();
    let rules = "return_to = [\"http://shop.localhost\"]\n[routes]\n\"/**\" = { all = \"anyone\" }\n\"docs.test/**\" = { all = \"anyone\" }\n";
    let server = Site::new(&app, rules).start().await;
    let visit =
        async |host: &str| server.client().calling(&format!("http://{host}")).get("/").navigate().await.is(200).status;
    for host in ["app.localhost", "app.localhost:8080", "docs.test", "shop.localhost"] {
        visit(host).await;
    }
    server.client().calling("http://10.0.0.1").get("/").await.is(200);
    assert!(server.log().with(SAYS).is_empty(), "{}", server.log().text());
    visit("127.0.0.1:8080").await;
    visit("127.0.0.1:8080").await;
    let line = server.log().line(SAYS).await;
    assert!(line.contains("WARN") && line.contains("127.0.0.1") && line.contains("http://app.localhost"), "{line}");
    visit("app.localhost").await;
    assert_eq!(server.log().with(SAYS).len(), 1);
}

#[tokio::test]
async fn every_listener_is_announced_and_answers() {
    let app = RecordingUpstream::start();
    let rules = "listen = [\"127.0.0.1:0\", \"127.0.0.2:0\"]\n[routes]\n\"/**\" = { all = \"anyone\" }\n";
    let server = Site::new(&app, rules).start_listeners(2).await;
    for address in server.addresses() {
        Client::new(*address, "http://app.localhost").get("/").await.is(200);
    }
    assert_ne!(server.addresses()[0].ip(), server.addresses()[1].ip());
    assert_eq!(app.count(), 2);
}
