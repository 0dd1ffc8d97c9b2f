//! Puts together who it is for whoever hands the request on, or writes it into the answer to another proxy. Reads caller
//! and route; sets identity and assertion; removes our cookies. Refuses with 503 when there is no key to sign with. Sits
//! right above the upstream, far below [`sanitize`](super::sanitize), which removed what the client sent under these names.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::account::User;
use crate::head::Fields;
use crate::layer::{IdentityHeaders as Settings, Preset, Progress, Source, Step};
use crate::layer::{aliases, verdict};
use crate::rejection::Reason;
use crate::route::Router;
use crate::session::{Caller, Sessions, cookie};
use crate::visit::{Names, Visit};

/// See the [module](self).
#[derive(Clone)]
pub struct IdentityHeaders {
    settings: Arc<Settings>,
    router: Arc<Router>,
    sessions: Sessions,
    cookie: cookie::Name,
    audience: Arc<str>,
    /// The whole set for nobody: made once, because an answer to another proxy always has all of it.
    nobody: Arc<HeaderMap>,
}

impl IdentityHeaders {
    /// Writes the headers of these settings; the assertion's audience is the route's, else `audience`.
    pub fn new(
        settings: Settings,
        router: Arc<Router>,
        sessions: Sessions,
        cookie: cookie::Name,
        audience: &str,
    ) -> Self {
        let nobody = Arc::new(nobody(&settings));
        Self { settings: Arc::new(settings), router, sessions, cookie, audience: audience.into(), nobody }
    }

    /// `None` where the set has none.
    fn assertion(&self, visit: &Visit, caller: &Arc<Caller>) -> Result<Option<HeaderValue>, Reason> {
        if self.settings.preset != Preset::XAuth {
            return Ok(None);
        }
        let own = visit.authorized.and_then(|authorized| self.router.route(authorized).audience());
        let assertion = self.sessions.assertion(caller, own.unwrap_or(&self.audience));
        if assertion.is_none() {
            // The app would get less than the whole set.
            tracing::error!(request = %visit.id, "there is no key to sign the assertion with");
            return Err(Reason::Unavailable);
        }
        Ok(assertion)
    }
}

impl Step for IdentityHeaders {
    fn take(&self, mut visit: Box<Visit>) -> Progress {
        self.cookie.strip(visit.request.headers_mut());
        if let Some(check) = &visit.check {
            let names = check.names;
            return match self.answer(&visit, names) {
                Ok(said) => {
                    *visit.response.headers_mut() = said;
                    Progress::Go(visit)
                }
                Err(reason) => Progress::refuse(visit, reason),
            };
        }
        let Some(caller) = &visit.caller else { return Progress::Go(visit) };
        match self.assertion(&visit, caller) {
            Ok(assertion) => {
                self.built(caller);
                (visit.is_identified, visit.assertion) = (true, assertion);
                Progress::Go(visit)
            }
            Err(reason) => Progress::refuse(visit, reason),
        }
    }
}

impl IdentityHeaders {
    /// What another proxy is told: every header of the set, under the names it wants.
    fn answer(&self, visit: &Visit, names: Names) -> Result<HeaderMap, Reason> {
        if names == Names::Own {
            let Some(caller) = &visit.caller else { return Ok(HeaderMap::clone(&self.nobody)) };
            let mut said = HeaderMap::clone(self.said(caller));
            if let Some(assertion) = self.assertion(visit, caller)? {
                said.insert(ASSERTION, assertion);
            }
            return Ok(said);
        }
        let settings = aliases::under(&self.settings, names);
        let mut said = nobody(&settings);
        for (name, value) in visit.caller.iter().flat_map(|caller| headers(&settings, &caller.user, &caller.provider)) {
            said.insert(name, value);
        }
        Ok(said)
    }

    fn said<'c>(&self, caller: &'c Caller) -> &'c HeaderMap {
        caller.said.get_or_init(|| {
            let mut said = HeaderMap::clone(&self.nobody);
            // Room for those that other layers add to an answer: growing hashes every name again.
            said.reserve(self.built(caller).list().len() + 4);
            self.built(caller).insert_into(&mut said);
            Box::new(said)
        })
    }

    fn built<'c>(&self, caller: &'c Caller) -> &'c Fields {
        caller.headers.get_or_init(|| headers(&self.settings, &caller.user, &caller.provider).into())
    }
}

