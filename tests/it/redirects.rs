//! Where a sign-in may lead: the site itself, and origins the operator listed.

use crate::support::site::PASSWORD;
use crate::support::{RecordingUpstream, Reply, Site, Vestibule};

const RULES: &str = r#"
return_to = ["https://a.example.test", "https://*.shop.test", "http://localhost:5173"]
[limits]
sign_in = { per_account = "10000/15m", per_address = "10000/15m" }
[providers.local-userpass]
"#;

async fn site() -> Vestibule {
    Site::before("http://127.0.0.1:9", RULES).user("ann@example.com", &[]).start().await
}

/// Signs in with this place to return to.
async fn signed_in(server: &Vestibule, rd: &str) -> Reply {
    let form = [("email", "ann@example.com"), ("password", PASSWORD), ("rd", rd)];
    let reply = server.client().post("/.auth/login/local-userpass").submit(&form).await;
    reply.is(303);
    reply
}

/// Each leads home; the page with the form names none of it as a target, and nothing else carries it on.
async fn local(places: &[&str]) {
    let server = site().await;
    for place in places {
        let once: String = url::form_urlencoded::byte_serialize(place.as_bytes()).collect();
        let twice: String = url::form_urlencoded::byte_serialize(once.as_bytes()).collect();
        for encoded in [&once, &twice] {
            let page = server.client().get(&format!("/.auth/login?rd={encoded}")).navigate().await;
            page.is(200);
            let text = page.text();
            for attribute in ["href=\"", "action=\"", "content=\""] {
                let evil =
                    text.split(attribute).skip(1).any(|rest| rest.split('"').next().unwrap().contains("evil.test"));
                assert!(!evil, "{place:?} in {text}");
            }
            assert_eq!((page.header("refresh"), page.cookies().len()), ("", 0));
        }
        for rd in [*place, &once] {
            let reply = signed_in(&server, rd).await;
            let home = reply.location().strip_prefix("http://app.localhost").unwrap_or(reply.location());
            let own = home == "/" || home.starts_with('/') && !home.contains("//") && !home.contains("evil.test");
            assert!(own, "{rd:?} leads to {home:?}");
        }
    }
    assert_eq!(
        signed_in(&server, "/drafts/7?a=1").await.location().replace("http://app.localhost", ""),
        "/drafts/7?a=1"
    );
}

#[tokio::test]
async fn sec_redir_01_slashes_backslashes_and_blanks_lead_home() {
    local(&[
        "//evil.test",
        "/\\evil.test",
        "/\t/evil.test",
        "/\n/evil.test",
        "/\u{b}\\evil.test",
        "/%2f%2fevil.test",
        "/%5cevil.test",
        "/./\\evil.test",
        "/ /evil.test",
        "////evil.test",
        "\\\\evil.test",
        "/\r/evil.test",
        " //evil.test",
        "///evil.test",
        "/.//evil.test",
        "/..//evil.test",
        "/x/..//evil.test",
        "\u{2028}//evil.test",
        "\u{0}//evil.test",
    ])
    .await;
}

#[tokio::test]
async fn sec_redir_02_a_longer_host_is_another_host() {
    local(&[
        "https://evilexample.test/",
        "https://a.example.test.evil.test/",
        "https://a.example.test@evil.test/",
        "https://evil.test#a.example.test",
        "https://evil.test\\@a.example.test/",
        "https://evil.test/?x=https://a.example.test",
        "https://shop.test.evil.test/",
        "https://evilshop.test/",
    ])
    .await;
}

#[tokio::test]
async fn sec_redir_03_users_and_ports_are_no_part_of_a_listed_origin() {
    local(&[
        "http://localhost:5173@evil.test/",
        "http://localhost:80@evil.test/",
        "http://localhost:8080.evil.test/",
        "http://a.example.test:99999/",
        "http://u:p@localhost:5173/evil.test",
        "https://a.example.test:8443/evil.test",
        "http://localhost:5174/evil.test",
        "http://app.localhost:81/evil.test",
    ])
    .await;
}

