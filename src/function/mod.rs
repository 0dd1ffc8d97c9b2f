//! Custom logic: a closure of the program this library is in, a signed webhook, or a function in JavaScript.
//!
//! Whatever runs it, the outcome is one of three: an answer, a no, or that it cannot be known now.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;

use crate::clock::Clock;
use crate::fetch::{self, Fetch};
use crate::provider::Facts;
use crate::secret::Secret;

mod breaker;
#[cfg_attr(not(feature = "javascript"), path = "engine_absent.rs")]
mod engine;
mod javascript;
mod settings;
mod signature;
mod webhook;
mod wire;
mod worker;
mod workers;

pub use javascript::{Script, Unreadable};
pub use settings::{MOST_STACK, Settings};
pub use webhook::Hook;
pub use worker::{WORKER, serve};
pub use workers::{Program, Workers};

use javascript::JavaScript;
use webhook::Webhook;

/// Custom logic under a name. A clone is the same.
#[derive(Clone)]
pub struct Function {
    name: Arc<str>,
    runner: Runner,
}

#[derive(Clone)]
enum Runner {
    Closure(Closure),
    JavaScript(JavaScript),
    Webhook(Webhook),
}

/// Where custom logic is, as the configuration has it.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// In a file.
    JavaScript {
        /// The file.
        script: Script,
        /// Its `context.values`.
        values: BTreeMap<String, Secret>,
    },
    /// At a server.
    Webhook(Hook),
}

impl Source {
    /// The function of this name.
    ///
    /// # Errors
    /// When its server may not be asked.
    pub fn build(&self, name: &str, workers: &Workers, fetch: &Fetch, clock: &Clock) -> Result<Function, fetch::Error> {
        Ok(match self.clone() {
            Self::JavaScript { script, values } => Function::javascript(name, script, values, workers.clone()),
            Self::Webhook(hook) => Function::webhook(name, hook, fetch, clock)?,
        })
    }
}

type Closure = Arc<dyn Fn(Call) -> Running + Send + Sync>;
type Running = Pin<Box<dyn Future<Output = Result<Option<Value>, Failure>> + Send>>;

/// What a function is called with.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// For which provider it decides; webhooks get to know it.
    pub provider: String,
    /// Its arguments, in order.
    pub arguments: Vec<Value>,
    /// `context.user`: who calls. None: Vestibule itself.
    pub user: Option<Value>,
    /// `context.request`: what is known of the request, if it is called because of one.
    pub facts: Option<Facts>,
}

impl Call {
    /// A call by Vestibule itself with one argument, as App Services made those of its authentication functions:
    /// because of the request that this task works for, if it works for one.
    pub fn by_system(provider: &str, argument: Value) -> Self {
        Self { provider: provider.to_owned(), arguments: vec![argument], user: None, facts: Facts::current() }
    }

    /// Because of this request.
    #[must_use]
    pub fn during(mut self, facts: &Facts) -> Self {
        self.facts = Some(facts.clone());
        self
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It says no: it threw, or answered 401 or 403.
    #[error("{message}{place}")]
    Refused {
        /// What it said.
        message: String,
        /// Where in the file, for the log; may be empty.
        place: String,
    },
    /// It cannot be known now: it is down, too slow, too greedy, or makes no sense. Never a yes.
    #[error("{0}")]
    CannotTell(String),
}

impl Function {
    /// A closure.
    pub fn from_fn<F, R>(name: &str, closure: F) -> Self
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Option<Value>, Failure>> + Send + 'static,
    {
        let closure: Closure = Arc::new(move |call| Box::pin(closure(call)));
        Self { name: name.into(), runner: Runner::Closure(closure) }
    }

    /// A function in JavaScript; `values` is its `context.values`.
    pub fn javascript(name: &str, script: Script, values: BTreeMap<String, Secret>, workers: Workers) -> Self {
        Self { name: name.into(), runner: Runner::JavaScript(JavaScript::new(script, values, workers)) }
    }

    /// A webhook.
    ///
    /// # Errors
    /// When its server may not be asked.
    pub fn webhook(name: &str, hook: Hook, fetch: &Fetch, clock: &Clock) -> Result<Self, fetch::Error> {
        Ok(Self { name: name.into(), runner: Runner::Webhook(Webhook::new(hook, fetch, clock)?) })
    }

    /// Whether a server of its own answers, of which exactly the documented form is taken.
    pub fn is_webhook(&self) -> bool {
        matches!(self.runner, Runner::Webhook(_))
    }

    /// Its name in the log.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs it. No answer (`undefined` in JavaScript) is `None`.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn run(&self, call: Call) -> Result<Option<Value>, Failure> {
        match &self.runner {
            Runner::Closure(closure) => closure(call).await,
            Runner::JavaScript(script) => script.run(&self.name, call).await,
            Runner::Webhook(webhook) => webhook.run(&self.name, call).await,
        }
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function").field("name", &self.name).finish_non_exhaustive()
    }
}
