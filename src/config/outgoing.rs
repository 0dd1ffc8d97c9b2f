use url::Host;

use super::code::Code;
use super::fault::{Fault, Trouble};
use super::known::Kind;
use super::reader::Reader;
use crate::fetch::{Error, Fetch, Settings};

/// `[outgoing]`.
pub(super) fn read(r: &mut Reader<'_>) -> Settings {
    let ca = "A PEM file with further certificate authorities, beside those of the machine.";
    let http = "Hosts that are asked without TLS, too; this machine always is.";
    let private = "Hosts that a provider's document may name although their addresses are private.";
    let settings = Settings {
        ca: r.path("ca", "ca.pem", ca),
        allow_http: hosts(r, "allow_http", http),
        allow_private: hosts(r, "allow_private", private),
    };
    if let Err(error) = Fetch::new(&settings) {
        r.fault(Fault::new(Code::Form, error.to_string(), r.place_of("ca")));
    }
    settings
}

/// Reports every address in the file that would not be asked.
pub(super) fn check(r: &Reader<'_>, settings: &Settings) {
    for (key, place, address) in r.reading.addresses() {
        let fault = match settings.check(&address) {
            Ok(()) => continue,
            Err(Error::Insecure(_)) => {
                let host = address.host().unwrap_or_default().to_ascii_lowercase();
                Fault::new(Code::Insecure, format!("`{key}` would be asked in the clear"), place)
                    .help("use https; plain http is for this machine")
                    .help(format!("or let this host be asked so: [outgoing] allow_http = [\"{host}\"]"))
            }
            Err(error) => Fault::new(Code::Form, format!("`{key}`: {error}"), place),
        };
        r.fault(fault);
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
