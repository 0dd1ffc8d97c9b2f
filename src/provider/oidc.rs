//! Any OpenID provider (OpenID Connect Core 1.0).

use serde_json::{Map, Value};

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
            let claims = client.identified(grant).await?;
            let subject = openid::subject(&claims).unwrap_or_default();
            let told = client.userinfo(grant, &subject).await?.unwrap_or_default();
            let claims = together(claims, told);
            let (email, verified) = (claims.get("email").cloned(), is_true(claims.get("email_verified")));
            let mut told = Told { issuer: grant.endpoints.issuer.clone(), subject, claims, ..Told::default() };
            told.verify(email.as_ref(), verified);
            told.alias("given_name", "first_name");
            told.alias("family_name", "last_name");
            told.account(&client.settings)
        })
    }
}

/// What both say, the id_token first. An address and whether it was verified are one statement: never the one of here
/// with the other of there.
fn together(mut claims: Map<String, Value>, mut told: Map<String, Value>) -> Map<String, Value> {
    match claims.get("email") {
        None => drop(claims.remove("email_verified")),
        // Core 1.0 §5.4 leaves it to userinfo, and some (Okta) put the address alone into the id_token.
        Some(email) if told.get("email") == Some(email) => {}
        Some(_) => drop(told.remove("email_verified")),
    }
    for (name, value) in told {
        claims.entry(name).or_insert(value);
    }
    claims
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{is_true, together};

    #[test]
    fn sec_link_06_whoever_names_an_address_says_whether_it_was_verified() {
        let (ann, eve) = (json!("ann@example.com"), json!("eve@example.com"));
        for (claims, told, verified) in [
            (json!({ "email": ann, "email_verified": true }), json!({}), true),
            (json!({}), json!({ "email": ann, "email_verified": true }), true),
            (json!({ "email": ann }), json!({ "email": ann, "email_verified": true }), true),
            (json!({ "email": ann }), json!({ "email": ann, "email_verified": false }), false),
            (json!({ "email": ann }), json!({ "email": ann }), false),
            (json!({ "email": ann }), json!({ "email": eve, "email_verified": true }), false),
            (json!({ "email": ann }), json!({ "email_verified": true }), false),
            (json!({ "email": ann, "email_verified": false }), json!({ "email": ann, "email_verified": true }), false),
            (json!({ "email": ann, "email_verified": null }), json!({ "email": ann, "email_verified": true }), false),
            (json!({ "email_verified": true }), json!({ "email": ann }), false),
        ] {
            let all = together(claims.as_object().unwrap().clone(), told.as_object().unwrap().clone());
            assert_eq!((&all["email"], is_true(all.get("email_verified"))), (&ann, verified), "{claims} {told}");
        }
    }
}
