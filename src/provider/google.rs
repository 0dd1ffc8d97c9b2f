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
    let domain = told.domain.clone();
    let mut account = told.account(&client.settings)?;
    account.is_authoritative =
        account.verified_email.as_deref().is_some_and(|email| has_last_word(email, domain.as_deref()));
    Ok(account)
}

/// Whether Google hosts the address (Google Identity, "Verify the Google ID token on your server side"): elsewhere it
/// checked once who reads its mail, and that may have changed since.
fn has_last_word(email: &str, hosted: Option<&str>) -> bool {
    let Some((_, domain)) = email.rsplit_once('@') else { return false };
    domain.eq_ignore_ascii_case("gmail.com") || hosted.is_some_and(|hosted| domain.eq_ignore_ascii_case(hosted))
}

#[cfg(test)]
mod tests {
    use super::has_last_word;

    /// SEC-LINK-07
    #[test]
    fn sec_link_07_google_has_the_last_word_where_it_hosts_the_address() {
        assert!(has_last_word("ann@Gmail.com", None));
        assert!(has_last_word("ann@Corp.test", Some("corp.test")));
        for (email, hosted) in [
            ("ann@corp.test", None),
            ("ann@corp.test", Some("other.test")),
            ("ann@corp.test", Some("")),
            ("ann@evil-gmail.com", None),
            ("ann@gmail.com.evil.test", None),
            ("gmail.com", Some("gmail.com")),
        ] {
            assert!(!has_last_word(email, hosted), "{email} {hosted:?}");
        }
    }
}