/// The identity headers of a caller, but for the assertion, which depends on the route.
pub fn headers(settings: &Settings, user: &User, provider: &str) -> Vec<(HeaderName, HeaderValue)> {
    let mut out: Vec<(HeaderName, HeaderValue)> = Vec::new();
    let mut add = |name: HeaderName, value: Option<HeaderValue>| {
        // Two fields may fold to one name; the first keeps it, so that no value is ever joined to another.
        if let Some(value) = value.filter(|_| !out.iter().any(|(other, _)| *other == name)) {
            out.push((name, value));
        }
    };
    let id = Value::String(user.id.to_string());
    let text = |text: &str| encode(&Value::String(text.to_owned()));
    let (email, name) = (user.email().and_then(text), user.name().and_then(text));
    let roles = roles(user, provider).and_then(|roles| text(&roles));
    match settings.preset {
        Preset::XAuth => {
            add(HeaderName::from_static("x-auth-user"), encode(&id));
            add(HeaderName::from_static("x-auth-kind"), text(user.kind.as_str()));
            add(HeaderName::from_static("x-auth-provider"), text(provider));
            add(HeaderName::from_static("x-auth-email"), email);
            add(HeaderName::from_static("x-auth-name"), name);
            add(HeaderName::from_static("x-auth-roles"), roles);
            for (field, value) in user.data.iter().filter(|(field, _)| !matches!(field.as_str(), "email" | "name")) {
                if let Some(name) = meta_name(field) {
                    add(name, encode(value));
                }
            }
        }
        Preset::XAuthRequest => {
            add(HeaderName::from_static("x-auth-request-user"), encode(&id));
            add(HeaderName::from_static("x-auth-request-email"), email);
            add(HeaderName::from_static("x-auth-request-preferred-username"), name);
            add(HeaderName::from_static("x-auth-request-groups"), roles);
        }
        Preset::Remote => {
            add(HeaderName::from_static("remote-user"), encode(&id));
            add(HeaderName::from_static("remote-email"), email);
            add(HeaderName::from_static("remote-name"), name);
            add(HeaderName::from_static("remote-groups"), roles);
        }
        Preset::None => {}
    }
    for (name, source) in &settings.set {
        add(name.clone(), field(source, user, provider).as_ref().and_then(encode));
    }
    out
}

/// What is said of nobody. Whoever copies all of it overwrites what a client sent under these names.
fn nobody(settings: &Settings) -> HeaderMap {
    names(settings).map(|name| (name, HeaderValue::from_static(""))).chain(verdict::fields()).collect()
}

/// The names under which something is always said, be it nothing.
fn names(settings: &Settings) -> impl Iterator<Item = HeaderName> {
    let preset: &[&'static str] = match settings.preset {
        Preset::XAuth => &[
            "x-auth-user",
            "x-auth-kind",
            "x-auth-provider",
            "x-auth-email",
            "x-auth-name",
            "x-auth-roles",
            "x-auth-assertion",
        ],
        Preset::XAuthRequest => &[
            "x-auth-request-user",
            "x-auth-request-email",
            "x-auth-request-preferred-username",
            "x-auth-request-groups",
        ],
        Preset::Remote => &["remote-user", "remote-email", "remote-name", "remote-groups"],
        Preset::None => &[],
    };
    let preset = preset.iter().copied().map(HeaderName::from_static);
    preset.chain(settings.set.iter().map(|(name, _)| name.clone()))
}

/// What a source of `identity_headers.set` stands for.
fn field(source: &Source, user: &User, provider: &str) -> Option<Value> {
    let text = |text: &str| Some(Value::String(text.to_owned()));
    let within = |data: &Map<String, Value>, path: &str| {
        let mut parts = path.split('.');
        parts.next().and_then(|first| parts.try_fold(data.get(first)?, |value, part| value.get(part))).cloned()
    };
    match source {
        Source::Id => text(&user.id.to_string()),
        Source::Kind => text(user.kind.as_str()),
        Source::Provider => text(provider),
        Source::Email => user.email().and_then(text),
        Source::Name => user.name().and_then(text),
        Source::Roles => text(&roles(user, provider)?),
        Source::Data(path) => within(&user.data, path),
        Source::CustomData(path) => within(&user.custom_data, path),
    }
}

fn roles(user: &User, provider: &str) -> Option<String> {
    let roles: Vec<&str> = user.roles_by(provider).into_iter().collect();
    (!roles.is_empty()).then(|| roles.join(","))
}

/// `first_name` → `x-auth-meta-first-name`. `None` where no letter or digit is left of the field.
fn meta_name(field: &str) -> Option<HeaderName> {
    let folded = super::sanitize::fold(field);
    let folded = folded.trim_start_matches('-');
    if folded.is_empty() { None } else { HeaderName::try_from(format!("x-auth-meta-{folded}")).ok() }
}

