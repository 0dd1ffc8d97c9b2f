use ipnet::IpNet;

use super::code::Code;
use super::fault::{Fault, Trouble};
use super::known::Kind;
use super::reader::Reader;
use crate::layer::{ForwardedHeader, TrustedProxies};

/// `[trusted_proxies]`.
pub(super) fn read(r: &mut Reader<'_>) -> TrustedProxies {
    let kind = Kind::List(Box::new(Kind::Text("10.0.0.0/8")));
    let doc =
        "Networks of the proxies before this one, which may say where a request came from. Empty: nobody is believed.";
    let addresses = r.list("addresses", (kind, Some("[]".to_owned())), doc, network).unwrap_or_default();
    let addresses: Vec<IpNet> = addresses.into_iter().map(|(network, _)| network).collect();
    // SEC-CONF-02: two halves are everybody, too.
    if IpNet::aggregate(&addresses).iter().any(|network| network.prefix_len() == 0) {
        let fault = Fault::new(Code::TrustsAll, "`addresses` trusts everybody", r.place_of("addresses"));
        r.fault(fault.help("name the networks of your proxies, such as \"10.0.0.0/8\""));
    }
    let headers = [("X-Forwarded-For", ForwardedHeader::XForwardedFor), ("Forwarded", ForwardedHeader::Forwarded)];
    let doc = "Where these proxies write what they know; the other header is ignored and removed.";
    TrustedProxies { addresses, header: r.word("header", &headers, ForwardedHeader::default(), doc) }
}

/// A network, or a single address.
pub(super) fn network(text: &str) -> Result<IpNet, Trouble> {
    if let Ok(address) = text.parse::<std::net::IpAddr>() {
        return Ok(IpNet::from(address));
    }
    let network: IpNet = text.parse().map_err(|_| {
        Trouble::new(Code::Form, format!("\"{text}\" is not a network"))
            .help("an address and a prefix, such as \"10.0.0.0/8\", \"fd00::/8\" or \"192.0.2.7\"")
    })?;
    if network.trunc() == network {
        return Ok(network);
    }
    let trouble = Trouble::new(Code::Form, format!("\"{text}\" names one address and its network"));
    // Everybody can hardly be meant, and is no trusted proxy.
    if network.prefix_len() == 0 {
        let example = IpNet::new(network.addr(), if network.addr().is_ipv4() { 8 } else { 32 });
        let example = example.map(|example| format!(", such as \"{}\"", example.trunc())).unwrap_or_default();
        let address = network.addr();
        return Err(
            trouble.help(format!("write \"{address}\" for the address, or its network by a longer prefix{example}"))
        );
    }
    Err(trouble.help(format!(
        "write \"{}\" for the network or \"{}\" for the address",
        network.trunc(),
        network.addr()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_no_host_bits() {
        assert!(network("10.1.2.3/8").is_err());
        assert_eq!(network("10.0.0.0/8").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(network("192.0.2.7").unwrap().to_string(), "192.0.2.7/32");
        assert!(network("10.0.0/8").is_err());
    }

    #[test]
    fn the_way_out_of_a_prefix_without_bits_is_not_everybody() {
        for (text, better) in [("10.1.2.3/0", "10.0.0.0/8"), ("2001:db8::1/0", "2001:db8::/32")] {
            let help = format!("{:?}", network(text).unwrap_err());
            assert!(help.contains(better) && !help.contains("0.0.0.0/0") && !help.contains("\"::/0"), "{help}");
            assert!(network(better).is_ok());
        }
    }
}
