//! Register, confirm, reset: by form and by JSON, with the mails they send.

use serde_json::json;

use crate::support::site::PASSWORD;
use crate::support::{Client, RecordingUpstream, Reply, Site, Vestibule};

const OPEN: &str = r#"
[providers.local-userpass]
sign_up = "open"
[providers.api-key]
[limits]
sign_in = { per_account = "1000/15m", per_address = "1000/15m" }
sign_up = { per_account = "1000/1h", per_address = "1000/1h" }
reset = { per_account = "1000/1h", per_address = "1000/1h" }
[routes]
"/**" = { all = "signed_in" }
"#;

const NEW: &str = "velvet-harbour-12";

async fn site(app: &RecordingUpstream) -> Vestibule {
    Site::new(app, OPEN).user("ann@example.com", &[]).start().await
}

async fn refused(client: &Client, email: &str, password: &str) -> Reply {
    let body = json!({ "email": email, "password": password });
    let reply = client.stranger().post("/.auth/login/local-userpass").json(&body).await;
    assert_eq!(reply.is(401).code(), "authn.refused");
    reply
}

#[tokio::test]
async fn a_visitor_registers_confirms_and_signs_in_by_forms() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    let page = client.get("/.auth/register").navigate().await.is(200).text();
    assert!(page.contains("autocomplete=\"new-password\""), "{page}");
    let form = [("email", "New@Example.com"), ("password", PASSWORD)];
    let reply = client.post("/.auth/register").submit(&form).await;
    assert!(matches!(reply.status.as_u16(), 200 | 202 | 303), "{}", reply.describe());
    refused(&client, "new@example.com", PASSWORD).await;

    let mail = server.mailbox().wait("new@example.com", 1).await;
    let page = client.get(&mail.path()).navigate().await.is(200).text();
    assert!(page.contains("<form") && page.contains("<button"), "{page}");
    refused(&client, "new@example.com", PASSWORD).await;
    let token = mail.token();
    let done = client.post("/.auth/confirm").submit(&[("token", &token)]).await;
    assert!(matches!(done.status.as_u16(), 200 | 303), "{}", done.describe());
    let fresh = server.client();
    fresh.sign_in_with("NEW@example.com", PASSWORD).await;
    fresh.get("/").script().await.is(200);
    assert_eq!(app.last().header("x-auth-email").to_ascii_lowercase(), "new@example.com");
}

#[tokio::test]
async fn a_program_registers_confirms_by_code_and_gets_tokens() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    let account = json!({ "email": "new@example.com", "password": PASSWORD });
    client.post("/.auth/register").json(&account).await.is(202);
    let code = server.mailbox().wait("new@example.com", 1).await.code();
    let wrong = json!({ "email": "new@example.com", "code": code.chars().rev().collect::<String>() + "X" });
    let reply = client.post("/.auth/confirm").json(&wrong).await;
    assert!(reply.status.is_client_error(), "{}", reply.describe());
    let other = json!({ "email": "ann@example.com", "code": code });
    assert!(client.post("/.auth/confirm").json(&other).await.status.is_client_error());
    let reply = client.post("/.auth/confirm").json(&json!({ "email": "new@example.com", "code": code })).await;
    assert!(reply.status.is_success(), "{}", reply.describe());
    client.tokens("new@example.com").await;
    let again = client.post("/.auth/confirm").json(&json!({ "email": "new@example.com", "code": code })).await;
    assert!(again.status.is_client_error(), "a code works once: {}", again.describe());
}

#[tokio::test]
async fn a_confirmation_is_sent_again_and_the_earlier_link_stays_good() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    client.post("/.auth/register").json(&json!({ "email": "new@example.com", "password": PASSWORD })).await.is(202);
    let first = server.mailbox().wait("new@example.com", 1).await.token();
    client.post("/.auth/confirm/send").json(&json!({ "email": "new@example.com" })).await.is(202);
    client.post("/.auth/confirm/send").json(&json!({ "email": "nobody@example.com" })).await.is(202);
    let second = server.mailbox().wait("new@example.com", 2).await.token();
    assert_ne!(first, second);
    let reply = client.post("/.auth/confirm").json(&json!({ "token": first })).await;
    assert!(reply.status.is_success(), "{}", reply.describe());
    assert!(server.mailbox().to("nobody@example.com").is_empty());
}

