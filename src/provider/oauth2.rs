//! The authorization code flow with PKCE (RFC 6749 §4.1, RFC 7636, RFC 9700), the same for every provider: where
//! people are sent, what they come back with, and what that is exchanged for.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION};
use http::{Request, StatusCode};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointSet, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, RefreshToken, Scope, TokenResponse as _, TokenUrl,
};
use serde_json::{Map, Value};

use super::client_proof::{Assertion, ClientProof};
pub(super) use super::dialect::{Asking, Dialect, Grant};
use super::discovery::{Discovery, Endpoints};
use super::pending::{Attempt, New, Pending, name_of};
pub(super) use super::token_endpoint::TokenAnswer;
use super::token_endpoint::{Wire, unusable, word};
use super::{
    Account, Deciding, Facts, OAuth, OAuthKind, Parts, Provider, ResponseMode, Setup, Tokens, Verdict, openid,
};
use crate::clock::Clock;
use crate::secret::Secret;
use crate::session::Sessions;
use crate::store::{self, Store};

/// A provider that people are sent to.
#[derive(Debug)]
pub struct Client {
    pub(super) name: String,
    pub(super) settings: OAuth,
    pub(super) discovery: Discovery,
    pub(super) clock: Clock,
    pub(super) verifiers: openid::Verifiers,
    pub(super) dialect: Box<dyn Dialect>,
    proof: ClientProof,
    redirect_uri: String,
    pub(super) store: Arc<dyn Store>,
    pub(super) sessions: Sessions,
    keep_tokens: bool,
}

/// What whoever starts wants of the provider; nothing else of a request goes there.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// `login_hint`: whom the provider may suggest.
    pub login_hint: Option<String>,
    /// `prompt`: `login`, `consent`, `select_account` or `create`.
    pub prompt: Option<String>,
    /// Another address of ours to come back to, than the usual.
    pub redirect_uri: Option<String>,
}

/// An attempt that has begun.
#[derive(Clone, Debug)]
pub struct Begun {
    /// Where to send the browser.
    pub location: String,
    /// The attempt's name: what its cookie is called after.
    pub name: String,
    /// The value of its cookie.
    pub binding: Secret,
    /// Whether the provider's own page sends the answer, so that the cookie must travel across sites.
    pub cross_site: bool,
}

