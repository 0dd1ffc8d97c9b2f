//! What differs between the providers that people are sent to.

use std::pin::Pin;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::discovery::Endpoints;
use super::oauth2::{Client, Error};
use super::token_endpoint::TokenAnswer;
use super::{Account, OAuth};

/// What differs between providers.
pub(super) trait Dialect: std::fmt::Debug + Send + Sync + 'static {
    /// Scopes without `scopes` in the configuration.
    fn scopes(&self, settings: &OAuth) -> Vec<String>;

    /// Finds out whose tokens these are.
    fn account<'a>(&'a self, client: &'a Client, grant: &'a Grant) -> Asking<'a>;

    /// Finds out whose credentials these are, which an app got by itself.
    fn native<'a>(&'a self, _: &'a Client, _: &'a Map<String, Value>) -> Asking<'a> {
        Box::pin(async { Err(Error::Refused("this provider takes no credentials, only visitors".to_owned())) })
    }
}

impl Client {
    /// Whose account it is that these credentials prove, which an app got by itself: an id_token, a code, an access
    /// token.
    ///
    /// # Errors
    /// [`Error::Refused`] for what proves nothing, [`Error::NotAllowed`] for an account that may not come in,
    /// [`Error::Down`] where the provider has to be asked and does not answer, [`Error::Store`].
    pub async fn native(&self, credentials: &Map<String, Value>) -> Result<Account, Error> {
        self.dialect.native(self, credentials).await
    }
}

/// An account, some time later.
pub(super) type Asking<'a> = Pin<Box<dyn Future<Output = Result<Account, Error>> + Send + 'a>>;

/// What a code was exchanged for.
pub(super) struct Grant {
    pub(super) endpoints: Arc<Endpoints>,
    pub(super) answer: TokenAnswer,
    /// What the id_token must carry; none where an app asked for the code.
    pub(super) nonce: Option<String>,
    /// Everything the callback brought.
    pub(super) parameters: Map<String, Value>,
}
