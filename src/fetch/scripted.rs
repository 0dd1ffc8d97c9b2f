//! For tests: a server on loopback that answers as it is told, counts, and can be held up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Runs until the test ends.
#[derive(Clone)]
pub(crate) struct Scripted {
    host: String,
    shared: Arc<Shared>,
}

struct Shared {
    answer: Mutex<Vec<u8>>,
    asked: Mutex<Vec<String>>,
    count: AtomicUsize,
    /// Every answer takes one.
    answers: Semaphore,
}

impl Scripted {
    /// Answers 200 with this JSON.
    pub(crate) async fn json(body: &serde_json::Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            answer: Mutex::default(),
            asked: Mutex::default(),
            count: AtomicUsize::default(),
            answers: Semaphore::new(1_000_000),
        });
        let server = Self { host, shared: shared.clone() };
        server.say_json(body);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, shared.clone()));
            }
        });
        server
    }

    /// `http://127.0.0.1:4711` and this path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host)
    }

    /// Answers with these bytes from now on.
    pub(crate) fn say(&self, answer: impl Into<Vec<u8>>) {
        *self.shared.answer.lock().unwrap() = answer.into();
    }

    /// Answers 200 with this JSON from now on.
    pub(crate) fn say_json(&self, body: &serde_json::Value) {
        self.say(format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{body}"));
    }

    /// Answers nothing until [`release`](Self::release).
    pub(crate) fn hold(&self) {
        self.shared.answers.forget_permits(usize::MAX >> 4);
    }

    /// Answers again.
    pub(crate) fn release(&self) {
        self.shared.answers.add_permits(1_000_000);
    }

    /// How many requests came.
    pub(crate) fn count(&self) -> usize {
        self.shared.count.load(Ordering::SeqCst)
    }

    /// The requests, as far as one read got them.
    #[expect(dead_code, reason = "each module's tests use what they need")]
    pub(crate) fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().unwrap().clone()
    }
}

async fn serve(mut socket: TcpStream, shared: Arc<Shared>) {
    let mut asked = vec![0; 64 << 10];
    let length = socket.read(&mut asked).await.unwrap_or(0);
    shared.asked.lock().unwrap().push(String::from_utf8_lossy(&asked[..length]).into_owned());
    shared.count.fetch_add(1, Ordering::SeqCst);
    shared.answers.acquire().await.unwrap().forget();
    let answer = shared.answer.lock().unwrap().clone();
    // Whoever refuses in the middle of an answer closes.
    let _ = socket.write_all(&answer).await;
}
