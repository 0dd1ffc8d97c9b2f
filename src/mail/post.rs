use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use tokio::runtime;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;

use super::directory::Directory;
pub(super) use super::message::Desk;
use super::smtp::{CONNECTIONS, Line, Server};
use super::{Error, Figures, Kind, Smtp};
use crate::account::email::Email;
use crate::clock::Timestamp;
use crate::language::Language;

/// A queue and the thread that works it off.
///
/// The thread has a runtime of its own: those that carry requests come and go with listeners and reloads.
#[derive(Debug)]
pub(super) struct Post {
    orders: mpsc::Sender<Order>,
    open: watch::Sender<usize>,
    ends: Arc<Ends>,
}

/// How many mails left, and how many did not.
#[derive(Debug, Default)]
struct Ends {
    sent: AtomicU64,
    failed: AtomicU64,
}

/// A mail to be written.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) to: Email,
    pub(super) kind: Kind,
    pub(super) at: Timestamp,
    pub(super) language: Language,
}

enum Way {
    Directory(Directory),
    Server(Line),
}

impl Post {
    pub(super) fn to_directory(desk: Desk, path: &Path) -> Result<Self, Error> {
        let directory = Directory::open(path)?;
        Self::start(desk, move || Ok(Way::Directory(directory)))
    }

    pub(super) fn to_server(desk: Desk, settings: &Smtp) -> Result<Self, Error> {
        let server = Server::parse(settings)?;
        Self::start(desk, move || server.connect().map(Way::Server))
    }

    fn start(desk: Desk, way: impl FnOnce() -> Result<Way, Error> + Send + 'static) -> Result<Self, Error> {
        let (orders, queue) = mpsc::channel(QUEUE);
        let open = watch::Sender::new(0);
        let ends = Arc::<Ends>::default();
        let clerk = Clerk { desk, open: open.clone(), ends: ends.clone() };
        let (report, ready) = std::sync::mpsc::channel();
        let work = move || {
            let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(report.send(Err(Error::Thread(error)))),
            };
            let entered = runtime.enter();
            match way() {
                Ok(way) => {
                    let _ = report.send(Ok(()));
                    drop(entered);
                    runtime.block_on(clerk.work(way, queue));
                }
                Err(error) => drop(report.send(Err(error))),
            }
        };
        thread::Builder::new().name("mail".to_owned()).spawn(work).map_err(Error::Thread)?;
        ready.recv().map_err(|_| Error::Thread(std::io::ErrorKind::BrokenPipe.into()))??;
        Ok(Self { orders, open, ends })
    }

    pub(super) fn take(&self, to: Email, kind: Kind, at: Timestamp, language: Language) {
        let order = Order { to, kind, at, language };
        let name = order.kind.as_str();
        self.open.send_modify(|open| *open += 1);
        if self.orders.try_send(order).is_err() {
            self.open.send_modify(|open| *open -= 1);
            self.ends.failed.fetch_add(1, Relaxed);
            tracing::error!(event = "mail.failed", kind = name, "too many mails wait, or their thread is gone");
        }
    }

    pub(super) fn figures(&self) -> Figures {
        let (sent, failed) = (self.ends.sent.load(Relaxed), self.ends.failed.load(Relaxed));
        Figures { waiting: *self.open.borrow(), sent, failed }
    }

    pub(super) async fn drain(&self) {
        // An error would mean that nobody counts any more.
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }
}

struct Clerk {
    desk: Desk,
    open: watch::Sender<usize>,
    ends: Arc<Ends>,
}

impl Clerk {
    async fn work(self, way: Way, queue: mpsc::Receiver<Order>) {
        let (clerk, way, queue) = (Arc::new(self), Arc::new(way), Arc::new(Mutex::new(queue)));
        let mut hands = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let (clerk, way, queue) = (Arc::clone(&clerk), Arc::clone(&way), Arc::clone(&queue));
            hands.spawn(async move {
                while let Some(order) = next(&queue).await {
                    match clerk.deliver(&way, &order).await {
                        Ok(()) => clerk.ends.sent.fetch_add(1, Relaxed),
                        Err(error) => {
                            // Before the log: who reads of it there finds it counted.
                            let before = clerk.ends.failed.fetch_add(1, Relaxed);
                            failed(&order, &error);
                            before
                        }
                    };
                    clerk.open.send_modify(|open| *open -= 1);
                }
            });
        }
        while hands.join_next().await.is_some() {}
    }

    async fn deliver(&self, way: &Way, order: &Order) -> Result<(), String> {
        let message = self.desk.write(order).map_err(|error| error.to_string())?;
        match way {
            Way::Directory(directory) => directory.put(&message, order.at).map_err(|error| error.to_string()),
            Way::Server(line) => line.send(&message).await.map_err(|error| error.to_string()),
        }
    }
}

async fn next(queue: &Mutex<mpsc::Receiver<Order>>) -> Option<Order> {
    queue.lock().await.recv().await
}

fn failed(order: &Order, error: &str) {
    let domain = order.to.key().rsplit_once('@').map_or("", |(_, domain)| domain);
    tracing::error!(event = "mail.failed", kind = order.kind.as_str(), domain, %error, "a mail was not sent");
}

/// Mails that may wait; a server that takes none for long must not fill the memory.
const QUEUE: usize = 1000;
