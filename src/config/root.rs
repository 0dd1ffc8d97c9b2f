//! The file as a whole: every section, in the order of the reference.

use std::collections::BTreeSet;

use super::code::Code;
use super::fault::Trouble;
use super::known::Kind;
use super::place::Place;
use super::reader::Reader;
use super::value::no_such_word;
use super::{
    Config, admin, app_services, cluster, function, headers, limits, listen, loops, mail, notes, observe, origins,
    outgoing, pages, providers, proxies, routes, session, store, tls, upstreams,
};
use crate::account::linking::Policy;
use crate::account::password::Cost;
use crate::layer::Alias;
use crate::route::Tables;

/// Reads all of it. What is faulty has been reported and is at its default.
pub(super) fn read(r: &mut Reader<'_>) -> Config {
    let doc = "The app behind: http://host:port, https://host:port, h2c://host:port (HTTP/2, for gRPC) or \
               unix:/path/to/socket. A route may have one of its own.";
    let limits = "How often and how much; what is beyond is 429, 413, 431 or cut off.";
    let mut config = Config {
        public_url: origins::public_url(r),
        listen: listen::read(r),
        upstream: routes::upstream(r, doc),
        upstreams: upstreams::read(r),
        prefix: origins::prefix(r),
        aliases: aliases(r),
        roles: roles(r),
        return_to: origins::return_to(r),
        hosts: origins::hosts(r),
        underscore_headers: headers::underscores(r),
        trusted_proxies: r.table("trusted_proxies", "Proxies before this one.", proxies::read),
        store: r.table("store", "Where users and sessions live.", store::read),
        cluster: r.table("cluster", "What several instances share besides the store.", cluster::read),
        session: r.table("session", "How long sign-ins last.", session::read),
        functions: r.table("functions", "How far functions in JavaScript may go.", function::limits),
        limits: r.table("limits", limits, limits::read),
        identity_headers: r.table("identity_headers", "What the app behind receives about who asks.", headers::read),
        mail: r.table("mail", "How mails are sent.", mail::read),
        outgoing: r.table(
            "outgoing",
            "Requests that Vestibule makes itself: to providers and webhooks.",
            outgoing::read,
        ),
        pages: r.table("pages", "How our pages look.", pages::read),
        admin: r.optional("admin", "The operator's listener; off without this section.", admin::read),
        app_services: None,
        observe: r.table("observe", "What can be seen from outside.", observe::read),
        providers: crate::provider::Settings::default(),
        routes: Tables::default(),
        hash_cost: Cost::Live,
        notes: Vec::new(),
        absent: BTreeSet::new(),
    };
    let embedded = r.reading.embedded.as_ref();
    for role in embedded.into_iter().flat_map(|embedded| embedded.roles.clone()) {
        match role_name(&role) {
            Ok(role) => drop(config.roles.insert(role)),
            Err(trouble) => r.fault(trouble.at(Place::Whole)),
        }
    }
    config.providers = providers::read(r, &config.roles);
    config.providers.linking = r.table("linking", "How a user gets several ways to sign in.", linking);
    config.app_services = app_services::read(r, &config.providers);
    config.mail.languages.clone_from(&config.pages.languages.0);
    tls::complete(r, &mut config);
    let rules = routes::read(r, &config);
    upstreams::check(r, &config, &rules.tables);
    loops::check(r, &config, &rules.tables, &rules.upstreams);
    config.providers.keep_tokens = rules.tables.specs.iter().any(|spec| spec.provider_token.is_some());
    notes::find(r, &config, &rules);
    outgoing::check(r, &config.outgoing);
    config.routes = rules.tables;
    config
}

fn aliases(r: &mut Reader<'_>) -> Vec<Alias> {
    const WORDS: [(&str, Alias); 3] =
        [("oauth2-proxy", Alias::Oauth2Proxy), ("authelia", Alias::Authelia), ("envoy", Alias::Envoy)];
    let kind = Kind::List(Box::new(Kind::Words(WORDS.map(|(word, _)| word).to_vec())));
    let doc = "Whose endpoint names are answered, too: \"oauth2-proxy\" (/oauth2/…), \"authelia\" (/api/verify, \
               /api/authz/…), \"envoy\" (ext_authz over gRPC). No app gets requests for these paths then.";
    let all = r.list("aliases", (kind, Some("[]".to_owned())), doc, |text| {
        let found = WORDS.iter().find(|(word, _)| *word == text).map(|(_, alias)| *alias);
        found.ok_or_else(|| no_such_word("aliases", text, &WORDS.map(|(word, _)| word)))
    });
    all.unwrap_or_default().into_iter().map(|(alias, _)| alias).collect()
}

fn linking(r: &mut Reader<'_>) -> Policy {
    let policies = [("ask", Policy::Ask), ("verified_email", Policy::VerifiedEmail), ("never", Policy::Never)];
    let doc = "ask: whoever is signed in may add an account that is proved, too. verified_email: and a sign-in whose \
               provider has the last word about its address goes to the account that has proved it. never: each is a \
               user of its own.";
    r.word("policy", &policies, Policy::default(), doc)
}

fn roles(r: &mut Reader<'_>) -> BTreeSet<String> {
    let kind = Kind::List(Box::new(Kind::Text("journalist")));
    let doc = "Roles an account may have; declared here once, so that a typo in a rule is an error.";
    let roles = r.list("roles", (kind, Some("[]".to_owned())), doc, role_name);
    roles.unwrap_or_default().into_iter().map(|(role, _)| role).collect()
}

fn role_name(text: &str) -> Result<String, Trouble> {
    // Roles travel in a header, joined with commas.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '@');
    if !text.is_empty() && text.len() <= 64 && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    let message = format!("\"{text}\" cannot be the name of a role");
    Err(Trouble::new(Code::Form, message).help("1 to 64 letters, digits and - _ . / : @"))
}
