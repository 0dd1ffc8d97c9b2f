//! Signing in.

use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::call::Call;
use super::credentials::Proof;
use super::refusal::Refusal;
use super::{Answer, AppServices, Who, device};
use crate::account::User;
use crate::body::Body;
use crate::id::SessionId;
use crate::provider::{API_KEY, Account};
use crate::session::{Device, ProviderSession, StaticTokens};

/// Somebody who may come in, and what proved it.
struct Incomer {
    user: User,
    opened_by: OpenedBy,
}

/// What is noted about a session for as long as it lives.
enum OpenedBy {
    Ourselves,
    Key(String),
    Account(Box<Account>),
}

impl AppServices {
    /// Takes credentials and answers with tokens, or links them to the account of the access token.
    pub(super) async fn login(&self, call: &Call, body: Body, provider: &str, who: &Who) -> Answer {
        let mut fields = call.object(body).await?;
        let device = device::take(call, &mut fields, self.clock.now());
        if call.parameter("link").as_deref() == Some("true") {
            let caller = self.by_access(call, who).await?;
            return self.link(call, &caller, provider, fields).await;
        }
        let incomer = self.incomer(call, provider, fields).await;
        self.count_sign_in(provider, incomer.as_ref().err());
        let incomer = incomer?;
        let tokens = self.open(&incomer.user, provider, device).await?;
        self.note_opening(tokens.session.id, provider, &incomer.opened_by).await?;
        Ok(signed_in(&tokens))
    }

    async fn incomer(&self, call: &Call, provider: &str, fields: Map<String, Value>) -> Result<Incomer, Refusal> {
        Ok(match self.prove(call, provider, fields).await? {
            Proof::Guest => self.guest(call).await?,
            Proof::Password(user) => Incomer { user, opened_by: OpenedBy::Ourselves },
            Proof::Key(caller) => {
                let key = caller.key().map(|key| key.to_string()).unwrap_or_default();
                Incomer { user: caller.user.clone(), opened_by: OpenedBy::Key(key) }
            }
            Proof::Account(account) => {
                let admitted = self.providers.admission().admit(provider, &account, None).await?;
                Incomer { user: admitted.user, opened_by: OpenedBy::Account(account) }
            }
        })
    }

    /// Counts how a sign-in ended.
    pub(super) fn count_sign_in(&self, provider: &str, refusal: Option<&Refusal>) {
        self.providers.sign_ins().note_end(provider, refusal.map(Refusal::status));
    }

    /// Opens a session for somebody who may come in.
    pub(super) async fn open(&self, user: &User, provider: &str, device: Device) -> Result<StaticTokens, Refusal> {
        let id = device.app.as_ref().and_then(|app| app.id);
        let claims = |session: SessionId| (self.of_access(user, id), self.of_refresh(user, provider, session, id));
        Ok(self.sessions.start_static(user, provider, device, claims).await?)
    }

    async fn guest(&self, call: &Call) -> Result<Incomer, Refusal> {
        let guests = self.providers.anon_user().ok_or_else(|| Refusal::no_such_provider("anon-user"))?;
        let counted = self.limits.guest.count(call.client.address, None).await;
        counted.map_err(|retry_after| Refusal::too_often("guest", retry_after))?;
        Ok(Incomer { user: guests.make().await?, opened_by: OpenedBy::Ourselves })
    }

    /// Notes which key or account elsewhere opened a session, and what came with it.
    async fn note_opening(&self, session: SessionId, provider: &str, opened_by: &OpenedBy) -> Result<(), Refusal> {
        let mut note = ProviderSession {
            session,
            provider: provider.to_owned(),
            issuer: String::new(),
            subject: String::new(),
            sid: None,
            id_token: None,
            access_token: None,
            refresh_token: None,
            expires_at: None,
        };
        match opened_by {
            OpenedBy::Ourselves => return Ok(()),
            OpenedBy::Key(key) => (note.provider, note.subject) = (API_KEY.to_owned(), key.clone()),
            OpenedBy::Account(account) => return self.note_account(session, provider, account).await,
        }
        Ok(self.store.save_provider_session(&note).await?)
    }

    /// Notes which account elsewhere opened a session, if tokens came with it.
    pub(super) async fn note_account(
        &self,
        session: SessionId,
        provider: &str,
        account: &Account,
    ) -> Result<(), Refusal> {
        let Some(tokens) = &account.tokens else { return Ok(()) };
        let note = ProviderSession {
            session,
            provider: provider.to_owned(),
            issuer: account.issuer.clone(),
            subject: account.subject.clone(),
            sid: tokens.sid.clone(),
            id_token: tokens.id_token.clone(),
            access_token: tokens.access_token.clone(),
            refresh_token: tokens.refresh_token.clone(),
            expires_at: tokens.expires_at,
        };
        Ok(self.store.save_provider_session(&note).await?)
    }
}

fn signed_in(tokens: &StaticTokens) -> Response<Body> {
    // Exposed to the one program that signed in.
    let body = json!({
        "user_id": tokens.session.user_id.to_string(),
        "access_token": tokens.access_token.expose(),
        "refresh_token": tokens.refresh_token.expose(),
        "device_id": device::shown(tokens.session.device.app.as_ref().and_then(|app| app.id)),
    });
    super::json(StatusCode::OK, &body)
}
