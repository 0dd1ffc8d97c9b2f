use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::Body;
use super::inner::Inner;
use super::pass::{Pass, no_gate};
use crate::account::Kind;
use crate::body;
use crate::rejection::Reason;
use crate::route::{Rule, Subject, Who};

/// Whoever has this role.
pub fn role(name: impl Into<String>) -> Who {
    Who::Role(name.into())
}

/// Everybody the gate lets in.
pub fn anyone() -> Who {
    Who::Anyone
}

/// Whoever has a full account.
pub fn signed_in() -> Who {
    Who::SignedIn
}

/// Whoever has an account, a full one or a guest's.
pub fn guest() -> Who {
    Who::Guest
}

/// No one at all.
pub fn nobody() -> Who {
    Who::Nobody
}

/// Machines, by a key of the operator.
pub fn service() -> Who {
    Who::Service
}

/// Whoever signed in by the provider of this name.
pub fn provider(name: impl Into<String>) -> Who {
    Who::Provider(name.into())
}

/// Whoever fulfils this entry of `[policies]`.
pub fn policy(name: impl Into<String>) -> Who {
    Who::Policy(name.into())
}

/// A guard behind a gate, as a tower layer: what [`Vestibule::require`](super::Vestibule::require) makes.
///
/// Reads the pass that the gate has given; adds nothing; refuses whom it does not mean, 401 or 403, and everybody with
/// 500 where its gate is not in front. Sits anywhere inside.
#[derive(Clone, Debug)]
pub struct Require {
    inner: Arc<Inner>,
    rule: Arc<Rule>,
}

impl Require {
    pub(super) fn new(inner: Arc<Inner>, who: Who) -> Self {
        let config = &inner.app().house().config;
        if let Who::Role(role) = &who
            && !config.roles.contains(role)
        {
            tracing::error!(role, "a guard requires a role that is not in `roles`: nobody passes it");
        }
        let rule = Rule::new(std::slice::from_ref(&who), &config.routes.policies).unwrap_or_else(|error| {
            tracing::error!(%error, "a guard that cannot be read lets nobody pass");
            Rule::nobody()
        });
        Self { rule: Arc::new(rule), inner }
    }

    fn check(&self, pass: &Pass) -> Result<(), Reason> {
        // The pass of another gate says nothing here.
        if !Arc::ptr_eq(pass.gate(), &self.inner) {
            tracing::error!("a guard stands behind another gate than its own");
            return Err(Reason::Internal);
        }
        let identity = pass.identity();
        let subject = identity.map(|who| Subject { user: &who.caller().user, provider: who.provider() });
        match (self.rule.lets_in(subject), subject.map(|subject| subject.user.kind)) {
            (true, _) => Ok(()),
            (false, None | Some(Kind::Guest)) => Err(Reason::SignInNeeded),
            (false, Some(Kind::User | Kind::Service)) => Err(Reason::Forbidden),
        }
    }
}

impl<S> tower_layer::Layer<S> for Require {
    type Service = Required<S>;

    fn layer(&self, app: S) -> Required<S> {
        Required { require: self.clone(), app }
    }
}

/// A service behind a guard.
#[derive(Clone, Debug)]
pub struct Required<S> {
    require: Require,
    app: S,
}

impl<S, B, R> Service<Request<B>> for Required<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<Body<R>>;
    type Error = S::Error;
    type Future = RequiredFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.app.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let refused = match Pass::of(&parts.extensions) {
            None => Some(no_gate(&parts, "a guard")),
            Some(pass) => self.require.check(pass).err().map(|reason| pass.refuse(&parts, &reason)),
        };
        let state = match refused {
            Some(response) => State::Over { response: Some(response) },
            None => State::App { future: self.app.call(Request::from_parts(parts, body)) },
        };
        RequiredFuture { state }
    }
}

pin_project! {
    /// What [`Required`] answers with.
    pub struct RequiredFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = Project]
    enum State<F> {
        App { #[pin] future: F },
        Over { response: Option<Response<body::Body>> },
    }
}

impl<F, R, E> Future for RequiredFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<Body<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            Project::App { future } => future.poll(cx).map_ok(|response| response.map(Body::app)),
            Project::Over { response } => match response.take() {
                Some(response) => Poll::Ready(Ok(response.map(Body::own))),
                None => Poll::Pending,
            },
        }
    }
}
