use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind};
use tokio::sync::watch;
use tokio::time::Instant;

use super::connect::{Connection, read};
use super::{Numbers, Settings};

/// The connection for commands, while there is one. Who finds none is told so at once and does not wait for it.
pub(super) struct Link {
    settings: Settings,
    /// With its number among those there were.
    current: Mutex<Option<(u64, Connection)>>,
    made: AtomicU64,
    state: watch::Sender<State>,
    numbers: Numbers,
}

/// What came of a question.
#[derive(Debug)]
pub(super) enum Answer<T> {
    /// This.
    Is(T),
    /// The server does not know the script that was named: it was restarted.
    NoScript,
    /// It is away, or does not do what it is asked; then it counts as away.
    None,
}

/// Whether Redis is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nobody has looked yet.
    Unknown,
    Up,
    Away,
}

impl State {
    pub(super) fn is_known(self) -> bool {
        self != Self::Unknown
    }
}

impl Link {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            current: Mutex::default(),
            made: AtomicU64::default(),
            state: watch::Sender::new(State::Unknown),
            numbers: Numbers::default(),
        }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    pub(super) fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    pub(super) fn is_up(&self) -> bool {
        *self.state.borrow() == State::Up
    }

    /// Asks Redis.
    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Answer<T> {
        // Not held while waiting: many ask on it at the same time.
        let current = self.current().clone();
        let Some((number, mut connection)) = current else { return Answer::None };
        let begun = Instant::now();
        match connection.ask(command, self.settings.timeout).await.and_then(read) {
            Ok(answer) => {
                self.numbers.answers.note(begun.elapsed());
                Answer::Is(answer)
            }
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => Answer::NoScript,
            Err(error) => {
                self.numbers.add_silence();
                // Only the connection it was asked on is known to be of no use: there may be another by now.
                if self.current().take_if(|(now, _)| *now == number).is_some() {
                    self.set(State::Away, &error.to_string());
                }
                Answer::None
            }
        }
    }

    /// Commands go here from now on.
    pub(super) fn put(&self, connection: Connection) {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        *self.current() = Some((number, connection));
    }

    /// From now on nobody waits for it.
    pub(super) fn fail(&self, error: &RedisError) {
        *self.current() = None;
        self.set(State::Away, &error.to_string());
    }

    /// It counts as there.
    pub(super) fn set_up(&self) {
        self.set(State::Up, "");
    }

    /// Told once for each change.
    fn set(&self, state: State, why: &str) {
        let changed = self.state.send_if_modified(|now| std::mem::replace(now, state) != state);
        let server = &self.settings.address;
        match state {
            State::Up if changed => tracing::info!(event = "cluster.up", %server, "Redis is there"),
            State::Away if changed => tracing::warn!(
                event = "cluster.away",
                %server,
                why,
                "Redis is away: limits count for each instance alone, and revocations reach the others within \
                 `session.cache`"
            ),
            _ => {}
        }
    }

    fn current(&self) -> MutexGuard<'_, Option<(u64, Connection)>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
