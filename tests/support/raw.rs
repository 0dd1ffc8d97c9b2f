//! Plain TCP: exactly these bytes, and what comes back.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::within;

/// A connection that keeps what it was sent beyond the answer just read.
pub struct RawClient {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An HTTP/1.1 answer as it was written.
#[derive(Debug)]
pub struct RawReply {
    pub status: u16,
    /// Status line and fields.
    pub head: String,
    pub body: Vec<u8>,
}

impl RawClient {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    /// Writes the bytes; a peer that has hung up already is no failure of the test.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let _ = within("room to write", self.stream.write_all(bytes.as_ref())).await;
        self
    }

    /// Ends our side of the connection.
    pub async fn finish(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Sends and reads one answer.
    pub async fn ask(&mut self, bytes: impl AsRef<[u8]>) -> RawReply {
        self.send(bytes).await;
        self.reply().await
    }

    /// Reads one answer: `None` when the connection is closed instead.
    pub async fn maybe_reply(&mut self) -> Option<RawReply> {
        within("an answer", self.read_reply(false)).await
    }

    /// Reads one answer.
    pub async fn reply(&mut self) -> RawReply {
        self.maybe_reply().await.expect("closed without an answer")
    }

    /// Reads the answer to a HEAD request: its length is not sent.
    pub async fn head_reply(&mut self) -> RawReply {
        within("an answer", self.read_reply(true)).await.expect("closed without an answer")
    }

    /// Everything until the other side ends the connection.
    pub async fn rest(&mut self) -> Vec<u8> {
        while within("the end of the connection", self.fill()).await {}
        std::mem::take(&mut self.buffer)
    }

    /// Reads until this text has come, and hands over everything before its end.
    pub async fn until(&mut self, needle: &str) -> String {
        let needle = needle.as_bytes();
        loop {
            if let Some(at) = self.buffer.windows(needle.len()).position(|window| window == needle) {
                let taken: Vec<u8> = self.buffer.drain(..at + needle.len()).collect();
                return String::from_utf8_lossy(&taken).into_owned();
            }
            let more = within("more bytes", self.fill()).await;
            assert!(more, "closed after {:?}", String::from_utf8_lossy(&self.buffer));
        }
    }

    async fn read_reply(&mut self, bodyless: bool) -> Option<RawReply> {
        let end = loop {
            match self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(at) => break at + 4,
                None if !self.fill().await => return None,
                None => {}
            }
        };
        let head: Vec<u8> = self.buffer.drain(..end).collect();
        let head = String::from_utf8_lossy(&head).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        let mut reply = RawReply { status, head, body: Vec::new() };
        if bodyless || status == 304 || status == 204 || status < 200 {
            return Some(reply);
        }
        if reply.header("transfer-encoding").eq_ignore_ascii_case("chunked") {
            reply.body = self.chunks().await;
        } else if let Ok(length) = reply.header("content-length").parse::<usize>() {
            while self.buffer.len() < length && self.fill().await {}
            reply.body = self.buffer.drain(..length.min(self.buffer.len())).collect();
        } else {
            while self.fill().await {}
            reply.body = std::mem::take(&mut self.buffer);
        }
        Some(reply)
    }

    /// A chunked body with its trailer section (RFC 9112 §7.1); the trailers are dropped.
    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await;
            let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16).unwrap();
            if size == 0 {
                while !self.line().await.is_empty() {}
                return body;
            }
            while self.buffer.len() < size + 2 {
                assert!(self.fill().await, "closed inside a chunk");
            }
            body.extend(self.buffer.drain(..size));
            self.buffer.drain(..2);
        }
    }

    async fn line(&mut self) -> String {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..at + 2).collect();
                return String::from_utf8_lossy(&line[..at]).into_owned();
            }
            assert!(self.fill().await, "closed inside a line");
        }
    }

    async fn fill(&mut self) -> bool {
        let mut piece = [0; 16 << 10];
        match self.stream.read(&mut piece).await {
            // A reset counts as an end: the other side has hung up with our bytes unread.
            Ok(0) | Err(_) => false,
            Ok(read) => {
                self.buffer.extend_from_slice(&piece[..read]);
                true
            }
        }
    }
}

impl RawReply {
    /// A field's value; empty if absent.
    pub fn header(&self, name: &str) -> &str {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let mut found = fields.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim());
        found.next().unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// An app that answers every connection's first request with exactly these bytes.
pub struct RawUpstream {
    address: SocketAddr,
    received: Arc<Mutex<Vec<u8>>>,
    task: JoinHandle<()>,
}

impl RawUpstream {
    /// Answers once the head of a request has come; the connection is closed after the answer.
    pub async fn start(answer: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::<Mutex<Vec<u8>>>::default();
        let (seen, answer) = (received.clone(), answer.into());
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (seen, answer) = (seen.clone(), answer.clone());
                tokio::spawn(async move {
                    let mut piece = [0; 16 << 10];
                    let mut head = Vec::new();
                    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
                        match stream.read(&mut piece).await {
                            Ok(0) | Err(_) => return,
                            Ok(read) => head.extend_from_slice(&piece[..read]),
                        }
                    }
                    seen.lock().unwrap().extend(head);
                    let _ = stream.write_all(&answer).await;
                    let _ = stream.shutdown().await;
                    while stream.read(&mut piece).await.is_ok_and(|read| read > 0) {}
                });
            }
        });
        Self { address, received, task }
    }

    /// `http://127.0.0.1:4711`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The heads that came.
    pub fn received(&self) -> String {
        String::from_utf8_lossy(&self.received.lock().unwrap()).into_owned()
    }
}

impl Drop for RawUpstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}
