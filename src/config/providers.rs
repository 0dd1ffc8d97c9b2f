use std::collections::BTreeMap;
use std::time::Duration;

use super::code::Code;
use super::fault::{Fault, Trouble};
use super::known::Kind;
use super::reader::Reader;
use super::value::TEN_YEARS;
use crate::provider::{AnonUser, ApiKeys, Confirm, LocalUserpass, Other, Settings, SignUp};

/// `[providers]`: what is absent is off; without the table e-mail and password are on.
pub(super) fn read(r: &mut Reader<'_>) -> Settings {
    let mut nothing_given = false;
    let doc = "Ways to sign in. What is absent is off; without this table there is local-userpass.";
    let given = r.has("providers");
    let settings = r.table("providers", doc, |r| {
        let settings = Settings {
            anon_user: r.optional("anon-user", "Guests: stored users without credentials.", anon_user),
            local_userpass: r.optional("local-userpass", "E-mail and password.", local_userpass),
            api_key: r.optional("api-key", "API keys: the operator's and the users' own.", api_key),
            others: others(r),
            ..Settings::default()
        };
        nothing_given = given && !r.has_undeclared();
        settings
    });
    if settings != Settings::default() {
        return settings;
    }
    if nothing_given {
        let message = "`providers` switches nothing on, so nobody could sign in";
        r.fault(Fault::new(Code::Missing, message, r.place_of("providers")).help("add [providers.local-userpass]"));
    }
    super::default_providers()
}

/// A type of provider whose accounts are somebody else's: its word, what it is, and how it is read.
struct Type {
    word: &'static str,
    doc: &'static str,
    read: fn(&mut Reader<'_>) -> Option<Other>,
}

const TYPES: &[Type] = &[];

/// A name that is a type has that type; every other name says which one it is of.
fn others(r: &mut Reader<'_>) -> BTreeMap<String, Other> {
    let mut found = BTreeMap::new();
    for kind in TYPES {
        let other = r.optional(kind.word, kind.doc, |r| (kind.read)(r)).flatten();
        found.extend(other.map(|other| (kind.word.to_owned(), other)));
    }
    for name in r.undeclared() {
        let Some(word) = r.text_in(&name, "type") else { continue };
        let Some(kind) = TYPES.iter().find(|kind| kind.word == word) else { continue };
        let other = r.table(&name, kind.doc, |r| {
            r.take("type", Kind::Text("oidc"), None, "The type of this provider.");
            (kind.read)(r)
        });
        found.extend(other.map(|other| (name, other)));
    }
    found
}

/// The names that rules may give after `provider:`.
pub(super) fn names(settings: &Settings) -> Vec<String> {
    let all = [
        ("anon-user", settings.anon_user.is_some()),
        ("local-userpass", settings.local_userpass.is_some()),
        ("api-key", settings.api_key.is_some()),
    ];
    let ours = all.into_iter().filter(|(_, on)| *on).map(|(name, _)| name.to_owned());
    ours.chain(settings.others.keys().cloned()).collect()
}

fn anon_user(r: &mut Reader<'_>) -> AnonUser {
    let d = AnonUser::default();
    let bounds = Duration::from_hours(1)..=TEN_YEARS;
    AnonUser { lifetime: r.span("lifetime", d.lifetime, bounds, "A guest that is not seen for so long is removed.") }
}

fn local_userpass(r: &mut Reader<'_>) -> LocalUserpass {
    let d = LocalUserpass::default();
    let bounds = || Duration::from_mins(1)..=Duration::from_hours(365 * 24);
    let sign_up = [("open", SignUp::Open), ("invite", SignUp::Invite), ("closed", SignUp::Closed)];
    let confirm = [("mail", Confirm::Mail), ("automatic", Confirm::Automatic)];
    let who = "Who may make an account: everybody, whom the operator sent a link, or nobody.";
    let how = "How a new address is proved: by a mail with a link and a code, or not at all; then it counts as \
               unverified.";
    let length = "The shortest password, in characters; the longest is 128.";
    let confirm_url = "A page of the app's own that confirmation links lead to; they carry token and tokenId.";
    let reset_url = "A page of the app's own that reset links lead to; they carry token and tokenId.";
    let threads = "Passwords hashed at the same time; 0 means one per core but one, at least one.";
    LocalUserpass {
        sign_up: r.word("sign_up", &sign_up, d.sign_up, who),
        confirm: r.word("confirm", &confirm, d.confirm, how),
        min_length: r.count("min_length", d.min_length, 8..=128, length),
        link_lifetime: r.span("link_lifetime", d.link_lifetime, bounds(), "How long links in mails are good."),
        invite_lifetime: r.span("invite_lifetime", d.invite_lifetime, bounds(), "How long an invitation is good."),
        confirm_url: page_url(r, "confirm_url", confirm_url),
        reset_url: page_url(r, "reset_url", reset_url),
        hash_threads: r.count("hash_threads", d.hash_threads, 0..=256, threads),
    }
}

fn api_key(r: &mut Reader<'_>) -> ApiKeys {
    let d = ApiKeys::default();
    ApiKeys {
        user_keys: r.count(
            "user_keys",
            d.user_keys,
            0..=1000,
            "How many keys a user may make on the account page; 0 lets nobody.",
        ),
        max_lifetime: r.span_or_off(
            "max_lifetime",
            Duration::from_hours(1)..=TEN_YEARS,
            "The longest life a user may give a key, or \"off\": no limit.",
        ),
    }
}

/// An address of a page: https, or http on this machine.
pub(super) fn page_url(r: &mut Reader<'_>, key: &str, doc: &'static str) -> Option<String> {
    r.parsed(key, (Kind::Text("https://app.example.com/page"), None), doc, |text| {
        let form =
            || Trouble::new(Code::Form, format!("`{key}` is not an address such as https://app.example.com/page"));
        let url = url::Url::parse(text).map_err(|_| form())?;
        if !matches!(url.scheme(), "https" | "http") || url.host().is_none() || !url.username().is_empty() {
            return Err(form());
        }
        if url.scheme() == "http" && !super::origins::is_loopback(&url) {
            let message = format!("`{key}` would carry its link in the clear");
            return Err(Trouble::new(Code::Insecure, message).help("use https; plain http is only for localhost"));
        }
        Ok(text.to_owned())
    })
}