#[tokio::test]
async fn sec_redir_04_only_scheme_host_and_port_are_compared() {
    local(&[
        "https://evil.test/?n=.shop.test/x",
        "https://evil.test/#a.shop.test/x",
        "https://\u{430}.shop.test/evil.test",
        "https://xn--shop-.test/evil.test",
        "http://a.shop.test/evil.test",
        "https://a.b.shop.test.evil.test/",
    ])
    .await;
}

#[tokio::test]
async fn sec_redir_06_only_http_and_https_lead_anywhere() {
    local(&[
        "javascript:alert(1)//evil.test",
        "JaVaScRiPt:alert(1)//evil.test",
        "data:text/html,evil.test",
        "vbscript:evil.test",
        "\tjavascript:evil.test",
        "https:evil.test",
        "http:///evil.test",
        "https:/evil.test",
        "ftp://a.example.test/evil.test",
        "//",
    ])
    .await;
}

#[tokio::test]
async fn listed_origins_and_own_paths_are_gone_to() {
    let server = site().await;
    for place in [
        "https://a.example.test/",
        "https://a.example.test/x?y=1",
        "https://one.shop.test/cart",
        "http://localhost:5173/",
        "/drafts/7?x=%2F%2F",
        "http://app.localhost/own",
    ] {
        let reply = signed_in(&server, place).await;
        let location = reply.location();
        assert!(
            location == place || location == place.replace("http://app.localhost", ""),
            "{place} became {location}"
        );
    }
    let out = server.client();
    out.sign_in("ann@example.com").await;
    let left = out.post("/.auth/logout").submit(&[("rd", "//evil.test")]).await;
    assert!(!left.is(303).location().contains("evil.test"), "{}", left.describe());
}

#[tokio::test]
async fn what_is_not_followed_is_written_down_short_and_harmless() {
    let server = site().await;
    let long = format!("//evil.test/{}\u{1b}[31m\n", "x".repeat(2000));
    signed_in(&server, &long).await;
    let line = server.log().line("redirect.rejected").await;
    assert!(line.len() < 600 && line.contains("evil.test") && !line.contains('\u{1b}'), "{line}");
}

#[tokio::test]
async fn sec_xss_01_input_is_shown_as_text_or_not_at_all() {
    let app = RecordingUpstream::start();
    let server = Site::new(&app, "[providers.local-userpass]\nsign_up = \"open\"\n").start().await;
    let client = server.client();
    for evil in [
        "\"><svg onload=1>",
        "</script><script>1</script>",
        "' onfocus=1 x='",
        "{{7171*7}}",
        "${7171*7}",
        "%s%n",
        "`1`",
        "<img src=x>",
    ] {
        let encoded: String = url::form_urlencoded::byte_serialize(evil.as_bytes()).collect();
        let mut pages = Vec::new();
        for target in [
            "login?rd=/",
            "login?error=",
            "login?error_description=",
            "login?login_hint=",
            "register?rd=/",
            "reset?token=",
            "confirm?token=",
            "logout?rd=/",
        ] {
            let call = client
                .get(&format!("/.auth/{target}{encoded}"))
                .navigate()
                .header("referer", format!("http://x/{encoded}"));
            pages.push(call.await);
        }
        for target in ["login/local-userpass", "register", "reset/send", "confirm/send", "confirm", "reset"] {
            let form = [
                ("email", evil),
                ("password", "wrong-password"),
                ("token", evil),
                ("code", evil),
                ("rd", evil),
                (evil, evil),
            ];
            pages.push(client.stranger().post(&format!("/.auth/{target}")).submit(&form).await);
        }
        for page in pages {
            let text = page.text();
            for raw in ["<svg", "<script>1", "' onfocus", "\" onfocus", "<img src=x", "50197"] {
                assert!(!text.contains(raw), "{evil} came back raw as {raw}: {}", page.describe());
            }
            if page.header("content-type").starts_with("text/html") {
                let policy = page.header("content-security-policy");
                for word in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
                    assert!(policy.contains(word), "{word}: {}", page.describe());
                }
                assert!(
                    !policy.contains("unsafe-inline") && page.header("x-content-type-options") == "nosniff",
                    "{}",
                    page.describe()
                );
            }
        }
    }
}
