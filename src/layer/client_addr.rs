//! Finds out where a request came from. Reads the forwarding headers and `X-Request-Id` of trusted proxies; sets the
//! client's address and scheme and the request's name; refuses nothing. Sits above every layer that counts or decides
//! by address.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{FORWARDED, HeaderMap, HeaderName};

use crate::client::UNKNOWN;
use crate::layer::{ForwardedHeader, Progress, Step, TrustedProxies};
use crate::visit::{Client, RequestId, Scheme, Visit};

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct ClientAddr(Arc<TrustedProxies>);

impl ClientAddr {
    /// Believes these proxies and nobody else.
    pub fn new(trusted: TrustedProxies) -> Self {
        Self(Arc::new(trusted))
    }

    /// Whether what a peer says of others counts.
    pub fn believes(&self, peer: IpAddr) -> bool {
        self.is_trusted(peer.to_canonical())
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        address != UNKNOWN && self.0.addresses.iter().any(|net| net.contains(&address))
    }

    /// The client of a request that came over a connection from this peer.
    fn client(&self, peer: Client, headers: &HeaderMap) -> Client {
        let peer = Client { peer: peer.peer.to_canonical(), address: peer.address.to_canonical(), ..peer };
        if self.0.addresses.is_empty() || !self.is_trusted(peer.peer) {
            return peer;
        }
        let address = match self.0.header {
            ForwardedHeader::XForwardedFor => self.nearest(peer.peer, x_forwarded_for(headers)),
            ForwardedHeader::Forwarded => self.nearest(peer.peer, forwarded(headers).into_iter().rev()),
        };
        let scheme = match self.0.header {
            ForwardedHeader::XForwardedFor => last_token(headers, &X_FORWARDED_PROTO).and_then(scheme),
            ForwardedHeader::Forwarded => {
                forwarded_parameter(headers, "proto").pop().flatten().and_then(|s| scheme(&s))
            }
        };
        let scheme = scheme.unwrap_or(peer.scheme);
        Client { address, scheme, trusted: true, ..peer }
    }

    /// The first hop that is no trusted proxy, from the nearest on: each is named by the one after it.
    fn nearest(&self, peer: IpAddr, hops: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
        let mut address = peer;
        for hop in hops {
            match hop {
                Some(named) => address = named,
                None => break,
            }
            if !self.is_trusted(address) {
                break;
            }
        }
        address
    }
}

fn scheme(word: &str) -> Option<Scheme> {
    if word.eq_ignore_ascii_case("https") {
        return Some(Scheme::Https);
    }
    word.eq_ignore_ascii_case("http").then_some(Scheme::Http)
}

impl Step for ClientAddr {
    fn take(&self, mut visit: Box<Visit>) -> Progress {
        visit.client = self.client(visit.client, visit.request.headers());
        if visit.client.trusted
            && let Some(given) = given_id(visit.request.headers())
        {
            visit.id = given;
        }
        Progress::Go(visit)
    }
}

/// What the proxy calls the request, so that the logs of both can be read together.
fn given_id(headers: &HeaderMap) -> Option<RequestId> {
    let mut names = headers.get_all(&X_REQUEST_ID).iter();
    match (names.next(), names.next()) {
        (Some(name), None) => RequestId::given(name.as_bytes()),
        _ => None,
    }
}

/// The hops, the nearest first; `None` stands for one that cannot be read, beyond which nothing is believed.
fn x_forwarded_for(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let lines = headers.get_all(&X_FORWARDED_FOR).into_iter().rev();
    lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',').map(node))
}

fn forwarded(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    forwarded_parameter(headers, "for").into_iter().map(|value| value.and_then(|v| node(v.as_bytes()))).collect()
}

/// One parameter of every element of `Forwarded` (RFC 7239 §4).
fn forwarded_parameter(headers: &HeaderMap, wanted: &str) -> Vec<Option<String>> {
    let lines = headers.get_all(FORWARDED);
    let elements = lines.iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    elements
        .map(|element| {
            let text = std::str::from_utf8(element).ok()?;
            let value = text.split(';').find_map(|pair| {
                let (name, value) = pair.trim().split_once('=')?;
                name.eq_ignore_ascii_case(wanted).then_some(value)
            })?;
            Some(value.trim_matches('"').to_owned())
        })
        .collect()
}

fn last_token<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let text = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    text.rsplit(',').next().map(str::trim)
}

