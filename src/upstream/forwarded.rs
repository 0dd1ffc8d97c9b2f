use std::cell::RefCell;
use std::io::Write as _;
use std::net::IpAddr;

use bytes::{BufMut as _, BytesMut};
use http::header::{FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue};

use super::Round;
use crate::client::{Client, Scheme};
use crate::head::{self, Fields, Head};

/// Writes `X-Forwarded-For`, `-Proto`, `-Host`, `-Port` and `Forwarded` (RFC 7239) as we know them: what a trusted
/// proxy said stays and gets its own address added, what anybody else said is replaced.
pub(super) fn write(headers: &mut HeaderMap, client: &Client, round: Round) {
    let host = headers.get(HOST).cloned();
    if !client.trusted {
        return of_stranger(client, host.as_ref(), round, |way| way.insert_into(headers));
    }
    let way = Way::new(headers, client, host.as_ref(), round);
    set(headers, X_FORWARDED_FOR, way.chain);
    set(headers, FORWARDED, way.element);
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(client.scheme.as_str()));
    if !headers.contains_key(X_FORWARDED_PORT) {
        set(headers, X_FORWARDED_PORT, way.port);
    }
    if !headers.contains_key(X_FORWARDED_HOST) {
        set(headers, X_FORWARDED_HOST, host);
    }
}

/// The same for a request that came straight from its client, in the text of its head. Whatever else bears these names
/// is to be gone.
pub(super) fn write_to(head: &mut Head, client: &Client, host: Option<&HeaderValue>, round: Round) {
    of_stranger(client, host, round, |way| head.fields(way));
}

/// Depends on the client and its host alone, and one request of a client is seldom the last: the fields are kept for a
/// while, as making them is the dearest part of forwarding.
fn of_stranger(client: &Client, host: Option<&HeaderValue>, round: Round, write: impl FnOnce(&Fields)) {
    let host_bytes = host.map_or(&b""[..], HeaderValue::as_bytes);
    RECENT.with_borrow_mut(|recent| {
        let place = &mut recent[place(client.address)];
        match place {
            Some((of, at, way)) if *of == (*client, round) && at == host_bytes => write(way),
            _ => {
                let way = Way::new(&HeaderMap::new(), client, host, round).of_stranger(client, host);
                write(&way);
                if host_bytes.len() <= LONGEST_HOST {
                    *place = Some(((*client, round), host_bytes.to_vec(), way));
                }
            }
        }
    });
}

/// The values of one way that requests take.
struct Way {
    chain: Option<HeaderValue>,
    element: Option<HeaderValue>,
    port: Option<HeaderValue>,
}

impl Way {
    fn new(headers: &HeaderMap, client: &Client, host: Option<&HeaderValue>, round: Round) -> Self {
        let mut text = Text(BytesMut::with_capacity(224));
        Self {
            chain: text.chain(headers, client),
            element: text.element(headers, client, host, round),
            port: text.port(host, client.scheme),
        }
    }

    fn of_stranger(self, client: &Client, host: Option<&HeaderValue>) -> Fields {
        let scheme = HeaderValue::from_static(client.scheme.as_str());
        let fields = [
            (X_FORWARDED_FOR, self.chain),
            (FORWARDED, self.element),
            (X_FORWARDED_PROTO, Some(scheme)),
            (X_FORWARDED_PORT, self.port),
            (X_FORWARDED_HOST, host.cloned()),
        ];
        Fields::from(fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect::<Vec<_>>())
    }
}

thread_local! {
    static RECENT: RefCell<[Option<Kept>; PLACES]> = const { RefCell::new([const { None }; PLACES]) };
}

/// Whose fields they are and in which round, for which `Host`, and the fields.
type Kept = ((Client, Round), Vec<u8>, Fields);

fn place(address: IpAddr) -> usize {
    let bits = match address {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => address
            .to_bits()
            .to_le_bytes()
            .chunks(4)
            .fold(0, |sum, four| sum ^ four.iter().fold(0, |word, byte| word << 8 | u32::from(*byte))),
    };
    (bits.wrapping_mul(0x9E37_79B1) >> 25) as usize
}

