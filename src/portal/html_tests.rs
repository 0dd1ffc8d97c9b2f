//! What holds for every page (WCAG 2.2 AA as far as the markup decides), whoever sees it in whatever state.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Refused;
use super::tests::{ANN, Browser, House, MAX, OTHER, PASSWORD, Reply};
use crate::provider::{Delivery, Invitee};
use crate::rejection::Reason;
use crate::visit::RequestId;

struct Tag {
    name: String,
    attributes: BTreeMap<String, String>,
}

impl Tag {
    fn get(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    fn has(&self, name: &str) -> bool {
        self.attributes.contains_key(name)
    }
}

/// The opening tags of a page; enough of a parser for pages that quote every value.
fn tags(html: &str) -> Vec<Tag> {
    html.split('<').skip(1).filter(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic())).map(tag).collect()
}

fn tag(rest: &str) -> Tag {
    let end = rest.find(|c: char| c.is_whitespace() || c == '>').unwrap();
    let mut attributes = BTreeMap::new();
    let mut rest2 = &rest[end..];
    loop {
        rest2 = rest2.trim_start();
        if rest2.starts_with('>') || rest2.is_empty() {
            break;
        }
        let stop = rest2.find(|c: char| c == '=' || c == '>' || c.is_whitespace()).unwrap();
        let name = rest2[..stop].to_owned();
        rest2 = &rest2[stop..];
        let value = match rest2.strip_prefix("=\"") {
            Some(quoted) => {
                let close = quoted.find('"').unwrap();
                rest2 = &quoted[close + 1..];
                unescaped(&quoted[..close])
            }
            None => String::new(),
        };
        assert!(attributes.insert(name.clone(), value).is_none(), "{name} twice in <{rest}");
    }
    Tag { name: rest[..end].to_owned(), attributes }
}

fn unescaped(value: &str) -> String {
    let pairs = [("&#x2f;", "/"), ("&quot;", "\""), ("&#x27;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
    pairs.iter().fold(value.to_owned(), |value, (escaped, plain)| value.replace(escaped, plain))
}

fn between<'a>(html: &'a str, start: &str, end: &str) -> &'a str {
    html.split(start).nth(1).and_then(|rest| rest.split(end).next()).unwrap_or_default()
}

/// Every page in every state worth seeing, by a name.
pub(super) async fn tour() -> Vec<(&'static str, String)> {
    let house = House::with(|pages, _| {
        pages.support_url = Some("mailto:help@example.com".into());
        pages.terms_url = Some("https://blog.example.com/terms".into());
    })
    .await;
    let mut pages = Vec::new();
    strangers(&house, &mut pages).await;
    links(&house, &mut pages).await;
    members(&house, &mut pages).await;
    refusals(&house, &mut pages);
    pages
}

