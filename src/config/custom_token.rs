//! `[providers.custom-token]`: whose tokens are taken.

use std::time::Duration;

use http::Uri;

use super::code::Code;
use super::fault::{Fault, Trouble};
use super::known::Kind;
use super::metadata;
use super::place::Place;
use super::reader::Reader;
use super::tree::{Node, Value};
use super::value::{as_text, no_such_word, not_empty};
use crate::provider::Other;
use crate::provider::custom_token::{GivenKey, Keys, Material, Settings};
use crate::token::{Algorithm, Matching};

/// All of it.
pub(super) fn read(r: &mut Reader<'_>) -> Option<Other> {
    let kid = "Usable keys that the set may have; one with more is not taken at all.";
    let uri_doc = "Where the issuer publishes its keys; fetched when needed, kept for an hour.";
    let uri = r.parsed("jwks_uri", (Kind::Text("https://id.example.com/jwks"), None), uri_doc, address);
    uri.iter().for_each(|uri| r.asks("jwks_uri", uri));
    let most = r.count("max_keys", 3, 1..=64, kid);
    let algorithms = algorithms(r);
    let given = keys(r, algorithms.as_deref().unwrap_or_default());
    let issuer_doc = "The issuer of the tokens, exactly as they spell it (`iss`); without it any.";
    let issuer = r.text("issuer", "https://id.example.com/", issuer_doc);
    let audience = audience(r);
    let matching = [("all", Matching::All), ("any", Matching::Any)];
    let match_doc = "Whether a token has to name every audience or one of them.";
    let audience_match = r.word("audience_match", &matching, Matching::All, match_doc);
    let bounds = Duration::ZERO..=Duration::from_secs(60);
    let leeway = r.span("leeway", Duration::from_secs(30), bounds, "By how much the issuer's clock may be wrong.");
    let metadata = metadata::read(r, "metadata", None);
    let keys = one_source(r, uri, most, given)?;
    let settings = Settings {
        keys,
        algorithms: algorithms?,
        issuer,
        audience: audience?,
        audience_match,
        leeway,
        metadata: metadata.unwrap_or_default(),
    };
    note_any_audience(r, &settings);
    if let Err(error) = settings.check() {
        r.fault(Fault::new(Code::Conflict, error.to_string(), r.place_of("algorithms")));
        return None;
    }
    Some(Other::CustomToken(settings))
}

fn one_source(r: &Reader<'_>, uri: Option<Uri>, most: usize, given: Option<Vec<GivenKey>>) -> Option<Keys> {
    match (r.has("jwks_uri"), r.has("keys")) {
        (true, true) => {
            let message = "keys come from `jwks_uri` or stand in `keys`, not both";
            r.fault(Fault::new(Code::Conflict, message, r.place_of("keys")).help("remove one of them"));
            None
        }
        (false, false) => {
            let message = "custom-token needs `jwks_uri` or `keys`: whose signatures are taken";
            let help = "write jwks_uri = \"https://…\" or keys = [{ public_key = \"key.pem\" }]";
            r.fault(Fault::new(Code::Missing, message, r.place.clone()).help(help));
            None
        }
        (true, false) => uri.map(|uri| Keys::Published(uri, most)),
        (false, true) => given.map(Keys::Given),
    }
}

fn algorithms(r: &mut Reader<'_>) -> Option<Vec<Algorithm>> {
    let doc = "How tokens may be signed; shared secrets (HS…) and key pairs are never mixed.";
    let names: Vec<&'static str> = Algorithm::ALL.iter().map(|algorithm| algorithm.name()).collect();
    let kind = Kind::List(Box::new(Kind::Words(names.clone())));
    let found = r.list("algorithms", (kind, None), doc, |text| {
        Algorithm::parse(text).ok_or_else(|| no_such_word("algorithms", text, &names))
    });
    if !r.has("algorithms") || r.is_empty_list("algorithms") {
        let message = "`algorithms` says how tokens are signed: a token is not to choose it";
        r.fault(Fault::new(Code::Missing, message, r.place_of("algorithms")).help("write algorithms = [\"RS256\"]"));
        return None;
    }
    let found: Vec<_> = found?.into_iter().map(|(algorithm, _)| algorithm).collect();
    (!found.is_empty()).then_some(found)
}

/// SEC-JWT-08: a list that is empty is none that everybody is in.
fn audience(r: &mut Reader<'_>) -> Option<Vec<String>> {
    let doc = "For whom tokens have to be (`aud`), one or several; without it that is not looked at.";
    let kind = Kind::OneOrMany(Box::new(Kind::Text("app")));
    let names = r.list("audience", (kind, None), doc, |text| not_empty("audience", text).map(str::to_owned));
    if r.is_empty_list("audience") {
        let message = "`audience` lists nobody";
        r.fault(Fault::new(Code::Missing, message, r.place_of("audience")).help("name the app, or remove the key"));
        return None;
    }
    Some(names.unwrap_or_default().into_iter().map(|(name, _)| name).collect())
}

