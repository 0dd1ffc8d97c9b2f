//! A certified OpenID provider that nobody here wrote (npm `oidc-provider`), by HTTP and in a browser.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::support::site::PUBLIC_URL;
use crate::support::tools::{self, Program};
use crate::support::trip::{back, callback, out};
use crate::support::{Browser, Client, Forwarder, RecordingUpstream, Reply, Site, Vestibule};

const SECRET: &str = "a long way to the lighthouse and back";

struct House {
    app: RecordingUpstream,
    server: Vestibule,
    idp: Idp,
}

/// The provider, at an address that stays.
struct Idp {
    program: Option<Program>,
    forwarder: Forwarder,
    /// Leads to our server, which starts later.
    entrance: Forwarder,
    keys: tempfile::TempDir,
    client_key: String,
}

impl House {
    async fn open(test: &str) -> Option<Self> {
        let modules = tools::folder().join("oidc-provider/node_modules");
        if !tools::have(&[Path::new("node"), &modules.join("oidc-provider")], test) {
            return None;
        }
        // The provider first: who asks it while it starts on a busy machine finds it down, and is told so for a while.
        let mut idp = Idp::new().await;
        idp.start("one").await;
        let app = RecordingUpstream::start();
        let provider = |name: &str, more: &str| {
            let issuer = idp.forwarder.url();
            format!("[providers.{name}]\ntype = \"oidc\"\nissuer = \"{issuer}\"\nclient_id = \"{name}\"\n{more}\n")
        };
        let secret = "client_secret = { env = \"SECRET\" }";
        let toml = [
            provider("corp", secret),
            provider("posted", &format!("{secret}\nresponse_mode = \"form_post\"")),
            provider("keyed", "private_key = { env = \"KEY\" }\nkey_id = \"k1\""),
        ];
        let site = Site::new(&app, &toml.concat()).env("SECRET", SECRET).env("KEY", &idp.client_key);
        let server = site.start().await;
        idp.entrance.leads_to(server.address());
        Some(Self { app, server, idp })
    }

    /// A visitor's browser, as far as the provider sees it.
    fn visitor(&self) -> Client {
        let address: SocketAddr = self.idp.forwarder.url().trim_start_matches("http://").parse().unwrap();
        Client::new(address, &self.idp.forwarder.url()).expecting(&[
            "pragma",
            "expires",
            "access-control-allow-origin",
            "access-control-expose-headers",
            "x-powered-by",
        ])
    }

    /// Signs in and consents at the provider, as far as it asks: the answer that leads back to us.
    async fn consent(&self, visitor: &Client, location: &str, login: &str) -> Reply {
        let mut target = location.strip_prefix(&self.idp.forwarder.url()).unwrap().to_owned();
        for _ in 0..10 {
            let reply = visitor.get(&target).navigate().await;
            let reply = match reply.status.as_u16() {
                302 | 303 => reply,
                200 if reply.text().contains("name=\"code\"") => return reply,
                200 => {
                    let text = reply.text();
                    let action = attribute(&text, "action=\"");
                    let action = action.strip_prefix(&self.idp.forwarder.url()).unwrap_or(&action).to_owned();
                    let form: &[(&str, &str)] = match text.contains("name=\"login\"") {
                        true => &[("prompt", "login"), ("login", login), ("password", "x")],
                        false => &[("prompt", "consent")],
                    };
                    visitor.post(&action).submit(form).await
                }
                _ => panic!("{target}: {}", reply.describe()),
            };
            if reply.location().starts_with(PUBLIC_URL) {
                return reply;
            }
            let next = reply.location();
            target = next.strip_prefix(&self.idp.forwarder.url()).unwrap_or(next).to_owned();
        }
        panic!("it asks for ever: {target}");
    }

    async fn sign_in(&self, client: &Client, visitor: &Client, provider: &str) -> Reply {
        let location = out(client, provider, "/drafts?a=1").await;
        let consented = self.consent(visitor, &location, "ann").await;
        back(client, &callback(consented.location())).await
    }
}

impl Idp {
    async fn new() -> Self {
        let client_key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem();
        let (forwarder, entrance) = (Forwarder::start().await, Forwarder::start().await);
        Self { program: None, forwarder, entrance, keys: tempfile::tempdir().unwrap(), client_key }
    }

    /// Starts it anew, with this key to sign with; it remembers nobody.
    async fn start(&mut self, sign: &str) {
        let folder = tools::folder().join("oidc-provider");
        // Modules are looked for beside the script; other tests read it meanwhile.
        let script: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/oidc-provider/server.js");
        let (beside, keys) = (folder.join("server.js"), self.keys.path().join("keys.json"));
        let copy = tempfile::NamedTempFile::new_in(&folder).unwrap();
        std::fs::copy(script, copy.path()).unwrap();
        copy.persist(&beside).unwrap();
        self.program = None;
        let (issuer, site) = (self.forwarder.url(), self.entrance.url());
        let program = Program::start(Path::new("node"), |command, _| {
            command.arg(beside).env("ISSUER", issuer).env("SITE", site).env("KEYS", keys).env("SIGN", sign);
            command.env("CLIENT_SECRET", SECRET).env("CLIENT_KEY", &self.client_key);
        });
        self.forwarder.leads_to(program.port_after("oidc-provider on port ").await);
        self.program = Some(program);
    }
}