#[tokio::test]
async fn sec_pwd_01_nobody_learns_who_has_an_account() {
    let app = RecordingUpstream::start();
    let site = Site::new(&app, OPEN).user("ann@example.com", &[]).user("out@example.com", &[]);
    site.cli(&["users", "disable", "out@example.com"]).success();
    let server = site.start().await;
    let client = server.client();
    client.post("/.auth/register").json(&json!({ "email": "wait@example.com", "password": PASSWORD })).await.is(202);
    let people = ["ann@example.com", "out@example.com", "wait@example.com", "nobody@example.com"];
    for (path, secret) in [
        ("/.auth/login/local-userpass", "wrong-password"),
        ("/.auth/register", NEW),
        ("/.auth/reset/send", ""),
        ("/.auth/confirm/send", ""),
    ] {
        for form in [false, true] {
            let mut answers = Vec::new();
            for email in people {
                let call = server.client().post(path);
                let reply = match form {
                    true => call.submit(&[("email", email), ("password", secret)]).await,
                    false => call.json(&json!({ "email": email, "password": secret })).await,
                };
                answers.push(shape(&reply, email));
            }
            let unlike: Vec<_> = answers.iter().filter(|answer| **answer != answers[3]).collect();
            assert!(unlike.is_empty(), "{path} (form: {form}):\n{unlike:#?}\nunlike\n{:#?}", answers[3]);
        }
    }
}

/// What an onlooker can tell of an answer, with the address itself and what changes each time taken out.
fn shape(reply: &Reply, email: &str) -> (u16, Vec<String>, String) {
    let names = reply.headers.iter().filter(|(name, _)| !["date", "content-length"].contains(&name.as_str()));
    let mut names: Vec<_> =
        names.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap().replace(email, "…"))).collect();
    names.sort();
    let encoded = email.replace('@', "%40");
    let mut text = reply.text().replace(email, "…").replace(&encoded, "…").replace(&email.replace('@', "&#64;"), "…");
    if let Some(id) =
        reply.headers.get("content-type").filter(|kind| *kind == "application/problem+json").map(|_| reply.json())
    {
        text = text.replace(id["request_id"].as_str().unwrap(), "…");
    }
    (reply.status.as_u16(), names, text)
}

#[tokio::test]
async fn whoever_registers_a_taken_address_is_told_by_mail_alone() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    client.post("/.auth/register").json(&json!({ "email": "ANN@example.com", "password": NEW })).await.is(202);
    let mail = server.mailbox().wait("ann@example.com", 1).await;
    assert!(!mail.text.contains(NEW), "{mail:?}");
    refused(&client, "ann@example.com", NEW).await;
    client.sign_in("ann@example.com").await;
}

#[tokio::test]
async fn a_password_is_reset_by_form_and_by_json() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    let page = client.get("/.auth/reset").navigate().await.is(200).text();
    assert!(page.contains("name=\"email\""), "{page}");
    let reply = client.post("/.auth/reset/send").submit(&[("email", "ann@example.com")]).await;
    assert!(matches!(reply.status.as_u16(), 200 | 202 | 303), "{}", reply.describe());
    let mail = server.mailbox().wait("ann@example.com", 1).await;
    let page = client.get(&mail.path()).navigate().await;
    assert!(page.is(200).text().contains("autocomplete=\"new-password\""), "{}", page.describe());
    assert_eq!(page.header("referrer-policy"), "no-referrer", "sec_pwd_08");
    client.sign_in("ann@example.com").await;
    let done = client.post("/.auth/reset").submit(&[("token", &mail.token()), ("password", NEW)]).await;
    assert!(matches!(done.status.as_u16(), 200 | 303), "{}", done.describe());
    refused(&client, "ann@example.com", PASSWORD).await;
    server.client().sign_in_with("ann@example.com", NEW).await;

    let program = server.client();
    program.post("/.auth/reset/send").json(&json!({ "email": "Ann@Example.com" })).await.is(202);
    let code = later_code(&server).await;
    let body = json!({ "email": "ann@example.com", "code": code, "password": PASSWORD });
    let done = program.post("/.auth/reset").json(&body).await;
    assert!(done.status.is_success(), "{}", done.describe());
    server.client().sign_in("ann@example.com").await;
}

