use super::code::Code;
use super::fault::{Fault, Trouble};
use super::known::Kind;
use super::listen::address;
use super::reader::Reader;
use crate::admin::{AppIds, Settings};
use crate::id::UserId;

/// `[admin]`.
pub(super) fn read(r: &mut Reader<'_>) -> Settings {
    let d = Settings::default();
    let kind = Kind::OneOrMany(Box::new(Kind::Text("127.0.0.1:9090")));
    let doc = "Where probes, figures and the operator's API are: one host:port or a list of them, in the clear.";
    let addresses = r.list("listen", (kind, Some("\"127.0.0.1:9090\"".to_owned())), doc, address);
    let addresses: Option<Vec<String>> = addresses.map(|all| all.into_iter().map(|(address, _)| address).collect());
    if addresses.as_ref().is_some_and(Vec::is_empty) && r.is_empty_list("listen") {
        let message = "`listen` is empty; without [admin] there is no such listener";
        r.fault(Fault::new(Code::Missing, message, r.place_of("listen")));
    }
    let doc = "What operators send as Bearer or as the password of Basic; of a list each counts. Without it only probes \
               and operators' keys (`keys create NAME --operator`) are answered.";
    let tokens = r.secrets("token", doc).unwrap_or_default();
    // Looked at for its length alone. Nothing counts wrong tokens: a good one is beyond guessing.
    if tokens.iter().any(|token| token.expose().len() < SHORTEST) {
        let fault = Fault::new(Code::SecretWeak, "`token` is shorter than 20 characters", r.place_of("token"));
        r.fault(fault.help("make one: openssl rand -base64 32"));
    }
    let doc = "The App Services Admin API at /api/admin/v3.0, by the ids that scripts have in their paths.";
    let app = r.optional("app_services", doc, |r| {
        let group = id(r, "group_id", "The project's id, 24 hexadecimal digits; other paths are 404.");
        let app = id(r, "app_id", "The app's internal id, 24 hexadecimal digits; other paths are 404.");
        for name in ["group_id", "app_id"] {
            if !r.has(name) {
                r.fault(Fault::new(Code::Missing, format!("`app_services` needs `{name}`"), r.place.clone()));
            }
        }
        Some(AppIds { group: group?, app: app? })
    });
    Settings { addresses: addresses.unwrap_or(d.addresses), tokens, app: app.flatten() }
}

fn id(r: &mut Reader<'_>, key: &str, doc: &'static str) -> Option<UserId> {
    r.parsed(key, (Kind::Text("64f1c2a49d3b7e0012345678"), None), doc, |text| {
        text.parse().map_err(|_| Trouble::new(Code::Form, format!("`{key}` has 24 lower-case hexadecimal digits")))
    })
}

/// Characters of an operator's token.
const SHORTEST: usize = 20;