/// Why nobody is signed in. Texts are for the log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The attempt is not open in this browser (400).
    #[error("{0}")]
    State(&'static str),
    /// What came back contradicts itself or comes from somebody else (400).
    #[error("{0}")]
    Malformed(&'static str),
    /// The visitor went back.
    #[error("the visitor cancelled")]
    Cancelled,
    /// The account may not come in.
    #[error("{0}")]
    NotAllowed(String),
    /// A credential, a code or a token is not good.
    #[error("{0}")]
    Refused(String),
    /// The provider does not answer, or not in a way that can be used.
    #[error("{0}")]
    Down(String),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Client {
    pub(super) fn new(name: &str, settings: &OAuth, foreign: BTreeSet<String>, parts: &Parts) -> Result<Self, Setup> {
        let dialect: Box<dyn Dialect> = match settings.kind {
            OAuthKind::Oidc => Box::new(super::oidc::Oidc),
            OAuthKind::Google => Box::new(super::google::Google),
            OAuthKind::Facebook => Box::new(super::facebook::Facebook),
            OAuthKind::Apple => Box::new(super::apple::Apple),
            OAuthKind::Github => Box::new(super::github::Github),
            OAuthKind::Microsoft => Box::new(super::microsoft::Microsoft),
        };
        Ok(Self {
            name: name.to_owned(),
            settings: settings.clone(),
            discovery: Discovery::new(name, settings, foreign, parts.fetch.clone(), parts.clock.clone()),
            clock: parts.clock.clone(),
            verifiers: openid::Verifiers::default(),
            dialect,
            proof: ClientProof::of(name, settings)?,
            redirect_uri: parts.public_url.join(&format!("{}/callback/{name}", parts.prefix)),
            store: parts.store.clone(),
            sessions: parts.sessions.clone(),
            keep_tokens: parts.settings.keep_tokens,
        })
    }

    /// Whether its button leads anywhere, as far as is known; looks again behind the scenes.
    pub fn is_available(&self) -> bool {
        self.discovery.is_available()
    }

    /// Asks the issuer behind the scenes if it is time to.
    pub fn look_ahead(&self) {
        self.discovery.look_ahead();
    }

    /// Where it sends visitors back to: built from the public address alone.
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// Begins an attempt: writes it down, and says where to send the browser.
    ///
    /// # Errors
    /// [`Error::Down`] when the issuer does not say where; [`Error::Store`].
    pub async fn begin(&self, wishes: &Wishes, attempt: Attempt) -> Result<Begun, Error> {
        let endpoints = self.discovery.endpoints().await?;
        let redirect_uri = wishes.redirect_uri.as_deref().unwrap_or(&self.redirect_uri);
        let new = New::random();
        new.keep(&self.store, (&self.name, redirect_uri), attempt, self.clock.now()).await?;
        let location = self.location(&endpoints, redirect_uri, wishes, &new)?;
        let name = name_of(new.state.expose());
        Ok(Begun { location, name, binding: new.binding, cross_site: self.is_posted() })
    }

    fn location(&self, endpoints: &Endpoints, redirect_uri: &str, wishes: &Wishes, new: &New) -> Result<String, Error> {
        let unusable = |_| Error::Down("its authorization endpoint is no address".to_owned());
        let client = oauth2::basic::BasicClient::new(ClientId::new(self.settings.client_id.clone()))
            .set_auth_uri(AuthUrl::new(endpoints.authorization.clone()).map_err(unusable)?)
            .set_redirect_uri(RedirectUrl::new(redirect_uri.to_owned()).map_err(unusable)?);
        // State and challenge go to the browser they are for.
        let verifier = PkceCodeVerifier::new(new.verifier.expose().to_owned());
        let mut request = client
            .authorize_url(|| CsrfToken::new(new.state.expose().to_owned()))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        let scopes = self.settings.scopes.clone().unwrap_or_else(|| self.dialect.scopes(&self.settings));
        if !matches!(self.settings.kind, OAuthKind::Github | OAuthKind::Facebook) {
            request = request.add_extra_param("nonce", new.nonce.clone());
        }
        request = request.add_scopes(scopes.into_iter().map(Scope::new));
        if self.is_posted() {
            request = request.add_extra_param("response_mode", "form_post");
        }
        for (name, value) in &self.settings.parameters {
            request = request.add_extra_param(name, value);
        }
        if let Some(hint) = wishes.login_hint.as_ref().filter(|hint| is_hint(hint)) {
            request = request.add_extra_param("login_hint", hint.clone());
        }
        let prompt = wishes.prompt.as_deref().filter(|prompt| PROMPTS.contains(prompt));
        if let Some(prompt) = prompt.filter(|_| !self.settings.parameters.contains_key("prompt")) {
            request = request.add_extra_param("prompt", prompt.to_owned());
        }
        Ok(request.url().0.into())
    }

    fn is_posted(&self) -> bool {
        self.settings.response_mode == ResponseMode::FormPost
    }

    /// Finishes an attempt that was [taken](Pending::take): whose account it is.
    ///
    /// # Errors
    /// Every [`Error`]; but for [`Error::Malformed`] the provider has been asked.
    pub async fn finish(&self, pending: &Pending, parameters: &Map<String, Value>) -> Result<Account, Error> {
        let endpoints = self.discovery.endpoints().await?;
        let text = |name: &str| parameters.get(name).and_then(Value::as_str);
        self.check_issuer(&endpoints, text("iss"))?;
        if let Some(error) = text("error") {
            return Err(told(error));
        }
        let code = text("code").unwrap_or_default();
        if pending.provider != self.name || code.is_empty() {
            return Err(Error::Malformed("the callback is of another provider or has no code"));
        }
        // Exposed to the token endpoint, which compares it with the challenge.
        let verifier = Some(pending.verifier.expose());
        let answer = self.exchange(&endpoints, code, &pending.redirect_uri, verifier).await?;
        let nonce = Some(pending.nonce.clone());
        self.account(Grant { endpoints, answer, nonce, parameters: parameters.clone() }).await
    }

    /// The account of these tokens, with what is kept of them.
    pub(super) async fn account(&self, grant: Grant) -> Result<Account, Error> {
        let mut account = self.dialect.account(self, &grant).await?;
        account.tokens = Some(self.kept(&grant));
        Ok(account)
    }

    fn kept(&self, grant: &Grant) -> Tokens {
        let answer = &grant.answer;
        let id_token = answer.id_token.as_deref();
        // The text has been verified before; only what is needed for signing out there is kept.
        let sid = id_token.and_then(openid::sid);
        let hint = id_token.filter(|_| grant.endpoints.end_session.is_some());
        let wanted = self.keep_tokens;
        Tokens {
            sid,
            id_token: hint.map(Secret::new),
            access_token: wanted.then(|| Secret::new(answer.access_token().secret())),
            refresh_token: answer.refresh_token().filter(|_| wanted).map(|token| Secret::new(token.secret())),
            expires_at: answer.expires_in().filter(|_| wanted).map(|span| self.clock.now() + span),
        }
    }

    /// Exchanges a code. An empty `redirect_uri` is sent as such: apps get codes without one.
    pub(super) async fn exchange(
        &self,
        endpoints: &Endpoints,
        code: &str,
        redirect_uri: &str,
        verifier: Option<&str>,
    ) -> Result<TokenAnswer, Error> {
        let (client, assertion) = self.token_client(endpoints)?;
        let mut request = client.exchange_code(AuthorizationCode::new(code.to_owned()));
        request = request.add_extra_param("redirect_uri", redirect_uri.to_owned());
        if let Some(verifier) = verifier {
            request = request.set_pkce_verifier(PkceCodeVerifier::new(verifier.to_owned()));
        }
        for (name, value) in assertion {
            request = request.add_extra_param(name, value);
        }
        let wire = Wire(self.discovery.fetch(&endpoints.token));
        request.request_async(&wire).await.map_err(|error| unusable(&error))
    }

    /// Exchanges a refresh token.
    pub(super) async fn refresh(&self, refresh_token: &Secret) -> Result<TokenAnswer, Error> {
        let endpoints = self.discovery.endpoints().await?;
        let (client, assertion) = self.token_client(&endpoints)?;
        // Exposed to the endpoint it came from.
        let token = RefreshToken::new(refresh_token.expose().to_owned());
        let mut request = client.exchange_refresh_token(&token);
        for (name, value) in assertion {
            request = request.add_extra_param(name, value);
        }
        let wire = Wire(self.discovery.fetch(&endpoints.token));
        request.request_async(&wire).await.map_err(|error| unusable(&error))
    }

    fn token_client(&self, endpoints: &Endpoints) -> Result<(TokenClient<EndpointSet>, Assertion), Error> {
        let proof = self.proof.show(&self.settings.client_id, endpoints, self.clock.now())?;
        let unusable = |_| Error::Down("its token endpoint is no address".to_owned());
        let mut client = TokenClient::new(ClientId::new(self.settings.client_id.clone()))
            .set_auth_type(if proof.in_body { AuthType::RequestBody } else { AuthType::BasicAuth });
        if let Some(secret) = proof.secret {
            // Exposed to the token endpoint, which knows it.
            client = client.set_client_secret(ClientSecret::new(secret.expose().to_owned()));
        }
        let client = client.set_token_uri(TokenUrl::new(endpoints.token.clone()).map_err(unusable)?);
        Ok((client, proof.assertion))
    }

    /// Asks for JSON, with an access token as Bearer if there is one.
    pub(super) async fn ask(&self, address: &str, token: Option<&str>) -> Result<Value, Error> {
        let mut request = Request::get(address).header(ACCEPT, "application/json");
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Bytes::new());
        let request = request.map_err(|_| Error::Down("a token or an address cannot be sent".to_owned()))?;
        let answer = self.discovery.fetch(address).send(request).await;
        let answer = answer.map_err(|error| Error::Down(error.to_string()))?;
        match answer.status {
            StatusCode::OK => answer.json().map_err(|error| Error::Down(error.to_string())),
            // Whoever is asked too often says nothing about the token.
            status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
                Err(Error::Refused(format!("{} answered {status} to the access token", answer.host())))
            }
            status => Err(Error::Down(format!("{} answered {status}", answer.host()))),
        }
    }

    /// RFC 9207 §2.4: an answer that names another issuer was meant for another client, or comes from an attacker.
    fn check_issuer(&self, endpoints: &Endpoints, named: Option<&str>) -> Result<(), Error> {
        match named {
            None if endpoints.names_itself == Some(true) => {
                Err(Error::Malformed("the callback does not say who sends it"))
            }
            None => Ok(()),
            Some(named) if openid::is_issuer(&self.settings, endpoints, named) => Ok(()),
            Some(_) => Err(Error::Malformed("the callback names another issuer")),
        }
    }
}

