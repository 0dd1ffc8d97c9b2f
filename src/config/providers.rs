use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::code::Code;
use super::custom_token;
use super::fault::{Fault, Trouble};
use super::function;
use super::known::Kind;
use super::oauth;
use super::reader::Reader;
use super::suggest::nearest;
use super::value::{TEN_YEARS, no_such_word};
use crate::provider::{
    AnonUser, ApiKeys, Confirm, LocalUserpass, Other, Reset, Settings, SignUp, custom_function, custom_token as token,
};

/// `[providers]`: what is absent is off; without the table e-mail and password are on.
pub(super) fn read(r: &mut Reader<'_>, roles: Roles<'_>) -> Settings {
    let mut nothing_given = false;
    let doc = "Ways to sign in. What is absent is off; without this table there is local-userpass.";
    let given = r.has("providers");
    let mut settings = r.table("providers", doc, |r| {
        let settings = Settings {
            anon_user: r.optional("anon-user", "Guests: stored users without credentials.", anon_user),
            local_userpass: r.optional("local-userpass", "E-mail and password.", local_userpass),
            api_key: r.optional("api-key", "API keys: the operator's and the users' own.", api_key),
            on_user_created: r
                .optional("on_user_created", "A function that is told of new users, a moment later.", function::read)
                .flatten(),
            others: others(r, roles),
            ..Settings::default()
        };
        nothing_given = given && r.is_empty();
        settings
    });
    if let Some(embedded) = &r.reading.embedded {
        if !given {
            settings = super::default_providers();
        }
        let taken = names(&settings);
        embedded.join(&mut settings.others).filter(|name| taken.contains(name) || !is_name(name)).for_each(|name| {
            let message = format!("`{name}` cannot be the name of a provider of the program's own");
            let fault = Fault::new(Code::Conflict, message, r.place_of(name));
            r.fault(fault.help("1 to 64 letters, digits and - _, and no name that another one has"));
        });
    }
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
    read: fn(&mut Reader<'_>, Roles<'_>) -> Option<Other>,
}

const TYPES: &[Type] = &[
    Type { word: "oauth2-google", doc: "Accounts of Google.", read: oauth::google },
    Type { word: "oauth2-facebook", doc: "Accounts of Facebook.", read: oauth::facebook },
    Type { word: "oauth2-apple", doc: "Accounts of Apple.", read: oauth::apple },
    Type { word: "github", doc: "Accounts of GitHub.", read: oauth::github },
    Type { word: "microsoft", doc: "Accounts of Microsoft: Entra ID and personal ones.", read: oauth::microsoft },
    Type { word: "oidc", doc: "An OpenID provider, by discovery.", read: oauth::oidc },
    Type {
        word: token::KIND,
        doc: "Tokens that somebody else signed, as bearer on any request and to sign in.",
        read: |r, _| custom_token::read(r),
    },
    Type {
        word: custom_function::KIND,
        doc: "Custom logic decides about credentials: a webhook, or a function in JavaScript.",
        read: |r, _| function::read(r).map(Other::Function),
    },
];

/// The roles that are declared.
pub(super) type Roles<'a> = &'a BTreeSet<String>;

/// A name that is a type has that type; every other name says which one it is of.
fn others(r: &mut Reader<'_>, roles: Roles<'_>) -> BTreeMap<String, Other> {
    let mut found = BTreeMap::new();
    for kind in TYPES {
        let other = r.optional(kind.word, kind.doc, |r| (kind.read)(r, roles)).flatten();
        found.extend(other.map(|other| (kind.word.to_owned(), other)));
    }
    r.describe_any("A provider of any name, which says its type.", |r| {
        declare_type(r);
        TYPES.iter().for_each(|kind| drop((kind.read)(r, roles)));
    });
    for name in r.undeclared() {
        let Some(word) = r.text_in(&name, "type") else {
            untyped(r, &name);
            continue;
        };
        let Some(kind) = TYPES.iter().find(|kind| kind.word == word) else {
            let trouble = no_such_word("type", word, &TYPES.iter().map(|kind| kind.word).collect::<Vec<_>>());
            r.table(&name, "", |r| r.ignore(trouble));
            continue;
        };
        if !is_name(&name) {
            let message = format!("`{name}` cannot be the name of a provider: it is part of addresses");
            let fault = Fault::new(Code::Form, message, r.place_of(&name));
            r.fault(fault.help("1 to 64 letters, digits and - _"));
        }
        let other = r.table(&name, kind.doc, |r| {
            declare_type(r);
            (kind.read)(r, roles)
        });
        found.extend(other.map(|other| (name, other)));
    }
    found
}

