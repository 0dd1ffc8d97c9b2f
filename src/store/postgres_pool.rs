//! The connections to PostgreSQL: how many, how long they are waited for, and what happens while the server is away.
//!
//! They live on a runtime of their own: each worker of the service has a runtime that ends with it, and a connection
//! must not. A deed runs there as a task, from its first statement to its last, whether or not somebody still waits.
//!
//! A server that cannot be reached, or that answers nothing for longer than it takes itself to break a statement off,
//! is *away*: from then on every deed is `Unavailable` at once, while one task looks for it, several times a second.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool_postgres::{
    ClientWrapper, Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod,
    Runtime as Timers, TimeoutType,
};
use futures_util::future::try_join_all;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::outcome::noted;
use super::postgres_fault::{Fault, no_connection};
use super::postgres_settings::PostgresSettings;
use super::{Answer, Connected, Error, Timings, postgres_sql as sql};
use crate::secret;
use crate::span;

/// A connection with its prepared statements.
pub(super) type Connection = ClientWrapper;

/// A deed on a connection.
pub(super) type Doing<'c, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'c>>;

/// Threads of the runtime: they only carry bytes.
const THREADS: usize = 2;

/// How many deeds may be under way or wait, for each connection; beyond that they are refused at once.
const QUEUE: usize = 64;

/// How often a deed is tried again when another transaction was in its way.
const TRIES: u32 = 10;

/// What a server gets beyond its own limit to say that it has broken a statement off.
const GRACE: Duration = Duration::from_millis(500);

/// Between two looks for a server that is away, at least and at most.
const LOOKS: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(500)];

/// All connections of this process to one server.
pub(super) struct Connections {
    runtime: Option<Runtime>,
    shared: Arc<Shared>,
    timings: Timings,
}

/// Whether a deed may be done twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    None,
    Some,
}

impl Effect {
    fn as_str(self) -> &'static str {
        match self {
            Self::None => "read",
            Self::Some => "write",
        }
    }
}

struct Shared {
    pool: Pool,
    places: Semaphore,
    settings: PostgresSettings,
    tls: MakeRustlsConnect,
    /// Odd while the server is away; counts up whenever that changes.
    epoch: AtomicU64,
}

impl Connections {
    /// Prepares to connect; the first deed does.
    pub(super) fn new(settings: &PostgresSettings, tls: MakeRustlsConnect) -> std::io::Result<Self> {
        let runtime =
            Builder::new_multi_thread().worker_threads(THREADS).thread_name("store-postgres").enable_all().build()?;
        let manager = Manager::from_config(
            settings.config(),
            tls.clone(),
            // What a connection that was lost costs is one more try, and a question before every deed costs more.
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let limit = settings.statement_timeout;
        let pool = Pool::builder(manager)
            .max_size(settings.pool)
            .wait_timeout(Some(limit))
            .create_timeout(Some(settings.connect_timeout))
            .recycle_timeout(Some(limit))
            .runtime(Timers::Tokio1)
            .post_create(Hook::async_fn(move |client, _| {
                Box::pin(async move { prepare(client, limit).await.map_err(HookError::Backend) })
            }))
            .build()
            .map_err(std::io::Error::other)?;
        let shared = Shared {
            pool,
            places: Semaphore::new(settings.pool.saturating_mul(QUEUE)),
            settings: settings.clone(),
            tls,
            epoch: AtomicU64::new(0),
        };
        Ok(Self { runtime: Some(runtime), shared: Arc::new(shared), timings: Timings::default() })
    }

    /// Does what changes nothing, on another connection if the first is lost.
    pub(super) fn read<T, F>(&self, deed: F) -> Answer<'_, T>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c Connection) -> Doing<'c, T> + Send + Sync + 'static,
    {
        self.run(Effect::None, deed)
    }

    /// Does what changes something; if the connection is lost meanwhile, nobody knows whether it was done.
    pub(super) fn write<T, F>(&self, deed: F) -> Answer<'_, T>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c Connection) -> Doing<'c, T> + Send + Sync + 'static,
    {
        self.run(Effect::Some, deed)
    }

    fn run<T, F>(&self, effect: Effect, deed: F) -> Answer<'_, T>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c Connection) -> Doing<'c, T> + Send + Sync + 'static,
    {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let ended = || Error::Unavailable("the store is closed".into());
            let runtime = self.runtime.as_ref().ok_or_else(ended)?;
            let span = span::store("postgresql", effect.as_str());
            let begun = Instant::now();
            let outcome = runtime.spawn(async move { shared.run(effect, deed).await }).await.map_err(|_| ended())?;
            match effect {
                Effect::None => self.timings.read.note(begun.elapsed()),
                Effect::Some => self.timings.write.note(begun.elapsed()),
            }
            noted(&span, outcome)
        })
    }

    /// How many there are.
    pub(super) fn connected(&self) -> Connected {
        let status = self.shared.pool.status();
        Connected { busy: status.size.saturating_sub(status.available), idle: status.available, most: status.max_size }
    }

    /// How long deeds took so far.
    pub(super) fn timings(&self) -> &Timings {
        &self.timings
    }

    /// Waits on the calling thread for something done on the runtime.
    pub(super) fn block_on<T: Send + 'static>(&self, doing: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        self.runtime.as_ref()?.spawn(async move { answer.send(doing.await) });
        answered.recv().ok()
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        // Not a plain drop, which waits, and must not on the thread of another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connections({})", self.shared.settings.url)
    }
}

