use bytes::{Buf as _, Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::answer::Fault;

/// Takes a body in chunks apart (RFC 9112 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunks {
    /// Before the line that says how long the next one is.
    Size,
    /// In one of which so much is to come.
    Data(u64),
    /// At the line end after one.
    DataEnd,
    /// After the last.
    Trailers,
}

/// What comes next of the body.
#[derive(Debug, PartialEq)]
pub(super) enum Piece {
    Data(Bytes),
    /// The end, with the fields after the last chunk.
    End(HeaderMap),
}

impl Chunks {
    /// Takes the next piece out of what has arrived; `None` if more has to come first.
    ///
    /// # Errors
    /// [`Fault::Chunk`] where it is no chunk.
    pub(super) fn take(&mut self, arrived: &mut BytesMut) -> Result<Option<Piece>, Fault> {
        loop {
            match *self {
                Self::Size => {
                    let Some(end) = memchr::memchr(b'\n', arrived) else { return wait(arrived) };
                    *self = match size(&arrived[..end]).ok_or(Fault::Chunk)? {
                        0 => Self::Trailers,
                        size => Self::Data(size),
                    };
                    arrived.advance(end + 1);
                }
                Self::Data(0) => *self = Self::DataEnd,
                Self::Data(_) if arrived.is_empty() => return Ok(None),
                Self::Data(left) => {
                    let length = arrived.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    *self = Self::Data(left - length as u64);
                    return Ok(Some(Piece::Data(arrived.split_to(length).freeze())));
                }
                Self::DataEnd if arrived.len() < 2 => return Ok(None),
                Self::DataEnd => {
                    if arrived[..2] != *b"\r\n" {
                        return Err(Fault::Chunk);
                    }
                    arrived.advance(2);
                    *self = Self::Size;
                }
                Self::Trailers => {
                    let mut lines = [httparse::EMPTY_HEADER; MOST_TRAILERS];
                    let parsed = httparse::parse_headers(arrived, &mut lines).map_err(|_| Fault::Chunk)?;
                    let httparse::Status::Complete((end, lines)) = parsed else { return wait(arrived) };
                    let trailers = fields(lines).ok_or(Fault::Chunk)?;
                    arrived.advance(end);
                    return Ok(Some(Piece::End(trailers)));
                }
            }
        }
    }
}

fn wait(arrived: &BytesMut) -> Result<Option<Piece>, Fault> {
    if arrived.len() > LONGEST { Err(Fault::Chunk) } else { Ok(None) }
}

/// The number at the beginning of a chunk's first line; what follows it is an extension, which means nothing to us, or
/// blanks, with which some servers fill it up.
fn size(line: &[u8]) -> Option<u64> {
    let line = line.strip_suffix(b"\r")?;
    let end = line.iter().position(|byte| matches!(byte, b';' | b' ' | b'\t')).unwrap_or(line.len());
    let (digits, rest) = line.split_at(end);
    let is_extension = rest.trim_ascii_start().first().is_none_or(|byte| *byte == b';');
    if digits.is_empty() || digits.len() > 16 || !digits.iter().all(u8::is_ascii_hexdigit) || !is_extension {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn fields(lines: &[httparse::Header<'_>]) -> Option<HeaderMap> {
    let mut fields = HeaderMap::new();
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        fields.append(name, HeaderValue::from_bytes(line.value).ok()?);
    }
    Some(fields)
}

/// The longest line of a chunk, and the longest section of trailers.
const LONGEST: usize = 16 << 10;
const MOST_TRAILERS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole body, its trailers, and what is left.
    fn whole(text: &[u8], step: usize) -> Result<(Vec<u8>, HeaderMap, Vec<u8>), Fault> {
        let (mut chunks, mut arrived, mut body) = (Chunks::Size, BytesMut::new(), Vec::new());
        let mut parts = text.chunks(step);
        loop {
            match chunks.take(&mut arrived)? {
                Some(Piece::Data(data)) => body.extend_from_slice(&data),
                Some(Piece::End(trailers)) => {
                    let rest = parts.flatten().copied();
                    return Ok((body, trailers, arrived.iter().copied().chain(rest).collect()));
                }
                None => arrived.extend_from_slice(parts.next().ok_or(Fault::Broken)?),
            }
        }
    }

    #[test]
    fn a_body_is_the_same_however_it_is_cut() {
        let text = b"5\r\nhello\r\nA;name=\"v\"\r\n0123456789\r\n3  \r\nend\r\n0\r\nX-Sum: 1\r\n\r\nHTTP";
        for step in [1, 2, 7, text.len()] {
            let (body, trailers, rest) = whole(text, step).unwrap();
            assert_eq!(body, b"hello0123456789end");
            assert_eq!(trailers, HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("1"))]));
            assert_eq!(rest, b"HTTP");
        }
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for text in [
            "0x5\r\nhello\r\n",
            "-5\r\nhello\r\n",
            "5 5\r\nhello\r\n",
            "\r\n",
            ";a\r\n",
            "5\nhello\r\n",
            "5\r\nhello!!",
            "FFFFFFFFFFFFFFFFF\r\n",
            "0\r\nno field\r\n\r\n",
        ] {
            assert_eq!(whole(text.as_bytes(), 1), Err(Fault::Chunk), "{text:?}");
        }
        assert!(whole(b"5\r\nhello\r\n0\r\n\r\n", 1).is_ok());
    }

    #[test]
    fn a_line_without_end_is_not_collected() {
        let mut arrived = BytesMut::from(&vec![b'1'; LONGEST + 1][..]);
        assert_eq!(Chunks::Size.take(&mut arrived), Err(Fault::Chunk));
        arrived.truncate(LONGEST);
        assert_eq!(Chunks::Size.take(&mut arrived), Ok(None));
    }
}