/// A table that does not say its type. Its name may be a slip of one; else the keys of all types count as known.
fn untyped(r: &mut Reader<'_>, name: &str) {
    let ours = ["anon-user", "local-userpass", "api-key"].into_iter().chain(TYPES.iter().map(|kind| kind.word));
    if r.keys_of(name).is_empty() || nearest(name, ours).is_some() {
        return;
    }
    let union = super::known::all().iter().filter(|known| known.path.len() == 3 && known.path[1] == "*");
    let union: Vec<String> =
        union.filter(|known| known.path[0] == "providers").map(|known| known.name().to_owned()).collect();
    r.table(name, "", |r| {
        r.tolerate(&union);
        if !r.has_undeclared() {
            let message = format!("provider `{name}` does not say its type");
            r.fault(Fault::new(Code::Missing, message, r.place_of("type")).help("write type = \"oidc\""));
        }
    });
}

/// Whether an address of ours may hold it.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(plain)
}

const LONGEST_NAME: usize = 64;

fn declare_type(r: &mut Reader<'_>) {
    let words = TYPES.iter().map(|kind| kind.word).collect();
    r.take("type", Kind::Words(words), None, "The type of this provider, where its name is not one.");
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
    let confirm = [("mail", Confirm::Mail), ("automatic", Confirm::Automatic), ("function", Confirm::Function)];
    let reset = [("mail", Reset::Mail), ("function", Reset::Function)];
    let who = "Who may make an account: everybody, whom the operator sent a link, or nobody.";
    let how = "How a new address is proved: by a mail with a link and a code, as a function says, or not at all; \
               then it counts as unverified.";
    let confirm_function = "Decides about registrations: takes { token, tokenId, username }, returns { status }.";
    let reset_function = "Decides about new passwords: takes { username, password, … }, returns { status }.";
    let length = "The shortest password, in characters; the longest is 128.";
    let confirm_url = "A page of the app's own that confirmation links lead to; they carry token and tokenId.";
    let reset_url = "A page of the app's own that reset links lead to; they carry token and tokenId.";
    let threads = "Passwords hashed at the same time; 0 means one per core but one, at least one.";
    let settings = LocalUserpass {
        sign_up: r.word("sign_up", &sign_up, d.sign_up, who),
        confirm: r.word("confirm", &confirm, d.confirm, how),
        confirm_function: r.optional("confirm_function", confirm_function, function::read).flatten(),
        reset: r.word(
            "reset",
            &reset,
            d.reset,
            "What a new password without the old one needs: a mail, or a function's yes.",
        ),
        reset_function: r.optional("reset_function", reset_function, function::read).flatten(),
        min_length: r.count("min_length", d.min_length, 8..=128, length),
        link_lifetime: r.span("link_lifetime", d.link_lifetime, bounds(), "How long links in mails are good."),
        invite_lifetime: r.span("invite_lifetime", d.invite_lifetime, bounds(), "How long an invitation is good."),
        confirm_url: page_url(r, "confirm_url", confirm_url),
        reset_url: page_url(r, "reset_url", reset_url),
        hash_threads: r.count("hash_threads", d.hash_threads, 0..=256, threads),
    };
    function_goes_with(r, "confirm", settings.confirm == Confirm::Function);
    function_goes_with(r, "reset", settings.reset == Reset::Function);
    settings
}

/// `confirm = "function"` and `confirm_function` go together.
fn function_goes_with(r: &Reader<'_>, word: &str, decides: bool) {
    let key = format!("{word}_function");
    match (decides, r.has(&key)) {
        (true, false) => {
            let message = format!("`{word}` = \"function\" needs `{key}`");
            let help = format!("add {key} = {{ javascript = \"functions/{word}.js\" }}");
            r.fault(Fault::new(Code::Missing, message, r.place_of(word)).help(help));
        }
        (false, true) => {
            let message = format!("`{key}` is never asked");
            r.fault(Fault::new(Code::Conflict, message, r.place_of(&key)).help(format!("add {word} = \"function\"")));
        }
        _ => {}
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