/// The value that follows these words in a page.
fn attribute(page: &str, words: &str) -> String {
    let value = page.split(words).nth(1).unwrap_or_else(|| panic!("no {words} in {page}"));
    value.split('"').next().unwrap().replace("&amp;", "&")
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_there_and_signing_out_there_works_by_http() {
    let Some(house) = House::open("oidc-provider by HTTP").await else { return };
    let (client, visitor) = (house.server.client(), house.visitor());
    let reply = house.sign_in(&client, &visitor, "corp").await;
    reply.is(303);
    assert_eq!(reply.location(), "/drafts?a=1");
    client.get("/drafts").await.is(200);
    let seen = house.app.requests().pop().unwrap();
    assert_eq!((seen.header("x-auth-email").as_str(), seen.header("x-auth-name").as_str()), ("ann@example.com", "ann"));
    // Out here, then out there: it takes our id_token_hint and our address to come back to.
    let reply = client.post("/.auth/logout").submit(&[]).await;
    let target = reply.location().strip_prefix(&house.idp.forwarder.url()).unwrap().to_owned();
    let page = visitor.get(&target).navigate().await;
    page.is(200);
    let xsrf = attribute(&page.text(), "name=\"xsrf\" value=\"");
    let action = attribute(&page.text(), "action=\"").replace(&house.idp.forwarder.url(), "");
    let done = visitor.post(&action).submit(&[("xsrf", &xsrf), ("logout", "yes")]).await;
    assert!(done.location().starts_with(&format!("{PUBLIC_URL}/.auth/logout")), "{}", done.describe());
    client.get(&callback(done.location())).navigate().await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_there_ends_the_session_here() {
    let Some(house) = House::open("back-channel logout of oidc-provider").await else { return };
    let (client, visitor) = (house.server.client(), house.visitor());
    house.sign_in(&client, &visitor, "corp").await.is(303);
    client.get("/.auth/me").await.is(200);
    let page = visitor.get("/session/end").navigate().await;
    let xsrf = attribute(&page.text(), "name=\"xsrf\" value=\"");
    visitor.post("/session/end/confirm").submit(&[("xsrf", &xsrf), ("logout", "yes")]).await;
    client.get("/.auth/me").await.is(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_posted_answer_and_a_signed_assertion_are_understood_on_both_sides() {
    let Some(house) = House::open("form_post and private_key_jwt of oidc-provider").await else { return };
    house.sign_in(&house.server.client(), &house.visitor(), "keyed").await.is(303);
    let (client, visitor) = (house.server.client(), house.visitor());
    let page = house.consent(&visitor, &out(&client, "posted", "/drafts").await, "ann").await.text();
    assert_eq!(attribute(&page, "action=\""), format!("{PUBLIC_URL}/.auth/callback/posted"));
    let values = ["code", "state", "iss"].map(|name| (name, attribute(&page, &format!("name=\"{name}\" value=\""))));
    let form: Vec<_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let call = client.post("/.auth/callback/posted").navigate().fetch("navigate", "document", "cross-site");
    let reply = call.header("origin", house.idp.forwarder.url()).form(&form).await;
    assert_eq!((reply.status.as_u16(), reply.location()), (303, "/drafts"));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_keys_and_a_time_of_rest_are_lived_through() {
    let Some(mut house) = House::open("keys and downtime of oidc-provider").await else { return };
    house.sign_in(&house.server.client(), &house.visitor(), "corp").await.is(303);
    house.idp.start("two").await;
    house.sign_in(&house.server.client(), &house.visitor(), "corp").await.is(303);
    let (client, visitor) = (house.server.client(), house.visitor());
    let consented = house.consent(&visitor, &out(&client, "corp", "/drafts").await, "ann").await;
    house.idp.forwarder.is_down();
    let reply = back(&client, &callback(consented.location())).await;
    reply.is(502);
    assert!(reply.text().contains("This way to sign in does not work right now"));
    assert!(reply.text().contains("login/corp?rd=%2Fdrafts"), "and a way back");
    house.idp.start("two").await;
    house.sign_in(&client, &house.visitor(), "corp").await.is(303);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_goes_there_and_comes_back() {
    let test = "oidc-provider in a browser";
    let Some(house) = House::open(test).await else { return };
    for (provider, login) in [("corp", "ann"), ("posted", "max")] {
        let Some(browser) = Browser::start(house.server.address(), test).await else { return };
        browser.go(&format!("{PUBLIC_URL}/drafts?a=1&b=%20x")).await;
        browser.click(&format!("a[href*='/login/{provider}']")).await;
        browser.fill("input[name=login]", login).await;
        browser.fill("input[name=password]", "x").await;
        browser.click("button[type=submit]").await;
        browser.click("button[autofocus]").await;
        browser.says("body", "hello from the app").await;
        assert_eq!(browser.url().await, format!("{PUBLIC_URL}/drafts?a=1&b=%20x"));
        let seen = house.app.requests().into_iter().rfind(|seen| seen.target.starts_with("/drafts")).unwrap();
        assert_eq!(seen.header("x-auth-email"), format!("{login}@example.com"));
        browser.go(&format!("{PUBLIC_URL}/.auth/logout")).await;
        browser.click("form[action*='logout'] button").await;
        browser.click("button[value=yes]").await;
        browser.says("h1", "You are signed out").await;
        browser.close().await;
    }
}
