//! Google: OpenID Connect with ways of its own (Google Identity, "OpenID Connect" and "Verify the Google ID token on
//! your server side").

use serde_json::{Map, Value};

use super::oauth2::{Asking, Client, Dialect, Error, Grant};
use super::told::{Told, is_true_or_text};
use super::{Account, OAuth, openid};

/// What it calls itself.
pub(super) const ISSUER: &str = "https://accounts.google.com";

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Google;

impl Dialect for Google {
    fn scopes(&self, _: &OAuth) -> Vec<String> {
        ["openid", "email", "profile"].map(str::to_owned).into()
    }

    fn account<'a>(&'a self, client: &'a Client, grant: &'a Grant) -> Asking<'a> {
        Box::pin(async move { told(client, &grant.endpoints.issuer, client.identified(grant).await?) })
    }

    /// `{id_token}` of One Tap or an app, or `{code}`: what an app gets as server auth code.
    fn native<'a>(&'a self, client: &'a Client, credentials: &'a Map<String, Value>) -> Asking<'a> {
        Box::pin(async move {
            let text = |name: &str| credentials.get(name).and_then(Value::as_str);
            let endpoints = client.discovery.endpoints().await?;
            let Some(code) = text("code") else {
                return told(client, &endpoints.issuer, client.shown(credentials).await?);
            };
            // Codes of apps have no redirect address, those of Google's script in pages have this word.
            let redirect_uri = text("redirect_uri").unwrap_or_default();
            if !matches!(redirect_uri, "" | "postmessage") {
                return Err(Error::Refused("the code is for an address that is not taken here".to_owned()));
            }
            let answer = client.exchange(&endpoints, code, redirect_uri, text("code_verifier")).await?;
            client.account(Grant { endpoints, answer, nonce: None, parameters: Map::new() }).await
        })
    }
}

fn told(client: &Client, issuer: &str, claims: Map<String, Value>) -> Result<Account, Error> {
    let subject = openid::subject(&claims).unwrap_or_default();
    let mut told = Told { issuer: issuer.to_owned(), subject, claims, ..Told::default() };
    let email = told.claims.get("email").cloned();
    let verified = is_true_or_text(told.claims.get("email_verified"));
    told.verify(email.as_ref(), verified);
    // Whose domain it is says `hd` alone: an address with that suffix may be a private account (SEC-LINK-07).
    told.domain = told.claims.get("hd").and_then(Value::as_str).filter(|hd| !hd.is_empty()).map(str::to_owned);
    told.alias("given_name", "first_name");
    told.alias("family_name", "last_name");
    told.account(&client.settings)
}
