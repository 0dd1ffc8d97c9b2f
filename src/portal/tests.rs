//! A site in memory and a browser in front of it, for the tests of this module.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, Method, Request, StatusCode};

use super::{Parts, Portal, Settings};
use crate::account::User;
use crate::account::password::Hasher;
use crate::body::Body;
use crate::clock::{Clock, Timestamp};
use crate::fetch::Fetch;
use crate::limit::{self, Limits};
use crate::mail::{self, Mailer, Outbox};
use crate::provider::{self, ApiKeys, LocalUserpass, Providers, SignUp};
use crate::public_url::PublicUrl;
use crate::secret::{Digest, Secret};
use crate::session::{self, Sessions};
use crate::store::{self, Store};
use crate::visit::{Client, Credential, RequestId, Scheme, Visit};

pub(super) const ANN: &str = "ann@example.com";
pub(super) const MAX: &str = "max@example.com";
pub(super) const PASSWORD: &str = "a horse in the hall";
pub(super) const OTHER: &str = "a lamp over the door";

/// A site whose store, mails and time are in memory.
pub(super) struct House {
    pub(super) portal: Portal,
    pub(super) store: Arc<dyn Store>,
    pub(super) sessions: Sessions,
    pub(super) providers: Providers,
    pub(super) mailer: Mailer,
    pub(super) clock: Clock,
}

/// Keeps one cookie, as a browser would.
pub(super) struct Browser<'a> {
    house: &'a House,
    pub(super) cookie: Option<String>,
}

/// What came back.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl House {
    pub(super) async fn open() -> Self {
        Self::with(|_, _| {}).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut Settings, &mut provider::Settings)) -> Self {
        let clock = Clock::manual(Timestamp::from_seconds(1_795_363_200));
        let public_url: PublicUrl = "https://blog.example.com".parse().unwrap();
        let mut settings = Settings { title: Some("Example Blog".into()), ..Settings::default() };
        let mut kinds = provider::Settings {
            anon_user: Some(provider::AnonUser::default()),
            local_userpass: Some(LocalUserpass { sign_up: SignUp::Open, ..LocalUserpass::default() }),
            api_key: Some(ApiKeys::default()),
            ..provider::Settings::default()
        };
        change(&mut settings, &mut kinds);
        let store = store::open(&store::Address::Memory).unwrap();
        let session = session::Settings::default();
        let session_lifetime = session.max_lifetime;
        let sessions = Sessions::open(Arc::clone(&store), clock.clone(), session, &public_url).await.unwrap();
        let outbox = mail::Settings { from: None, outbox: Outbox::Memory, ..Default::default() };
        let mailer = Mailer::new(&outbox, "Example Blog", &public_url, clock.clone()).unwrap();
        let providers = Providers::new(&provider::Parts {
            settings: kinds,
            store: Arc::clone(&store),
            sessions: sessions.clone(),
            hasher: Hasher::new(1),
            mailer: mailer.clone(),
            fetch: Fetch::new(&Default::default()).unwrap(),
            workers: crate::function::Workers::new(crate::function::Program::new("/nowhere", &[]), Default::default()),
            clock: clock.clone(),
            public_url: public_url.clone(),
            prefix: "/.auth".into(),
            site: "Example Blog".into(),
        })
        .unwrap();
        let portal = Portal::new(Parts {
            settings,
            public_url,
            prefix: "/.auth".into(),
            return_to: vec!["https://app.example.com".into()],
            providers: providers.clone(),
            sessions: sessions.clone(),
            session_lifetime,
            limits: Arc::new(Limits::new(&limit::Settings::default(), &clock)),
            store: Arc::clone(&store),
            clock: clock.clone(),
        });
        let portal = portal.map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        Self { portal, store, sessions, providers, mailer, clock }
    }

    /// An account whose address is proved.
    pub(super) async fn account(&self, email: &str) -> User {
        let local = self.providers.local_userpass().unwrap();
        local.register(email, &Secret::new(PASSWORD), None).await.unwrap();
        let user = local.confirm(&self.mailed_token()).await.unwrap();
        self.clock.advance(Duration::from_secs(60));
        user
    }

    /// The token in the link of the newest mail.
    pub(super) fn mailed_token(&self) -> String {
        let mail = self.mailer.sent().pop().expect("a mail");
        let rest = mail.text.split("token=").nth(1).expect("a link in the mail");
        rest.split(['&', '\n', ' ']).next().unwrap().to_owned()
    }

    pub(super) fn browser(&self) -> Browser<'_> {
        Browser { house: self, cookie: None }
    }

    /// A browser in which this account is signed in.
    pub(super) async fn signed_in(&self, email: &str) -> Browser<'_> {
        let mut browser = self.browser();
        let reply = browser.submit("login/local-userpass", &[("email", email), ("password", PASSWORD)]).await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.text);
        browser
    }

    /// A request as it is, with whatever its cookie proves.
    pub(super) async fn send(&self, request: Request<Body>) -> Reply {
        let cookie = request.headers().get(COOKIE).and_then(|cookie| cookie.to_str().ok()?.split_once('='));
        let caller = match cookie {
            Some((_, token)) => self.sessions.by_cookie(&Digest::of(token)).await.unwrap(),
            None => None,
        };
        let credential = if caller.is_some() { Credential::Cookie } else { Credential::None };
        let address = "192.0.2.7".parse().unwrap();
        let client = Client { peer: address, address, scheme: Scheme::Https, trusted: false };
        let id = RequestId::from_number(7);
        let response = self.portal.serve(Visit { caller, credential, ..*Visit::new(request, id, client) }).await;
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(body.read(1 << 20).await.unwrap().to_vec()).unwrap();
        Reply { status: parts.status, headers: parts.headers, text }
    }
}

impl Browser<'_> {
    /// Opens one of our pages, named without the prefix.
    pub(super) async fn open(&mut self, path: &str) -> Reply {
        let request = Request::builder().uri(format!("/.auth/{path}")).header("sec-fetch-mode", "navigate");
        self.fetch(request, Body::empty()).await
    }

    /// Sends a form of one of our pages.
    pub(super) async fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("/.auth/{path}"))
            .header("sec-fetch-site", "same-origin")
            .header("sec-fetch-mode", "navigate")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.fetch(request, Body::from(form)).await
    }

    async fn fetch(&mut self, request: http::request::Builder, body: Body) -> Reply {
        let mut request = request.header(ACCEPT, "text/html,application/xhtml+xml");
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, cookie);
        }
        let reply = self.house.send(request.body(body).unwrap()).await;
        if let Some(cookie) = reply.headers.get(SET_COOKIE).map(|cookie| cookie.to_str().unwrap()) {
            let pair = cookie.split(';').next().unwrap();
            self.cookie = Some(pair.to_owned()).filter(|pair| !pair.ends_with('='));
        }
        reply
    }
}

impl Reply {
    pub(super) fn location(&self) -> &str {
        self.headers.get(LOCATION).map_or("", |location| location.to_str().unwrap())
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

/// A request of a program.
pub(super) fn post_json(path: &str, body: &str) -> Request<Body> {
    let request = Request::builder().method(Method::POST).uri(format!("/.auth/{path}"));
    request.header(CONTENT_TYPE, "application/json").body(Body::from(body.to_owned())).unwrap()
}
