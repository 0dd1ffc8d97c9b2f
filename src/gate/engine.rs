//! The layers, ready for many threads at a time.

use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use http::Response;
use tokio::runtime::Handle;
use tower_service::Service;

use crate::layer::{Answer, Refusal};
use crate::stack::{Door, House, client_api, own_pages, way_to};
use crate::visit::Visit;

/// How a decision or a page ended.
pub(super) type Outcome = Result<Answer, Refusal>;

/// The same, some time later.
pub(super) type Later = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A decision. What is known of a caller needs no waiting, and so no box.
pub(super) enum Decision {
    Now(Outcome),
    Later(Later),
}

/// Engines that wait for work: as many as there were threads that decided at the same moment. A tower service is
/// changed by each call; so each thread takes one for itself.
pub(super) struct Engines {
    make: Box<dyn Fn() -> Box<dyn Engine> + Send + Sync>,
    idle: Mutex<Vec<Box<dyn Engine>>>,
}

impl Engines {
    pub(super) fn new(house: std::sync::Arc<House>) -> Self {
        let make = Box::new(move || -> Box<dyn Engine> {
            Box::new(Works {
                way: way_to(&house, Door { own: Stop, client_api: Stop, app: Stop }),
                own: own_pages(&house),
                client_api: client_api(&house),
            })
        });
        Self { make, idle: Mutex::default() }
    }

    /// Decides about a visit. An answer whose visit is for us or the app is leave to go on.
    pub(super) fn decide(&self, visit: Box<Visit>) -> Decision {
        self.with(|engine| engine.decide(visit))
    }

    /// Answers for our own pages.
    pub(super) fn own(&self, visit: Box<Visit>) -> Later {
        self.with(|engine| engine.own(visit))
    }

    /// Answers for the client API of App Services.
    pub(super) fn client_api(&self, visit: Box<Visit>) -> Later {
        self.with(|engine| engine.client_api(visit))
    }

    fn with<T>(&self, work: impl FnOnce(&mut dyn Engine) -> T) -> T {
        let idle = self.idle().pop();
        let mut engine = idle.unwrap_or_else(|| (self.make)());
        let result = work(&mut *engine);
        self.idle().push(engine);
        result
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Box<dyn Engine>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

trait Engine: Send {
    fn decide(&mut self, visit: Box<Visit>) -> Decision;
    fn own(&mut self, visit: Box<Visit>) -> Later;
    fn client_api(&mut self, visit: Box<Visit>) -> Later;
}

struct Works<W, O, C> {
    way: W,
    own: O,
    client_api: C,
}

impl<W, O, C> Engine for Works<W, O, C>
where
    W: Service<Box<Visit>, Response = Answer, Error = Refusal, Future: Send + Unpin + 'static> + Send,
    O: Service<Box<Visit>, Response = Answer, Error = Refusal, Future: Send + 'static> + Send,
    C: Service<Box<Visit>, Response = Answer, Error = Refusal, Future: Send + 'static> + Send,
{
    fn decide(&mut self, visit: Box<Visit>) -> Decision {
        let mut future = self.way.call(visit);
        // A service may be called anywhere; what waits for something needs the runtime its answer is awaited on.
        if Handle::try_current().is_err() {
            return Decision::Later(Box::pin(future));
        }
        // Whoever has to wait is asked again by the task itself, with a waker of its own.
        match Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => Decision::Now(outcome),
            Poll::Pending => Decision::Later(Box::pin(future)),
        }
    }

    fn own(&mut self, visit: Box<Visit>) -> Later {
        Box::pin(self.own.call(visit))
    }

    fn client_api(&mut self, visit: Box<Visit>) -> Later {
        Box::pin(self.client_api.call(visit))
    }
}

/// Where the layers end: the visit goes back, and the request goes on from there with its own body.
#[derive(Clone, Copy)]
struct Stop;

impl Service<Box<Visit>> for Stop {
    type Response = Answer;
    type Error = Refusal;
    type Future = Ready<Outcome>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, visit: Box<Visit>) -> Self::Future {
        ready(Ok(Answer::new(visit, Response::default())))
    }
}
