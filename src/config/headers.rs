use std::collections::BTreeMap;
use std::str::FromStr as _;

use http::HeaderName;

use super::code::Code;
use super::fault::Trouble;
use super::known::Kind;
use super::reader::{Item, Reader};
use super::suggest::nearest;
use super::value::as_text;
use crate::layer::{IdentityHeaders, Preset, Source, UnderscoreHeaders};

/// Names that mean something to proxies, servers or browsers; an identity under them would break or fool these.
const RESERVED: [&str; 17] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-request-id",
];

/// `[identity_headers]`.
pub(super) fn read(r: &mut Reader<'_>) -> IdentityHeaders {
    let presets = [
        ("x-auth", Preset::XAuth),
        ("x-auth-request", Preset::XAuthRequest),
        ("remote", Preset::Remote),
        ("none", Preset::None),
    ];
    let preset = r.word(
        "preset",
        &presets,
        Preset::default(),
        "Under which names the app learns who asks: X-Auth-User and its kin, oauth2-proxy's X-Auth-Request-User, \
         Authelia's Remote-User, or only those of `set`.",
    );
    let about = "What the header of this name carries: id, kind, provider, email, name, roles, data.FIELD or \
                 custom_data.FIELD.";
    let mut folded = BTreeMap::new();
    let set = r.named("set", "Further headers of your own.", (Kind::Text("data.tenant"), about), |item| {
        let name = name(&item, &mut folded);
        let source = item.node.and_then(|node| item.accept(node, as_text(item.name, node).and_then(source)));
        Some((name?, source?))
    });
    let mut set = set.unwrap_or_default();
    set.sort_by(|one, other| one.0.as_str().cmp(other.0.as_str()));
    IdentityHeaders { preset, set }
}

/// `underscore_headers`.
pub(super) fn underscores(r: &mut Reader<'_>) -> UnderscoreHeaders {
    let words = [("drop", UnderscoreHeaders::Drop), ("keep", UnderscoreHeaders::Keep)];
    let doc = "What becomes of header fields with _ in their name; many apps cannot tell X_User from X-User. \
               \"keep\" keeps those that no identity header folds to.";
    r.word("underscore_headers", &words, UnderscoreHeaders::default(), doc)
}

fn name(item: &Item<'_>, folded: &mut BTreeMap<String, String>) -> Option<HeaderName> {
    item.node?;
    let name = own_name(item.name).map_err(|trouble| item.fault(trouble)).ok()?;
    // An app that folds names must not find two values where we wrote one each.
    if let Some(other) = folded.insert(fold(&name), item.name.to_owned()) {
        let message = format!("`{}` and `{other}` are the same name to many apps", item.name);
        item.fault(Trouble::new(Code::Conflict, message));
        return None;
    }
    Some(name)
}

/// The name of a header of the operator's own, which means nothing else to anybody.
pub(super) fn own_name(text: &str) -> Result<HeaderName, Trouble> {
    let lower = text.to_ascii_lowercase();
    let Ok(name) = HeaderName::from_str(&lower) else {
        return Err(Trouble::new(Code::Form, format!("`{text}` is not the name of a header")));
    };
    if RESERVED.contains(&lower.as_str()) || lower.starts_with("x-forwarded-") || lower.starts_with("sec-") {
        let message = format!("`{text}` means something else to proxies or browsers");
        return Err(Trouble::new(Code::Form, message).help("take a name of your own, such as \"X-Tenant\""));
    }
    let fold = fold(&name);
    if fold.starts_with("xauth") || fold.starts_with("remoteuser") {
        return Err(Trouble::new(Code::Conflict, format!("`{text}` reads like a header of ours")));
    }
    Ok(name)
}

/// A name as an app reads it that takes letters and digits alone for its parts.
fn fold(name: &HeaderName) -> String {
    name.as_str().chars().filter(char::is_ascii_alphanumeric).collect()
}

fn source(text: &str) -> Result<Source, Trouble> {
    text.parse().map_err(|error| {
        let trouble = Trouble::new(Code::Word, format!("\"{text}\": {error}"));
        let (word, rest) =
            text.split_once('.').map_or((text.to_owned(), ""), |(word, rest)| (format!("{word}."), rest));
        match nearest(&word, Source::WORDS) {
            Some(near) => trouble.help(format!("did you mean \"{near}{rest}\"?")),
            None => trouble,
        }
    })
}
