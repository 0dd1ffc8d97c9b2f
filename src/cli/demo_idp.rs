//! The identity providers of the demo, played on loopback: Google, Facebook, Apple, GitHub, Microsoft and a
//! company's own, each at a path of one address, with people who are made up. Every button of the demo leads somewhere without a network, and nobody
//! needs an account anywhere. Only `demo` starts it.

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::cli::demo_http::{self, Page, escape, html, see_other};
use crate::cli::demo_idp_tokens::{Fields, Refused, Tokens, fields};
use crate::cli::demo_own::Own;
use crate::cli::demo_people::{PEOPLE, Person};
use crate::secret::Secret;

/// What stands for its address in the file of the demo.
pub(super) const PLACEHOLDER: &str = "http://127.0.0.1:3001";

/// The providers, not answering yet.
pub(super) struct Idp {
    listener: TcpListener,
    address: SocketAddr,
    tokens: Tokens,
    own: Own,
}

/// Which provider is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Brand {
    Google,
    Facebook,
    Apple,
    Github,
    Microsoft,
    Corp,
}

/// What the handlers share.
struct Server {
    /// Of the providers.
    origin: String,
    /// Of the demo, where people go back to.
    site: String,
    tokens: Tokens,
    own: Own,
}

impl Idp {
    /// Takes a free loopback port and makes keys and secrets for the run.
    ///
    /// # Errors
    /// When no port can be had or no key can be made.
    pub(super) async fn bind() -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let tokens = Tokens::new().ok_or_else(|| std::io::Error::other("no key could be made"))?;
        Ok(Self { listener, address, tokens, own: Own::new() })
    }

    /// Where it is.
    pub(super) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The secrets that the file of the demo refers to.
    pub(super) fn secrets(&self) -> Vec<(String, String)> {
        // Exposed to the one server in this process that shows them here again.
        let of = |(name, secret): (&str, &Secret)| (name.to_owned(), secret.expose().to_owned());
        self.tokens.secrets().into_iter().chain(self.own.secrets()).map(of).collect()
    }

    /// A token of the partner that the demo plays, too.
    pub(super) fn partner_token(&self) -> Secret {
        self.own.token()
    }

    /// Answers from now on, and sends people back to this site alone.
    pub(super) fn serve(self, site: &str) {
        let origin = self.origin();
        let server = Server { origin, site: site.to_owned(), tokens: self.tokens, own: self.own };
        let answer = |server: Arc<Server>, request| async move { server.answer(request).await };
        demo_http::serve(self.listener, Arc::new(server), answer);
    }
}

impl Brand {
    const ALL: [Self; 6] = [Self::Google, Self::Facebook, Self::Apple, Self::Github, Self::Microsoft, Self::Corp];

    /// The first segment of its paths.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::Facebook => "facebook",
            Self::Apple => "apple",
            Self::Github => "github",
            Self::Microsoft => "microsoft",
            Self::Corp => "corp",
        }
    }

    /// What the demo calls it.
    pub(super) fn provider(self) -> &'static str {
        match self {
            Self::Google => "oauth2-google",
            Self::Facebook => "oauth2-facebook",
            Self::Apple => "oauth2-apple",
            Self::Github => "github",
            Self::Microsoft => "microsoft",
            Self::Corp => "corp",
        }
    }

    /// Whether it speaks OpenID Connect, and not OAuth with an interface of its own beside it.
    pub(super) fn is_openid(self) -> bool {
        !matches!(self, Self::Facebook | Self::Github)
    }

    fn label(self) -> &'static str {
        match self {
            Self::Google => "Google",
            Self::Facebook => "Facebook",
            Self::Apple => "Apple",
            Self::Github => "GitHub",
            Self::Microsoft => "Microsoft",
            Self::Corp => "Example Corp",
        }
    }
}