/// The code of the latest mail that has one: a notice that the password was changed may come in between.
async fn later_code(server: &Vestibule) -> String {
    for number in 2.. {
        let mail = server.mailbox().wait("ann@example.com", number).await;
        if mail.text.contains("/.auth/reset") && mail.text.contains("token=") {
            return mail.code();
        }
    }
    unreachable!()
}

#[tokio::test]
async fn sec_pwd_06_a_reset_link_works_once_even_for_twenty_at_a_time() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    client.post("/.auth/reset/send").json(&json!({ "email": "ann@example.com" })).await.is(202);
    let token = server.mailbox().wait("ann@example.com", 1).await.token();
    assert!(token.len() >= 22, "128 bits or more");
    let changed = swap_first_letter(&token);
    let reply = client.post("/.auth/reset").json(&json!({ "token": changed, "password": NEW })).await;
    assert!(reply.status.is_client_error(), "{}", reply.describe());
    let tries: Vec<_> = (0..20)
        .map(|n| json!({ "token": token, "password": format!("copper-lantern-number-{n}") }))
        .map(|body| tokio::spawn(client.post("/.auth/reset").json(&body).into_future()))
        .collect();
    let mut good = 0;
    for attempt in tries {
        let reply = attempt.await.unwrap();
        good += usize::from(reply.status.is_success());
        assert!(reply.status.is_success() || matches!(reply.status.as_u16(), 400..=429 | 503), "{}", reply.describe());
    }
    assert_eq!(good, 1);
    let page = client.get(&format!("/.auth/reset?token={token}")).navigate().await;
    assert!(page.status.is_client_error() || page.status == 200, "{}", page.describe());
}

fn swap_first_letter(token: &str) -> String {
    let at = token.find(|c: char| c.is_ascii_alphabetic()).unwrap();
    let letter = token.as_bytes()[at] as char;
    let other = if letter.is_ascii_uppercase() { letter.to_ascii_lowercase() } else { letter.to_ascii_uppercase() };
    format!("{}{other}{}", &token[..at], &token[at + 1..])
}

#[tokio::test]
async fn sec_pwd_06_a_new_password_voids_every_link_that_is_out() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    for number in 1..=2 {
        client.post("/.auth/reset/send").json(&json!({ "email": "ann@example.com" })).await.is(202);
        server.mailbox().wait("ann@example.com", number).await;
    }
    let tokens: Vec<_> = server.mailbox().to("ann@example.com").iter().map(|mail| mail.token()).collect();
    let done = client.post("/.auth/reset").json(&json!({ "token": tokens[1], "password": NEW })).await;
    assert!(done.status.is_success(), "{}", done.describe());
    let late = client.post("/.auth/reset").json(&json!({ "token": tokens[0], "password": PASSWORD })).await;
    assert!(late.status.is_client_error(), "{}", late.describe());
    server.client().sign_in_with("ann@example.com", NEW).await;
}

