use memchr::memchr;

use super::framing::Violation;

/// What a header block of HTTP/1 says about the bytes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follows {
    /// The next request.
    Nothing,
    /// So many bytes of a body, more than none.
    Sized(u64),
    /// A body in chunks.
    Chunked,
    /// Perhaps no HTTP: a WebSocket is asked for.
    Tunnel,
}

/// Reads a whole header block, its empty line included, for what decides where it and its body end.
///
/// hyper parses it again and refuses what else is wrong with it; what it would fold or let pass is refused here:
/// both lengths at once, any transfer coding but one `chunked`, lines ended by LF alone, more than one `Host`.
///
/// # Errors
/// What is wrong.
pub(super) fn read(head: &[u8]) -> Result<Follows, Violation> {
    walk(head, |_, _| {}).map(|(_, follows)| follows)
}

/// The same, showing each field on the way: its name, and its value with the blanks around it.
///
/// # Errors
/// What is wrong; fields before it have been shown.
pub(super) fn walk<'a>(
    head: &'a [u8],
    mut show: impl FnMut(&'a [u8], &'a [u8]),
) -> Result<(RequestLine<'a>, Follows), Violation> {
    let (line, mut rest) = split_line(head)?;
    let request = request_line(line)?;
    let mut fields = Fields::default();
    loop {
        let (line, after) = split_line(rest)?;
        if line.is_empty() {
            let follows = fields.decide(&request)?;
            return Ok((request, follows));
        }
        let (name, value) = fields.read(line)?;
        show(name, value);
        rest = after;
    }
}

/// The first line of a request.
pub(super) struct RequestLine<'a> {
    pub(super) method: &'a [u8],
    pub(super) target: &'a [u8],
    pub(super) is_http_11: bool,
}

fn request_line(line: &[u8]) -> Result<RequestLine<'_>, Violation> {
    let mut parts = line.splitn(3, |byte| *byte == b' ');
    let (Some(method), Some(target), Some(version)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Violation::RequestLine);
    };
    let is_http_11 = match version {
        b"HTTP/1.1" => true,
        b"HTTP/1.0" => false,
        // A blank in the target, another version, a blank at the end.
        _ => return Err(Violation::RequestLine),
    };
    if target.len() > LONGEST_TARGET {
        return Err(Violation::Target);
    }
    // A fragment never travels (RFC 9112 §3.2); the parser would drop it, and a rule and the upstream would not agree.
    if method.is_empty() || target.is_empty() || memchr(b'#', target).is_some() {
        return Err(Violation::RequestLine);
    }
    if method == b"CONNECT" {
        return Err(Violation::Connect);
    }
    Ok(RequestLine { method, target, is_http_11 })
}

#[derive(Default)]
struct Fields {
    length: Option<u64>,
    chunked: bool,
    websocket: bool,
    hosts: u32,
}

impl Fields {
    fn read<'a>(&mut self, line: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), Violation> {
        let colon = memchr(b':', line).ok_or(Violation::Field)?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        // Also a folded line, and a blank before the first field or before a colon (RFC 9112 §5).
        if name.is_empty() || name.len() > LONGEST_NAME || is_blank(name[0]) || is_blank(name[colon - 1]) {
            return Err(Violation::Field);
        }
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.hosts += 1,
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.websocket |= value.trim_ascii().eq_ignore_ascii_case(b"websocket");
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let length = digits(value.trim_ascii()).ok_or(Violation::Length)?;
                if self.length.replace(length).is_some_and(|before| before != length) {
                    return Err(Violation::Length);
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                // One line, one coding: every list of codings has been read in two ways by somebody.
                if self.chunked || !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return Err(Violation::TransferEncoding);
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok((name, value))
    }

    fn decide(&self, request: &RequestLine<'_>) -> Result<Follows, Violation> {
        if self.chunked && (self.length.is_some() || !request.is_http_11) {
            return Err(Violation::TransferEncoding);
        }
        // RFC 9112 §3.2
        if self.hosts > 1 || (self.hosts == 0 && request.is_http_11) {
            return Err(Violation::Host);
        }
        // Such a body would end with the connection: nobody knows whether it is whole.
        if !request.is_http_11 && self.length.is_none() && matches!(request.method, b"POST" | b"PUT" | b"PATCH") {
            return Err(Violation::Length);
        }
        match (self.chunked, self.length.unwrap_or(0)) {
            (false, 0) if self.websocket && request.is_http_11 => Ok(Follows::Tunnel),
            (false, 0) => Ok(Follows::Nothing),
            _ if self.websocket => Err(Violation::Length),
            (true, _) => Ok(Follows::Chunked),
            (false, length) => Ok(Follows::Sized(length)),
        }
    }
}

