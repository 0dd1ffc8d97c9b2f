use super::Config;
use super::code::Code;
use super::fault::{Fault, Trouble};
use super::known::Kind;
use super::reader::Reader;
use crate::route::Tables;
use crate::upstream::{Address, Tls, TlsSettings};

/// `[upstreams]`.
pub(super) fn read(r: &mut Reader<'_>) -> TlsSettings {
    let doc = "How upstreams over TLS are verified, where it is not by the authorities of this machine and the host of \
               their address. There is no way not to verify.";
    let about = "The address as `upstream` has it: https://host:port.";
    let all = r.named("upstreams", doc, (Kind::Table, about), |item| {
        let tls = item.table(tls);
        item.node?;
        match item.name.parse() {
            Ok(address @ Address::Https { .. }) => Some((address, tls)),
            Ok(_) => {
                let message = format!("\"{}\" is not reached over TLS, so there is nothing to verify", item.name);
                item.fault(Trouble::new(Code::Conflict, message).help("https://host:port is"));
                None
            }
            Err(error) => {
                item.fault(Trouble::new(Code::Form, format!("`upstreams`: {error}")));
                None
            }
        }
    });
    all.unwrap_or_default().into_iter().collect()
}

fn tls(r: &mut Reader<'_>) -> Tls {
    let ca =
        r.path("ca", "ca.pem", "PEM: these certificates alone vouch for it, in place of this machine's authorities.");
    let certificate = r.path("client_certificate", "client.pem", "PEM: what we show when it asks who we are.");
    let key = r.secret_file("client_key", "The key of `client_certificate`, PEM: { file = … } or { credential = … }.");
    if r.has("client_certificate") != r.has("client_key") {
        r.fault(Fault::new(Code::Conflict, "`client_certificate` and `client_key` go together", r.place.clone()));
    }
    let doc = "The name that its certificate must be for and that SNI says; without it the host of the address.";
    let server_name = r.parsed("server_name", (Kind::Text("app.internal"), None), doc, |text| {
        let is_address = text.parse::<std::net::IpAddr>().is_ok();
        if is_address || super::origins::host(text).is_some() {
            return Ok(text.to_owned());
        }
        Err(Trouble::new(Code::Form, "`server_name` is a host name or an address"))
    });
    Tls { ca, client: certificate.zip(key), server_name }
}

/// Reports settings of an upstream that nothing goes to: most likely one of the two is misspelt.
pub(super) fn check(r: &Reader<'_>, config: &Config, tables: &Tables) {
    let used = |address: &Address| {
        config.upstream.as_ref() == Some(address)
            || tables.specs.iter().any(|spec| spec.upstream.as_ref() == Some(address))
    };
    for name in r.keys_of("upstreams") {
        let Ok(address) = name.parse::<Address>() else { continue };
        if config.upstreams.contains_key(&address) && !used(&address) {
            let message = format!("no route goes to \"{name}\"");
            let place = r.place_of("upstreams");
            r.fault(
                Fault::new(Code::Conflict, message, place)
                    .help("its address stands in `upstream`, of a route or at the top"),
            );
        }
    }
}
