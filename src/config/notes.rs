//! Things that are no mistake but worth a look at every start.

use std::net::{IpAddr, Ipv4Addr};

use super::code::Code;
use super::fault::Fault;
use super::place::Place;
use super::reader::Reader;
use super::routes::Rules;
use super::{Config, crossing, listen};
use crate::listen::unix_path;
use crate::provider::Confirm;
use crate::route::{Action, Spec, Who};

/// Reports them as notes.
pub(super) fn find(r: &Reader<'_>, config: &Config, rules: &Rules) {
    open_to_all(r, rules);
    upstreams(r, config, rules);
    never_fulfilled(r, config, rules);
    let is_local = |place: &String| unix_path(place).is_some() || listen::is_loopback(place);
    if config.public_url.is_none() && !config.listen.addresses.iter().all(is_local) {
        let message = "others than this machine can come in, but `public_url` is not set: cookies and links are made \
                       for localhost";
        r.fault(Fault::new(Code::NoPublicUrl, message, r.place_of("listen")).help("add public_url = \"https://…\""));
    }
    unix_sockets(r, config);
    for (one, other, path) in crossing::find(rules.tables.specs.iter().map(|spec| spec.key.as_str())) {
        let message = format!("\"{one}\" and \"{other}\" both cover {path}");
        let place = rules.keys.get(other).cloned().unwrap_or(Place::Whole);
        let help = "the key that is more exact further to the left decides; a route for that path alone would say it";
        r.fault(Fault::new(Code::RoutesCross, message, place).help(help));
    }
    let covers_root = |spec: &&Spec| spec.key.split_once('/').is_some_and(|(_, path)| matches!(path, "" | "**"));
    if r.has("routes") && !rules.tables.specs.iter().any(|spec| covers_root(&spec)) {
        let message = "no route for \"/\", so the front page is refused";
        r.fault(
            Fault::new(Code::NoRootRoute, message, r.place_of("routes")).help("add \"/**\" = { all = \"signed_in\" }"),
        );
    }
}

fn unix_sockets(r: &Reader<'_>, config: &Config) {
    let places = &config.listen.addresses;
    if !places.iter().any(|place| unix_path(place).is_some()) {
        return;
    }
    let fault = |code, message, help| r.fault(Fault::new(code, message, r.place_of("listen")).help(help));
    if config.public_url.is_none() && places.iter().all(|place| unix_path(place).is_some()) {
        let message =
            "`public_url` is needed where only Unix sockets are listened on: cookies and links are made from it";
        fault(Code::Missing, message, "add public_url = \"https://…\", the address that visitors type");
    }
    let peer = IpAddr::from(Ipv4Addr::LOCALHOST);
    if !config.trusted_proxies.addresses.iter().any(|network| network.contains(&peer)) {
        let message = "the proxy on the Unix socket counts as 127.0.0.1, which is no trusted proxy";
        fault(Code::Disbelief, message, "add addresses = [\"127.0.0.1\"] to [trusted_proxies]");
    }
}

fn open_to_all(r: &Reader<'_>, rules: &Rules) {
    let open = |spec: &Spec| {
        let anyone =
            |action: Action| spec.actions.iter().any(|(named, whos)| *named == action && whos.contains(&Who::Anyone));
        spec.from.is_empty() && (anyone(Action::All) || anyone(Action::Read) && anyone(Action::Write))
    };
    let [first, ..] = rules.tables.specs.as_slice() else { return };
    if rules.tables.specs.iter().all(open) {
        let place = rules.keys.get(&first.key).cloned().unwrap_or(Place::Whole);
        r.fault(Fault::new(Code::OpenToAll, "everything is open to anyone: no route asks for an account", place));
    }
}

fn upstreams(r: &Reader<'_>, config: &Config, rules: &Rules) {
    if config.upstream.is_some() || rules.tables.in_process {
        return;
    }
    let without = rules.tables.specs.iter().find(|spec| spec.upstream.is_none());
    let place = match without {
        Some(spec) => rules.keys.get(&spec.key).cloned().unwrap_or(Place::Whole),
        None if rules.tables.specs.is_empty() => Place::Whole,
        None => return,
    };
    let message = "no `upstream`: requests are decided for other proxies, none can be forwarded here";
    r.fault(Fault::new(Code::NoUpstream, message, place).help("add upstream = \"http://127.0.0.1:3000\" at the top"));
}

fn never_fulfilled(r: &Reader<'_>, config: &Config, rules: &Rules) {
    let note = |message: &str, help: &str, of: fn(&Who) -> bool| {
        if let Some(place) = rules.named.places(of).next() {
            r.fault(Fault::new(Code::NeverFulfilled, message, place.clone()).help(help));
        }
    };
    if config.providers.anon_user.is_none() {
        note(
            "there are no guests, so \"guest\" lets in full accounts only",
            "add [providers.anon-user], or write \"signed_in\"",
            |who| *who == Who::Guest,
        );
    }
    if config.providers.local_userpass.as_ref().is_none_or(|local| local.confirm == Confirm::Automatic) {
        note(
            "no provider here verifies addresses, so this is never fulfilled",
            "confirm = \"mail\" in [providers.local-userpass] does",
            |who| matches!(who, Who::Email(_)),
        );
    }
}