/// The line before the next CRLF, and what follows it.
fn split_line(bytes: &[u8]) -> Result<(&[u8], &[u8]), Violation> {
    let end = memchr(b'\n', bytes).ok_or(Violation::Field)?;
    let line = bytes[..end].strip_suffix(b"\r").ok_or(Violation::BareLf)?;
    Ok((line, &bytes[end + 1..]))
}

/// Whether it may stand around a value (RFC 9110 §5.6.3).
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn digits(value: &[u8]) -> Option<u64> {
    let significant = &value[value.iter().take_while(|digit| **digit == b'0').count()..];
    if value.is_empty() || value.len() > 32 || significant.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(significant.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

/// The longest request target, in bytes.
pub(super) const LONGEST_TARGET: usize = 8 << 10;
/// The longest field name, in bytes.
const LONGEST_NAME: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn post(fields: &str) -> Result<Follows, Violation> {
        read(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes())
    }

    #[test]
    fn lengths_say_what_follows() {
        assert_eq!(post(""), Ok(Follows::Nothing));
        assert_eq!(post("Content-Length: 5\r\n"), Ok(Follows::Sized(5)));
        assert_eq!(post("content-length:0000005 \r\nCONTENT-LENGTH: 5\r\n"), Ok(Follows::Sized(5)));
        assert_eq!(post("Transfer-Encoding: Chunked\r\n"), Ok(Follows::Chunked));
        assert_eq!(post("Content-Length: 0\r\n"), Ok(Follows::Nothing));
        assert_eq!(post("Upgrade: websocket\r\n"), Ok(Follows::Tunnel));
        assert_eq!(post("Upgrade: h2c\r\n"), Ok(Follows::Nothing));
        assert_eq!(post("Upgrade: websocket\r\nContent-Length: 3\r\n"), Err(Violation::Length));
    }

    #[test]
    fn only_one_coding_in_one_line_is_read() {
        for value in
            ["chunked, identity", "identity, chunked", "xchunked", "chunked;q=1", "\x0bchunked", "gzip, chunked", ""]
        {
            assert_eq!(post(&format!("Transfer-Encoding: {value}\r\n")), Err(Violation::TransferEncoding), "{value:?}");
        }
        let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n";
        assert_eq!(post(twice), Err(Violation::TransferEncoding));
    }

    #[test]
    fn a_line_is_a_name_a_colon_and_a_value_ended_by_crlf() {
        for line in [": x", "Host : a", " Folded: x", "\tx", "no colon", "Transfer-Encoding : chunked"] {
            assert_eq!(post(&format!("{line}\r\n")), Err(Violation::Field), "{line:?}");
        }
        assert_eq!(post("A: b\nC: d\r\n"), Err(Violation::BareLf));
        assert_eq!(post(&format!("{}: x\r\n", "n".repeat(257))), Err(Violation::Field));
        assert_eq!(post(&format!("{}: x\r\n", "n".repeat(256))), Ok(Follows::Nothing));
    }

    #[test]
    fn the_request_line_is_read_strictly() {
        let with = |line: &str| read(format!("{line}\r\nHost: a\r\n\r\n").as_bytes());
        assert_eq!(with("GET / HTTP/1.1"), Ok(Follows::Nothing));
        for line in
            ["GET /", "GET / HTTP/2.0", "GET /a b HTTP/1.1", "GET  / HTTP/1.1", "GET /a#b HTTP/1.1", " / HTTP/1.1"]
        {
            assert_eq!(with(line), Err(Violation::RequestLine), "{line}");
        }
        assert_eq!(with("CONNECT a:1 HTTP/1.1"), Err(Violation::Connect));
        assert_eq!(with(&format!("GET /{} HTTP/1.1", "a".repeat(8192))), Err(Violation::Target));
        assert_eq!(with(&format!("GET /{} HTTP/1.1", "a".repeat(8191))), Ok(Follows::Nothing));
    }

    #[test]
    fn one_host_is_needed_in_http_11_alone() {
        assert_eq!(read(b"GET / HTTP/1.1\r\n\r\n"), Err(Violation::Host));
        assert_eq!(read(b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), Err(Violation::Host));
        assert_eq!(read(b"GET / HTTP/1.0\r\n\r\n"), Ok(Follows::Nothing));
        assert_eq!(read(b"POST / HTTP/1.0\r\n\r\n"), Err(Violation::Length));
        assert_eq!(read(b"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\n"), Ok(Follows::Sized(2)));
    }
}
