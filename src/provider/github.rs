//! GitHub ("Authorizing OAuth apps", "REST API endpoints for users"): OAuth without OpenID Connect; who it is says an
//! interface.

use oauth2::TokenResponse as _;
use serde_json::Value;

use super::OAuth;
use super::discovery::Endpoints;
use super::oauth2::{Asking, Client, Dialect, Error, Grant};
use super::told::{Told, is_true};

/// What it is called here; it has no name of its own in what it tells.
pub(super) const ISSUER: &str = "https://github.com";

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Github;

impl Dialect for Github {
    fn scopes(&self, _: &OAuth) -> Vec<String> {
        ["read:user", "user:email"].map(str::to_owned).into()
    }

    fn account<'a>(&'a self, client: &'a Client, grant: &'a Grant) -> Asking<'a> {
        Box::pin(async move {
            let token = Some(grant.answer.access_token().secret().as_str());
            let api = client.settings.endpoints.api.as_deref().unwrap_or("https://api.github.com");
            let Value::Object(claims) = client.ask(&format!("{api}/user"), token).await? else {
                return Err(Error::Down("the profile is no object".to_owned()));
            };
            // The login can be given to somebody else, the number cannot.
            let subject = claims.get("id").and_then(Value::as_u64).filter(|id| *id > 0);
            let subject = subject.ok_or_else(|| Error::Down("the profile names nobody".to_owned()))?.to_string();
            let mut told = Told { issuer: grant.endpoints.issuer.clone(), subject, claims, ..Told::default() };
            // The address of the profile is for show; those that were verified have a list of their own.
            told.claims.remove("email");
            let emails = client.ask(&format!("{api}/user/emails"), token).await;
            let emails = match emails {
                // Without the scope there is no list.
                Err(Error::Refused(_)) => Value::Null,
                other => other?,
            };
            if let Some(email) = primary(&emails) {
                told.claims.insert("email".to_owned(), email.clone());
                told.verify(Some(&email), true);
            }
            told.alias("avatar_url", "picture");
            told.account(&client.settings)
        })
    }
}

/// The one address that is both primary and verified.
fn primary(emails: &Value) -> Option<Value> {
    let is = |email: &Value, name: &str| is_true(email.get(name));
    let mut found = emails.as_array()?.iter().filter(|email| is(email, "primary") && is(email, "verified"));
    found.next()?.get("email").cloned()
}

pub(super) fn endpoints() -> Endpoints {
    Endpoints {
        issuer: ISSUER.to_owned(),
        authorization: "https://github.com/login/oauth/authorize".to_owned(),
        token: "https://github.com/login/oauth/access_token".to_owned(),
        ..Endpoints::default()
    }
}
