//! Where somebody was going is where a mail leads on to.

use crate::support::site::PASSWORD;
use crate::support::{RecordingUpstream, Site};

const OPEN: &str = r#"
[providers.local-userpass]
sign_up = "open"
[routes]
"/**" = { all = "signed_in" }
"#;

#[tokio::test]
async fn whoever_was_on_the_way_somewhere_goes_on_there_after_the_mail() {
    let app = RecordingUpstream::start();
    let server = Site::new(&app, OPEN).user("ann@example.com", &[]).start().await;
    for (rd, onward) in [("/drafts/7?a=b", "&rd=%2Fdrafts%2F7%3Fa%3Db"), ("https://evil.test/", ""), ("", "")] {
        let email = format!("new-{}@example.com", rd.len());
        let form = [("email", email.as_str()), ("password", PASSWORD), ("rd", rd)];
        server.client().post("/.auth/register").submit(&form).await.is(200);
        let mail = server.mailbox().wait(&email, 1).await;
        assert_eq!(mail.path().split_once("tokenId=").unwrap().1[24..], *onward, "{}", mail.path());
        // Another browser, as mails are opened in: the page of the link alone knows.
        let page = server.client().get(&mail.path()).navigate().await.is(200).text();
        let place = if onward.is_empty() { "/" } else { rd };
        assert!(page.contains(&format!("name=\"rd\" value=\"{}\"", place.replace('/', "&#x2f;"))), "{page}");
        let form = [("token", mail.token()), ("rd", place.to_owned())];
        let form = form.each_ref().map(|(name, value)| (*name, value.as_str()));
        let done = server.client().post("/.auth/confirm").submit(&form).await;
        assert_eq!(done.is(303).location(), format!("/.auth/login?note=confirmed{onward}"));
    }
}

#[tokio::test]
async fn a_new_password_leads_on_and_says_whose_it_is() {
    let app = RecordingUpstream::start();
    let server = Site::new(&app, OPEN).user("ann@example.com", &[]).start().await;
    let client = server.client();
    client.post("/.auth/reset/send").submit(&[("email", "ann@example.com"), ("rd", "/drafts/7")]).await.is(200);
    let mail = server.mailbox().wait("ann@example.com", 1).await;
    let page = client.get(&mail.path()).navigate().await.is(200).text();
    assert!(page.contains("This sets a new password for <strong>ann@example.com</strong>."), "{page}");
    let token = mail.token();
    let form = [("token", token.as_str()), ("password", "velvet-harbour-12"), ("rd", "/drafts/7")];
    let done = client.post("/.auth/reset").submit(&form).await;
    assert_eq!(done.is(303).location(), "/.auth/login?note=reset&rd=%2Fdrafts%2F7");
}
