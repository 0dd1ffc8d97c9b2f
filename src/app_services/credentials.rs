//! Whose credentials these are: one spelling of App Services for each type of provider.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::AppServices;
use super::call::{Call, text};
use super::popup::told;
use super::refusal::Refusal;
use crate::account::User;
use crate::account::email::Email;
use crate::provider::{self, ANON_USER, API_KEY, Account, LOCAL_USERPASS, Named, Verdict};
use crate::secret::Secret;
use crate::session::Caller;

/// What credentials prove, before it is decided what becomes of it.
pub(super) enum Proof {
    /// That somebody is here.
    Guest,
    /// The user of an address and its password.
    Password(User),
    /// The user a key speaks for.
    Key(Arc<Caller>),
    /// An account elsewhere.
    Account(Box<Account>),
}

impl AppServices {
    /// Checks them. A try is counted before anything is looked up or computed.
    pub(super) async fn prove(
        &self,
        call: &Call,
        provider: &str,
        mut fields: Map<String, Value>,
    ) -> Result<Proof, Refusal> {
        match provider {
            ANON_USER if self.providers.anon_user().is_some() => Ok(Proof::Guest),
            LOCAL_USERPASS if self.providers.local_userpass().is_some() => {
                let (email, password) = self.password_of(call, &fields).await?;
                self.by_password(&email, &password).await.map(Proof::Password)
            }
            API_KEY if self.providers.api_key().is_some() => {
                let key = Secret::new(text(&fields, "key")?);
                self.count_try(call, None).await?;
                // Looked up by its digest; a key that is off, over or unknown finds nobody.
                let caller = self.sessions.by_key(key.expose().trim()).await?;
                caller.map(Proof::Key).ok_or_else(|| Refusal::credential("invalid API key"))
            }
            name => {
                let named = self.providers.other(name).ok_or_else(|| Refusal::no_such_provider(name))?;
                rename(named.kind, &mut fields);
                self.by_other(call, named, &fields).await.map(Proof::Account)
            }
        }
    }

    /// The address and the password that are tried, counted.
    pub(super) async fn password_of(
        &self,
        call: &Call,
        fields: &Map<String, Value>,
    ) -> Result<(Email, Secret), Refusal> {
        let (email, password) = (text(fields, "username")?, Secret::new(text(fields, "password")?));
        let email = Email::parse(email).ok();
        let Some(email) = email else {
            self.count_try(call, None).await?;
            return Err(Refusal::wrong_password());
        };
        // Known or not: nobody learns from it which accounts there are.
        let counted = self.limits.try_password(call.client.address, &[email.key()]).await;
        counted.map_err(|over| Refusal::too_often(over.limit, over.retry_after))?;
        Ok((email, password))
    }

    async fn by_password(&self, email: &Email, password: &Secret) -> Result<User, Refusal> {
        let local = self.providers.local_userpass().ok_or_else(|| Refusal::no_such_provider(LOCAL_USERPASS))?;
        let user = local.sign_in(email.as_str(), password).await.map_err(|error| match error {
            provider::Error::Refused => Refusal::wrong_password(),
            error => error.into(),
        })?;
        self.limits.failures.forget(email.key());
        Ok(user)
    }

    async fn by_other(
        &self,
        call: &Call,
        named: &Named,
        credentials: &Map<String, Value>,
    ) -> Result<Box<Account>, Refusal> {
        self.count_try(call, None).await?;
        if let Some(client) = named.provider.redirect() {
            let account = client.native(credentials).await;
            return account.map(Box::new).map_err(|error| told(call, &named.name, &error));
        }
        match named.provider.sign_in(credentials, &call.facts()).await {
            Verdict::Yes(account) => Ok(account),
            Verdict::No(why) => {
                tracing::info!(request = %call.id, provider = named.name, why, "a provider refused a sign-in");
                // What a function throws is meant for whoever called it; what others say is for the log.
                let text = if named.kind == CUSTOM_FUNCTION { why } else { "this credential is not valid".to_owned() };
                Err(Refusal::credential(text))
            }
            Verdict::CannotTell(why) => {
                tracing::warn!(request = %call.id, provider = named.name, why, "a provider could not decide");
                Err(Refusal::unavailable())
            }
        }
    }

    pub(super) async fn count_try(&self, call: &Call, account: Option<&str>) -> Result<(), Refusal> {
        let counted = self.limits.sign_in.count(call.client.address, account).await;
        counted.map_err(|retry_after| Refusal::too_often("sign_in", retry_after))
    }
}

/// From App Services' names to ours. Functions get what was sent, as it was.
fn rename(kind: &str, fields: &mut Map<String, Value>) {
    let names: &[(&str, &str)] = match kind {
        CUSTOM_FUNCTION => return,
        "oauth2-google" => &[("authCode", "code"), ("idToken", "id_token")],
        "oauth2-facebook" => &[("accessToken", "access_token")],
        _ => &[("idToken", "id_token")],
    };
    for (theirs, ours) in names {
        if let Some(value) = fields.remove(*theirs) {
            fields.entry(*ours).or_insert(value);
        }
    }
    // Some SDKs repeat the type here.
    fields.remove("provider");
}

const CUSTOM_FUNCTION: &str = "custom-function";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn renamed(kind: &str, fields: Value) -> Value {
        let mut fields = fields.as_object().cloned().unwrap();
        rename(kind, &mut fields);
        fields.into()
    }

    #[test]
    fn every_spelling_of_a_credential_becomes_ours() {
        for (kind, theirs, ours) in [
            ("oauth2-google", json!({ "authCode": "c", "provider": "oauth2-google" }), json!({ "code": "c" })),
            ("oauth2-google", json!({ "id_token": "t" }), json!({ "id_token": "t" })),
            ("oauth2-google", json!({ "idToken": "t" }), json!({ "id_token": "t" })),
            ("oauth2-facebook", json!({ "accessToken": "t" }), json!({ "access_token": "t" })),
            ("oauth2-apple", json!({ "id_token": "t" }), json!({ "id_token": "t" })),
            ("custom-token", json!({ "token": "t", "provider": "custom-token" }), json!({ "token": "t" })),
            ("custom-function", json!({ "authCode": "c", "provider": 1 }), json!({ "authCode": "c", "provider": 1 })),
        ] {
            assert_eq!(renamed(kind, theirs), ours, "{kind}");
        }
    }
}
