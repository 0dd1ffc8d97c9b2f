//! A sign-in at a provider as it is out there: the site and the provider are two sites over TLS, a browser goes from one to
//! the other, and every connection of our own is checked against an authority.

use serde_json::json;

use crate::support::secure::Authority;
use crate::support::{Browser, FakeIdp, RecordingUpstream, Site, Vestibule};

const APP: &str = "https://app.test";
/// As TLS servers, both.
const TLS: &str = "[tls]\nmode = \"files\"\ncertificate = \"cert.pem\"\nkey = { file = \"key.pem\" }\n";

/// A provider over TLS at `https://localhost`, and a site whose people sign in there.
struct World {
    idp: FakeIdp,
    app: RecordingUpstream,
    provider: Vestibule,
    authority: Authority,
}

impl World {
    async fn start() -> Self {
        let (idp, app, authority) = (FakeIdp::start(), RecordingUpstream::start(), Authority::new());
        idp.person(&json!({ "sub": "248289761001", "email": "ann@example.com", "email_verified": true }));
        let rules = format!("public_url = \"https://localhost\"\n{TLS}[routes]\n\"/**\" = {{ all = \"anyone\" }}\n");
        let site = Site::before(&idp.issuer(), &rules);
        authority.vouch("localhost").write(&site.path("cert.pem"), &site.path("key.pem"));
        Self { idp, app, provider: site.start().await, authority }
    }

    /// The site. `outgoing` says whom it believes.
    async fn site(&self, outgoing: &str) -> Vestibule {
        let provider = format!("https://localhost:{}", self.provider.address().port());
        let rules = format!(
            "public_url = \"{APP}\"\n{TLS}{outgoing}\n[providers.corp]\ntype = \"oidc\"\nissuer = \"{}\"\nclient_id = \"web\"\n\
             client_secret = {{ env = \"CORP_SECRET\" }}\nresponse_mode = \"form_post\"\n\
             authorization_endpoint = \"{provider}/authorize\"\ntoken_endpoint = \"{provider}/token\"\n\
             jwks_uri = \"{provider}/jwks\"\n[routes]\n\"/**\" = {{ all = \"signed_in\" }}\n",
            self.idp.issuer(),
        );
        let site = Site::new(&self.app, &rules).env("CORP_SECRET", "a long way to the lighthouse");
        self.authority.vouch("app.test").write(&site.path("cert.pem"), &site.path("key.pem"));
        self.authority.write(&site.path("ca.pem"));
        site.start().await
    }
}

const WEB: &str = "a form that comes from another site over TLS";

#[tokio::test(flavor = "multi_thread")]
async fn the_form_of_another_site_signs_a_browser_in() {
    let world = World::start().await;
    let site = world.site("[outgoing]\nca = \"ca.pem\"").await;
    let Some(browser) = Browser::over_tls(site.address(), WEB).await else { return };
    browser.go(&format!("{APP}/drafts?page=2")).await;
    // With one way to sign in there is nothing to choose, or a button to press.
    if browser.url().await.contains("/.auth/login") {
        browser.click("a[href*='login/corp'], form[action*='login/corp'] button").await;
    }
    browser.says("body", "hello from the app").await;
    assert_eq!(browser.url().await, format!("{APP}/drafts?page=2"));
    let seen = world.app.last();
    assert_eq!(
        (seen.header("x-auth-email").as_str(), seen.header("x-auth-provider").as_str()),
        ("ann@example.com", "corp")
    );
    assert_eq!(world.idp.count("/token"), 1);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_whom_no_known_authority_vouches_for_signs_nobody_in() {
    let world = World::start().await;
    let site = world.site("").await;
    let Some(browser) = Browser::over_tls(site.address(), WEB).await else { return };
    browser.go(&format!("{APP}/.auth/login/corp?rd=/drafts")).await;
    browser.says("h1", "").await;
    assert!(browser.url().await.starts_with(&format!("{APP}/.auth/callback/corp")), "{}", browser.url().await);
    site.log().line("certificate").await;
    assert_eq!((world.idp.count("/token"), world.app.count()), (0, 0));
    browser.close().await;
}