impl Server {
    async fn answer(&self, request: Request<Incoming>) -> Page {
        let (head, body) = request.into_parts();
        let path = head.uri.path().trim_start_matches('/');
        let (name, rest) = path.split_once('/').unwrap_or((path, ""));
        if name == "club" {
            let Ok(asked) = Limited::new(body, 16 << 10).collect().await else { return nowhere() };
            return self.own.club(&head.headers, &asked.to_bytes());
        }
        let Some(brand) = Brand::ALL.into_iter().find(|brand| brand.path() == name) else { return nowhere() };
        let asked = fields(head.uri.query().unwrap_or_default().as_bytes());
        match (&head.method, rest) {
            (&Method::GET, ".well-known/openid-configuration") => ok(&self.document(brand)),
            (&Method::GET, "jwks") => ok(&self.tokens.jwks()),
            (&Method::GET, "authorize") => self.consent_page(brand, &asked),
            (&Method::GET, "consent") => self.consented(brand, asked),
            (&Method::POST, "token") => {
                let Ok(form) = Limited::new(body, 16 << 10).collect().await else { return nowhere() };
                let issuer = self.issuer(brand);
                let told = self.tokens.exchange(brand, &issuer, head.headers.get(AUTHORIZATION), &form.to_bytes());
                told.map_or_else(|error| refused(&error), |told| ok(&told))
            }
            (&Method::GET, "end_session") => self.signed_out(&asked),
            (&Method::GET, "graph/debug_token") => ok(&self.tokens.debug(asked.get("input_token"))),
            (&Method::GET, "graph/me") => {
                let profile = self.tokens.profile(&asked);
                profile.map_or_else(|error| refused(&error), |profile| ok(&profile))
            }
            (&Method::GET, "api/user") => self.told(head.headers.get(AUTHORIZATION), Tokens::user),
            (&Method::GET, "api/user/emails") => self.told(head.headers.get(AUTHORIZATION), Tokens::emails),
            _ => nowhere(),
        }
    }

    /// What GitHub's interface says of whoever the token is of.
    fn told(&self, token: Option<&HeaderValue>, what: fn(&'static Person) -> Value) -> Page {
        self.tokens.bearer(token).map_or_else(|| refused(&Refused::Client), |person| ok(&what(person)))
    }

    fn issuer(&self, brand: Brand) -> String {
        format!("{}/{}", self.origin, brand.path())
    }

    fn document(&self, brand: Brand) -> Value {
        let issuer = self.issuer(brand);
        let at = |path: &str| format!("{issuer}/{path}");
        json!({
            "issuer": issuer,
            "authorization_endpoint": at("authorize"),
            "token_endpoint": at("token"),
            "jwks_uri": at("jwks"),
            "end_session_endpoint": at("end_session"),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query", "form_post"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
        })
    }

    /// Whether this is where the demo takes answers of this provider.
    fn is_ours(&self, brand: Brand, asked: &Fields) -> bool {
        let back = format!("{}/.auth/callback/{}", self.site, brand.provider());
        asked.get("redirect_uri") == Some(&back) && asked.contains_key("state")
    }

    /// Who are you? Everybody there is, and a way back.
    fn consent_page(&self, brand: Brand, asked: &Fields) -> Page {
        if !self.is_ours(brand, asked) {
            return page(brand, StatusCode::BAD_REQUEST, "<p>This is no request of the demo.");
        }
        let link = |person: &str, words: &str, class: &str| {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(asked).append_pair("person", person);
            let target = format!("/{}/consent?{}", brand.path(), query.finish());
            format!("<a class=\"{class}\" href=\"{}\">{words}</a>", escape(&target))
        };
        let people: String = PEOPLE.iter().map(|person| link(person.id, &words(brand, person), "person")).collect();
        let label = brand.label();
        let page_text = format!(
            "<h1>Choose an account</h1><p>to go on to <strong>Example Blog</strong></p>{people}{}\
             <p class=note>The demo plays {label} here, on this machine. Nobody in this list exists, and nothing is \
             sent anywhere.",
            link("", "Cancel", "cancel")
        );
        page(brand, StatusCode::OK, &page_text)
    }

    /// Back to the demo, with a code or with a no.
    fn consented(&self, brand: Brand, asked: Fields) -> Page {
        if !self.is_ours(brand, &asked) {
            return page(brand, StatusCode::BAD_REQUEST, "<p>This is no request of the demo.");
        }
        let text = |name: &str| asked.get(name).cloned().unwrap_or_default();
        let (back, state, posts) = (text("redirect_uri"), text("state"), text("response_mode") == "form_post");
        let mut answer = vec![("state", state)];
        if brand.is_openid() {
            answer.push(("iss", self.issuer(brand)));
        }
        match PEOPLE.iter().find(|person| person.id == text("person")) {
            // Apple's word for it is its own.
            None if brand == Brand::Apple => answer.push(("error", "user_cancelled_authorize".to_owned())),
            None => answer.push(("error", "access_denied".to_owned())),
            Some(person) => {
                if brand == Brand::Apple {
                    let (first, last) = person.name.split_once(' ').unwrap_or((person.name, ""));
                    let user = json!({ "name": { "firstName": first, "lastName": last } });
                    answer.push(("user", user.to_string()));
                }
                answer.push(("code", self.tokens.code(brand, person, asked)));
            }
        }
        if posts {
            return posted(brand, &back, &answer);
        }
        see_other(&format!(
            "{back}?{}",
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(answer).finish()
        ))
    }

    /// Nobody is signed in here, so there is nobody to sign out: back to the demo.
    fn signed_out(&self, asked: &Fields) -> Page {
        let back = asked.get("post_logout_redirect_uri").filter(|back| back.starts_with(&format!("{}/", self.site)));
        let Some(back) = back else { return nowhere() };
        let state = asked.get("state").map(|state| ("state", state));
        see_other(&format!(
            "{back}?{}",
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(state).finish()
        ))
    }
}

/// OAuth 2.0 Form Post Response Mode §2: a page whose form the browser sends by itself, or by a button.
fn posted(brand: Brand, back: &str, answer: &[(&str, String)]) -> Page {
    let input =
        |(name, value): &(&str, String)| format!("<input type=hidden name=\"{name}\" value=\"{}\">", escape(value));
    let inputs: String = answer.iter().map(input).collect();
    let form = format!(
        "<h1>One moment</h1><form method=post action=\"{}\">{inputs}<button class=person>Go on</button></form>\
         <script>document.forms[0].submit()</script>",
        escape(back)
    );
    page(brand, StatusCode::OK, &form)
}

fn words(brand: Brand, person: &Person) -> String {
    let about = match (brand, person.groups) {
        (Brand::Corp, [group, ..]) => format!("{}, {group}", person.email),
        (Brand::Facebook, _) => "whose address it keeps to itself".to_owned(),
        _ => person.email.to_owned(),
    };
    format!("<b>{}</b><span>{}</span>", escape(person.name), escape(&about))
}

fn page(brand: Brand, status: StatusCode, main: &str) -> Page {
    let text = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <link rel=icon href=\"data:,\"><title>{label} (played by the demo)</title><style>{STYLE}</style>\
         <main><p class=brand>{label} <small>played by the demo</small></p>{main}</main>",
        label = brand.label(),
    );
    let mut response = html(status, text);
    // The address holds what a sign-in is made of.
    response.headers_mut().insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    response.headers_mut().insert("cache-control", HeaderValue::from_static("no-store"));
    response
}

