use url::Host;

use super::code::Code;
use super::fault::Trouble;
use super::known::Kind;
use super::reader::Reader;
use crate::fetch::Settings;

/// `[outgoing]`.
pub(super) fn read(r: &mut Reader<'_>) -> Settings {
    let ca = "A PEM file with further certificate authorities, beside those of the machine.";
    let http = "Hosts that are asked without TLS, too; this machine always is.";
    let private = "Hosts that a provider's document may name although their addresses are private.";
    Settings {
        ca: r.path("ca", "ca.pem", ca),
        allow_http: hosts(r, "allow_http", http),
        allow_private: hosts(r, "allow_private", private),
    }
}

fn hosts(r: &mut Reader<'_>, key: &'static str, doc: &'static str) -> Vec<String> {
    let kind = Kind::List(Box::new(Kind::Text("idp.internal")));
    let hosts = r.list(key, (kind, Some("[]".to_owned())), doc, |text| {
        let form = || {
            Trouble::new(Code::Form, format!("\"{text}\" is not a host"))
                .help("a name or an address, without scheme, port and path: idp.internal, 10.0.0.7 or [fd00::7]")
        };
        let host = Host::parse(text).map_err(|_| form())?;
        let plain = host.to_string().eq_ignore_ascii_case(text);
        if plain { Ok(host.to_string().trim_matches(['[', ']']).to_owned()) } else { Err(form()) }
    });
    hosts.unwrap_or_default().into_iter().map(|(host, _)| host).collect()
}
