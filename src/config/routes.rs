use std::collections::BTreeMap;

use super::code::Code;
use super::fault::{Fault, Trouble};
use super::known::Kind;
use super::place::Place;
use super::reader::{Item, Reader};
use super::suggest::nearest;
use super::tree::Value;
use super::who::{Declared, Named};
use super::{Config, headers, policies, providers, proxies, route_key, unknown};
use crate::route::{Action, Case, Relax, Spec, Tables};
use crate::upstream;

/// The routes, and every who they and the policies name.
pub(super) struct Rules {
    pub(super) tables: Tables,
    pub(super) named: Named,
    /// Where each route's key stands.
    pub(super) keys: BTreeMap<String, Place>,
    /// Where each upstream of a route's own stands.
    pub(super) upstreams: Vec<(upstream::Address, Place)>,
}

/// `case`, `[policies]` and `[routes]`.
pub(super) fn read(r: &mut Reader<'_>, config: &Config) -> Rules {
    let names = policies::names(r);
    let declared = Declared {
        roles: &config.roles,
        policies: names.iter().map(String::as_str).collect(),
        providers: providers::names(&config.providers),
    };
    let cases = [("guard", Case::Guard), ("exact", Case::Exact)];
    let doc = "A path that only in lower case would fall on another route with another verdict is refused (\"guard\"), \
               or paths are compared as they are (\"exact\").";
    let case = r.word("case", &cases, Case::default(), doc);
    let mut named = Named::default();
    let policies = policies::read(r, &mut named, &declared);
    let (mut keys, mut upstreams) = (BTreeMap::new(), Vec::new());
    let doc = "What a route lets whom do. The most specific key wins; what no route names is refused. Without this \
               table everything needs a full account.";
    let about = "A path pattern, or a host and a path pattern: literal segments, * for one segment, ** at the end \
                 for the rest.";
    let specs = r.named("routes", doc, (Kind::Table, about), |item| {
        if let Some(fault) = item.node.and_then(|_| unknown::top_level(item.name, "routes")) {
            item.fault(fault);
            return None;
        }
        if let Some(node) = item.node.filter(|node| matches!(node.value, Value::Text(_) | Value::List(_))) {
            let message = format!("\"{}\" does not say for which action", item.name);
            let trouble =
                Trouble::new(Code::WrongKind, message).help(format!("write \"{}\" = {{ all = … }}", item.name));
            item.accept(node, Err::<(), _>(trouble));
            return None;
        }
        let (spec, place) = item.table(|r| (route(r, &item, &mut named, &declared), r.place_of("upstream")));
        upstreams.extend(spec.upstream.clone().map(|upstream| (upstream, place)));
        keys.insert(spec.key.clone(), item.place.clone());
        item.node.is_some().then_some(spec)
    });
    let mut specs = specs.unwrap_or_default();
    for spec in r.reading.embedded.iter().flat_map(|embedded| &embedded.routes) {
        brought_along(r, spec, &mut named);
        specs.push(spec.clone());
    }
    named.check(r.reading, &declared);
    let tables =
        Tables { specs, policies, case, upstream: config.upstream.clone(), in_process: r.reading.embedded.is_some() };
    for (key, trouble) in route_key::troubles(&tables, &config.hosts, &config.prefix) {
        r.fault(trouble.at(keys.get(&key).cloned().unwrap_or(Place::Whole)));
    }
    Rules { tables, named, keys, upstreams }
}

fn route(r: &mut Reader<'_>, item: &Item<'_>, named: &mut Named, declared: &Declared<'_>) -> Spec {
    let mut spec = Spec { key: item.name.to_owned(), ..Spec::default() };
    let found = actions(r, named, declared, &mut spec.actions);
    spec.upstream = upstream(r, "An upstream of its own.");
    let kind = Kind::List(Box::new(Kind::Text("10.0.0.0/8")));
    let from = r.list(
        "from",
        (kind, Some("[]".to_owned())),
        "Client networks that may come here; empty means all.",
        proxies::network,
    );
    if r.is_empty_list("from") {
        let message = "`from` is empty, which would let in everybody";
        r.fault(Fault::new(Code::Form, message, r.place_of("from")).help("name a network, or take the key out"));
    }
    spec.from = from.unwrap_or_default().into_iter().map(|(network, _)| network).collect();
    spec.allow_in_path = relax(r);
    spec.body = r.size_or_off("body", "The longest body of a request here; without it `limits.body`.");
    spec.audience =
        r.text("audience", "https://blog.example.com", "aud of the assertion; without it the public URL's origin.");
    let doc = "A header of this name carries the access token of the caller's provider to the app; without it no \
               token is kept.";
    spec.provider_token = r.parsed("provider_token", (Kind::Text("X-Provider-Token"), None), doc, headers::own_name);
    let is_table = item.node.is_some_and(|node| matches!(node.value, Value::Table(_)));
    // An unknown key is most likely the action, and says so itself.
    if is_table && !found && !r.has_undeclared() {
        item.fault(
            Trouble::new(Code::NoAction, "nobody could use this route")
                .help("write all = \"signed_in\", or read and write; all = \"nobody\" if that is meant"),
        );
    }
    spec
}

