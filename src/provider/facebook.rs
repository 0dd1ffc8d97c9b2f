//! Facebook ("Manually build a login flow", "Securing Graph API requests", "Limited Login"): OAuth without OpenID
//! Connect in browsers, id_tokens in apps that ask for little.

use aws_lc_rs::hmac;
use oauth2::TokenResponse as _;
use serde_json::{Map, Value};
use url::Url;

use super::discovery::Endpoints;
use super::oauth2::{Asking, Client, Dialect, Error, Grant};
use super::told::{Told, is_true};
use super::{Account, OAuth, Proof, openid};

/// What it calls itself.
pub(super) const ISSUER: &str = "https://www.facebook.com";
/// The same, in tokens of Limited Login over the years.
pub(super) const ISSUERS: [&str; 3] = [ISSUER, "https://limited.facebook.com", "https://facebook.com"];

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Facebook;

impl Dialect for Facebook {
    fn scopes(&self, settings: &OAuth) -> Vec<String> {
        let mut scopes = vec!["public_profile".to_owned()];
        for (field, scope) in [
            ("email", "email"),
            ("gender", "user_gender"),
            ("birthday", "user_birthday"),
            ("min_age", "user_age_range"),
            ("max_age", "user_age_range"),
        ] {
            let wanted = settings.metadata.iter().any(|entry| entry.path == field);
            if wanted && !scopes.iter().any(|known| known == scope) {
                scopes.push(scope.to_owned());
            }
        }
        scopes
    }

    fn account<'a>(&'a self, client: &'a Client, grant: &'a Grant) -> Asking<'a> {
        Box::pin(by_access_token(client, grant.answer.access_token().secret()))
    }

    /// `{access_token}` of an app, or `{id_token}` of one that uses Limited Login.
    fn native<'a>(&'a self, client: &'a Client, credentials: &'a Map<String, Value>) -> Asking<'a> {
        Box::pin(async move {
            match credentials.get("access_token").and_then(Value::as_str) {
                Some(token) => by_access_token(client, token).await,
                None => limited(client, client.shown(credentials).await?),
            }
        })
    }
}

/// Whose access token it is: the debugger says for which app and account, the profile must be that account's.
async fn by_access_token(client: &Client, token: &str) -> Result<Account, Error> {
    let Proof::Secret(secret) = &client.settings.proof else {
        return Err(Error::Down("client_secret is not set".to_owned()));
    };
    let (app, graph) = (&client.settings.client_id, graph(client));
    // Exposed to Facebook, whose secret it is: the app's own access token.
    let own = format!("{app}|{}", secret.expose());
    let parameters = [("input_token", token), ("access_token", own.as_str())];
    let found = look(client, &format!("{graph}/debug_token"), &parameters).await?;
    let data = found.get("data").unwrap_or(&Value::Null);
    let text = |name: &str| data.get(name).and_then(Value::as_str);
    if !is_true(data.get("is_valid")) || text("type") != Some("USER") {
        return Err(Error::Refused("the access token is not good".to_owned()));
    }
    // A token of another app says nothing about who signs in here.
    if text("app_id") != Some(app) {
        return Err(Error::Refused("the access token is of another app".to_owned()));
    }
    let user = text("user_id").filter(|user| !user.is_empty());
    let user = user.ok_or_else(|| Error::Down("the debugger names nobody".to_owned()))?.to_owned();
    let proof = appsecret_proof(token, secret.expose());
    let fields = fields(&client.settings);
    let parameters = [("fields", fields.as_str()), ("access_token", token), ("appsecret_proof", proof.as_str())];
    let Value::Object(profile) = look(client, &format!("{graph}/me"), &parameters).await? else {
        return Err(Error::Down("the profile is no object".to_owned()));
    };
    if profile.get("id").and_then(Value::as_str) != Some(&user) {
        return Err(Error::Down("the profile is of another account".to_owned()));
    }
    told(client, user, profile)
}

/// Limited Login: the id_token is all there is.
fn limited(client: &Client, mut claims: Map<String, Value>) -> Result<Account, Error> {
    let user = openid::subject(&claims).unwrap_or_default();
    for (from, to) in [("given_name", "first_name"), ("family_name", "last_name")] {
        if let Some(value) = claims.remove(from) {
            claims.insert(to.to_owned(), value);
        }
    }
    // Browsers get more, by the profile.
    Ok(Account { is_partial: true, ..told(client, user, claims)? })
}

fn told(client: &Client, subject: String, mut claims: Map<String, Value>) -> Result<Account, Error> {
    if let Some(url) = claims.get("picture").and_then(|picture| picture.get("data")?.get("url")).cloned() {
        claims.insert("picture".to_owned(), url);
    }
    for (from, to) in [("min", "min_age"), ("max", "max_age")] {
        if let Some(age) = claims.get("age_range").and_then(|range| range.get(from)).cloned() {
            claims.insert(to.to_owned(), age);
        }
    }
    let issuer = client.settings.endpoints.issuer.clone().unwrap_or_else(|| ISSUER.to_owned());
    // It does not say whether an address was verified, so none is.
    Told { issuer, subject, claims, ..Told::default() }.account(&client.settings)
}

/// Asks the Graph, which documents its tokens as parameters.
async fn look(client: &Client, address: &str, parameters: &[(&str, &str)]) -> Result<Value, Error> {
    let unusable = |_| Error::Down("an address of Facebook cannot be built".to_owned());
    let url = Url::parse_with_params(address, parameters).map_err(unusable)?;
    client.ask(url.as_str(), None).await
}

fn graph(client: &Client) -> String {
    client.settings.endpoints.api.clone().unwrap_or_else(|| format!("https://graph.facebook.com/{VERSION}"))
}

/// What is asked of the profile: what the metadata names.
fn fields(settings: &OAuth) -> String {
    let known = ["name", "first_name", "last_name", "gender", "birthday", "email"];
    let wanted = |field: &str| settings.metadata.iter().any(|entry| entry.path == field);
    let mut fields = vec!["id"];
    fields.extend(known.into_iter().filter(|field| wanted(field)));
    if wanted("picture") {
        fields.push("picture.type(large)");
    }
    if wanted("min_age") || wanted("max_age") {
        fields.push("age_range");
    }
    fields.join(",")
}

/// HMAC-SHA256 of the access token under the app secret, in hexadecimal digits.
fn appsecret_proof(token: &str, secret: &str) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), token.as_bytes());
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn endpoints() -> Endpoints {
    Endpoints {
        issuer: ISSUER.to_owned(),
        authorization: format!("https://www.facebook.com/{VERSION}/dialog/oauth"),
        token: format!("https://graph.facebook.com/{VERSION}/oauth/access_token"),
        jwks: Some("https://limited.facebook.com/.well-known/oauth/openid/jwks/".to_owned()),
        ..Endpoints::default()
    }
}

const VERSION: &str = "v23.0";
