//! Any OpenID provider (OpenID Connect Core 1.0).

use super::oauth2::{Asking, Client, Dialect, Grant};
use super::told::{Told, is_true};
use super::{OAuth, openid};

/// What the standard says, and nothing else.
#[derive(Debug)]
pub(super) struct Oidc;

impl Dialect for Oidc {
    fn scopes(&self, _: &OAuth) -> Vec<String> {
        ["openid", "email", "profile"].map(str::to_owned).into()
    }

    fn account<'a>(&'a self, client: &'a Client, grant: &'a Grant) -> Asking<'a> {
        Box::pin(async move {
            let mut claims = client.identified(grant).await?;
            let subject = openid::subject(&claims).unwrap_or_default();
            let told = client.userinfo(grant, &subject).await?.unwrap_or_default();
            // An address and whether it was verified are one statement: never the one of here with the other of there.
            let (email, verified) = match claims.get("email") {
                Some(email) => (Some(email.clone()), is_true(claims.get("email_verified"))),
                None => {
                    claims.remove("email_verified");
                    (told.get("email").cloned(), is_true(told.get("email_verified")))
                }
            };
            for (name, value) in told {
                claims.entry(name).or_insert(value);
            }
            let mut told = Told { issuer: grant.endpoints.issuer.clone(), subject, claims, ..Told::default() };
            told.verify(email.as_ref(), verified);
            told.alias("given_name", "first_name");
            told.alias("family_name", "last_name");
            told.account(&client.settings)
        })
    }
}