impl Shared {
    async fn run<T, F>(self: &Arc<Self>, effect: Effect, deed: F) -> Result<T, Error>
    where
        F: for<'c> Fn(&'c Connection) -> Doing<'c, T>,
    {
        let epoch = self.epoch.load(Ordering::Acquire);
        if !epoch.is_multiple_of(2) {
            return Err(Error::Unavailable("PostgreSQL is away".into()));
        }
        let Ok(_place) = self.places.try_acquire() else {
            return Err(Error::Unavailable("too many wait for PostgreSQL".into()));
        };
        let mut tries = 0;
        let mut lost = 0;
        loop {
            let connection = self.connection(epoch).await.map_err(Fault::into_error)?;
            let end = Instant::now() + self.settings.statement_timeout + GRACE;
            let Ok(outcome) = timeout_at(end, deed(&connection)).await else {
                // It is in the middle of something: nobody may have it next.
                drop(Object::take(connection));
                self.miss(epoch, "it does not answer".into());
                return Err(Error::Unavailable("PostgreSQL does not answer".into()));
            };
            let fault = match outcome {
                Ok(done) => return Ok(done),
                Err(fault) => fault,
            };
            if fault.is_of_connection() {
                drop(Object::take(connection));
                lost += 1;
                // Each connection that was idle may be lost, and the next one, too.
                if effect == Effect::None && lost <= 1 {
                    continue;
                }
            } else if fault.is_contention() && tries < TRIES {
                drop(connection);
                tries += 1;
                // The more often, the longer apart: 1 to 2 ms, then up to a quarter of a second.
                sleep(jitter(Duration::from_millis(1 << tries.min(8)))).await;
                continue;
            }
            return Err(fault.into_error());
        }
    }

    /// A connection that nobody uses, or a new one.
    async fn connection(self: &Arc<Self>, epoch: u64) -> Result<Object, Fault> {
        let error = match self.pool.get().await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        let (reason, refused) = match &error {
            PoolError::Timeout(TimeoutType::Wait) => {
                return Err(Fault::Unavailable("all connections to PostgreSQL are in use".into()));
            }
            PoolError::Timeout(_) => ("no connection in time".to_owned(), false),
            PoolError::Backend(error) => (no_connection(error), error.as_db_error().is_some()),
            PoolError::PostCreateHook(HookError::Backend(error)) => {
                (no_connection(error), error.as_db_error().is_some())
            }
            other => (other.to_string(), false),
        };
        // One that answers, if only to refuse yet another connection, may serve well on those there are.
        if !refused || self.pool.status().size == 0 {
            self.miss(epoch, reason.clone());
        } else {
            tracing::warn!(reason, "PostgreSQL refuses another connection");
        }
        Err(Fault::Unavailable(reason))
    }

    /// Notes that the server is away, and looks for it.
    fn miss(self: &Arc<Self>, epoch: u64, reason: String) {
        // What began before the server was last found says nothing about now.
        if self.epoch.compare_exchange(epoch, epoch + 1, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return;
        }
        tracing::error!(server = %self.settings.url, reason, "PostgreSQL is away: what needs the store is refused");
        self.pool.retain(|_, _| false);
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            while !matches!(timeout(shared.settings.connect_timeout, shared.look()).await, Ok(Ok(()))) {
                sleep(LOOKS[0] + jitter(LOOKS[1] - LOOKS[0])).await;
            }
            shared.epoch.fetch_add(1, Ordering::AcqRel);
            tracing::info!(server = %shared.settings.url, "PostgreSQL is back");
        });
    }

    /// Whether the server takes connections and answers on them.
    async fn look(&self) -> Result<(), tokio_postgres::Error> {
        let (client, connection) = self.settings.config().connect(self.tls.clone()).await?;
        let connection = tokio::spawn(connection);
        let answer = client.batch_execute(sql::PING).await;
        connection.abort();
        answer
    }
}

/// Sets a new connection up, everything in one flight: every statement is prepared, so that none needs a second round
/// trip later, and what a transaction sends together is sent in order.
async fn prepare(client: &mut ClientWrapper, limit: Duration) -> Result<(), tokio_postgres::Error> {
    let client = &*client;
    // A transaction whose instance is gone without a word must not hold its locks.
    let limits = format!(
        "SET statement_timeout = {}; SET idle_in_transaction_session_timeout = {}",
        limit.as_millis(),
        2 * limit.as_millis()
    );
    let prepared = try_join_all(sql::ALL.iter().map(|(_, sql)| client.prepare_cached(sql)));
    let (set, prepared) = futures_util::future::join(client.batch_execute(&limits), prepared).await;
    set?;
    prepared.map(|_| ())
}

/// Half of this, and at random up to all of it: so that those who met do not meet again.
pub(super) fn jitter(span: Duration) -> Duration {
    let part = u32::from(u16::from_be_bytes(secret::random())) + 1;
    span / 2 + span / 2 * part / (1 << 16)
}
