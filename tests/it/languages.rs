//! Pages and mails in the language of who asks for them.

use serde_json::json;

use crate::support::{RecordingUpstream, Site, Vestibule};

async fn site(app: &RecordingUpstream, languages: &str) -> Vestibule {
    let rules = format!(
        "[pages]\n{languages}\n[providers.local-userpass]\n[routes]\n\"/**\" = {{ all = \"signed_in\" }}\n\
         \"/closed/**\" = {{ all = \"nobody\" }}\n"
    );
    Site::new(app, &rules).user("ann@example.com", &[]).start().await
}

#[tokio::test]
async fn a_page_speaks_the_language_its_visitor_wants() {
    let app = RecordingUpstream::start();
    let server = site(&app, "").await;
    let page = async |said: &str| {
        let call = server.client().get("/.auth/login").navigate().header("accept-language", said);
        call.await.is(200).text()
    };
    for (said, lang, button) in [
        ("de-AT,de;q=0.9", "lang=\"de\"", ">Anmelden</button>"),
        ("en-GB", "lang=\"en\"", ">Sign in</button>"),
        ("fr", "lang=\"en\"", ">Sign in</button>"),
    ] {
        let text = page(said).await;
        assert!(text.contains(lang) && text.contains(button), "{said}: {text}");
    }
    let ann = server.client();
    ann.sign_in("ann@example.com").await;
    let account = ann.get("/.auth/account").navigate().header("accept-language", "de").await.is(200).text();
    assert!(account.contains("Wo Sie angemeldet sind") && account.contains("Passwort ändern"), "{account}");
    let refused = ann.get("/closed/a").navigate().header("accept-language", "de").await.is(403).text();
    assert!(refused.contains("Sie sind als <strong>ann@example.com</strong> angemeldet"), "{refused}");
    let wrong = server.client().post("/.auth/login/local-userpass").header("accept-language", "de");
    let wrong = wrong.submit(&[("email", "ann@example.com"), ("password", "wrong-password")]).await.is(401).text();
    assert!(wrong.contains("E-Mail oder Passwort stimmt nicht."), "{wrong}");
    let program = server.client().get("/a").header("accept-language", "de").script().await;
    assert!(
        program.is(401).text().contains("You are not signed in"),
        "programs read one language: {}",
        program.describe()
    );
}

#[tokio::test]
async fn a_language_chosen_at_the_foot_of_a_page_holds_for_pages_and_mails() {
    let app = RecordingUpstream::start();
    let server = site(&app, "").await;
    let client = server.client();
    let chosen = client.get("/.auth/reset?lang=de").navigate().await;
    chosen.is(303);
    assert_eq!(chosen.location(), "/.auth/reset");
    let page = client.get("/.auth/reset").navigate().header("accept-language", "en").await.is(200).text();
    assert!(page.contains("lang=\"de\"") && page.contains("lang=en"), "{page}");
    let reset = client.post("/.auth/reset/send").header("accept-language", "en");
    reset.submit(&[("email", "ann@example.com")]).await;
    let mail = server.mailbox().wait("ann@example.com", 1).await;
    assert!(mail.text.contains("Neues Passwort wählen"), "{}", mail.text);
}

#[tokio::test]
async fn a_mail_speaks_the_language_of_who_asked_for_it() {
    let app = RecordingUpstream::start();
    let server = site(&app, "").await;
    for (count, (said, words)) in
        [("de-AT,de;q=0.9", "Neues Passwort wählen"), ("en", "Choose a new password"), ("fr", "Choose a new password")]
            .into_iter()
            .enumerate()
    {
        let send = server.client().post("/.auth/reset/send").header("accept-language", said);
        send.json(&json!({ "email": "ann@example.com" })).await.is(202);
        let mail = server.mailbox().wait("ann@example.com", count + 1).await;
        assert!(mail.text.contains(words), "{said}: {}", mail.text);
    }
}

#[tokio::test]
async fn the_first_language_is_for_everybody_else() {
    let app = RecordingUpstream::start();
    let server = site(&app, "languages = [\"de\"]").await;
    let page = server.client().get("/.auth/login").navigate().header("accept-language", "en").await.is(200).text();
    assert!(page.contains("lang=\"de\""), "{page}");
    server.client().post("/.auth/reset/send").json(&json!({ "email": "ann@example.com" })).await.is(202);
    let mail = server.mailbox().wait("ann@example.com", 1).await;
    assert!(mail.text.contains("Neues Passwort wählen"), "{}", mail.text);
}

#[tokio::test]
async fn a_language_there_is_not_is_an_error() {
    let app = RecordingUpstream::start();
    let site = Site::new(&app, "[pages]\nlanguages = [\"en\", \"nl\"]\n[routes]\n\"/**\" = { all = \"anyone\" }\n");
    let output = site.cli(&["check"]);
    assert_eq!(output.code, 3);
    assert!(output.text().contains("no pages in \"nl\"") && output.text().contains("have: en, de"), "{output:?}");
}
