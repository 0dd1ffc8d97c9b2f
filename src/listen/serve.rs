use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::sleep;

use super::listener::Idle;
use super::worker::{self, Common};
use super::{Bound, Handler, Outcome, Phase, Settings, Shutdown};
use crate::limit;

/// Answers on bound addresses until `shutdown` is through: one thread for each worker, and for each of them a handler
/// that `make_handler` makes there, given the worker's number, within its runtime.
///
/// After [`Shutdown::begin`] requests are still taken for `shutdown.drain`; then nothing new is, and what is in
/// progress has `shutdown.timeout` to end. Tunnels end with the last request.
pub async fn serve<H: Handler>(
    bound: Bound,
    settings: &Settings,
    limits: &limit::Settings,
    make_handler: impl Fn(usize) -> H + Send + Sync + 'static,
    shutdown: Shutdown,
) -> Outcome {
    let (sockets, _files, certificates) = bound.into_parts();
    let common = Common {
        limits: Arc::new(limits.clone()),
        certificates: certificates.clone(),
        connections: Arc::new(Semaphore::new(limits.connections.clamp(1, Semaphore::MAX_PERMITS))),
        shutdown: shutdown.clone(),
    };
    // Dropped half-way, it takes its workers with it.
    let _end = EndWithMe(shutdown.clone());
    let make_handler = Arc::new(make_handler);
    let (report, mut reports) = mpsc::unbounded_channel();
    for (number, sockets) in sockets.into_iter().enumerate() {
        let (make_handler, common, report) = (Arc::clone(&make_handler), common.clone(), report.clone());
        let work = move || {
            let ended = work(sockets, || make_handler(number), common);
            let _ = report.send(ended.unwrap_or_else(|error| {
                tracing::error!(worker = number, %error, "worker failed");
                Outcome::Forced
            }));
        };
        if let Err(error) = thread::Builder::new().name(format!("worker-{number}")).spawn(work) {
            tracing::error!(worker = number, %error, "worker failed to start");
        }
    }
    drop(report);
    let ended = async {
        let mut outcome = Outcome::Finished;
        while let Some(ended) = reports.recv().await {
            outcome = if ended == Outcome::Forced { ended } else { outcome };
        }
        outcome
    };
    tokio::select! {
        outcome = ended => outcome,
        never = end_in_steps(&shutdown, settings.drain, settings.timeout) => match never {},
        never = super::tls::renew(certificates) => match never {},
    }
}

fn work<H: Handler>(sockets: Vec<Idle>, make_handler: impl FnOnce() -> H, common: Common) -> io::Result<Outcome> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let outcome = runtime.block_on(async { worker::run(sockets, make_handler(), common).await });
    // A name look-up that hangs must not hold up the end.
    runtime.shutdown_timeout(Duration::ZERO);
    outcome
}

async fn end_in_steps(shutdown: &Shutdown, drain: Duration, timeout: Duration) -> std::convert::Infallible {
    shutdown.reached(Phase::Draining).await;
    tokio::select! {
        () = sleep(drain) => shutdown.advance(Phase::Closing),
        () = shutdown.reached(Phase::Closing) => {}
    }
    sleep(timeout).await;
    shutdown.force();
    std::future::pending().await
}

struct EndWithMe(Shutdown);

impl Drop for EndWithMe {
    fn drop(&mut self) {
        self.0.force();
    }
}
