//! Who is an operator: whoever has one of the tokens of `[admin]`, or an operator's key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method};

use super::Admin;
use crate::portal::csrf::{self, CrossSite, Site};
use crate::rejection::Reason;
use crate::secret::{Digest, Secret};
use crate::upstream::forward::Upgrade;

/// Somebody who may do everything here.
#[derive(Clone, Debug)]
pub(super) struct Operator {
    /// What the log calls them: `token`, or the name of the key.
    pub(super) name: String,
    /// The id of the key's user; none for a token of the configuration.
    pub(super) user: Option<crate::account::User>,
}

/// How a credential was sent.
enum Sent {
    /// By a program that names it in every request.
    Bearer(Secret),
    /// As the password of `Basic`, which browsers ask for once and then send by themselves.
    Basic(Secret),
}

impl Admin {
    /// The operator who sends this.
    ///
    /// # Errors
    /// [`Reason::SignInNeeded`] without a credential, [`Reason::BadCredential`] for a bad one,
    /// [`Reason::CrossSite`] for what another site makes an operator's browser send, [`Reason::Unavailable`].
    pub(super) async fn operator(&self, headers: &HeaderMap, method: &Method) -> Result<Operator, Reason> {
        let secret = match sent(headers)?.ok_or(Reason::SignInNeeded)? {
            Sent::Bearer(secret) => secret,
            Sent::Basic(secret) => {
                own_page(headers, method)?;
                secret
            }
        };
        self.who(&secret).await?.ok_or(Reason::BadCredential)
    }

    /// Whose credential this is.
    pub(super) async fn who(&self, secret: &Secret) -> Result<Option<Operator>, Reason> {
        // Digests of equal length, compared in constant time; every token is looked at.
        let digest = Digest::of(secret.expose());
        let tokens = self.settings.tokens.iter();
        let known = tokens.filter(|token| Digest::of(token.expose()).matches(&digest)).count();
        if known > 0 {
            return Ok(Some(Operator { name: "token".to_owned(), user: None }));
        }
        // Looked up by its digest.
        let user = self.sessions.operator(secret.expose()).await.map_err(|error| {
            tracing::error!(%error, "an operator cannot be recognised");
            Reason::Unavailable
        })?;
        Ok(user.map(|user| Operator { name: user.name().unwrap_or("operator").to_owned(), user: Some(user) }))
    }
}

fn sent(headers: &HeaderMap) -> Result<Option<Sent>, Reason> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let line = match (lines.next(), lines.next()) {
        (None, _) => return Ok(None),
        (Some(line), None) => line.to_str().map_err(|_| Reason::BadCredential)?,
        (Some(_), Some(_)) => return Err(Reason::BadCredential),
    };
    let (scheme, rest) = line.split_once(' ').ok_or(Reason::BadCredential)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Some(Sent::Bearer(Secret::new(rest.trim()))));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(Reason::BadCredential);
    }
    let text = STANDARD.decode(rest.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let text = Secret::new(text.ok_or(Reason::BadCredential)?);
    // Taken apart; whatever was typed as the name does not count.
    let (_, password) = text.expose().split_once(':').ok_or(Reason::BadCredential)?;
    Ok(Some(Sent::Basic(Secret::new(password))))
}

/// A browser sends its password along for every page that makes it ask: only our own may change something.
fn own_page(headers: &HeaderMap, method: &Method) -> Result<(), Reason> {
    let host = headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let site = Site { scheme: crate::visit::Scheme::Http, authority: host };
    match csrf::check(headers, method, Upgrade::No, site) {
        Ok(()) => Ok(()),
        // Neither field: no browser of these years.
        Err(CrossSite::Unproven) => Ok(()),
        Err(CrossSite::Foreign) => Err(Reason::CrossSite),
    }
}
