//! What a visitor chose is kept by the browser.

use http::StatusCode;
use http::header::SET_COOKIE;

use super::Languages;
use super::tests::{ANN, House, PASSWORD, Reply};
use crate::language::Language;

fn cookies(reply: &Reply) -> Vec<&str> {
    reply.headers.get_all(SET_COOKIE).iter().map(|cookie| cookie.to_str().unwrap()).collect()
}

/// Slashes need not be escaped, and are.
fn plain(reply: &Reply) -> String {
    reply.text.replace("&#x2f;", "/")
}

#[tokio::test]
async fn who_does_not_want_to_stay_signed_in_is_until_the_browser_closes() {
    let house = House::open().await;
    house.account(ANN).await;
    let page = house.browser().open("login").await.text;
    assert!(page.contains("id=\"keep\" name=\"keep\" value=\"1\" checked") && page.contains("for up to 30 days"));
    let typed = [("email", ANN), ("password", PASSWORD)];
    let kept: [&[(&str, &str)]; 2] = [&[("may_keep", "1"), ("keep", "1")], &[]];
    for more in kept {
        let reply = house.browser().submit("login/local-userpass", &[&typed[..], more].concat()).await;
        assert!(cookies(&reply)[0].contains("; Max-Age=2592000"), "{:?}", cookies(&reply));
    }
    let unchecked = [&typed[..], &[("may_keep", "1")]].concat();
    let mut browser = house.browser();
    let reply = browser.submit("login/local-userpass", &unchecked).await;
    assert!(!cookies(&reply)[0].contains("Max-Age"), "{:?}", cookies(&reply));
    assert!(cookies(&reply)[0].ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"));
    assert_eq!(browser.open("account").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_box_that_was_emptied_stays_so_after_an_error() {
    let house = House::open().await;
    let typed = [("email", ANN), ("password", "wrong"), ("may_keep", "1")];
    let page = house.browser().submit("login/local-userpass", &typed).await.text;
    assert!(page.contains("name=\"keep\" value=\"1\">"), "{page}");
    let page = house.browser().submit("login/local-userpass", &[&typed[..], &[("keep", "1")]].concat()).await.text;
    assert!(page.contains("name=\"keep\" value=\"1\" checked>"), "{page}");
}

#[tokio::test]
async fn a_language_that_was_chosen_outlives_what_the_browser_says() {
    let house = House::open().await;
    let mut browser = house.browser();
    let page = plain(&browser.open("login?rd=%2Fdrafts%2F7").await);
    let link = "href=\"/.auth/login?rd=%2Fdrafts%2F7&amp;lang=de\" hreflang=\"de\" lang=\"de\"";
    assert!(page.contains(link) && page.contains(">Deutsch</a>") && !page.contains(">English</a>"), "{page}");
    let reply = browser.open("login?lang=de&rd=%2Fdrafts%2F7").await;
    assert_eq!((reply.status, reply.location()), (StatusCode::SEE_OTHER, "/.auth/login?rd=%2Fdrafts%2F7"));
    assert!(cookies(&reply)[0].starts_with("__Host-vestibule-language=de; Path=/; Max-Age="));
    let page = browser.open("login?rd=%2Fdrafts%2F7").await.text;
    assert!(page.contains("<html lang=\"de\"") && page.contains(">English</a>"));
    // After an error the way leads to the page, with where to go on to.
    let typed = [("email", ANN), ("password", "wrong"), ("rd", "/drafts/7")];
    let page = plain(&house.browser().submit("login/local-userpass", &typed).await);
    assert!(page.contains("href=\"/.auth/login?rd=%2Fdrafts%2F7&amp;lang=de\""), "{page}");
}

#[tokio::test]
async fn a_language_that_is_not_spoken_changes_nothing() {
    let house = House::open().await;
    for query in ["lang=fr", "lang=", "lang=de%0d%0aX", "lang=DE", "language=de"] {
        let reply = house.browser().open(&format!("login?{query}")).await;
        assert_eq!((reply.status, cookies(&reply).len()), (StatusCode::OK, 0), "{query}");
    }
    let only = House::with(|settings, _| settings.languages = Languages(vec![Language::English])).await;
    let page = only.browser().open("login").await.text;
    assert!(!page.contains("hreflang"), "{page}");
    assert_eq!(only.browser().open("login?lang=de").await.status, StatusCode::OK);
}
