//! Apps that nobody here wrote, behind the binary, seen through a real browser.

use std::path::{Path, PathBuf};

use crate::support::site::{PASSWORD, PUBLIC_URL};
use crate::support::tools::{self, Program};
use crate::support::{Browser, RecordingUpstream, Site, Vestibule};

const RULES: &str = r#"
[providers.local-userpass]
sign_up = "open"
[routes]
"/**" = { all = "signed_in" }
"#;

/// httpbin, served by gunicorn.
async fn httpbin(test: &str) -> Option<(Program, String)> {
    let python = tools::folder().join("httpbin/bin/python");
    if !tools::have(&[&python], test) {
        return None;
    }
    let program = Program::start(&python, |command, _| {
        command.args([
            "-m",
            "gunicorn",
            "httpbin:app",
            "--bind",
            "127.0.0.1:0",
            "--threads",
            "4",
            "--no-control-socket",
        ]);
    });
    let address = program.port_after("Listening at: http://127.0.0.1:").await;
    Some((program, format!("http://{address}")))
}

/// The chat that comes with the npm package `gun`.
async fn chat(test: &str) -> Option<(Program, String)> {
    let modules = tools::folder().join("clients/node_modules");
    if !tools::have(&[Path::new("node"), &modules.join("gun")], test) {
        return None;
    }
    let script: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/chat.js");
    let program = Program::start(Path::new("node"), |command, _| {
        command.arg(script).env("NODE_PATH", modules);
    });
    let address = program.port_after("chat on port ").await;
    Some((program, format!("http://{address}")))
}

async fn site(upstream: &str) -> Vestibule {
    Site::before(upstream, RULES).user("ann@example.com", &[]).user("max@example.com", &[]).start().await
}

