//! Gives the app the access token of the caller's provider, where its route asks for that by name. Reads caller and
//! route; sets that one header; refuses nothing: without a token that is good now there is no header. Sits below the
//! decision, and far below [`sanitize`](super::sanitize), which removed what the client sent under the name.

use std::sync::Arc;

use http::HeaderValue;

use crate::layer::{Progress, Step};
use crate::provider::ProviderTokens;
use crate::route::Router;
use crate::visit::Visit;

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct ProviderToken {
    router: Arc<Router>,
    tokens: ProviderTokens,
}

impl ProviderToken {
    /// Asks for the tokens of sessions here.
    pub fn new(router: Arc<Router>, tokens: ProviderTokens) -> Self {
        Self { router, tokens }
    }
}

impl Step for ProviderToken {
    fn take(&self, mut visit: Box<Visit>) -> Progress {
        let name = visit.authorized.and_then(|authorized| self.router.route(authorized).provider_token());
        // Only then the caller: what few routes want is not worth a look at what no cache of the processor holds.
        let Some(name) = name.cloned() else { return Progress::Go(visit) };
        let Some(session) = visit.caller.as_ref().and_then(|caller| caller.session) else { return Progress::Go(visit) };
        let tokens = self.tokens.clone();
        Progress::Wait(Box::pin(async move {
            // Exposed to the app whose route asks for it.
            let token = tokens.of(session).await.and_then(|token| HeaderValue::try_from(token.expose()).ok());
            if let Some(mut token) = token {
                token.set_sensitive(true);
                visit.request.headers_mut().insert(name, token);
            }
            Progress::Go(visit)
        }))
    }
}
