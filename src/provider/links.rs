use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{Error, LocalUserpass as Settings, Parts};
use crate::account::email::Email;
use crate::account::one_time::{self, Grant, OneTime, Purpose, Ticket};
use crate::clock::Clock;
use crate::id::UserId;
use crate::mail;
use crate::public_url::PublicUrl;
use crate::secret::{Digest, Secret};
use crate::store::{self, Store};

tokio::task_local! {
    /// Where the visitor of this task was going, as the query of a page.
    static GOING: String;
}

/// Does this for somebody who was going elsewhere: links to our own pages lead on there, through the query `rd=…`.
pub async fn going_on_to<F: Future>(query: String, deed: F) -> F::Output {
    GOING.scope(query, deed).await
}

/// Makes, shows and takes links that work once.
#[derive(Clone, Debug)]
pub(super) struct Links {
    store: Arc<dyn Store>,
    clock: Clock,
    public_url: PublicUrl,
    prefix: String,
    confirm_url: Option<String>,
    reset_url: Option<String>,
    lifetime: Duration,
}

/// A link that has not been used: what a page may show before somebody presses the button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenLink {
    /// What it is for.
    pub purpose: Purpose,
    /// The address it went to, in lower case; none if whoever holds the link may name one.
    pub email: Option<String>,
}

impl Links {
    pub(super) fn new(settings: &Settings, parts: &Parts) -> Self {
        Self {
            store: Arc::clone(&parts.store),
            clock: parts.clock.clone(),
            public_url: parts.public_url.clone(),
            prefix: parts.prefix.clone(),
            confirm_url: settings.confirm_url.clone(),
            reset_url: settings.reset_url.clone(),
            lifetime: settings.link_lifetime,
        }
    }

    /// A grant of the usual lifetime.
    pub(super) fn grant(&self, purpose: Purpose, email: &Email, user_id: Option<UserId>, payload: Value) -> Grant {
        Grant { purpose, email_key: email.key().to_owned(), user_id, payload: payload.into(), lifetime: self.lifetime }
    }

    /// Makes a link for whoever delivers it.
    pub(super) async fn ticket(&self, grant: Grant) -> Result<(OneTime, Ticket), store::Error> {
        let (record, ticket) = grant.issue(self.clock.now());
        self.store.add_one_time(&record).await?;
        Ok((record, ticket))
    }

    /// Makes a link and answers with what the mail says about it.
    pub(super) async fn issue(&self, grant: Grant) -> Result<mail::Link, store::Error> {
        let (record, ticket) = self.ticket(grant).await?;
        let has_code = matches!(record.purpose, Purpose::Confirm | Purpose::Reset);
        Ok(mail::Link {
            url: self.url(record.purpose, &ticket),
            valid_until: record.expires_at,
            code: has_code.then_some((ticket.code, record.code_expires_at)),
        })
    }

    /// Does the work of `issue` for nobody: without it the time of an answer would tell known addresses from others.
    pub(super) async fn pretend(&self, purpose: Purpose, email: &Email) -> Result<(), store::Error> {
        self.issue(self.grant(purpose, email, None, Value::Null)).await.map(drop)
    }

    /// The link of this token, left as it is.
    pub(super) async fn peek(&self, token: &str) -> Result<Option<OneTime>, store::Error> {
        self.store.one_time(Digest::of(token), self.clock.now()).await
    }

    /// Takes the link of this token if it is for this; a token for something else stays as it is.
    pub(super) async fn take(&self, purpose: Purpose, token: &str) -> Result<OneTime, Error> {
        let link = self.peek(token).await?.filter(|link| link.purpose == purpose).ok_or(Error::LinkOver)?;
        self.store.take_one_time(link.token, self.clock.now()).await?.ok_or(Error::LinkOver)
    }

    /// Takes the link to this address by its code.
    pub(super) async fn take_by_code(&self, purpose: Purpose, email: &str, code: &str) -> Result<OneTime, Error> {
        let email = Email::parse(email).map_err(|_| Error::LinkOver)?;
        let digest = one_time::code_digest(purpose, email.key(), code);
        let taken =
            self.store.take_one_time_by_code(purpose, email.key(), digest, one_time::MAX_ATTEMPTS, self.clock.now());
        taken.await?.ok_or(Error::LinkOver)
    }

    /// Links of this purpose to this address, newest first.
    pub(super) async fn open(&self, purpose: Purpose, email: &Email) -> Result<Vec<OneTime>, store::Error> {
        self.store.one_times(purpose, email.key(), self.clock.now()).await
    }

    /// The page where a new password can be asked for.
    pub(super) fn reset_page(&self) -> String {
        self.public_url.join(&format!("{}/reset", self.prefix))
    }

    /// Built from the settings alone: what a request says about hosts has no part in it. Where it leads on was parsed
    /// before, and is again when it comes back.
    fn url(&self, purpose: Purpose, ticket: &Ticket) -> Secret {
        let (page, own) = match purpose {
            Purpose::Confirm => ("confirm", self.confirm_url.as_deref()),
            Purpose::Reset => ("reset", self.reset_url.as_deref()),
            Purpose::Invite => ("reset", None),
            // The last two travel in no mail.
            Purpose::ChangeEmail | Purpose::SignIn | Purpose::LogoutToken => ("confirm", None),
        };
        let base = own.map_or_else(|| self.public_url.join(&format!("{}/{page}", self.prefix)), str::to_owned);
        let (address, fragment) = base.split_once('#').map_or((base.as_str(), None), |(a, f)| (a, Some(f)));
        let joint = if address.contains('?') { '&' } else { '?' };
        // Both are of characters that stand for themselves in a query.
        let mut url = format!("{address}{joint}token={}&tokenId={}", ticket.token.expose(), ticket.id);
        let leads_on = own.is_none() && matches!(purpose, Purpose::Confirm | Purpose::Reset);
        if let Some(going) = GOING.try_with(Clone::clone).ok().filter(|_| leads_on) {
            let _ = write!(url, "&{going}");
        }
        if let Some(fragment) = fragment {
            let _ = write!(url, "#{fragment}");
        }
        Secret::new(url)
    }
}