impl Provider for Client {
    fn sign_in<'a>(&'a self, credentials: &'a Map<String, Value>, _: &'a Facts) -> Deciding<'a> {
        Box::pin(async move {
            match self.native(credentials).await {
                Ok(account) => Verdict::Yes(Box::new(account)),
                Err(error @ (Error::Down(_) | Error::Store(_))) => Verdict::CannotTell(error.to_string()),
                Err(error) => Verdict::No(error.to_string()),
            }
        })
    }

    fn redirect(&self) -> Option<&Client> {
        Some(self)
    }
}

type TokenClient<HasTokenUrl = oauth2::EndpointNotSet> = oauth2::Client<
    oauth2::basic::BasicErrorResponse,
    TokenAnswer,
    oauth2::basic::BasicTokenIntrospectionResponse,
    oauth2::StandardRevocableToken,
    oauth2::basic::BasicRevocationErrorResponse,
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    HasTokenUrl,
>;

/// A provider's no to a visitor (RFC 6749 §4.1.2.1, OpenID Connect Core 1.0 §3.1.2.6).
fn told(error: &str) -> Error {
    match error {
        // Apple's word for going back is `user_cancelled_authorize`.
        "access_denied" | "user_cancelled_authorize" | "user_denied" => Error::Cancelled,
        "login_required"
        | "interaction_required"
        | "consent_required"
        | "account_selection_required"
        | "unauthorized_client" => Error::NotAllowed(format!("the provider says {error}")),
        other => Error::Down(format!("the provider says {}", word(other))),
    }
}

fn is_hint(text: &str) -> bool {
    !text.is_empty() && text.len() <= 320 && !text.chars().any(char::is_control)
}

/// Parameters that are the flow's own: no others may stand for them.
pub(super) const OURS: [&str; 13] = [
    "client_assertion",
    "client_assertion_type",
    "client_id",
    "client_secret",
    "code_challenge",
    "code_challenge_method",
    "login_hint",
    "nonce",
    "redirect_uri",
    "response_mode",
    "response_type",
    "scope",
    "state",
];
/// What a page of ours may ask for; `none` would show nobody anything.
const PROMPTS: [&str; 4] = ["login", "consent", "select_account", "create"];
