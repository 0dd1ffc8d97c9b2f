use http::StatusCode;

use super::chunk::Chunks;
use super::gauge::Stage;
use super::request_head::{self, Follows};
use crate::head;

/// Follows the requests of an HTTP/1 connection byte by byte on their way to the parser, so that where each of them
/// begins and ends is decided in one place and strictly: whoever smuggles needs two readings of it.
///
/// The parser folds some things before anybody can see them (a `Content-Length` beside a `Transfer-Encoding` is gone);
/// here they are still there.
pub(super) struct Framing {
    at: At,
    /// The beginning of a header block of which the end has not come.
    partial: Vec<u8>,
    longest_head: usize,
    /// Requests begun.
    requests: u32,
}

enum At {
    Between,
    Head,
    Sized(u64),
    Chunked(Chunks),
    /// Nothing is followed any more: a tunnel may begin here, or a request was refused.
    Open,
}

/// A request that must not be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Which request of its connection, from 1.
    pub(super) request: u32,
    /// Why.
    pub(super) violation: Violation,
}

/// What is wrong with the framing of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Violation {
    /// Not `METHOD target HTTP/1.x`.
    RequestLine,
    /// A target beyond 8 KiB.
    Target,
    /// `CONNECT`, which is never served.
    Connect,
    /// A line that is no field.
    Field,
    /// A line ended without CR.
    BareLf,
    /// No `Host`, or several.
    Host,
    /// A `Content-Length` that is none, several that differ, or none where one is needed.
    Length,
    /// A transfer coding that is not exactly `chunked`, or one beside a `Content-Length`.
    TransferEncoding,
    /// A chunk that is none.
    Chunk,
    /// Too many chunk extensions.
    ChunkExtensions,
}

/// What became of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fed {
    /// How many of them the parser may see.
    pub(super) passed: usize,
    /// The request they belong to must not be served; nothing after them is read.
    pub(super) refusal: Option<Refusal>,
}

impl Framing {
    pub(super) fn new(longest_head: usize) -> Self {
        Self { at: At::Between, partial: Vec::new(), longest_head, requests: 0 }
    }

    /// Takes the next bytes of the connection.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Fed {
        let mut used = 0;
        while used < bytes.len() {
            let rest = &bytes[used..];
            let step = match &mut self.at {
                At::Open => break,
                At::Between | At::Head => self.head(rest),
                At::Sized(left) => {
                    let step = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= step as u64;
                    if *left == 0 {
                        self.at = At::Between;
                    }
                    Ok(step)
                }
                At::Chunked(chunks) => match chunks.feed(rest) {
                    Ok((step, ended)) => {
                        if ended {
                            self.at = At::Between;
                        }
                        Ok(step)
                    }
                    Err((step, violation)) => return self.refuse(used + step, violation),
                },
            };
            match step {
                Ok(step) => used += step,
                // The parser needs the whole header block to let us answer it.
                Err(violation) => return self.refuse(bytes.len(), violation),
            }
        }
        Fed { passed: bytes.len(), refusal: None }
    }

    /// Where the connection stands, for its gauge.
    pub(super) fn stage(&self) -> Stage {
        match self.at {
            At::Between | At::Open => Stage::Between,
            At::Head => Stage::Head,
            At::Sized(_) | At::Chunked(_) => Stage::Body,
        }
    }

    /// How many requests have begun.
    pub(super) fn requests(&self) -> u32 {
        self.requests
    }

    /// Takes bytes of a header block: how many of these belong to it.
    fn head(&mut self, bytes: &[u8]) -> Result<usize, Violation> {
        if matches!(self.at, At::Between) {
            // RFC 9112 §2.2: empty lines before a request are ignored, as the parser does.
            let empty = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            if empty > 0 {
                return Ok(empty);
            }
            self.at = At::Head;
            self.requests = self.requests.wrapping_add(1);
            if let Some(end) = head::end(bytes, 0) {
                self.begin(&bytes[..end])?;
                return Ok(end);
            }
        }
        let before = self.partial.len();
        // Beyond the limit the parser refuses by itself; all that matters is not to collect it.
        if before + bytes.len() > self.longest_head + LARGEST_READ {
            self.at = At::Open;
            return Ok(bytes.len());
        }
        self.partial.extend_from_slice(bytes);
        let Some(end) = head::end(&self.partial, before.saturating_sub(3)) else { return Ok(bytes.len()) };
        let partial = std::mem::take(&mut self.partial);
        self.begin(&partial[..end])?;
        Ok(end - before)
    }

    fn begin(&mut self, head: &[u8]) -> Result<(), Violation> {
        self.at = match request_head::read(head)? {
            Follows::Nothing => At::Between,
            Follows::Sized(length) => At::Sized(length),
            Follows::Chunked => At::Chunked(Chunks::new()),
            Follows::Tunnel => At::Open,
        };
        Ok(())
    }

    fn refuse(&mut self, passed: usize, violation: Violation) -> Fed {
        self.at = At::Open;
        Fed { passed, refusal: Some(Refusal { request: self.requests, violation }) }
    }
}