/// Types e-mail and password into the page that is shown, and sends it.
async fn sign_in(browser: &Browser, email: &str) {
    browser.fill("input[name=email]", email).await;
    browser.fill("input[type=password]", PASSWORD).await;
    browser.click("form[action*='local-userpass'] button:not([type=button])").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_httpbin_is_reached_by_signing_in_and_nothing_of_its_address_is_lost() {
    let test = "httpbin behind the binary";
    let Some((_httpbin, upstream)) = httpbin(test).await else { return };
    let server = site(&upstream).await;
    let Some(browser) = Browser::start(server.address(), test).await else { return };
    browser.go(&format!("{PUBLIC_URL}/anything/deep?a=1&b=%20x%26y#part-2")).await;
    assert!(browser.url().await.starts_with(&format!("{PUBLIC_URL}/.auth/login?")), "{}", browser.url().await);
    // A place on the page itself is not what comes after #, and a mistake loses nothing.
    sign_in(&browser, "nobody@example.com").await;
    browser.click("#problem a, #problem").await;
    sign_in(&browser, "ann@example.com").await;
    browser.element("pre").await;
    assert_eq!(browser.url().await, format!("{PUBLIC_URL}/anything/deep?a=1&b=%20x%26y#part-2"));
    let shown: serde_json::Value = serde_json::from_str(&browser.text("pre").await).unwrap();
    assert_eq!((&shown["args"]["a"], &shown["args"]["b"]), (&"1".into(), &" x&y".into()));
    assert_eq!(shown["headers"]["X-Auth-Email"], "ann@example.com");
    assert_eq!(shown["headers"]["X-Auth-User"], server.user_id("ann@example.com").as_str());
    assert!(shown["headers"].get("Cookie").is_none(), "{shown}");
    assert!(shown["url"].as_str().unwrap().starts_with("http://app.localhost/anything/deep"), "{shown}");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn httpbins_own_cookies_redirects_and_forms_work_unchanged() {
    let test = "httpbin's forms";
    let Some((_httpbin, upstream)) = httpbin(test).await else { return };
    let server = site(&upstream).await;
    let Some(browser) = Browser::start(server.address(), test).await else { return };
    browser.go(&format!("{PUBLIC_URL}/forms/post")).await;
    sign_in(&browser, "ann@example.com").await;
    browser.fill("input[name=custname]", "Ann").await;
    browser.click("form button").await;
    browser.says("pre", "\"custname\": \"Ann\"").await;
    browser.go(&format!("{PUBLIC_URL}/cookies/set?flavour=oat")).await;
    assert_eq!(browser.url().await, format!("{PUBLIC_URL}/cookies"));
    browser.says("pre", "\"flavour\": \"oat\"").await;
    assert!(!browser.text("pre").await.contains("sess"), "our cookie is not the app's");
    browser.go(&format!("{PUBLIC_URL}/redirect/3")).await;
    assert_eq!(browser.url().await, format!("{PUBLIC_URL}/get"));
    let stream = "const done = arguments[arguments.length - 1];
        fetch('/stream/5').then(r => r.text()).then(t => done(t.trim().split('\\n').length), e => done(String(e)))";
    assert_eq!(browser.run(stream, vec![]).await, 5);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_chat_over_the_websocket_of_an_app_nobody_here_wrote() {
    let test = "a chat behind the binary";
    let Some((_chat, upstream)) = chat(test).await else { return };
    let server = site(&upstream).await;
    let Some(ann) = Browser::start(server.address(), test).await else { return };
    let Some(max) = Browser::start(server.address(), test).await else { return };
    for (browser, email) in [(&ann, "ann@example.com"), (&max, "max@example.com")] {
        browser.go(&format!("{PUBLIC_URL}/chat/index.html")).await;
        sign_in(browser, email).await;
        browser.element("#message-input").await;
        assert_eq!(browser.url().await, format!("{PUBLIC_URL}/chat/index.html"));
    }
    ann.fill("#name-input", "Ann").await;
    ann.fill("#message-input", "anyone there?").await;
    ann.click(".chat__submit").await;
    max.says(".chat__message-text", "anyone there?").await;
    max.fill("#message-input", "yes, here").await;
    max.click(".chat__submit").await;
    ann.says(".chat__message-text", "yes, here").await;
    ann.close().await;
    max.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_new_registers_confirms_by_mail_and_finds_the_account_page() {
    let test = "registering in a browser";
    let app = RecordingUpstream::start();
    let server = site(&app.url()).await;
    let Some(browser) = Browser::start(server.address(), test).await else { return };
    browser.go(&format!("{PUBLIC_URL}/")).await;
    browser.click("a[href*='/.auth/register']").await;
    browser.fill("input[name=email]", "new@example.com").await;
    browser.fill("input[type=password]", PASSWORD).await;
    browser.click("form[action*='register'] button:not([type=button])").await;
    let mail = server.mailbox().wait("new@example.com", 1).await;
    browser.go(&mail.link()).await;
    browser.click("form[action*='confirm'] button:not([type=button])").await;
    browser.element("form[action*='local-userpass']").await;
    browser.go(&format!("{PUBLIC_URL}/.auth/account")).await;
    sign_in(&browser, "new@example.com").await;
    browser.element("form[action*='sessions']").await;
    assert_eq!(browser.url().await, format!("{PUBLIC_URL}/.auth/account"), "back to where the visitor was going");
    browser.says("main", "new@example.com").await;
    browser.go(&format!("{PUBLIC_URL}/page")).await;
    browser.says("body", "hello from the app").await;
    let seen = app.requests().into_iter().find(|seen| seen.target == "/page").unwrap();
    assert_eq!(seen.header("x-auth-email"), "new@example.com");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_pages_load_nothing_from_elsewhere_and_break_no_rule_of_their_own() {
    let test = "the pages in a browser";
    let app = RecordingUpstream::start();
    let server = site(&app.url()).await;
    let Some(browser) = Browser::start(server.address(), test).await else { return };
    for page in ["login", "register", "reset", "confirm", "logout"] {
        browser.go(&format!("{PUBLIC_URL}/.auth/{page}")).await;
        let faults = "const out = [];
            if (!document.documentElement.lang) out.push('no lang');
            if (!document.title) out.push('no title');
            if (document.querySelectorAll('h1').length !== 1) out.push('not one h1');
            for (const e of document.querySelectorAll('[style],style,script:not([src])')) out.push('inline ' + e.outerHTML);
            for (const e of document.querySelectorAll('input:not([type=hidden]):not([hidden])'))
                if (!e.labels.length && !e.getAttribute('aria-label')) out.push('no label ' + e.outerHTML);
            for (const e of performance.getEntriesByType('resource'))
                // The browser itself asks every site for this one.
                if (!e.name.startsWith(location.origin + '/.auth/') && !e.name.endsWith('/favicon.ico')) out.push('loads ' + e.name);
            if (document.documentElement.scrollWidth > innerWidth) out.push('scrolls sideways');
            return out;";
        assert_eq!(browser.value(faults).await, serde_json::json!([]), "{page}");
    }
    browser.close().await;
}
