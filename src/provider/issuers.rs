//! Whether the issuers that providers depend on answer as they should, for whoever looks after the site.

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Uri};

use super::custom_token::Keys;
use super::discovery::{self, Discovery};
use super::{OAuth, Other, Settings};
use crate::clock::Clock;
use crate::fetch::{Error, Fetch};
use crate::token::{self, Algorithm, KeySource};

/// What came of asking the issuer of one provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The provider's name.
    pub provider: String,
    /// What it answered with; or why it cannot be used, lower case, no full stop.
    pub outcome: Result<String, String>,
}

impl Settings {
    /// Asks each issuer that these settings name: for the document that says where everything is, and for its keys.
    /// Providers that depend on nobody elsewhere are not among the answers, nor are functions, which decide about
    /// whatever they are asked.
    pub async fn ask_issuers(&self, fetch: &Fetch, clock: &Clock) -> Vec<Asked> {
        let all = self.others.iter().map(|(name, other)| async move {
            let outcome = match other {
                Other::OAuth(settings) => self.ask_issuer(name, settings, fetch, clock).await,
                Other::CustomToken(settings) => match &settings.keys {
                    Keys::Published(uri, most) => keys(uri, fetch, *most, &settings.algorithms, clock).await,
                    Keys::Given(_) => return None,
                },
                Other::Function(_) | Other::Own(_) => return None,
            };
            Some(Asked { provider: name.clone(), outcome })
        });
        join_all(all).await.into_iter().flatten().collect()
    }

    async fn ask_issuer(&self, name: &str, own: &OAuth, fetch: &Fetch, clock: &Clock) -> Result<String, String> {
        let discovery = Discovery::new(name, own, self.foreign_to(name), fetch.clone(), clock.clone());
        let endpoints = discovery.endpoints().await.map_err(|error| format!("{}: {error}", discovery::issuer(own)))?;
        let Some(jwks) = endpoints.jwks.as_deref() else {
            return answers(&endpoints.token, &discovery.fetch(&endpoints.token)).await;
        };
        let uri = jwks.parse().map_err(|_| "its keys are at no address".to_owned())?;
        let found = keys(&uri, &discovery.fetch(jwks), token::MOST_KEYS, &own.algorithms, clock).await?;
        Ok(format!("{}, {found}", endpoints.issuer))
    }
}

async fn keys(uri: &Uri, fetch: &Fetch, most: usize, taken: &[Algorithm], clock: &Clock) -> Result<String, String> {
    let source = KeySource::Jwks { uri: uri.clone(), fetch: fetch.clone(), most, shelf: None };
    let host = || uri.authority().map(ToString::to_string).unwrap_or_default();
    let count = source.usable(taken, clock.clone()).await.map_err(|why| format!("keys of {}: {why}", host()))?;
    Ok(format!("keys of {}: {count} of use", host()))
}

/// Whether anything answers there: a token endpoint asked without a code has nothing else to say.
async fn answers(address: &str, fetch: &Fetch) -> Result<String, String> {
    let request = Request::get(address).body(Bytes::new()).map_err(|error| error.to_string())?;
    match fetch.send(request).await {
        Ok(answer) => Ok(format!("{} answers", answer.host())),
        Err(Error::Redirect(host) | Error::TooLarge(host) | Error::Encoded(host)) => Ok(format!("{host} answers")),
        Err(error) => Err(error.to_string()),
    }
}