async fn strangers(house: &House, pages: &mut Vec<(&'static str, String)>) {
    let mut browser = house.browser();
    pages.push(("login", browser.open("login?rd=%2Fdrafts%2F7").await.text));
    pages.push(("login confirmed", browser.open("login?note=confirmed").await.text));
    let wrong = [("email", ANN), ("password", "wrong"), ("rd", "/drafts/7")];
    pages.push(("login wrong", browser.submit("login/local-userpass", &wrong).await.text));
    pages.push(("login wrong key", browser.submit("login/api-key", &[("key", "vk_x")]).await.text));
    pages.push(("register", browser.open("register?rd=%2Fdrafts%2F7").await.text));
    let weak = [("email", "nobody"), ("password", "short")];
    pages.push(("register bad address", browser.submit("register", &weak).await.text));
    let weak = [("email", ANN), ("password", "short")];
    pages.push(("register weak", browser.submit("register", &weak).await.text));
    let good = [("email", ANN), ("password", PASSWORD)];
    pages.push(("check your mail", browser.submit("register", &good).await.text));
    pages.push(("reset ask", browser.open("reset").await.text));
    pages.push(("reset sent", browser.submit("reset/send", &[("email", ANN)]).await.text));
    pages.push(("confirm by code", browser.open("confirm").await.text));
    let code = [("email", ANN), ("code", "ABCD-EFGH")];
    pages.push(("confirm wrong code", browser.submit("confirm", &code).await.text));
    pages.push(("confirm send", browser.open("confirm/send").await.text));
    pages.push(("signed out", browser.open("logout").await.text));
    pages.push(("link over", browser.open("reset?token=over").await.text));
    for _ in 0..10 {
        browser.submit("login/local-userpass", &[("email", "x@example.com"), ("password", "wrong")]).await;
    }
    let tired = [("email", "x@example.com"), ("password", "wrong")];
    pages.push(("login too often", browser.submit("login/local-userpass", &tired).await.text));
}

async fn links(house: &House, pages: &mut Vec<(&'static str, String)>) {
    let mut browser = house.browser();
    let local = house.providers.local_userpass().unwrap();
    let token = house.mailer.sent().iter().find(|mail| mail.kind == "confirm").map(|_| house.mailed_token()).unwrap();
    pages.push(("confirm", browser.open(&format!("confirm?token={token}")).await.text));
    house.account(MAX).await;
    local.request_reset(MAX).await.unwrap();
    let token = house.mailed_token();
    pages.push(("reset set", browser.open(&format!("reset?token={token}")).await.text));
    let weak = [("token", token.as_str()), ("password", "short")];
    pages.push(("reset weak", browser.submit("reset", &weak).await.text));
    let link = local.invite(Invitee::Anybody, BTreeSet::new(), Delivery::Hand).await.unwrap();
    let query = link.expose().split_once('?').unwrap().1.to_owned();
    pages.push(("invited", browser.open(&format!("reset?{query}")).await.text));
}

async fn members(house: &House, pages: &mut Vec<(&'static str, String)>) {
    let mut guest = house.browser();
    guest.submit("login/anon-user", &[]).await;
    pages.push(("login as guest", guest.open("login").await.text));
    pages.push(("account of a guest", guest.open("account").await.text));
    pages.push(("logout of a guest", guest.open("logout").await.text));
    let mut max: Browser<'_> = house.signed_in(MAX).await;
    pages.push(("already signed in", max.open("login?rd=%2Fdrafts%2F7").await.text));
    pages.push(("new key", max.submit("account/keys", &[("name", "backup script"), ("days", "90")]).await.text));
    max.submit("account/keys", &[("name", "phone"), ("days", "0")]).await;
    house.signed_in(MAX).await;
    pages.push(("account", max.open("account?note=session").await.text));
    let wrong = [("current_password", "wrong"), ("new_password", OTHER)];
    pages.push(("account wrong password", max.submit("account/password", &wrong).await.text));
    let bad = [("new_email", "nobody"), ("password", PASSWORD)];
    pages.push(("account bad address", max.submit("account/email", &bad).await.text));
    pages.push(("account delete", max.submit("account/delete", &[("password", "wrong")]).await.text));
    pages.push(("logout", max.open("logout").await.text));
}

fn refusals(house: &House, pages: &mut Vec<(&'static str, String)>) {
    for reason in reasons() {
        let target = house.portal.target("/drafts/7");
        let refused = Refused {
            request_id: &RequestId::from_number(7),
            caller: None,
            headers: &http::HeaderMap::new(),
            target: &target,
        };
        let response = house.portal.refusal_page(&reason, refused);
        assert_eq!(response.status(), reason.status());
        pages.push((reason.code(), text(response)));
    }
}

fn text(response: http::Response<crate::body::Body>) -> String {
    let bytes = futures_util::FutureExt::now_or_never(response.into_body().read(1 << 20)).unwrap().unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn reasons() -> Vec<Reason> {
    use Reason::*;
    vec![
        Malformed("path.dot_segment"),
        CaseMismatch,
        NotFound,
        MethodNotAllowed("GET".into()),
        MethodNotImplemented,
        UnsupportedMediaType,
        Unprocessable("email: missing".into()),
        UnknownHost,
        SignInNeeded,
        BadCredential,
        SignInRefused,
        Forbidden,
        CrossSite,
        Conflict("email.taken"),
        RateLimited { limit: "requests", retry_after: Duration::from_secs(90) },
        BodyTooLarge,
        TargetTooLong,
        HeadersTooLarge,
        Unavailable,
        Overloaded,
        UpstreamDown,
        UpstreamTimeout,
        Internal,
    ]
}

#[tokio::test]
async fn every_page_has_one_heading_a_title_a_language_and_a_way_past_the_frame() {
    for (page, html) in tour().await {
        let tags = tags(&html);
        assert!(html.starts_with("<!doctype html>\n<html lang=\"en\" dir=\"ltr\">"), "{page}: {html}");
        assert_eq!(tags.iter().filter(|tag| tag.name == "h1").count(), 1, "{page}");
        let (h1, title) = (between(&html, "<h1>", "</h1>"), between(&html, "<title>", "</title>"));
        let wrong = html.contains("id=\"problem\"");
        let expected = if wrong { format!("Error: {h1} – Example Blog") } else { format!("{h1} – Example Blog") };
        assert_eq!(title, expected, "{page}");
        let first = tags.iter().find(|tag| ["a", "button", "input"].contains(&tag.name.as_str())).unwrap();
        assert_eq!((first.get("class"), first.get("href")), ("skip", "#main"), "{page}");
        assert!(html.contains("<main id=\"main\"") && html.contains("mailto:help@example.com"), "{page}");
        assert!(!html.contains("user-scalable") && !html.contains("maximum-scale"), "{page}");
        assert_eq!(wrong, page.contains(' ') && WRONG.iter().any(|word| page.contains(word)), "{page}");
    }
}

const WRONG: [&str; 5] = ["wrong", "weak", "bad", "too often", "account delete"];

#[tokio::test]
async fn every_field_has_a_label_and_says_what_it_is_for() {
    for (page, html) in tour().await {
        let tags = tags(&html);
        let labels: BTreeSet<&str> = tags.iter().filter(|tag| tag.name == "label").map(|tag| tag.get("for")).collect();
        for field in tags.iter().filter(|tag| ["input", "select"].contains(&tag.name.as_str())) {
            if field.get("type") == "hidden" {
                continue;
            }
            let (id, name) = (field.get("id"), field.get("name"));
            assert!(labels.contains(id) || !field.get("aria-label").is_empty(), "{page}: {name} has no label");
            assert!(!field.has("placeholder") && !field.has("maxlength") && !field.has("pattern"), "{page}: {name}");
            let tokens: &[&str] = match name {
                "email" | "account" => &["username"],
                "new_email" => &["email"],
                "password" => &["current-password", "new-password"],
                "current_password" => &["current-password"],
                "new_password" => &["new-password"],
                "code" => &["one-time-code"],
                "key" | "name" => &["off"],
                "days" | "keep" => &[""],
                other => panic!("{page}: {other} is not known to this test"),
            };
            assert!(tokens.contains(&field.get("autocomplete")), "{page}: {name}");
            let secret = name.contains("password") || name == "key";
            assert_eq!(field.get("type") == "password", secret, "{page}: {name}");
            assert!(!secret || !field.has("value"), "{page}: a password is never kept");
            let address = name.ends_with("email") && !field.has("hidden");
            assert_eq!(field.get("inputmode") == "email", address, "{page}: {name}");
        }
    }
}

#[tokio::test]
async fn what_is_wrong_is_named_and_tied_to_its_field() {
    for (page, html) in tour().await {
        let tags = tags(&html);
        let ids: Vec<&str> = tags.iter().filter(|tag| tag.has("id")).map(|tag| tag.get("id")).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{page}: an id twice in {ids:?}");
        for tag in &tags {
            for name in ["aria-describedby", "aria-labelledby", "aria-controls", "for", "data-show", "data-caps"] {
                for id in tag.get(name).split_whitespace() {
                    assert!(ids.contains(&id), "{page}: {name} leads to {id}, which is not there");
                }
            }
            if let Some(id) = tag.get("href").strip_prefix('#') {
                assert!(ids.contains(&id), "{page}: #{id} is not there");
            }
            if tag.get("aria-invalid") == "true" {
                assert!(tag.get("aria-describedby").contains("-wrong"), "{page}");
            }
        }
        if let Some(problem) = tags.iter().find(|tag| tag.get("id") == "problem") {
            assert_eq!((problem.get("role"), problem.get("tabindex")), ("alert", "-1"), "{page}");
            assert!(problem.has("autofocus"), "{page}");
        }
    }
}

#[tokio::test]
async fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
    for (page, html) in tour().await {
        for tag in tags(&html) {
            assert!(tag.name != "style" && !tag.has("style"), "{page}");
            assert!(!tag.attributes.keys().any(|name| name.starts_with("on")), "{page}");
            for source in ["src", "href"].map(|name| tag.get(name)) {
                let elsewhere = source.starts_with("//") || (source.contains(':') && tag.name != "a");
                assert!(!elsewhere && !source.starts_with("javascript"), "{page}: {source}");
            }
            if tag.name == "script" {
                assert!(tag.get("src").starts_with("/.auth/assets/script-"), "{page}");
            }
            if tag.name == "form" {
                assert_eq!(tag.get("method"), "post", "{page}");
                assert!(tag.get("action").starts_with("/.auth/"), "{page}");
            }
        }
        let primary = tags(&html).iter().filter(|tag| tag.get("class").contains("primary")).count();
        assert!(primary <= 1, "{page} has {primary} primary buttons");
    }
}

#[tokio::test]
async fn a_page_offers_help_once() {
    for (page, html) in tour().await {
        assert_eq!(html.matches(">Help</a>").count(), 1, "{page}: {html}");
    }
}

#[tokio::test]
async fn who_meets_an_app_that_does_not_answer_may_try_the_same_address_again() {
    // The pages of refusals bear their codes.
    for (page, html) in tour().await.into_iter().filter(|(page, _)| page.contains('.')) {
        let primary: Vec<_> = tags(&html).into_iter().filter(|tag| tag.get("class").contains("primary")).collect();
        let again = primary.iter().any(|tag| tag.name == "a" && tag.get("href") == "/drafts/7");
        assert_eq!(again, page.starts_with("upstream."), "{page}: {html}");
    }
}

#[tokio::test]
async fn what_was_typed_is_kept_but_never_the_password() {
    let house = House::open().await;
    let fields = [("email", "Ann <b>"), ("password", "wrong-and-secret"), ("rd", "/drafts/7")];
    let reply: Reply = house.browser().submit("login/local-userpass", &fields).await;
    assert!(reply.text.contains("value=\"Ann &lt;b&gt;\""), "{}", reply.text);
    let kept =
        tags(&reply.text).iter().filter(|tag| tag.get("name") == "rd" && tag.get("value") == "/drafts/7").count();
    assert_eq!(kept, 3, "{}", reply.text);
    assert!(!reply.text.contains("wrong-and-secret"));
}
