//! `demo --check`: the requests of the banner, a whole sign-in by password and one at each provider that the demo
//! plays, made for real.

use std::net::SocketAddr;

use http::{HeaderName, StatusCode};

use crate::body::Error;
use crate::cli::demo::Cast;
use crate::cli::demo_visitor::{Answer, Visitor};
use crate::cli::{Exit, demo_requests, print};
use crate::secret::Secret;

/// What was tried, and whether all of it went as it should.
struct Check {
    /// Where the demo listens.
    site: String,
    /// What it calls itself: providers send people back there.
    origin: String,
    all_well: bool,
}

/// Makes them, says how each went, and ends with 0 or 1.
pub(super) async fn check(address: SocketAddr, origin: &str, cast: &Cast) -> Exit {
    let mut check = Check { site: format!("http://{address}"), origin: origin.to_owned(), all_well: true };
    check.requests(cast).await;
    for (who, password, writes) in [("ann", &cast.ann, 201), ("max", &cast.max, 403)] {
        check.by_password(who, password, writes).await;
    }
    // The newsroom of the company writes; to the others Ann is somebody else than the account of her address.
    for provider in ["oauth2-google", "oauth2-facebook", "oauth2-apple", "github", "microsoft"] {
        check.by_provider(provider, 403).await;
    }
    check.by_provider("corp", 201).await;
    if check.all_well { Exit::Fine } else { Exit::Refused }
}

impl Check {
    /// The lines of the banner, and what a stranger meets.
    async fn requests(&mut self, cast: &Cast) {
        for request in demo_requests::all(&cast.key, &cast.token) {
            let answer = request.make(&self.origin).await;
            self.say(request.why, request.status, &answer);
        }
        let mut nobody = Visitor::of(&self.site);
        self.say("sign-in page", 200, &nobody.get("/.auth/login?rd=/posts").await);
        let wrong = [("email", "ann@example.com"), ("password", "not-her-password")];
        self.say("wrong password", 401, &nobody.post("/.auth/login/local-userpass", &wrong).await);
    }

    async fn by_password(&mut self, who: &str, password: &Secret, writes: u16) {
        let mut visitor = Visitor::of(&self.site);
        let email = format!("{who}@example.com");
        // Exposed to the demo, which made it up.
        let form = [("email", email.as_str()), ("password", password.expose()), ("rd", "/posts")];
        let signed_in = visitor.post("/.auth/login/local-userpass", &form).await;
        self.leads(&format!("{who} signs in"), 303, &signed_in, "/posts");
        self.writes_and_leaves(who, visitor, writes).await;
    }

    /// Out to the provider, a choice there, and back.
    async fn by_provider(&mut self, provider: &str, writes: u16) {
        let mut visitor = Visitor::of(&self.site);
        let out = visitor.get(&format!("/.auth/login/{provider}?rd=/posts")).await;
        let location = self.say(&format!("{provider} is asked"), 303, &out).unwrap_or_default();
        let Some((there, target)) = split(&location) else { return self.fault(&format!("{provider} is no address")) };
        let mut asked = Visitor::of(there);
        self.say(&format!("{provider} asks who it is"), 200, &asked.get(target).await);
        let consent = asked.get(&format!("{}&person=ann-1", target.replacen("/authorize?", "/consent?", 1))).await;
        let cross_site = HeaderName::from_static("sec-fetch-site");
        let mut back = visitor.clone().with(cross_site.clone(), "cross-site".to_owned());
        let returned = match &consent {
            // Apple's page posts its answer.
            Ok(page) if page.status == StatusCode::OK => {
                let fields = inputs(&page.body);
                let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                back.post(&format!("/.auth/callback/{provider}"), &fields).await
            }
            Ok(page) => match page.location.strip_prefix(&self.origin) {
                Some(target) => back.get(target).await,
                None => return self.fault(&format!("{provider} leads to {}", page.location)),
            },
            Err(error) => return self.fault(&format!("{provider} does not answer: {error}")),
        };
        self.leads(&format!("{provider} vouches"), 303, &returned, "/posts");
        self.writes_and_leaves(provider, back.with(cross_site, "same-origin".to_owned()), writes).await;
    }

    async fn writes_and_leaves(&mut self, who: &str, mut visitor: Visitor, writes: u16) {
        self.say(&format!("{who} writes"), writes, &visitor.post("/posts", &HI).await);
        let mut cookies = visitor.clone();
        self.say(&format!("{who} signs out"), 303, &visitor.post("/.auth/logout", &[]).await);
        self.say("the cookie is over", 401, &cookies.get("/.auth/me").await);
    }

    /// The same as [`Check::say`], and where it leads.
    fn leads(&mut self, what: &str, wanted: u16, got: &Result<Answer, Error>, to: &str) {
        let location = self.say(what, wanted, got).unwrap_or_default();
        if location != to {
            self.fault(&format!("{what}, and is sent to {location:?}"));
        }
    }

    /// Says whether this is the status that was wanted; where the answer leads.
    fn say(&mut self, what: &str, wanted: u16, got: &Result<Answer, Error>) -> Option<String> {
        let found = match got {
            Ok(answer) => answer.status.as_u16().to_string(),
            Err(error) => error.to_string(),
        };
        let well = found == wanted.to_string();
        self.all_well &= well;
        print(&format!("{}  {what}: {found}", if well { "ok  " } else { "FAIL" }));
        got.as_ref().ok().map(|answer| answer.location.clone())
    }

    fn fault(&mut self, what: &str) {
        self.all_well = false;
        print(&format!("FAIL  {what}"));
    }
}

/// Scheme and authority, and the rest.
fn split(location: &str) -> Option<(&str, &str)> {
    let start = location.find("://")? + 3;
    Some(location.split_at(start + location.get(start..)?.find('/')?))
}

/// The hidden fields of a form of the demo's own pages.
fn inputs(page: &str) -> Vec<(String, String)> {
    let fields = page.split("<input type=hidden name=\"").skip(1);
    let field = |field: &str| {
        let (name, rest) = field.split_once("\" value=\"")?;
        let (value, _) = rest.split_once('"')?;
        // What is harmless in HTML is written as numbers there.
        let mut parts = value.split("&#");
        let mut text = parts.next()?.to_owned();
        for part in parts {
            let (number, rest) = part.split_once(';')?;
            text.push(char::from_u32(number.parse().ok()?)?);
            text.push_str(rest);
        }
        Some((name.to_owned(), text))
    };
    fields.filter_map(field).collect()
}

const HI: [(&str, &str); 1] = [("title", "Hi")];
