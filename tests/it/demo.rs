//! The demo: what it says of itself is so, and every button of it leads somewhere without a network.

use std::path::Path;

use crate::support::site::{BINARY, clean};
use crate::support::tools::{Program, have};
use crate::support::{Browser, Client};

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_makes_its_own_requests_and_a_sign_in_of_every_kind() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = clean(BINARY, folder.path());
    command.args(["demo", "--check"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && !said.contains("FAIL"), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    for line in [
        "writing needs a journalist: 401",
        "ann writes: 201",
        "oauth2-apple vouches: 303",
        "a card that a function of yours knows: 200",
        "a token that a partner signed: 200",
        "github vouches: 303",
        "microsoft vouches: 303",
        "corp vouches: 303",
        "corp writes: 201",
    ] {
        assert!(said.lines().any(|said| said.starts_with("ok  ") && said.ends_with(line)), "{line}:\n{said}");
    }
    assert!(said.lines().all(|line| line.starts_with("ok  ")), "a list and nothing else:\n{said}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "nor does the log come between");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "it leaves nothing behind");
}

/// The demo at work, and its port.
async fn demo() -> (Program, std::net::SocketAddr) {
    let program = Program::start(Path::new(BINARY), |command, _| {
        command.args(["demo", "--listen", "127.0.0.1:0"]);
    });
    let address = program.port_after("Blog        http://127.0.0.1:").await;
    (program, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_that_the_demo_prints_do_what_is_said_below_them() {
    if !have(&[Path::new("curl")], "the lines of the demo's banner") {
        return;
    }
    let (program, _) = demo().await;
    program.said("Ctrl-C stops.").await;
    let lines = program.lines();
    let tries: Vec<_> = lines.windows(2).filter(|two| two[0].trim().starts_with("curl -i ")).collect();
    assert_eq!(tries.len(), 5, "{lines:?}");
    for two in tries {
        let folder = tempfile::tempdir().unwrap();
        let mut shell = clean("/bin/sh", folder.path());
        shell.args(["-c", two[0].trim()]);
        let output = tokio::task::spawn_blocking(move || shell.output().unwrap()).await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let status = two[1].trim().strip_prefix("→ ").and_then(|rest| rest.split_whitespace().next()).unwrap();
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{two:?}\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_providers_of_the_demo_send_nobody_anywhere_else() {
    let (_program, address) = demo().await;
    let site = format!("http://{address}");
    let out = Client::new(address, &site).get("/.auth/login/corp").navigate().await;
    let location = out.is(303).location().to_owned();
    let url = url::Url::parse(&location).unwrap();
    let there = format!("127.0.0.1:{}", url.port().unwrap()).parse().unwrap();
    let idp = Client::new(there, &url.origin().ascii_serialization());
    let target = location.strip_prefix(idp.origin()).unwrap().replace("/authorize?", "/consent?");
    let chosen = idp.get(&format!("{target}&person=ann-1")).await;
    assert!(chosen.is(303).location().starts_with(&format!("{site}/.auth/callback/corp?")));
    let cancelled = idp.get(&format!("{target}&person=")).await;
    assert!(cancelled.is(303).location().contains("error=access_denied"));
    let back = format!("127.0.0.1%3A{}%2F.auth%2Fcallback%2Fcorp", address.port());
    for evil in
        ["evil.test%2F.auth%2Fcallback%2Fcorp", "127.0.0.1%3A1%2F.auth%2Fcallback%2Fcorp", &format!("{back}%2Fx")]
    {
        let evil = target.replace(&back, evil);
        assert_ne!(evil, target);
        idp.get(&format!("{evil}&person=ann-1")).await.is(400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_who_are_made_up_sign_in_and_are_linked_in_a_browser() {
    let (program, address) = demo().await;
    let Some(browser) = Browser::start(address, "the demo in Chromium").await else { return };
    let site = format!("http://{address}");
    for (button, chosen, name) in [
        ("oauth2-google", "kim-3", "Kim Beispiel"),
        ("oauth2-facebook", "max-2", "Max Example"),
        ("oauth2-apple", "kim-3", "Kim Beispiel"),
        ("github", "max-2", "Max Example"),
        ("microsoft", "kim-3", "Kim Beispiel"),
        ("corp", "ann-1", "Ann Example"),
    ] {
        browser.go(&format!("{site}/.auth/login?rd=/posts")).await;
        browser.click(&format!("a[href*='/login/{button}?']")).await;
        browser.says("main", "played by the demo").await;
        browser.click(&format!("a[href$='person={chosen}']")).await;
        browser.says("p", &format!("Hello {name}.")).await;
        assert_eq!(browser.url().await, format!("{site}/posts"));
        browser.go(&format!("{site}/.auth/logout?rd=/posts")).await;
        browser.click("form[action*='logout'] button").await;
        browser.says("p", "Sign in").await;
    }
    // Ann signs in by the password that was printed, and adds an account.
    browser.go(&format!("{site}/.auth/login?rd=/.auth/account")).await;
    browser.fill("input[name=email]", "ann@example.com").await;
    browser.fill("input[type=password]", &program.word_after("ann@example.com   journalist").await).await;
    browser.click("form[action*='local-userpass'] button:not([type=button])").await;
    browser.click("form[action*='account/link/oauth2-apple'] button").await;
    browser.click("a[href$='person=ann-1']").await;
    browser.says("main", "Apple").await;
    browser.element("form[action*='unlink']").await;
    browser.close().await;
}
