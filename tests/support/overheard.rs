//! What the library logs on the thread of a test.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing::Dispatch;
use tracing::subscriber::{DefaultGuard, NoSubscriber, set_default};

/// Listens until it is dropped.
pub struct Overheard {
    said: Said,
    _guard: DefaultGuard,
    _second: Dispatch,
}

impl Overheard {
    /// Begins to listen.
    pub fn start() -> Self {
        let said = Said::default();
        let writer = said.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        // With one subscriber alone `tracing` asks that of whichever thread comes by first, and other tests have none.
        let _second = Dispatch::new(NoSubscriber::default());
        Self { said, _guard: set_default(subscriber), _second }
    }

    /// All of it so far.
    pub fn text(&self) -> String {
        String::from_utf8(self.said.0.lock().unwrap().clone()).unwrap()
    }
}

#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