/// A node of a forwarding header: an address, maybe with brackets and a port (RFC 7239 §6).
fn node(bytes: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    let address = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map(|(address, _)| address)?,
        None if text.matches(':').count() == 1 => text.split_once(':').map(|(address, _)| address)?,
        None => text,
    };
    address.parse::<IpAddr>().ok().map(|address| address.to_canonical()).filter(|address| *address != UNKNOWN)
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(trusted: &[&str], header: ForwardedHeader, peer: &str, headers: &[(&'static str, &str)]) -> Client {
        let addresses = trusted.iter().map(|net| net.parse().unwrap()).collect();
        let peer = peer.parse().unwrap();
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect();
        ClientAddr::new(TrustedProxies { addresses, header })
            .client(Client { peer, address: peer, scheme: Scheme::Http, trusted: false }, &headers)
    }

    fn address(trusted: &[&str], peer: &str, list: &str) -> String {
        client(trusted, ForwardedHeader::XForwardedFor, peer, &[("x-forwarded-for", list)]).address.to_string()
    }

    #[test]
    fn sec_rate_01_only_trusted_hops_are_believed_from_the_right() {
        let trusted = ["127.0.0.2/32", "10.0.0.0/8"];
        assert_eq!(address(&[], "127.0.0.1", "1.2.3.4"), "127.0.0.1");
        assert_eq!(address(&trusted, "127.0.0.1", "1.2.3.4"), "127.0.0.1");
        assert_eq!(address(&trusted, "127.0.0.2", "1.2.3.4"), "1.2.3.4");
        assert_eq!(address(&trusted, "127.0.0.2", "6.6.6.6, 1.2.3.4, 10.0.0.9"), "1.2.3.4");
        assert_eq!(address(&trusted, "127.0.0.2", "10.0.0.1, 10.0.0.9"), "10.0.0.1");
    }

    #[test]
    fn sec_hdr_07_a_hop_that_cannot_be_read_ends_the_belief() {
        for list in ["a", "", "[::1", "unknown", "1.2.3.4, ,10.0.0.5x"] {
            assert_eq!(address(&["127.0.0.2/32"], "127.0.0.2", list), "127.0.0.2", "{list}");
        }
        assert_eq!(address(&["127.0.0.2/32"], "127.0.0.2", "[2001:db8::1]:443"), "2001:db8::1");
        assert_eq!(address(&["127.0.0.2/32"], "127.0.0.2", "1.2.3.4:555"), "1.2.3.4");
    }

    #[test]
    fn sec_rate_02_a_mapped_address_is_its_ipv4_address() {
        assert_eq!(address(&["127.0.0.2/32"], "::ffff:127.0.0.2", "::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(address(&["127.0.0.2/32"], "127.0.0.2", "[::FFFF:C000:0201]:7"), "192.0.2.1");
        assert_eq!(address(&["127.0.0.2/32"], "127.0.0.2", "2001:DB8::A"), "2001:db8::a");
        // A zone is of one machine alone (RFC 4007 §6): what carries one is no client that somebody else can name.
        for zone in ["fe80::1%eth0", "[fe80::1%25eth0]:80", "2001:db8::1%1"] {
            assert_eq!(address(&["127.0.0.2/32"], "127.0.0.2", zone), "127.0.0.2", "{zone}");
        }
    }

    #[test]
    fn the_scheme_of_a_trusted_proxy_counts_and_of_others_does_not() {
        let proto = [("x-forwarded-proto", "https")];
        let trusted = client(&["127.0.0.2/32"], ForwardedHeader::XForwardedFor, "127.0.0.2", &proto);
        assert_eq!((trusted.scheme, trusted.trusted), (Scheme::Https, true));
        let other = client(&["127.0.0.2/32"], ForwardedHeader::XForwardedFor, "127.0.0.1", &proto);
        assert_eq!((other.scheme, other.trusted), (Scheme::Http, false));
    }

    #[test]
    fn rfc_7239_is_read_when_it_is_the_header() {
        let headers = [("forwarded", "for=6.6.6.6, for=\"[2001:db8::7]:1\";proto=https")];
        let found = client(&["127.0.0.2/32"], ForwardedHeader::Forwarded, "127.0.0.2", &headers);
        assert_eq!(found.address.to_string(), "2001:db8::7");
        assert_eq!(found.scheme, Scheme::Https);
    }
}