/// Text as it is when it is printable ASCII without `%`, else percent-encoded UTF-8; other types as JSON.
/// What is longer than a field may be, or is `null`, is no header.
fn encode(value: &Value) -> Option<HeaderValue> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.chars().count() > LONGEST_FIELD {
        return None;
    }
    // Blanks at the ends would be lost on the way (RFC 9110 §5.5).
    let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'%') && text.trim() == text;
    let text = if plain { text } else { utf8_percent_encode(&text, ENCODED).to_string() };
    HeaderValue::try_from(text).ok()
}

const ENCODED: &AsciiSet = &CONTROLS.add(b'%').add(b' ');
const LONGEST_FIELD: usize = 4096;
const ASSERTION: HeaderName = HeaderName::from_static("x-auth-assertion");

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::account::Kind;
    use crate::clock::Timestamp;
    use crate::id::UserId;

    fn ann() -> User {
        let mut user = User::new(UserId::from_bytes([10; 12]), Kind::User, Timestamp::default());
        let data = json!({ "email": "ann@example.com", "name": "Ann Ex", "first_name": "Ann" });
        user.data = data.as_object().unwrap().clone().into();
        user.roles = ["editor".to_owned(), "journalist".to_owned()].into();
        user
    }

    fn written(settings: &Settings, user: &User) -> Vec<(String, String)> {
        let text = |value: HeaderValue| value.to_str().unwrap().to_owned();
        headers(settings, user, "corp").into_iter().map(|(n, v)| (n.to_string(), text(v))).collect()
    }

    fn header(data: Value) -> Option<String> {
        encode(&data).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_default_set_says_all_there_is_and_leaves_out_the_rest() {
        let names = written(&Settings::default(), &ann());
        let wanted = [
            ("x-auth-user", "0a0a0a0a0a0a0a0a0a0a0a0a"),
            ("x-auth-kind", "user"),
            ("x-auth-provider", "corp"),
            ("x-auth-email", "ann@example.com"),
            ("x-auth-name", "Ann Ex"),
            ("x-auth-roles", "editor,journalist"),
            ("x-auth-meta-first-name", "Ann"),
        ];
        assert_eq!(names, wanted.map(|(n, v)| (n.to_owned(), v.to_owned())));
        let guest = User::new(UserId::from_bytes([10; 12]), Kind::Guest, Timestamp::default());
        assert_eq!(written(&Settings::default(), &guest).len(), 3);
    }

    #[test]
    fn sec_hdr_08_a_value_is_one_header_or_none() {
        assert_eq!(header(json!("x\r\nX-Auth-Roles: admin")).unwrap(), "x%0D%0AX-Auth-Roles:%20admin");
        assert_eq!(header(json!("\u{0}")).unwrap(), "%00");
        assert_eq!(header(json!("x\rY: z")).unwrap(), "x%0DY:%20z");
        assert_eq!(header(json!("\u{1f600}\u{7f}\t")).unwrap(), "%F0%9F%98%80%7F%09");
        // A comma inside stays within JSON, whose quotes say where a value ends.
        let list = json!(["a,b", "c\r\n", "\u{eb}"]);
        assert_eq!(header(list).unwrap(), r#"["a,b","c\r\n","%C3%AB"]"#);
        assert_eq!(header(json!("Zo\u{eb} 100%")).unwrap(), "Zo%C3%AB%20100%25");
        assert_eq!(header(json!(" a ")).unwrap(), "%20a%20");
        assert_eq!(header(json!("x".repeat(64 << 10))), None);
        assert_eq!(header(json!(null)), None);
        assert_eq!(header(json!({ "a": [1, true] })).unwrap(), "{\"a\":[1,true]}");
        assert_eq!(header(json!("plain text")).unwrap(), "plain text");
    }

    #[test]
    fn two_fields_of_one_name_are_not_joined() {
        let mut user = ann();
        user.data = json!({ "a_b": "1", "a-b": "2", "___": "3" }).as_object().unwrap().clone().into();
        let meta: Vec<_> =
            written(&Settings::default(), &user).into_iter().filter(|(n, _)| n.contains("meta")).collect();
        assert_eq!(meta.len(), 1, "{meta:?}");
    }

    #[test]
    fn presets_and_own_names_are_written() {
        let set = vec![(HeaderName::from_static("x-tenant"), Source::CustomData("tenant.id".to_owned()))];
        let mut user = ann();
        user.custom_data = json!({ "tenant": { "id": 7 } }).as_object().unwrap().clone().into();
        let names = |preset| {
            let all = written(&Settings { preset, set: set.clone() }, &user);
            all.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(names(Preset::Remote), ["remote-user", "remote-email", "remote-name", "remote-groups", "x-tenant"]);
        assert_eq!(names(Preset::XAuthRequest).len(), 5);
        assert_eq!(names(Preset::None), ["x-tenant"]);
    }
}
