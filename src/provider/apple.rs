//! Sign in with Apple ("Sign in with Apple REST API"): the answer is posted, the secret is signed, and the name comes
//! once, beside the id_token.

use serde_json::{Map, Value};

use super::oauth2::{Asking, Client, Dialect, Error, Grant};
use super::told::{Told, is_true_or_text};
use super::{Account, OAuth, openid};

/// What it calls itself.
pub(super) const ISSUER: &str = "https://appleid.apple.com";

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Apple;

impl Dialect for Apple {
    fn scopes(&self, _: &OAuth) -> Vec<String> {
        // `openid` is not documented, but makes the nonce be asked for and does no harm.
        ["openid", "email", "name"].map(str::to_owned).into()
    }

    fn account<'a>(&'a self, client: &'a Client, grant: &'a Grant) -> Asking<'a> {
        Box::pin(async move {
            let claims = client.identified(grant).await?;
            told(client, &grant.endpoints.issuer, claims, named(&grant.parameters))
        })
    }

    /// `{id_token}` of an app, with the app's bundle id as its audience.
    fn native<'a>(&'a self, client: &'a Client, credentials: &'a Map<String, Value>) -> Asking<'a> {
        Box::pin(async move {
            let issuer = client.discovery.endpoints().await?.issuer.clone();
            told(client, &issuer, client.shown(credentials).await?, Map::new())
        })
    }
}

fn told(
    client: &Client,
    issuer: &str,
    mut claims: Map<String, Value>,
    name: Map<String, Value>,
) -> Result<Account, Error> {
    let subject = openid::subject(&claims).unwrap_or_default();
    let email = claims.get("email").cloned();
    let verified = is_true_or_text(claims.get("email_verified"));
    claims.extend(name);
    let mut told = Told { issuer: issuer.to_owned(), subject, claims, excused: &NAMES, ..Told::default() };
    told.verify(email.as_ref(), verified);
    // Of the name it speaks once, and to apps not of the address either.
    Ok(Account { is_partial: true, ..told.account(&client.settings)? })
}

/// The name in the callback's `user`, at the first consent only. It is not signed: whoever signs in may say here
/// what they like, as on any form, and nothing but the name is read.
fn named(parameters: &Map<String, Value>) -> Map<String, Value> {
    let user = parameters.get("user").and_then(Value::as_str).filter(|user| user.len() <= LONGEST_USER);
    let user: Map<String, Value> = user.and_then(|user| serde_json::from_str(user).ok()).unwrap_or_default();
    let part = |key: &str| {
        let text = user.get("name").and_then(|name| name.get(key)).and_then(Value::as_str).unwrap_or_default().trim();
        text.chars().filter(|c| !c.is_control()).take(128).collect::<String>()
    };
    let (first, last) = (part("firstName"), part("lastName"));
    let whole = format!("{first} {last}").trim().to_owned();
    let all = [("first_name", first), ("last_name", last), ("name", whole)];
    all.into_iter().filter(|(_, text)| !text.is_empty()).map(|(key, text)| (key.to_owned(), text.into())).collect()
}

/// What it tells only at the first consent.
static NAMES: [&str; 3] = ["name", "first_name", "last_name"];
const LONGEST_USER: usize = 4096;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_what_comes_beside_the_token_only_a_name_is_read() {
        let read = |user: Value| Value::Object(named(json!({ "user": user }).as_object().unwrap()));
        let long = format!("{{\"name\":{{\"firstName\":\"{}\"}}}}", "x".repeat(4096));
        for (user, name) in [
            (
                json!(r#"{"name":{"firstName":"Ann","lastName":" Example "}}"#),
                json!({ "first_name": "Ann", "last_name": "Example", "name": "Ann Example" }),
            ),
            (
                json!(r#"{"name":{"firstName":"Änn\u0000"},"sub":"evil","email":"evil@example.com"}"#),
                json!({ "first_name": "Änn", "name": "Änn" }),
            ),
            (json!(r#"{"name":{"firstName":7,"lastName":null}}"#), json!({})),
            (json!(r#"{"name":"Ann"}"#), json!({})),
            (json!(r#"{"name":{"firstName":"Ann""#), json!({})),
            (json!("[]"), json!({})),
            (json!(""), json!({})),
            (json!({ "name": { "firstName": "Ann" } }), json!({})),
            (json!(long), json!({})),
        ] {
            assert_eq!(read(user.clone()), name, "{user}");
        }
        assert_eq!(named(&Map::new()), Map::new());
    }
}
