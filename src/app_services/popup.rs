//! Signing in at a provider in a popup: out to it, and back to the app's page with the outcome in the fragment.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::header::{HeaderName, LOCATION, SET_COOKIE};
use http::{HeaderValue, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::call::Call;
use super::refusal::Refusal;
use super::{Answer, AppServices, ROOT, Who, device, empty};
use crate::body::Body;
use crate::id::DeviceId;
use crate::json;
use crate::provider::Account;
use crate::provider::oauth2::{self, Begun, Client, Wishes};
use crate::provider::pending::{self, Attempt, Pending, Taken};
use crate::session::Travel;

/// What goes into the fragment.
pub(super) type Outcome = Vec<(&'static str, String)>;

impl AppServices {
    /// Sends a popup to the provider of this name; or, for a link, says in a header where to send it.
    pub(super) async fn popup(&self, call: &Call, provider: &str, who: &Who) -> Answer {
        let client = self.providers.redirect(provider).ok_or_else(|| Refusal::no_such_provider(provider))?;
        let redirect = call.parameter("redirect").unwrap_or_default();
        // Exactly one of those named: whoever is sent there gets tokens.
        if !self.settings.redirect_uris.contains(&redirect) {
            return Err(Refusal::parameter("the redirect URL is not one of those allowed"));
        }
        let state = call.parameter("state").filter(|state| !state.is_empty() && state.len() <= LONGEST_STATE);
        let state = state.ok_or_else(|| Refusal::parameter("'state' is missing"))?;
        let links = call.parameter("link").as_deref() == Some("true");
        let mut attempt = Attempt {
            return_to: redirect,
            extra: json!({ "state": state, "device": call.parameter("device") }),
            ..Attempt::default()
        };
        if links {
            let caller = self.by_access(call, who).await?;
            (attempt.link, attempt.session) = (Some(caller.user.id), caller.session);
        } else {
            self.count_try(call, None).await?;
        }
        let wishes =
            Wishes { redirect_uri: Some(self.public_url.join(&format!("{ROOT}/auth/callback"))), ..no_wishes() };
        let begun = client.begin(&wishes, attempt).await.map_err(|error| told(call, provider, &error))?;
        let to = HeaderValue::try_from(&begun.location).map_err(|_| Refusal::internal())?;
        let mut response = empty(if links { StatusCode::OK } else { StatusCode::FOUND });
        let headers = response.headers_mut();
        if links {
            headers.insert(HeaderName::from_static("x-baas-location"), to.clone());
            headers.insert(HeaderName::from_static("x-stitch-location"), to);
        } else {
            headers.insert(LOCATION, to);
        }
        headers.append(SET_COOKIE, self.bound(&begun, links));
        Ok(response)
    }

    /// Takes a provider's answer, and sends the popup back to the app's page.
    pub(super) async fn come_back(&self, call: &Call, body: Body) -> Answer {
        let parameters = match call.method.as_str() {
            "GET" => fields(call.query.as_deref().unwrap_or_default().as_bytes()),
            "POST" => fields(&body.read(LONGEST_FORM).await.map_err(|_| Refusal::bad("the form cannot be read"))?),
            _ => return Err(Refusal::method("GET, POST")),
        };
        let parameters = parameters.ok_or_else(|| Refusal::bad("a parameter stands twice, or is no text"))?;
        let cookie = |attempt: &str| self.cookie.binding(&call.headers, attempt);
        let taken = Pending::take_from(&self.store, self.clock.now(), &parameters, cookie).await;
        let taken = taken.map_err(|error| told(call, "", &error))?;
        let attempt = match &taken {
            Taken::Here(pending) => &pending.attempt,
            Taken::Elsewhere(unbound) => unbound.attempt(),
        };
        let state = attempt.extra.get("state").and_then(Value::as_str).unwrap_or_default().to_owned();
        let return_to = attempt.return_to.clone();
        // An attempt of our own pages ends there (RFC 9700 §4.4).
        if state.is_empty() || !self.settings.redirect_uris.contains(&return_to) {
            return Err(Refusal::bad("the attempt began elsewhere"));
        }
        let outcome = match taken {
            Taken::Here(pending) => self.conclude(call, &pending, &parameters).await,
            // Browsers keep no cookies for a page of another site: the page that asked finishes the link.
            Taken::Elsewhere(unbound) if unbound.attempt().link.is_some() => {
                self.hand_over(call, unbound, &parameters).await
            }
            Taken::Elsewhere(_) => return Err(told(call, "", &oauth2::Error::State("it began in another browser"))),
        };
        let outcome = outcome.unwrap_or_else(|refusal| {
            refusal.note(&call.id);
            vec![("error", refusal.text().to_owned())]
        });
        let mut response = self.back_to(&return_to, state, outcome)?;
        let theirs = parameters.get("state").and_then(Value::as_str).unwrap_or_default();
        response.headers_mut().append(SET_COOKIE, self.cookie.unbind(&pending::name_of(theirs)));
        Ok(response)
    }

    /// The way to the app's page, with this in its fragment.
    fn back_to(&self, page: &str, state: String, outcome: Outcome) -> Answer {
        let mut all = vec![("client_app_id", self.settings.app_id.clone()), ("state", state)];
        all.extend(outcome);
        let location = HeaderValue::try_from(format!("{page}#{}", fragment(&all)));
        let mut response = empty(StatusCode::FOUND);
        response.headers_mut().insert(LOCATION, location.map_err(|_| Refusal::internal())?);
        Ok(response)
    }

    /// Signs in or links, and answers with what goes into the fragment.
    async fn conclude(
        &self,
        call: &Call,
        pending: &Pending,
        parameters: &Map<String, Value>,
    ) -> Result<Outcome, Refusal> {
        let name = &pending.provider;
        let client: &Client = self.providers.redirect(name).ok_or_else(|| Refusal::no_such_provider(name))?;
        let links = pending.attempt.link.is_some();
        let account = client.finish(pending, parameters).await.map_err(|error| {
            let refusal = told(call, name, &error);
            // Whoever turned back was not refused.
            if !links && !matches!(error, oauth2::Error::Cancelled) {
                self.count_sign_in(name, Some(&refusal));
            }
            refusal
        })?;
        if links {
            let (session, user) = self.finish_link(pending, &account).await?;
            return self.told_linked(&session, &user);
        }
        let signed_in = self.finish_sign_in(call, pending, &account).await;
        self.count_sign_in(name, signed_in.as_ref().err());
        signed_in
    }

    async fn finish_sign_in(&self, call: &Call, pending: &Pending, account: &Account) -> Result<Outcome, Refusal> {
        let name = &pending.provider;
        let admitted = self.providers.admission().admit(name, account, None).await?;
        let told = pending.attempt.extra.get("device").and_then(Value::as_str).and_then(device_of);
        let device = device::of(call, told.as_ref(), self.clock.now());
        let tokens = self.open(&admitted.user, name, device).await?;
        self.note_account(tokens.session.id, name, account).await?;
        let device = tokens.session.device.app.as_ref().and_then(|app| app.id);
        // Exposed to the page that was named by the operator.
        let (access, refresh) = (tokens.access_token.expose(), tokens.refresh_token.expose());
        Ok(vec![("ua", ua(access, refresh, &admitted.user.id.to_string(), device))])
    }

    /// The cookie that binds an attempt to the browser; one that a page of another site asked for travels with it.
    fn bound(&self, begun: &Begun, links: bool) -> HeaderValue {
        let travel = if begun.cross_site || links { Travel::CrossSite } else { Travel::Lax };
        self.cookie.bind(&begun.name, &begun.binding, travel, pending::LIFETIME.as_secs())
    }
}

fn no_wishes() -> Wishes {
    Wishes { login_hint: None, prompt: None, redirect_uri: None }
}

/// What the app's page reads, under the names of both generations of SDKs. Every value is encoded: a bare `=` would cut
/// it off.
fn fragment(entries: &[(&str, String)]) -> String {
    let pairs = ["_baas", "_stitch"].into_iter().flat_map(|prefix| {
        entries
            .iter()
            .map(move |(name, value)| format!("{prefix}_{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
    });
    pairs.collect::<Vec<_>>().join("&")
}

pub(super) fn ua(access: &str, refresh: &str, user: &str, id: Option<DeviceId>) -> String {
    format!("{access}${refresh}${user}${}", device::shown(id))
}

/// The device as base64 of its JSON.
fn device_of(text: &str) -> Option<Map<String, Value>> {
    let bytes = STANDARD_NO_PAD.decode(text.trim_end_matches('=')).or_else(|_| STANDARD.decode(text)).ok()?;
    if bytes.len() > LONGEST_FORM { None } else { json::object(&bytes).ok() }
}

/// The fields of a form or a query; none stands twice.
fn fields(bytes: &[u8]) -> Option<Map<String, Value>> {
    let mut fields = Map::new();
    for pair in bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let text = |bytes: &[u8]| {
            let spaced: Vec<u8> = bytes.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
            percent_decode(&spaced).decode_utf8().ok().map(|text| text.into_owned())
        };
        let (name, value) = (text(&pair[..at])?, text(pair.get(at + 1..).unwrap_or_default())?);
        if fields.len() >= MOST_FIELDS || fields.insert(name, value.into()).is_some() {
            return None;
        }
    }
    Some(fields)
}

/// A provider's no, as ours; what it was in detail is for the log.
pub(super) fn told(call: &Call, provider: &str, error: &oauth2::Error) -> Refusal {
    use oauth2::Error;
    tracing::warn!(request = %call.id, provider, %error, "nobody was signed in");
    match error {
        Error::State(_) | Error::Malformed(_) => Refusal::bad("this sign-in is over, or began in another browser"),
        Error::Cancelled => Refusal::credential("the sign-in was cancelled"),
        Error::NotAllowed(_) => Refusal::new(StatusCode::FORBIDDEN, "DomainNotAllowed", "this account may not sign in"),
        Error::Refused(_) => Refusal::credential("the provider did not vouch for this account"),
        Error::Down(_) | Error::Store(_) => Refusal::unavailable(),
    }
}

const LONGEST_STATE: usize = 256;
const LONGEST_FORM: usize = 16 << 10;
const MOST_FIELDS: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_says_everything_twice_and_encoded() {
        let text = fragment(&[("state", "abc".into()), ("ua", "a.b$c=$d$0".into())]);
        let expected = "state=abc&_baas_ua=a%2Eb%24c%3D%24d%240&_stitch_state=abc&_stitch_ua=a%2Eb%24c%3D%24d%240";
        assert_eq!(text, format!("_baas_{expected}"));
    }

    #[test]
    fn a_device_is_read_with_and_without_padding() {
        for text in ["eyJwbGF0Zm9ybSI6Im5vZGUifQ==", "eyJwbGF0Zm9ybSI6Im5vZGUifQ"] {
            assert_eq!(device_of(text).unwrap()["platform"], "node", "{text}");
        }
        assert!(device_of("%%%").is_none() && device_of("W10=").is_none());
    }

    #[test]
    fn a_parameter_that_stands_twice_is_none() {
        assert_eq!(fields(b"code=a%20b&state=c+d").unwrap()["state"], "c d");
        assert!(fields(b"state=a&state=b").is_none() && fields(b"state=%ff").is_none());
    }
}