fn ok(body: &Value) -> Page {
    demo_http::json(StatusCode::OK, body)
}

/// RFC 6749 §5.2.
fn refused(error: &Refused) -> Page {
    let status = if *error == Refused::Client { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
    demo_http::json(status, &json!({ "error": error.as_str() }))
}

fn nowhere() -> Page {
    html(StatusCode::NOT_FOUND, "<!doctype html><title>Not found</title><p>No such page.".to_owned())
}

const STYLE: &str = "body{font:1.05rem/1.5 system-ui;background:#eef0f3;color:#1c2024;margin:0}\
main{max-width:24rem;margin:10vh auto;background:#fff;padding:1.5rem 2rem 2rem;border-radius:12px;\
box-shadow:0 1px 4px #0003}h1{font-size:1.4rem;margin:.5rem 0 0}.brand{color:#60646c;margin:0;font-weight:600}\
.brand small{font-weight:400}.person{display:block;width:100%;box-sizing:border-box;text-align:left;font:inherit;\
margin:.6rem 0;padding:.6rem .9rem;border:1px solid #b9bbc6;border-radius:8px;background:#fff;color:inherit;\
text-decoration:none}.person:hover,.person:focus{background:#f3f4f8;outline:2px solid #3b5bdb}\
.person b,.person span{display:block}.person span{color:#60646c;font-size:.9rem}\
.cancel{display:inline-block;margin:.4rem 0;color:#3b5bdb}.note{color:#60646c;font-size:.9rem;margin:1rem 0 0}";