#[tokio::test]
async fn sec_pwd_06_a_link_is_good_for_its_purpose_alone() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    client.post("/.auth/reset/send").json(&json!({ "email": "ann@example.com" })).await.is(202);
    let token = server.mailbox().wait("ann@example.com", 1).await.token();
    let wrong = client.post("/.auth/confirm").json(&json!({ "token": token })).await;
    assert!(wrong.status.is_client_error(), "{}", wrong.describe());
    client.get("/").bearer(&token).await.is(401);
    let done = client.post("/.auth/reset").json(&json!({ "token": token, "password": NEW })).await;
    assert!(done.status.is_success(), "{}", done.describe());
}

#[tokio::test]
async fn sec_pwd_08_a_mail_leads_to_the_public_url_and_to_one_person() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let send = |client: &Client| {
        let call = client
            .post("/.auth/reset/send")
            .json(&json!({ "email": "ann@example.com", "redirect_uri": "https://evil.test" }));
        call.header("x-forwarded-host", "evil.test")
            .header("x-forwarded-proto", "gopher")
            .header("forwarded", "host=evil.test")
    };
    send(&server.client()).await.is(202);
    let poisoned = send(&server.client().calling("http://evil.test")).await;
    assert!(matches!(poisoned.status.as_u16(), 202 | 400 | 421), "{}", poisoned.describe());
    let raw = server.raw().await.ask("POST /.auth/reset/send HTTP/1.1\r\nHost: app.localhost:pw@evil.test\r\nContent-Type: application/json\r\nContent-Length: 27\r\n\r\n{\"email\":\"ann@example.com\"}").await;
    assert_eq!(raw.status, 400);
    for email in
        ["ann@example.com\r\nBcc: evil@evil.test", "ann@example.com,evil@evil.test", "ann@example.com evil@evil.test"]
    {
        let reply = server.client().post("/.auth/reset/send").json(&json!({ "email": email })).await;
        assert!(matches!(reply.status.as_u16(), 202 | 422), "{}", reply.describe());
    }
    send(&server.client()).await.is(202);
    let wanted = if poisoned.status == 202 { 3 } else { 2 };
    server.mailbox().wait("ann@example.com", wanted).await;
    for mail in server.mailbox().all() {
        assert_eq!(mail.to, ["ann@example.com"], "{mail:?}");
        assert!(mail.path().starts_with("/.auth/reset?"), "{mail:?}");
        assert!(!mail.raw.contains("evil"), "{mail:?}");
        // The token in its address is told to no other origin: not by a referrer, and by no link.
        let page = server.client().get(&mail.path()).navigate().await;
        assert_eq!(page.is(200).header("referrer-policy"), "no-referrer");
        assert!(!page.text().contains("://") && page.location().is_empty(), "{}", page.describe());
    }
    let named = Site::new(&app, &format!("hosts = [\"app.localhost\"]\n{OPEN}")).user("ann@example.com", &[]);
    let named = named.start().await;
    send(&named.client().calling("http://evil.test")).await.is(421);
    send(&named.client()).await.is(202);
    named.mailbox().wait("ann@example.com", 1).await;
    assert_eq!(named.mailbox().all().len(), 1);
}

#[tokio::test]
async fn sec_pwd_09_a_reset_ends_what_was_signed_in() {
    let app = RecordingUpstream::start();
    let site = Site::new(&app, OPEN).user("ann@example.com", &[]);
    let server = site.start().await;
    let (browser, program) = (server.client(), server.client());
    browser.sign_in("ann@example.com").await;
    let tokens = program.tokens("ann@example.com").await;
    browser.get("/").script().await.is(200);
    program.get("/").bearer(tokens["access_token"].as_str().unwrap()).await.is(200);
    program.post("/.auth/reset/send").json(&json!({ "email": "ann@example.com" })).await.is(202);
    let token = server.mailbox().wait("ann@example.com", 1).await.token();
    let done = program.post("/.auth/reset").json(&json!({ "token": token, "password": NEW })).await;
    assert!(done.status.is_success(), "{}", done.describe());
    browser.get("/").script().await.is(401);
    program.get("/").bearer(tokens["access_token"].as_str().unwrap()).await.is(401);
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    assert!(program.post("/.auth/token/refresh").json(&refresh).await.status.is_client_error());
}