/// Ways kept by each worker: two to the power of the bits that `place` leaves.
const PLACES: usize = 128;
/// Longer ones are no host names (RFC 1035 §2.3.4), and not kept.
const LONGEST_HOST: usize = 262;

/// Values written one after another into one allocation.
struct Text(BytesMut);

impl Text {
    fn chain(&mut self, headers: &HeaderMap, client: &Client) -> Option<HeaderValue> {
        if client.trusted {
            for line in headers.get_all(X_FORWARDED_FOR) {
                self.put(line.as_bytes());
                self.put(b", ");
            }
        }
        self.address(if client.trusted { client.peer } else { client.address });
        self.take()
    }

    fn element(
        &mut self,
        headers: &HeaderMap,
        client: &Client,
        host: Option<&HeaderValue>,
        round: Round,
    ) -> Option<HeaderValue> {
        let mut address = client.address;
        if client.trusted {
            for line in headers.get_all(FORWARDED) {
                address = client.peer;
                self.put(line.as_bytes());
                self.put(b", ");
            }
        }
        self.put(b"for=");
        match address.to_canonical() {
            IpAddr::V4(_) => self.address(address),
            // RFC 7239 §6: colons and brackets need quotes.
            IpAddr::V6(address) => self.write(format_args!("\"[{address}]\"")),
        }
        if let Some(host) = host.map(HeaderValue::as_bytes).filter(|host| is_host(host)) {
            self.put(b";host=\"");
            self.put(host);
            self.put(b"\"");
        }
        self.put(b";proto=");
        self.put(client.scheme.as_str().as_bytes());
        self.put(b";by=");
        self.put(round.node().as_bytes());
        self.take()
    }

    fn address(&mut self, address: IpAddr) {
        let IpAddr::V4(address) = address.to_canonical() else {
            return self.write(format_args!("{}", address.to_canonical()));
        };
        for (place, octet) in address.octets().into_iter().enumerate() {
            if place > 0 {
                self.0.put_u8(b'.');
            }
            self.number(octet.into());
        }
    }

    fn number(&mut self, number: u16) {
        head::number(&mut self.0, number.into());
    }

