//! The file as a whole: every section, in the order of the reference.

use std::collections::BTreeSet;

use super::code::Code;
use super::fault::Trouble;
use super::known::Kind;
use super::reader::Reader;
use super::routes::Around;
use super::{
    Config, headers, limits, listen, mail, notes, observe, origins, pages, providers, proxies, routes, session, store,
};

/// Reads all of it. What is faulty has been reported and is at its default.
pub(super) fn read(r: &mut Reader<'_>) -> Config {
    let public_url = origins::public_url(r);
    let listen = listen::read(r);
    let doc = "The app behind: http://host:port or unix:/path/to/socket. A route may have one of its own.";
    let upstream = routes::upstream(r, doc);
    let prefix = origins::prefix(r);
    let roles = roles(r);
    let return_to = origins::return_to(r);
    let hosts = origins::hosts(r);
    let underscore_headers = headers::underscores(r);
    let trusted_proxies = r.table("trusted_proxies", "Proxies before this one.", proxies::read);
    let store = r.table("store", "Where users and sessions live.", store::read);
    let session = r.table("session", "How long sign-ins last.", session::read);
    let limits = r.table("limits", "How often and how much; what is beyond is 429, 413, 431 or cut off.", limits::read);
    let identity_headers = r.table("identity_headers", "What the app behind receives about who asks.", headers::read);
    let mail = r.table("mail", "How mails are sent.", mail::read);
    let pages = r.table("pages", "How our pages look.", pages::read);
    let observe = r.table("observe", "What can be seen from outside.", observe::read);
    let providers = providers::read(r);
    let around = Around {
        roles: &roles,
        providers: providers::names(&providers),
        upstream: upstream.clone(),
        hosts: &hosts,
        prefix: &prefix,
    };
    let rules = routes::read(r, &around);
    let config = Config {
        routes: rules.tables.clone(),
        public_url,
        listen,
        upstream,
        prefix,
        roles,
        return_to,
        hosts,
        underscore_headers,
        trusted_proxies,
        store,
        session,
        limits,
        identity_headers,
        mail,
        pages,
        observe,
        providers,
        notes: Vec::new(),
    };
    notes::find(r, &config, &rules);
    config
}

fn roles(r: &mut Reader<'_>) -> BTreeSet<String> {
    let kind = Kind::List(Box::new(Kind::Text("journalist")));
    let doc = "Roles an account may have; declared here once, so that a typo in a rule is an error.";
    let roles = r.list("roles", (kind, Some("[]".to_owned())), doc, |text| {
        // Roles travel in a header, joined with commas.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '@');
        if !text.is_empty() && text.len() <= 64 && text.chars().all(plain) {
            return Ok(text.to_owned());
        }
        let message = format!("\"{text}\" cannot be the name of a role");
        Err(Trouble::new(Code::Form, message).help("1 to 64 letters, digits and - _ . / : @"))
    });
    roles.unwrap_or_default().into_iter().map(|(role, _)| role).collect()
}