fn note_any_audience(r: &Reader<'_>, settings: &Settings) {
    if settings.audience.is_empty() && matches!(settings.keys, Keys::Published(..)) {
        let message = "no `audience`: tokens that the issuer made for other apps are taken, too";
        let help = "write audience = \"…\", the name of your app in `aud`";
        r.fault(Fault::new(Code::AnyAudience, message, r.place.clone()).help(help));
    }
}

/// At most three, each a secret or a public key.
fn keys(r: &mut Reader<'_>, algorithms: &[Algorithm]) -> Option<Vec<GivenKey>> {
    let doc = "Keys, three at most: { secret = { env = \"NAME\" } } or { public_key = \"key.pem\" }, each with a kid.";
    let entry = r.take("keys", Kind::List(Box::new(Kind::TokenKey)), None, doc)?;
    let place = &entry.node.place;
    let Value::List(items) = &entry.node.value else {
        r.reading.hide(place);
        let message = format!("`keys` needs a list, and this is {}", entry.node.value.name());
        let help = "write keys = [{ public_key = \"key.pem\" }]";
        r.fault(Fault::new(Code::WrongKind, message, place.clone()).help(help));
        return None;
    };
    // Each is looked at, however many: what is secret in it must not be shown.
    let keys: Vec<_> = items.iter().map(|item| key(r, item, algorithms)).collect();
    if !(1..=MOST_KEYS).contains(&keys.len()) {
        let message = format!("`keys` holds {} keys", keys.len());
        r.fault(Fault::new(Code::Range, message, place.clone()).help(format!("between 1 and {MOST_KEYS}")));
        return None;
    }
    keys.into_iter().collect()
}

fn key<'a>(r: &Reader<'a>, item: &'a Node, algorithms: &[Algorithm]) -> Option<GivenKey> {
    let fault = |code, message: &str, place: &Place| {
        let help = "write { secret = { env = \"NAME\" } } or { public_key = \"key.pem\" }";
        r.fault(Fault::new(code, message, place.clone()).help(help));
    };
    let Value::Table(table) = &item.value else {
        // It may be the secret itself.
        r.reading.hide(&item.place);
        fault(Code::WrongKind, "an entry of `keys` is a table", &item.place);
        return None;
    };
    let (mut kid, mut materials) = (None, Vec::new());
    for entry in &table.entries {
        let place = &entry.node.place;
        match entry.key.as_str() {
            "kid" => kid = Some(r.accept(place, as_text("kid", &entry.node).map(str::to_owned))?),
            "secret" => materials.push(Material::Secret(r.secret_in("secret", &entry.node)?)),
            "public_key" => materials.push(Material::Public(r.accept(place, public_key(r, &entry.node))?)),
            other => {
                r.reading.hide(place);
                r.accept(place, Err::<(), _>(no_such_word("keys", other, &["kid", "secret", "public_key"])))?;
            }
        }
    }
    let [material] = materials.as_slice() else {
        fault(Code::Missing, "an entry of `keys` has one of `secret` and `public_key`", &item.place);
        return None;
    };
    let key = GivenKey { kid, material: material.clone() };
    if let Err(error) = key.read(algorithms).map(drop)
        && !algorithms.is_empty()
    {
        r.fault(Fault::new(Code::Form, format!("this key cannot be used: {error}"), item.place.clone()));
        return None;
    }
    Some(key)
}

/// The text of a PEM file.
fn public_key(r: &Reader<'_>, node: &Node) -> Result<String, Trouble> {
    let path = r.reading.resolve(not_empty("public_key", as_text("public_key", node)?)?);
    std::fs::read_to_string(&path).map_err(|error| {
        Trouble::new(Code::Form, format!("cannot read {}: {error}", path.display()))
            .help("a relative path begins at the folder of this file")
    })
}

fn address(text: &str) -> Result<Uri, Trouble> {
    let form = || Trouble::new(Code::Form, "`jwks_uri` is not an address such as https://id.example.com/jwks");
    let url = url::Url::parse(text).map_err(|_| form())?;
    if !matches!(url.scheme(), "https" | "http") || url.host().is_none() || url.fragment().is_some() {
        return Err(form());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Trouble::new(Code::SecretLiteral, "`jwks_uri` holds an account; keys are public"));
    }
    url.as_str().parse().map_err(|_| form())
}

const MOST_KEYS: usize = 3;
