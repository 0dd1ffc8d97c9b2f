//! A visitor's way to an identity provider and back.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::idp::fields;
use super::site::PUBLIC_URL;
use super::{Client, FakeIdp, Reply, Site};

/// Secrets of the sites here.
pub const SECRETS: [&str; 2] = ["CORP_SECRET", "OTHER_SECRET"];

/// A site's `[providers.NAME]` of type `oidc` at this provider.
pub fn oidc(name: &str, idp: &FakeIdp, more: &str) -> String {
    let issuer = idp.issuer();
    format!(
        "[providers.{name}]\ntype = \"oidc\"\nissuer = \"{issuer}\"\nclient_id = \"app\"\n\
         client_secret = {{ env = \"CORP_SECRET\" }}\n{more}\n"
    )
}

/// A site with the secrets of its providers.
pub fn site(upstream: &super::RecordingUpstream, toml: &str) -> Site {
    SECRETS.iter().fold(Site::new(upstream, toml), |site, name| site.env(name, "a long way to the lighthouse"))
}

/// The start of a sign-in: where the provider is asked.
pub async fn out(client: &Client, provider: &str, rd: &str) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("rd", rd).finish();
    let reply = client.get(&format!("/.auth/login/{provider}?{query}")).navigate().await;
    reply.is(303);
    reply.location().to_owned()
}

/// The parameters of an address.
pub fn parameters(location: &str) -> BTreeMap<String, String> {
    fields(location.split_once('?').map_or("", |(_, query)| query))
}

/// What the provider sends back when its person consents: a target of the site, or a page with a form.
pub async fn consent(location: &str) -> Reply {
    let (origin, address, target) = taken_apart(location);
    Client::new(address, &origin).get(&target).navigate().await
}

/// The target of the callback that an address leads to.
pub fn callback(location: &str) -> String {
    let target = location.strip_prefix(PUBLIC_URL);
    target.unwrap_or_else(|| panic!("not back to us: {location}")).to_owned()
}

/// Comes back from the provider's site.
pub async fn back(client: &Client, target: &str) -> Reply {
    client.get(target).navigate().fetch("navigate", "document", "cross-site").await
}

/// All of it.
pub async fn sign_in(client: &Client, provider: &str, rd: &str) -> Reply {
    let location = out(client, provider, rd).await;
    let consented = consent(&location).await;
    back(client, &callback(consented.location())).await
}

/// The target with this parameter set, or taken away.
pub fn with(target: &str, name: &str, value: Option<&str>) -> String {
    let (path, query) = target.split_once('?').unwrap();
    let mut all = fields(query);
    match value {
        Some(value) => drop(all.insert(name.to_owned(), value.to_owned())),
        None => drop(all.remove(name)),
    }
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(all).finish();
    format!("{path}?{query}")
}

fn taken_apart(location: &str) -> (String, SocketAddr, String) {
    let url = url::Url::parse(location).unwrap();
    let address = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap()).parse().unwrap();
    let target = location.strip_prefix(&url.origin().ascii_serialization()).unwrap().to_owned();
    (url.origin().ascii_serialization(), address, target)
}
