use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::body::Body;
use crate::rejection::Reason;
use crate::visit::Visit;

/// One thing that happens to a request on its way in: it looks, notes what it found, lets go on or refuses.
///
/// A step decides with a plain method; [`StepLayer`] makes a tower layer of it, without an allocation. Several of them
/// make one layer by [`then`](Self::then): a service for each would have to be polled through for every request.
pub trait Step: Send + Sync {
    /// Takes the visit, and says how it goes on.
    fn take(&self, visit: Box<Visit>) -> Progress;

    /// This step, and the next one for what it lets go on.
    fn then<N: Step>(self, next: N) -> Then<Self, N>
    where
        Self: Sized,
    {
        Then { first: self, next }
    }
}

/// How a visit goes on.
pub enum Progress {
    /// To the next layer.
    Go(Box<Visit>),
    /// Back, answered here.
    Answer(Answer),
    /// Back, refused.
    Refuse(Refusal),
    /// Something has to be asked first.
    Wait(Waiting),
}

/// A visit that waits for an answer of the store.
pub type Waiting = Pin<Box<dyn Future<Output = Progress> + Send>>;

/// A visit that was answered. The response travels in it: every layer hands on a pointer.
#[derive(Debug)]
pub struct Answer(Box<Visit>);

impl Answer {
    /// Answers this visit.
    pub fn new(mut visit: Box<Visit>, response: Response<Body>) -> Self {
        visit.response = response;
        Self(visit)
    }

    /// What was found out on the way in.
    pub fn visit(&self) -> &Visit {
        &self.0
    }

    /// What goes back to the client, and what was found out on the way in.
    pub fn into_parts(mut self) -> (Response<Body>, Box<Visit>) {
        (std::mem::take(&mut self.0.response), self.0)
    }
}

/// A reason, and the visit it refuses.
#[derive(Debug)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// What was found out on the way in.
    pub visit: Box<Visit>,
}

impl Refusal {
    /// Refuses this visit.
    pub fn new(visit: Box<Visit>, reason: Reason) -> Self {
        Self { reason, visit }
    }
}

impl Progress {
    /// Refuses this visit.
    pub fn refuse(visit: Box<Visit>, reason: Reason) -> Self {
        Self::Refuse(Refusal::new(visit, reason))
    }
}

impl From<Result<Box<Visit>, Refusal>> for Progress {
    fn from(outcome: Result<Box<Visit>, Refusal>) -> Self {
        match outcome {
            Ok(visit) => Self::Go(visit),
            Err(refusal) => Self::Refuse(refusal),
        }
    }
}

/// Two steps, one after the other.
#[derive(Clone, Debug)]
pub struct Then<A, B> {
    first: A,
    next: B,
}

impl<A: Step, B: Step + Clone + 'static> Step for Then<A, B> {
    fn take(&self, visit: Box<Visit>) -> Progress {
        match self.first.take(visit) {
            Progress::Go(visit) => self.next.take(visit),
            Progress::Wait(waiting) => {
                let next = self.next.clone();
                Progress::Wait(Box::pin(async move {
                    match waiting.await {
                        Progress::Go(visit) => next.take(visit),
                        over => over,
                    }
                }))
            }
            over => over,
        }
    }
}

/// Puts a [`Step`] in front of a service.
#[derive(Clone, Debug)]
pub struct StepLayer<T>(pub T);

impl<T: Clone, S> Layer<S> for StepLayer<T> {
    type Service = StepService<T, S>;

    fn layer(&self, inner: S) -> Self::Service {
        StepService { step: self.0.clone(), inner }
    }
}

/// A service with a [`Step`] in front.
#[derive(Clone, Debug)]
pub struct StepService<T, S> {
    step: T,
    inner: S,
}

impl<T, S> Service<Box<Visit>> for StepService<T, S>
where
    T: Step,
    S: Service<Box<Visit>, Response = Answer, Error = Refusal> + Clone,
{
    type Response = Answer;
    type Error = Refusal;
    type Future = StepFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, visit: Box<Visit>) -> Self::Future {
        let state = match self.step.take(visit) {
            Progress::Go(visit) => State::Inner { future: self.inner.call(visit) },
            Progress::Answer(answer) => State::Over { outcome: Some(Ok(answer)) },
            Progress::Refuse(refusal) => State::Over { outcome: Some(Err(refusal)) },
            Progress::Wait(waiting) => {
                // The service that was made ready is the one to call; the clone takes its place.
                let clone = self.inner.clone();
                State::Waiting { waiting, inner: Some(Box::new(std::mem::replace(&mut self.inner, clone))) }
            }
        };
        StepFuture { state }
    }
}

pin_project! {
    /// What a [`StepService`] answers with.
    pub struct StepFuture<S: Service<Box<Visit>>> {
        #[pin]
        state: State<S>,
    }
}

pin_project! {
    #[project = Project]
    enum State<S: Service<Box<Visit>>> {
        Inner { #[pin] future: S::Future },
        Over { outcome: Option<Result<Answer, Refusal>> },
        // Boxed: else every request would carry room for the services below.
        Waiting { waiting: Waiting, inner: Option<Box<S>> },
    }
}

impl<S> Future for StepFuture<S>
where
    S: Service<Box<Visit>, Response = Answer, Error = Refusal>,
{
    type Output = Result<Answer, Refusal>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                Project::Inner { future } => return future.poll(cx),
                Project::Over { outcome } => match outcome.take() {
                    Some(outcome) => return Poll::Ready(outcome),
                    None => return Poll::Pending,
                },
                Project::Waiting { waiting, inner } => match waiting.as_mut().poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Progress::Answer(answer)) => return Poll::Ready(Ok(answer)),
                    Poll::Ready(Progress::Refuse(refusal)) => return Poll::Ready(Err(refusal)),
                    Poll::Ready(Progress::Wait(next)) => {
                        *waiting = next;
                        continue;
                    }
                    Poll::Ready(Progress::Go(visit)) => match inner.take() {
                        Some(mut inner) => inner.call(visit),
                        None => return Poll::Pending,
                    },
                },
            };
            state.set(State::Inner { future: next });
        }
    }
}
