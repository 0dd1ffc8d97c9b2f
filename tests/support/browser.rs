//! Chromium, driven through chromedriver.

use std::net::SocketAddr;
use std::path::Path;

use fantoccini::{ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use super::tools::{self, Program};
use super::within;

/// One browser with a profile of its own.
pub struct Browser {
    page: fantoccini::Client,
    // Ends chromedriver and every Chromium process when dropped.
    _driver: Program,
}

impl Browser {
    /// A browser for which the name `app.localhost` is at this address, and no other name exists.
    /// `None`: there is none on this machine, which was said.
    pub async fn start(app: SocketAddr, test: &str) -> Option<Self> {
        Self::with(app, test, json!({})).await
    }

    /// The same with these preferences of Chromium.
    pub async fn with(app: SocketAddr, test: &str, preferences: Value) -> Option<Self> {
        let names =
            format!("MAP app.localhost:80 {app}, MAP app.localhost:443 {app}, EXCLUDE 127.0.0.1, MAP * ~NOTFOUND");
        Self::launch(&names, test, preferences, &[]).await
    }

    /// A browser for which `https://app.test` is at this address and `https://localhost` is another site, whoever vouches
    /// for them.
    pub async fn over_tls(app: SocketAddr, test: &str) -> Option<Self> {
        let names = format!("MAP app.test:443 {app}, EXCLUDE localhost, MAP * ~NOTFOUND");
        Self::launch(&names, test, json!({}), &["--ignore-certificate-errors"]).await
    }

    async fn launch(names: &str, test: &str, preferences: Value, more: &[&str]) -> Option<Self> {
        if !tools::have(&[Path::new("chromium"), Path::new("chromedriver")], test) {
            return None;
        }
        let driver = Program::start(Path::new("chromedriver"), |command, _| {
            command.arg("--port=0");
        });
        let address = driver.port_after("started successfully on port ").await;
        let mut arguments: Vec<String> = ARGUMENTS.iter().chain(more).map(|argument| (*argument).to_owned()).collect();
        arguments.push(format!("--user-data-dir={}", driver.folder().join("profile").display()));
        arguments.push(format!("--host-resolver-rules={names}"));
        let options = json!({
            "prefs": preferences,
            "binary": tools::find(Path::new("chromium")).unwrap(),
            "args": arguments,
        });
        let Value::Object(capabilities) = json!({ "browserName": "chrome", "goog:chromeOptions": options }) else {
            return None;
        };
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let page = builder.capabilities(capabilities).connect(&format!("http://{address}")).await.unwrap();
        Some(Self { page, _driver: driver })
    }

    /// Goes to an address and waits until the page is loaded.
    pub async fn go(&self, url: &str) {
        self.page.goto(url).await.unwrap();
    }

    /// Where it is.
    pub async fn url(&self) -> String {
        self.page.current_url().await.unwrap().to_string()
    }

    /// The page's title.
    pub async fn title(&self) -> String {
        self.page.title().await.unwrap()
    }

    /// The text somebody sees of an element, once it is there.
    pub async fn text(&self, css: &str) -> String {
        self.element(css).await.text().await.unwrap()
    }

    /// Types into a field, once it is there.
    pub async fn fill(&self, css: &str, text: &str) {
        let field = self.element(css).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Clicks an element, once it is there; a page it leads to is loaded when this returns.
    pub async fn click(&self, css: &str) {
        self.element(css).await.click().await.unwrap();
    }

    /// Runs a script that calls its last argument with a value.
    pub async fn run(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.page.execute_async(script, arguments).await.unwrap()
    }

    /// Runs a script that returns a value.
    pub async fn value(&self, script: &str) -> Value {
        self.page.execute(script, Vec::new()).await.unwrap()
    }

    /// Waits until the element says this: told by the browser itself when the page changes.
    pub async fn says(&self, css: &str, text: &str) {
        let script = "const [css, text, done] = arguments;
            const check = () => [...document.querySelectorAll(css)].some(e => e.textContent.includes(text));
            if (check()) return done(true);
            new MutationObserver((_, o) => check() && (o.disconnect(), done(true)))
                .observe(document, { childList: true, subtree: true, characterData: true });";
        // A page that gives way to another takes the script along; then the other one is asked.
        let said = async { while self.page.execute_async(script, vec![json!(css), json!(text)]).await.is_err() {} };
        within(&format!("{css} to say {text:?}"), said).await;
    }

    /// The element, once it is there.
    pub async fn element(&self, css: &str) -> fantoccini::elements::Element {
        match self.page.wait().for_element(Locator::Css(css)).await {
            Ok(element) => element,
            Err(error) => {
                let source = self.page.source().await.unwrap_or_default();
                panic!("{css} at {}: {error}\n{source}", self.url().await)
            }
        }
    }

    /// Ends the browser in good order.
    pub async fn close(self) {
        self.page.close().await.unwrap();
    }
}

const ARGUMENTS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];
