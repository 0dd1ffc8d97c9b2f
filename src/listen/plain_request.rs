use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use http::{Method, Request, Uri};
use httparse::Status;

use super::request_head::{self, Follows, is_blank};
use crate::head::Names;
use crate::spare;

/// Reads a request that is there as a whole: of HTTP/1.1, for a path, with nothing to be done about its connection, its
/// body (if it has any) at the beginning of `after`, from which it is taken. `None` for every other, right or wrong, with
/// nothing taken: whoever reads those decides what is the matter with them.
pub(super) fn read(
    head: &Bytes,
    after: &mut BytesMut,
    names: &mut Names,
    most_fields: usize,
) -> Option<(Request<()>, Bytes)> {
    let mut fields = Fields { headers: spare::map(), names, head, place: 0, is_plain: true };
    let (line, follows) = request_head::walk(head, |name, value| fields.take(name, value)).ok()?;
    let plain_target = line.target.starts_with(b"/") && line.target.iter().all(u8::is_ascii_graphic);
    if !fields.is_plain || fields.place > most_fields || !line.is_http_11 || !plain_target {
        return None;
    }
    let length = match follows {
        Follows::Nothing => 0,
        Follows::Sized(length) if length <= after.len() as u64 => length as usize,
        Follows::Sized(_) | Follows::Chunked | Follows::Tunnel => return None,
    };
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(line.method).ok()?;
    *request.uri_mut() = Uri::from_maybe_shared(head.slice_ref(line.target)).ok()?;
    *request.headers_mut() = fields.headers;
    let body = if length > 0 { after.split_to(length).freeze() } else { Bytes::new() };
    Some((request, body))
}

/// Whether a head may begin so, of which the end has not come.
pub(super) fn may_begin(text: &[u8], most_fields: usize) -> bool {
    let mut lines = vec![MaybeUninit::uninit(); most_fields];
    let mut head = httparse::Request::new(&mut []);
    let parser = httparse::ParserConfig::default();
    matches!(parser.parse_request_with_uninit_headers(&mut head, text, &mut lines), Ok(Status::Partial))
}

struct Fields<'a> {
    headers: HeaderMap,
    names: &'a mut Names,
    head: &'a Bytes,
    place: usize,
    is_plain: bool,
}

impl Fields<'_> {
    fn take(&mut self, name: &[u8], value: &[u8]) {
        if self.is_plain {
            self.is_plain = self.put(name, value).is_some();
        }
    }

    fn put(&mut self, name: &[u8], value: &[u8]) -> Option<()> {
        let name = self.names.read(self.place, name).ok()?;
        let value = HeaderValue::from_maybe_shared(self.head.slice_ref(trim(value))).ok()?;
        self.place += 1;
        if is_of_framing(&name) && (self.headers.contains_key(&name) || !changes_nothing(&name, value.as_bytes())) {
            return None;
        }
        // Beyond what a map can hold the request is not plain either.
        self.headers.try_append(name, value).ok().map(drop)
    }
}

/// Tells by the length first: few other names have these.
fn is_of_framing(name: &HeaderName) -> bool {
    match name.as_str().len() {
        6 => *name == EXPECT,
        7 => *name == UPGRADE,
        10 => *name == CONNECTION,
        14 => *name == CONTENT_LENGTH,
        _ => false,
    }
}

