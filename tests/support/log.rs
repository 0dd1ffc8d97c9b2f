//! The lines a child process prints, as they come.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex};
use std::thread;

use tokio::sync::watch;

use super::within;

/// Everything printed so far on standard output and standard error, in order of arrival.
#[derive(Clone)]
pub struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    grown: Arc<watch::Sender<Progress>>,
}

#[derive(Clone, Copy, Default)]
struct Progress {
    lines: usize,
    ended: usize,
}

impl Log {
    /// Reads both pipes until they end.
    pub fn of(stdout: impl Read + Send + 'static, stderr: impl Read + Send + 'static) -> Self {
        let log = Self { lines: Arc::default(), grown: Arc::new(watch::channel(Progress::default()).0) };
        log.clone().follow(stdout);
        log.clone().follow(stderr);
        log
    }

    fn follow(self, pipe: impl Read + Send + 'static) {
        thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
                line.clear();
                self.lines.lock().unwrap().push(text);
                self.grown.send_modify(|progress| progress.lines += 1);
            }
            self.grown.send_modify(|progress| progress.ended += 1);
        });
    }

    /// All of it.
    pub fn text(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// All lines.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// The lines with this text.
    pub fn with(&self, needle: &str) -> Vec<String> {
        self.lines().into_iter().filter(|line| line.contains(needle)).collect()
    }

    /// The first `count` lines with this text, as soon as there are so many.
    /// `None`: the process closed its pipes before.
    pub async fn first(&self, count: usize, needle: &str) -> Option<Vec<String>> {
        let mut grown = self.grown.subscribe();
        let wait = async {
            loop {
                let ended = grown.borrow_and_update().ended == 2;
                let found = self.with(needle);
                if found.len() >= count {
                    return Some(found);
                }
                if ended || grown.changed().await.is_err() {
                    return None;
                }
            }
        };
        within(&format!("a log line with {needle:?}, have:\n{}", self.text()), wait).await
    }

    /// A line with this text, as soon as there is one.
    pub async fn line(&self, needle: &str) -> String {
        match self.first(1, needle).await {
            Some(mut lines) => lines.remove(0),
            None => panic!("the process ended without a line {needle:?}:\n{}", self.text()),
        }
    }

    /// Waits until both pipes are closed.
    pub async fn ended(&self) {
        let mut grown = self.grown.subscribe();
        within("the end of the output", grown.wait_for(|progress| progress.ended == 2)).await.unwrap();
    }
}