#[tokio::test]
async fn a_password_is_changed_by_whoever_knows_the_old_one_and_others_are_signed_out() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let (here, elsewhere) = (server.client(), server.client());
    here.sign_in("ann@example.com").await;
    elsewhere.sign_in("ann@example.com").await;
    let page = here.get("/.auth/account").navigate().await.is(200).text();
    let action = super::sessions::action(&page, "password");
    let form = |old| [("current_password", old), ("new_password", NEW), ("email", "ann@example.com")];
    let wrong = here.post(&action).submit(&form("not-the-old-one")).await;
    assert!(wrong.status.is_client_error(), "{}", wrong.describe());
    elsewhere.get("/").script().await.is(200);
    let done = here.post(&action).submit(&form(PASSWORD)).await;
    assert!(matches!(done.status.as_u16(), 200 | 303), "{}", done.describe());
    here.get("/").script().await.is(200);
    elsewhere.get("/").script().await.is(401);
    refused(&server.client(), "ann@example.com", PASSWORD).await;
}

#[tokio::test]
async fn a_weak_password_or_a_bad_address_is_said_at_its_field() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    for (email, password) in [
        ("new@example.com", "short"),
        ("new@example.com", "password"),
        ("no-address", PASSWORD),
        ("a@b@example.com", PASSWORD),
        ("a\u{ff20}example.com", PASSWORD),
    ] {
        let json = client.post("/.auth/register").json(&json!({ "email": email, "password": password })).await;
        assert_eq!(json.is(422).code(), "invalid_input", "{email} {password}");
        let page = client.post("/.auth/register").submit(&[("email", email), ("password", password)]).await;
        assert!(page.is(422).text().contains("aria-invalid=\"true\""), "{}", page.describe());
        assert!(!page.text().contains(PASSWORD), "a password is never sent back");
    }
    let long = "ä".repeat(129);
    client.post("/.auth/register").json(&json!({ "email": "new@example.com", "password": long })).await.is(422);
    let fits: String = (0..128).map(|n| char::from_u32(0x3b1 + n % 24 + n / 24).unwrap()).collect();
    client.post("/.auth/register").json(&json!({ "email": "new@example.com", "password": fits })).await.is(202);
}

#[tokio::test]
async fn sign_up_is_closed_unless_it_is_opened() {
    let app = RecordingUpstream::start();
    for rule in ["", "sign_up = \"invite\""] {
        let server = Site::new(&app, &format!("[providers.local-userpass]\n{rule}\n")).start().await;
        let reply = server
            .client()
            .post("/.auth/register")
            .json(&json!({ "email": "a@example.com", "password": PASSWORD }))
            .await;
        assert!(matches!(reply.status.as_u16(), 403 | 404), "{rule}: {}", reply.describe());
        let login = server.client().get("/.auth/login").navigate().await.is(200).text();
        assert!(!login.contains("/.auth/register"), "{login}");
    }
}

#[tokio::test]
async fn an_account_made_on_the_command_line_sets_its_password_by_the_link() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let output = server.cli(&["users", "add", "ed@example.com"]).success();
    let link =
        output.stdout.split_whitespace().find(|word| word.starts_with("http://app.localhost/")).unwrap().to_owned();
    let path = link.strip_prefix("http://app.localhost").unwrap();
    let client = server.client();
    let page = client.get(path).navigate().await.is(200).text();
    assert!(page.contains("new-password"), "{page}");
    let token = url::Url::parse(&link).unwrap().query_pairs().find(|(name, _)| name == "token").unwrap().1.into_owned();
    let action = super::sessions::action(&page, "/.auth/");
    let done = client.post(&action).submit(&[("token", &token), ("password", PASSWORD)]).await;
    assert!(matches!(done.status.as_u16(), 200 | 303), "{}", done.describe());
    server.client().sign_in("ed@example.com").await;
}
