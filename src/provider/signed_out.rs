//! Signing out there and here: where a browser goes on to (OpenID Connect RP-Initiated Logout 1.0), and what the
//! provider itself says about the end of a session (OpenID Connect Back-Channel Logout 1.0).

use std::time::Duration;

use serde_json::{Map, Value};
use url::Url;

use super::oauth2::{Client, Error};
use super::openid;
use crate::account::one_time::{OneTime, Purpose};
use crate::clock::Timestamp;
use crate::secret::{self, Digest, Secret};
use crate::store::{self, AtProvider};
use crate::token::Types;

/// A provider's word that sessions are over.
#[derive(Clone, Debug)]
pub struct LogoutNotice {
    /// Which.
    pub sessions: AtProvider,
    /// The link in the store that keeps it from counting twice.
    pub seen: Digest,
}

impl Client {
    /// Where the browser goes on to, so that the provider's session ends, too. None where it does not end sessions.
    /// `state` comes back to `return_uri`.
    pub async fn end_session(&self, id_token: Option<&Secret>, return_uri: &str, state: &str) -> Option<String> {
        let endpoints = self.discovery.endpoints().await.ok()?;
        let mut url = Url::parse(endpoints.end_session.as_deref()?).ok()?;
        let mut query = url.query_pairs_mut();
        if let Some(id_token) = id_token {
            // Exposed to the provider that made it.
            query.append_pair("id_token_hint", id_token.expose());
        }
        query.append_pair("client_id", &self.settings.client_id);
        query.append_pair("post_logout_redirect_uri", return_uri);
        query.append_pair("state", state);
        drop(query);
        Some(url.into())
    }

    /// The origin browsers are sent to when they sign out, if it is known.
    pub fn end_session_origin(&self) -> Option<String> {
        super::discovery::origin(self.discovery.at_hand()?.end_session.as_deref()?)
    }

    /// Reads a logout token (§2.4, §2.6): which sessions it ends. It counts once.
    ///
    /// # Errors
    /// [`Error::Refused`] for a token that is not good, is none for signing out, or was sent before;
    /// [`Error::Down`] when the issuer's keys cannot be had; [`Error::Store`].
    pub async fn logout(&self, token: &str) -> Result<LogoutNotice, Error> {
        let endpoints = self.discovery.endpoints().await?;
        let claims = self.signed(&endpoints, token, Types::Logout).await?;
        openid::check_times(&claims)?;
        let (expires_at, claims) = (claims.expires_at(), claims.fields());
        openid::check_issuer(claims, &self.settings, &endpoints)?;
        openid::check_audience(claims, &[&self.settings.client_id])?;
        check_purpose(claims)?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let (subject, sid) = (text("sub").map(str::to_owned), text("sid").map(str::to_owned));
        if subject.is_none() && sid.is_none() {
            return Err(refused("the logout token names nobody"));
        }
        let jti = text("jti").ok_or_else(|| refused("the logout token has no name of its own (jti)"))?;
        let seen = self.count(jti, expires_at).await?;
        let told = text("iss").unwrap_or_default();
        let (provider, issuer) = (self.name.clone(), self.kept_issuer(&endpoints.issuer, told));
        Ok(LogoutNotice { sessions: AtProvider { provider, issuer, subject, sid }, seen })
    }

    /// Under which issuer accounts are kept: its own name for itself, a tenant's where there are tenants.
    fn kept_issuer(&self, known: &str, told: &str) -> String {
        let tenants = self.settings.kind == super::OAuthKind::Microsoft;
        if tenants { told.to_owned() } else { known.to_owned() }
    }

    /// Notes the token's name for as long as the token is good.
    async fn count(&self, jti: &str, expires_at: Timestamp) -> Result<Digest, Error> {
        let expires_at = expires_at + MARGIN;
        let record = OneTime {
            token: Digest::of(format!("logout_token\0{}\0{jti}", self.name)),
            purpose: Purpose::LogoutToken,
            email_key: String::new(),
            code: Digest::from_bytes(secret::random()),
            user_id: None,
            payload: Value::Null.into(),
            expires_at,
            code_expires_at: expires_at,
            attempts: 0,
        };
        match self.store.add_one_time(&record).await {
            Err(store::Error::Conflict(_)) => Err(refused("the logout token was sent before")),
            other => other.map(|()| record.token).map_err(Error::from),
        }
    }
}

/// §2.6 rules 5 and 6: it says that somebody signed out, and cannot be mistaken for an id_token.
fn check_purpose(claims: &Map<String, Value>) -> Result<(), Error> {
    let event = claims.get("events").and_then(|events| events.get(EVENT));
    if !event.is_some_and(Value::is_object) {
        return Err(refused("the token is no logout token"));
    }
    if claims.contains_key("nonce") {
        return Err(refused("a logout token has no nonce"));
    }
    Ok(())
}

fn refused(why: &str) -> Error {
    Error::Refused(why.to_owned())
}

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// Longer than the clocks of our instances may differ.
const MARGIN: Duration = Duration::from_mins(5);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fetch::scripted::Scripted;
    use crate::provider::tests::House;
    use crate::provider::{OAuth, OAuthKind, Overrides};
    use crate::token::signer::Signer;

    #[tokio::test]
    async fn sec_jwt_10_a_logout_token_counts_once_for_as_long_as_it_is_good_however_its_end_is_written() {
        for half_a_second in [0.0, 0.5] {
            let (house, signer) = (House::open().await, Signer::ec("a"));
            let server = Scripted::json(&json!({ "keys": [signer.jwk()] })).await;
            let at = |path: &str| Some(server.url(path));
            let mut settings = OAuth::new(OAuthKind::Oidc, "app");
            let (issuer, authorization, token, jwks) = (at(""), at("/a"), at("/t"), at("/k"));
            settings.endpoints = Overrides { issuer, authorization, token, jwks, ..Overrides::default() };
            let client = house.client(&settings);
            let now = house.clock.now().seconds();
            let exp = if half_a_second == 0.0 { json!(now + 3600) } else { json!(now as f64 + 3600.5) };
            let token = signer.sign(&json!({
                "iss": server.url(""), "aud": "app", "sub": "ann-7", "jti": "j", "iat": now, "exp": exp,
                "events": { EVENT: {} },
            }));
            client.logout(&token).await.unwrap();
            for minutes in [0, 30, 29] {
                house.clock.advance(Duration::from_mins(minutes));
                let again = client.logout(&token).await.err().map(|error| error.to_string());
                assert_eq!(again.as_deref(), Some("the logout token was sent before"), "{exp}");
            }
        }
    }
}
