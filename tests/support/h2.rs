//! HTTP/2 frame by frame: for requests that no well-behaved client can send.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::within;

/// A connection by prior knowledge (RFC 9113 §3.3), its settings exchanged.
pub struct RawH2 {
    stream: TcpStream,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered with this status.
    Status(u16),
    /// The stream was reset with this code.
    Reset(u32),
    /// The connection was given up with this code, or just closed.
    GoAway(u32),
}

/// What a hostile client does again and again, each time on a new stream.
#[derive(Clone, Copy, Debug)]
pub enum Flood {
    /// Opens it and resets it (CVE-2023-44487).
    Resets,
    /// Grows its window by nothing, for which the server has to reset it (CVE-2025-8671).
    ZeroWindows,
    /// Sends data after its end, likewise.
    DataAfterTheEnd,
}

/// RFC 9113 §7.
pub const PROTOCOL_ERROR: u32 = 1;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// The four pseudo-header fields of a good request.
pub const GOOD: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "app.localhost"), (":path", "/public/a")];

impl RawH2 {
    pub async fn connect(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut connection = Self { stream };
        connection.frame(SETTINGS, 0, 0, &[]).await;
        connection
    }

    /// Sends these fields on stream 1, whatever they are, then the body in one piece if there is one.
    pub async fn ask(&mut self, fields: &[(&str, &str)], body: Option<&[u8]>) -> Outcome {
        self.headers(fields, body.is_none()).await;
        if let Some(body) = body {
            self.frame(DATA, END_STREAM, 1, body).await;
        }
        within("the end of the stream", self.outcome()).await
    }

    /// The same with trailers after the body.
    pub async fn ask_with_trailers(
        &mut self,
        fields: &[(&str, &str)],
        body: &[u8],
        trailers: &[(&str, &str)],
    ) -> Outcome {
        self.headers(fields, false).await;
        self.frame(DATA, 0, 1, body).await;
        self.headers(trailers, true).await;
        within("the end of the stream", self.outcome()).await
    }

    /// Does this on so many streams, and how the connection ended; whatever happens to single streams is passed over.
    pub async fn flood(&mut self, flood: Flood, streams: u32) -> Outcome {
        let block = block(&GOOD);
        let frames = (0..streams).map(|number| {
            let stream = 2 * number + 1;
            let (flags, then) = match flood {
                Flood::Resets => (END_STREAM, frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())),
                Flood::ZeroWindows => (0, frame(WINDOW_UPDATE, 0, stream, &[0; 4])),
                Flood::DataAfterTheEnd => (END_STREAM, frame(DATA, 0, stream, b"more")),
            };
            [frame(HEADERS, END_HEADERS | flags, stream, &block), then].concat()
        });
        self.pour(frames).await
    }

    /// Begins a header block and goes on with it for so many frames, never ending it (CVE-2024-27316).
    pub async fn endless_head(&mut self, frames: u32) -> Outcome {
        let more = block(&[("x-more", "m".repeat(100).as_str()); 10]);
        let first = frame(HEADERS, END_STREAM, 1, &block(&GOOD));
        self.pour(std::iter::once(first).chain((0..frames).map(|_| frame(CONTINUATION, 0, 1, &more)))).await
    }

    async fn pour(&mut self, frames: impl Iterator<Item = Vec<u8>>) -> Outcome {
        let (mut read, mut write) = self.stream.split();
        let sending = async {
            write.write_all(&frame(SETTINGS, ACK, 0, &[])).await?;
            for frame in frames {
                write.write_all(&frame).await?;
            }
            // Not closed: the server is to end it.
            std::future::pending::<std::io::Result<()>>().await
        };
        let reading = async {
            loop {
                let mut head = [0; 9];
                if read.read_exact(&mut head).await.is_err() {
                    return Outcome::GoAway(0);
                }
                let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
                if read.read_exact(&mut payload).await.is_err() {
                    return Outcome::GoAway(0);
                }
                if head[3] == GOAWAY {
                    return Outcome::GoAway(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
                }
            }
        };
        let mut reading = std::pin::pin!(reading);
        let ended = async {
            tokio::select! {
                outcome = &mut reading => outcome,
                // It takes no more: what it said before is still to be read.
                _ = sending => reading.await,
            }
        };
        within("the end of the connection", ended).await
    }

    async fn headers(&mut self, fields: &[(&str, &str)], end: bool) {
        let flags = END_HEADERS | if end { END_STREAM } else { 0 };
        self.frame(HEADERS, flags, 1, &block(fields)).await;
    }

    async fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        // The other side may have given up already; that is an outcome.
        let _ = self.stream.write_all(&frame(kind, flags, stream, payload)).await;
    }

    async fn outcome(&mut self) -> Outcome {
        loop {
            let mut head = [0; 9];
            if self.stream.read_exact(&mut head).await.is_err() {
                return Outcome::GoAway(0);
            }
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            if self.stream.read_exact(&mut payload).await.is_err() {
                return Outcome::GoAway(0);
            }
            let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
            match head[3] {
                SETTINGS if head[4] & ACK == 0 => self.frame(SETTINGS, ACK, 0, &[]).await,
                HEADERS => return Outcome::Status(status(&payload)),
                RST_STREAM => return Outcome::Reset(number(0)),
                GOAWAY if number(4) != 0 => return Outcome::GoAway(number(4)),
                _ => {}
            }
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| literal(name.as_bytes(), value.as_bytes())).collect()
}

/// A field never indexed, as it is (RFC 7541 §6.2.3).
fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut field = vec![0x10];
    for text in [name, value] {
        assert!(text.len() < 127, "longer texts need a longer length");
        field.push(text.len() as u8);
        field.extend(text);
    }
    field
}

/// The status in a header block: it comes first (RFC 9113 §8.3), indexed or with a literal value.
fn status(block: &[u8]) -> u16 {
    const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    let block = match block {
        // A change of the dynamic table's size may come before.
        [first, rest @ ..] if first >> 5 == 1 => rest,
        _ => block,
    };
    match block {
        [first, ..] if (0x88..=0x8e).contains(first) => INDEXED[usize::from(first - 0x88)],
        [0x48 | 0x08 | 0x18, length, rest @ ..] if length & 0x80 == 0 => {
            std::str::from_utf8(&rest[..usize::from(*length)]).unwrap().parse().unwrap()
        }
        [0x48 | 0x08 | 0x18, length, rest @ ..] => digits(&rest[..usize::from(length & 0x7f)]),
        _ => panic!("no status in {block:x?}"),
    }
}

/// Three Huffman-coded digits: 0 to 2 have five bits, the others six (RFC 7541 appendix B).
fn digits(code: &[u8]) -> u16 {
    let bits: Vec<u8> = code.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let (mut at, mut number) = (0, 0);
    for _ in 0..3 {
        let take = |count: usize| bits[at..at + count].iter().fold(0u16, |code, bit| code << 1 | u16::from(*bit));
        let (digit, length) = if take(5) < 3 { (take(5), 5) } else { (take(6) - 0b01_1001 + 3, 6) };
        number = number * 10 + digit;
        at += length;
    }
    number
}
