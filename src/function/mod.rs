//! Custom logic: a closure of the program this library is in, a signed webhook, or a function in JavaScript.
//!
//! Whatever runs it, the outcome is one of three: an answer, a no, or that it cannot be known now.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::provider::Facts;
use crate::secret::Secret;

mod engine;
mod javascript;
mod settings;
mod wire;
mod worker;
mod workers;

pub use javascript::{Script, Unreadable};
pub use settings::{MOST_STACK, Settings};
pub use worker::serve;
pub use workers::{Program, Workers};

use javascript::JavaScript;

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
}

type Closure = Arc<dyn Fn(Call) -> Running + Send + Sync>;
type Running = Pin<Box<dyn Future<Output = Result<Option<Value>, Failure>> + Send>>;

/// What a function is called with.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Its arguments, in order.
    pub arguments: Vec<Value>,
    /// `context.user`: who calls.
    pub user: Value,
    /// `context.request`: what is known of the request.
    pub request: Value,
}

impl Call {
    /// A call by Vestibule itself with one argument, as App Services made those of its authentication functions.
    pub fn by_system(argument: Value) -> Self {
        let user = json!({ "id": "", "type": "system", "data": {}, "custom_data": {}, "identities": [] });
        Self { arguments: vec![argument], user, request: json!({}) }
    }

    /// On behalf of this request.
    pub fn during(mut self, facts: &Facts) -> Self {
        let (address, agent) = (facts.address.to_string(), &facts.user_agent);
        self.request = json!({
            "id": facts.request_id,
            "address": address,
            "user_agent": agent,
            // The names of App Services.
            "remoteIPAddress": address,
            "httpUserAgent": agent,
        });
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
        }
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function").field("name", &self.name).finish_non_exhaustive()
    }
}
