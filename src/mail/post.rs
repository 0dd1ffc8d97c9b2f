use std::path::Path;
use std::sync::Arc;
use std::thread;

use tokio::runtime;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;

use super::directory::Directory;
pub(super) use super::message::Desk;
use super::smtp::{CONNECTIONS, Line, Server};
use super::{Error, Kind, Smtp};
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
        let clerk = Clerk { desk, open: open.clone() };
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
        Ok(Self { orders, open })
    }

    pub(super) fn take(&self, to: Email, kind: Kind, at: Timestamp, language: Language) {
        let order = Order { to, kind, at, language };
        let name = order.kind.as_str();
        self.open.send_modify(|open| *open += 1);
        if self.orders.try_send(order).is_err() {
            self.open.send_modify(|open| *open -= 1);
            tracing::error!(event = "mail.failed", kind = name, "too many mails wait, or their thread is gone");
        }
    }

    pub(super) async fn drain(&self) {
        // An error would mean that nobody counts any more.
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }
}

struct Clerk {
    desk: Desk,
    open: watch::Sender<usize>,
}

impl Clerk {
    async fn work(self, way: Way, queue: mpsc::Receiver<Order>) {
        let (clerk, way, queue) = (Arc::new(self), Arc::new(way), Arc::new(Mutex::new(queue)));
        let mut hands = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let (clerk, way, queue) = (Arc::clone(&clerk), Arc::clone(&way), Arc::clone(&queue));
            hands.spawn(async move {
                while let Some(order) = next(&queue).await {
                    clerk.deliver(&way, order).await;
                    clerk.open.send_modify(|open| *open -= 1);
                }
            });
        }
        while hands.join_next().await.is_some() {}
    }

    async fn deliver(&self, way: &Way, order: Order) {
        let message = match self.desk.write(&order) {
            Ok(message) => message,
            Err(error) => return failed(&order, &error),
        };
        match way {
            Way::Directory(directory) => {
                if let Err(error) = directory.put(&message, order.at) {
                    failed(&order, &error);
                }
            }
            Way::Server(line) => {
                if let Err(error) = line.send(&message).await {
                    failed(&order, &error);
                }
            }
        }
    }
}

async fn next(queue: &Mutex<mpsc::Receiver<Order>>) -> Option<Order> {
    queue.lock().await.recv().await
}

fn failed(order: &Order, error: &dyn std::fmt::Display) {
    let domain = order.to.key().rsplit_once('@').map_or("", |(_, domain)| domain);
    tracing::error!(event = "mail.failed", kind = order.kind.as_str(), domain, %error, "a mail was not sent");
}

/// Mails that may wait; a server that takes none for long must not fill the memory.
const QUEUE: usize = 1000;