    fn port(&mut self, host: Option<&HeaderValue>, scheme: Scheme) -> Option<HeaderValue> {
        let named = host.and_then(|host| {
            let colon = host.as_bytes().iter().rposition(|byte| *byte == b':')?;
            std::str::from_utf8(&host.as_bytes()[colon + 1..]).ok()?.parse::<u16>().ok()
        });
        match (named, scheme) {
            (Some(port), _) => {
                self.number(port);
                self.take()
            }
            (None, Scheme::Http) => Some(HeaderValue::from_static("80")),
            (None, Scheme::Https) => Some(HeaderValue::from_static("443")),
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to memory does not fail.
        let _ = (&mut self.0).writer().write_fmt(text);
    }

    fn take(&mut self) -> Option<HeaderValue> {
        HeaderValue::from_maybe_shared(self.0.split().freeze()).ok()
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    match value {
        Some(value) => headers.insert(name, value),
        None => headers.remove(name),
    };
}

/// Whether a host can stand between quotes as it is.
fn is_host(host: &[u8]) -> bool {
    !host.is_empty() && host.iter().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(byte))
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

#[cfg(test)]
mod tests {
    use super::*;

    fn written(trusted: bool, address: &str, lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let client = Client {
            peer: "10.0.0.1".parse().unwrap(),
            address: address.parse().unwrap(),
            scheme: Scheme::Https,
            trusted,
        };
        write(&mut headers, &client, round());
        headers
    }

    fn round() -> Round {
        Round::first("https://blog.example.com")
    }

    /// The element without what stands at its end: our own name.
    fn element(headers: &HeaderMap) -> &str {
        let element = headers["forwarded"].to_str().unwrap();
        element.strip_suffix(&format!(";by={}", round().node())).unwrap_or_else(|| panic!("{element}"))
    }

    #[test]
    fn what_a_stranger_says_of_its_way_is_replaced() {
        let lines = [
            ("host", "blog.example.com:8443"),
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-proto", "ftp"),
            ("x-forwarded-host", "evil.test"),
            ("x-forwarded-port", "1"),
            ("forwarded", "for=6.6.6.6"),
        ];
        let headers = written(false, "10.0.0.1", &lines);
        assert_eq!(headers["x-forwarded-for"], "10.0.0.1");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "blog.example.com:8443");
        assert_eq!(headers["x-forwarded-port"], "8443");
        assert_eq!(element(&headers), "for=10.0.0.1;host=\"blog.example.com:8443\";proto=https");
        assert_eq!(headers.len(), 6);
    }

    #[test]
    fn what_a_trusted_proxy_says_stays_and_is_added_to() {
        let lines = [
            ("host", "app.test"),
            ("x-forwarded-for", "2001:db8::7"),
            ("x-forwarded-host", "blog.example.com"),
            ("forwarded", "for=\"[2001:db8::7]\""),
        ];
        let headers = written(true, "2001:db8::7", &lines);
        assert_eq!(headers["x-forwarded-for"], "2001:db8::7, 10.0.0.1");
        assert_eq!(headers["x-forwarded-host"], "blog.example.com");
        assert_eq!(headers["x-forwarded-port"], "443");
        assert_eq!(element(&headers), "for=\"[2001:db8::7]\", for=10.0.0.1;host=\"app.test\";proto=https");
    }

    #[test]
    fn what_is_kept_for_one_client_or_host_is_not_another_ones() {
        for _ in 0..2 {
            for (address, host) in [("10.0.0.1", "a.test"), ("10.0.0.1", "b.test"), ("10.0.0.2", "a.test")] {
                let headers = written(false, address, &[("host", host), ("x-forwarded-for", "6.6.6.6")]);
                assert_eq!(headers["x-forwarded-for"], address);
                assert_eq!(element(&headers), format!("for={address};host=\"{host}\";proto=https"));
            }
        }
    }

    #[test]
    fn the_text_of_a_head_says_the_same() {
        let headers = written(false, "10.0.0.1", &[("host", "a.test")]);
        let client = Client {
            peer: "10.0.0.1".parse().unwrap(),
            address: "10.0.0.1".parse().unwrap(),
            scheme: Scheme::Https,
            trusted: false,
        };
        let host = HeaderMap::from_iter([(HOST, HeaderValue::from_static("a.test"))]);
        let mut head = Head::new(&http::Method::GET, &http::Uri::from_static("/"), &host);
        write_to(&mut head, &client, host.get(HOST), round());
        let text = String::from_utf8(head.finish(b"").to_vec()).unwrap();
        assert_eq!(text.lines().count(), headers.len() + 2);
        for (name, value) in &headers {
            assert!(text.contains(&format!("\r\n{name}: {}\r\n", value.to_str().unwrap())), "{name} in {text}");
        }
    }

    #[test]
    fn what_is_kept_for_one_round_is_not_the_next_ones() {
        let peer = IpAddr::from([127, 0, 0, 1]);
        let client = Client { peer, address: peer, scheme: Scheme::Http, trusted: false };
        for before in [0, 1, 0] {
            let mut headers = HeaderMap::new();
            write(&mut headers, &client, round().after(before));
            assert_eq!(round().before(&headers), before + 1);
        }
    }

    #[test]
    fn every_address_has_its_place() {
        for address in ["0.0.0.0", "255.255.255.255", "10.1.2.3", "::", "2001:db8::ffff:ffff:ffff:ffff"] {
            assert!(place(address.parse().unwrap()) < PLACES);
        }
    }

    #[test]
    fn an_ipv6_client_and_an_odd_host_cannot_break_the_element() {
        let headers = written(false, "2001:db8::7", &[("host", "a\";for=6.6.6.6;x=\"")]);
        assert_eq!(element(&headers), "for=\"[2001:db8::7]\";proto=https");
    }
}
