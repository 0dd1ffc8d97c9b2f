use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::connection::{Protocol, until_cut};
use super::gauge::Gauge;
use super::listener::{self, Listener};
use super::socket::Stream;
use super::sweep::Sweep;
use super::tls::Certificates;
use super::{Handler, Outcome, Phase, Shutdown};
use crate::limit;

/// What the workers share.
#[derive(Clone)]
pub(super) struct Common {
    pub(super) limits: Arc<limit::Settings>,
    pub(super) certificates: Option<Certificates>,
    /// One permit for each connection, over all workers.
    pub(super) connections: Arc<Semaphore>,
    pub(super) shutdown: Shutdown,
}

/// One thread's share of the work: sockets, connections and handler of its own.
struct Worker<H> {
    handler: H,
    protocol: Protocol,
    sweep: RefCell<Sweep>,
    open: Cell<usize>,
    closed: Notify,
}

/// Serves on these sockets until the shutdown is through.
pub(super) async fn run<H: Handler>(sockets: Vec<listener::Idle>, handler: H, common: Common) -> io::Result<Outcome> {
    let worker = Rc::new(Worker {
        handler,
        protocol: Protocol::new(&common.limits, common.certificates.clone()),
        sweep: RefCell::new(Sweep::new(common.limits.timeouts)),
        open: Cell::new(0),
        closed: Notify::new(),
    });
    let mut accepting = Vec::new();
    for socket in sockets {
        let listener = Listener::new(socket)?;
        accepting.push(tokio::task::spawn_local(accept(Rc::clone(&worker), listener, Arc::clone(&common.connections))));
    }
    let sweeping = tokio::task::spawn_local(look_over(Rc::clone(&worker)));
    common.shutdown.reached(Phase::Closing).await;
    accepting.iter().for_each(tokio::task::JoinHandle::abort);
    // Before the sockets close, which they do when their aborted tasks are next due: who is refused a connection may
    // count on every answer from then on being the last of its connection.
    worker.sweep.borrow().retire_all();
    let outcome = tokio::select! {
        () = worker.all_closed() => Outcome::Finished,
        () = common.shutdown.reached(Phase::Forced) => Outcome::Forced,
    };
    sweeping.abort();
    Ok(outcome)
}

/// Takes connections while there are permits; beyond that one waits here and the others in the kernel's queue until one
/// ends. To answer each with a refusal would cost more than to serve it.
async fn accept<H: Handler>(worker: Rc<Worker<H>>, listener: Listener, connections: Arc<Semaphore>) {
    loop {
        match listener.accept().await {
            Ok(stream) => match Arc::clone(&connections).acquire_owned().await {
                Ok(permit) => Rc::clone(&worker).open(stream, permit),
                Err(_) => return,
            },
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                // No file descriptors, as a rule: others must end first.
                tracing::warn!(%error, "cannot accept connections");
                sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn look_over<H: Handler>(worker: Rc<Worker<H>>) {
    let mut ticks = interval(worker.sweep.borrow().interval());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let now = ticks.tick().await;
        worker.sweep.borrow_mut().look(now);
    }
}

impl<H: Handler> Worker<H> {
    fn open(self: Rc<Self>, stream: Stream, permit: OwnedSemaphorePermit) {
        let gauge = Arc::new(Gauge::holding(permit));
        self.sweep.borrow_mut().watch(&gauge, Instant::now());
        self.open.set(self.open.get() + 1);
        tokio::task::spawn_local(async move {
            let _open = Open(&self);
            let serving = self.protocol.serve(stream, &gauge, self.handler.clone());
            if let Some(Err(error)) = until_cut(&gauge, serving).await {
                tracing::debug!(%error, "connection ended");
            }
        });
    }

    async fn all_closed(&self) {
        while self.open.get() > 0 {
            self.closed.notified().await;
        }
    }
}

/// Counts a connection down however it ends, by a panic of its handler, too.
struct Open<'a, H>(&'a Worker<H>);

impl<H> Drop for Open<'_, H> {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        self.0.closed.notify_one();
    }
}

fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