impl Violation {
    /// How the request is answered.
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Target => StatusCode::URI_TOO_LONG,
            Self::Connect => StatusCode::NOT_IMPLEMENTED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// Its name in the log.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::RequestLine => "request_line",
            Self::Target => "target",
            Self::Connect => "connect",
            Self::Field => "field",
            Self::BareLf => "bare_lf",
            Self::Host => "host",
            Self::Length => "content_length",
            Self::TransferEncoding => "transfer_encoding",
            Self::Chunk => "chunk",
            Self::ChunkExtensions => "chunk_extensions",
        }
    }
}

/// The most bytes of one read from the connection.
const LARGEST_READ: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    const BOTH: &[u8] =
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";

    fn framing() -> Framing {
        Framing::new(32 << 10)
    }

    #[test]
    fn requests_are_counted_however_they_are_cut() {
        let all = [GET, POST, b"\r\n", GET].concat();
        let mut whole = framing();
        assert_eq!(whole.feed(&all), Fed { passed: all.len(), refusal: None });
        let mut pieces = framing();
        for byte in &all {
            assert_eq!(pieces.feed(&[*byte]), Fed { passed: 1, refusal: None });
        }
        assert_eq!((whole.requests(), pieces.requests()), (3, 3));
        assert_eq!((whole.stage(), pieces.stage()), (Stage::Between, Stage::Between));
    }

    #[test]
    fn a_refusal_names_its_request_among_pipelined_ones() {
        let all = [POST, BOTH, GET].concat();
        let refusal = Refusal { request: 2, violation: Violation::TransferEncoding };
        assert_eq!(framing().feed(&all).refusal, Some(refusal));
        let mut pieces = framing();
        let refused = all.iter().find_map(|byte| pieces.feed(&[*byte]).refusal);
        assert_eq!(refused, Some(refusal));
    }

    #[test]
    fn nothing_after_a_bad_chunk_reaches_the_parser() {
        let all = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!GET / HTTP/1.1\r\n\r\n";
        let fed = framing().feed(all);
        assert_eq!(&all[fed.passed - 5..fed.passed], b"hello");
        assert_eq!(fed.refusal, Some(Refusal { request: 1, violation: Violation::Chunk }));
    }

    #[test]
    fn stages_follow_the_bytes() {
        let mut framing = framing();
        framing.feed(&POST[..10]);
        assert_eq!(framing.stage(), Stage::Head);
        framing.feed(&POST[10..POST.len() - 1]);
        assert_eq!(framing.stage(), Stage::Body);
        framing.feed(b"o");
        assert_eq!(framing.stage(), Stage::Between);
    }

    #[test]
    fn an_endless_head_is_not_collected() {
        let mut framing = framing();
        for _ in 0..100 {
            framing.feed(&[b'a'; 4096]);
        }
        assert!(framing.partial.capacity() <= 256 << 10);
    }

    #[test]
    fn lines_ended_by_lf_alone_are_refused() {
        for head in
            ["GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\n"]
        {
            let refusal = framing().feed(head.as_bytes()).refusal.expect(head);
            assert_eq!(refusal.violation, Violation::BareLf, "{head:?}");
        }
    }
}