/// What browsers and proxies say without need, and a length in one form.
fn changes_nothing(name: &HeaderName, value: &[u8]) -> bool {
    let is_number = || value == b"0" || (!value.starts_with(b"0") && value.iter().all(u8::is_ascii_digit));
    (*name == CONNECTION && value.eq_ignore_ascii_case(b"keep-alive")) || (*name == CONTENT_LENGTH && is_number())
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let [blank, rest @ ..] = value
        && is_blank(*blank)
    {
        value = rest;
    }
    while let [rest @ .., blank] = value
        && is_blank(*blank)
    {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_told_from_what_is_none() {
        let head = "GET /a HTTP/1.1\r\nHost: a.test\r\nX-A: 1\r\n";
        assert!((1..=head.len()).all(|end| may_begin(&head.as_bytes()[..end], 2)));
        assert!(!may_begin(head.as_bytes(), 1));
        for none in [&b"\x16\x03\x01\x02"[..], b"SSH-2.0-x\r\n", b"GET /a\r\n", b"GET / HTTP/1.1\r\nno colon\r\n"] {
            assert!(!may_begin(none, 2), "{none:?}");
        }
    }

    fn read_lines(lines: &str) -> Option<Request<()>> {
        let head = Bytes::from(format!("{lines}\r\n"));
        read(&head, &mut BytesMut::new(), &mut Names::default(), 5).map(|(request, _)| request)
    }

    fn with(fields: &str) -> Option<Request<()>> {
        read_lines(&format!("GET /a?b=%20 HTTP/1.1\r\nHost: a.test\r\n{fields}"))
    }

    #[test]
    fn a_plain_request_is_read_as_it_stands() {
        let request = with("X-A: \t1 2\t \r\nx-a:\r\nAccept: */*\r\n").unwrap();
        assert_eq!((request.method(), request.uri().to_string().as_str()), (&Method::GET, "/a?b=%20"));
        assert_eq!(request.version(), http::Version::HTTP_11);
        let fields: Vec<_> = request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(fields, [("host", &b"a.test"[..]), ("x-a", b"1 2"), ("x-a", b""), ("accept", b"*/*")]);
    }

    #[test]
    fn what_says_nothing_of_the_connection_is_plain() {
        assert!(with("Connection: Keep-Alive\r\n").is_some());
        assert!(with("Content-Length: 0\r\n").is_some());
        for fields in [
            "Connection: close\r\n",
            "Connection: keep-alive, x-a\r\n",
            "Connection: keep-alive\r\nConnection: keep-alive\r\n",
            "Content-Length: 1\r\n",
            "Content-Length: 00\r\n",
            "Content-Length: 0\r\nContent-Length: 0\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Upgrade: websocket\r\n",
            "Upgrade: h2c\r\n",
            "Expect: 100-continue\r\n",
        ] {
            assert!(with(fields).is_none(), "{fields}");
        }
    }

    #[test]
    fn a_body_that_is_there_is_taken_and_one_that_is_not_leaves_all_as_it_is() {
        let head = Bytes::from("PUT /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\n");
        for (after, left) in [("hello", Some("")), ("helloGET", Some("GET")), ("hell", None), ("", None)] {
            let mut rest = BytesMut::from(after);
            let body = read(&head, &mut rest, &mut Names::default(), 5).map(|(_, body)| body);
            assert_eq!(body.as_deref(), left.map(|_| &b"hello"[..]), "{after}");
            assert_eq!(rest, left.unwrap_or(after));
        }
    }

    #[test]
    fn only_a_path_in_http_11_is_plain() {
        let line = |line: &str| read_lines(&format!("{line}\r\nHost: a.test\r\n"));
        assert!(line("OPTIONS / HTTP/1.1").is_some());
        for other in [
            "GET / HTTP/1.0",
            "GET http://a.test/ HTTP/1.1",
            "OPTIONS * HTTP/1.1",
            "GET /\u{e4} HTTP/1.1",
            "G@T / HTTP/1.1",
        ] {
            assert!(line(other).is_none(), "{other}");
        }
    }

    #[test]
    fn whatever_is_wrong_is_left_to_be_refused() {
        for fields in
            ["X A: 1\r\n", "X-A : 1\r\n", "X-A: 1\n", "X-A: a\rb\r\n", "X-A: \x0c1\r\n", "X-A: \0\r\n", "Host: b\r\n"]
        {
            assert!(with(fields).is_none(), "{fields:?}");
        }
        assert!(with(&"X-A: 1\r\n".repeat(4)).is_some());
        assert!(with(&"X-A: 1\r\n".repeat(5)).is_none());
    }
}