/// A route that the program says itself is held to the same as one of the file.
fn brought_along(r: &Reader<'_>, spec: &Spec, named: &mut Named) {
    if spec.actions.is_empty() {
        let message = format!("nobody could use the route \"{}\"", spec.key);
        let help = "say who may read, write or do all; nobody() if that is meant";
        r.fault(Fault::new(Code::NoAction, message, Place::Whole).help(help));
    }
    for who in spec.actions.iter().flat_map(|(_, whos)| whos) {
        named.note(who);
    }
}

/// Whether the file names any action, right or wrong.
fn actions(
    r: &mut Reader<'_>,
    named: &mut Named,
    declared: &Declared<'_>,
    actions: &mut Vec<(Action, Vec<crate::route::Who>)>,
) -> bool {
    let words = [
        (Action::Read, "read", "Who may GET and HEAD."),
        (Action::Write, "write", "Who may POST, PUT, PATCH and DELETE."),
        (Action::All, "all", "Who may use every method that the same route does not name more exactly."),
    ];
    let mut entries = Vec::new();
    for (action, word, doc) in words {
        entries.extend(r.take(word, Kind::Who, None, doc).map(|entry| (action, entry)));
    }
    let shouted = |key: &str| !key.is_empty() && key.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
    for entry in r.matching("METHOD", (Kind::Who, "Who may use exactly this method, in capitals."), shouted) {
        match entry.key.parse() {
            Ok(action) => entries.push((action, entry)),
            Err(error) => {
                let message = format!("`{}` is no action: {error}", entry.key);
                r.fault(
                    Fault::new(Code::Word, message, entry.place.clone()).help("CONNECT and TRACE are never forwarded"),
                );
            }
        }
    }
    let found = !entries.is_empty();
    for (action, entry) in entries {
        let whos = named.read(r.reading, &entry.key, &entry.node, declared);
        actions.extend(whos.map(|whos| (action, whos)));
    }
    found
}

/// `upstream`, at the top level or of a route.
pub(super) fn upstream(r: &mut Reader<'_>, doc: &'static str) -> Option<upstream::Address> {
    r.parsed("upstream", (Kind::Text("http://127.0.0.1:3000"), None), doc, |text| {
        text.parse().map_err(|error| {
            let trouble = Trouble::new(Code::Form, format!("`upstream`: {error}"));
            let bare = format!("http://{text}");
            let meant = error == upstream::AddressError::Scheme && bare.parse::<upstream::Address>().is_ok();
            if meant && !text.contains("://") { trouble.help(format!("did you mean \"{bare}\"?")) } else { trouble }
        })
    })
}

fn relax(r: &mut Reader<'_>) -> Vec<Relax> {
    let words: Vec<&'static str> = Relax::SPELLINGS.iter().map(|(word, _)| *word).collect();
    let kind = Kind::List(Box::new(Kind::Words(words.clone())));
    let doc = "What is taken in a path although it is not plain: \";\", \"//\", \"%2F\", \"%25\".";
    let list = r.list("allow_in_path", (kind, Some("[]".to_owned())), doc, |text| {
        Relax::SPELLINGS.iter().find(|(word, _)| *word == text).map(|(_, relax)| *relax).ok_or_else(|| {
            let trouble = Trouble::new(Code::Relax, format!("\"{text}\" cannot be allowed in a path"));
            let trouble = match nearest(text, words.iter().copied()).filter(|_| text.len() > 1) {
                Some(near) => trouble.help(format!("did you mean \"{near}\"?")),
                None => trouble,
            };
            trouble.help(format!("allowed values: {}", words.join(" ")))
        })
    });
    list.unwrap_or_default().into_iter().map(|(relax, _)| relax).collect()
}
