//! What the tokens of apps say besides what all of ours do.

use serde_json::{Map, Value, json};

use super::{AppServices, device};
use crate::account::{Identity, User};
use crate::id::{DeviceId, SessionId};
use crate::provider::{ANON_USER, API_KEY, LOCAL_USERPASS};
use crate::secret::Digest;

impl AppServices {
    /// Of an access token. The user's custom data is in it, as apps read it there.
    pub(super) fn of_access(&self, user: &User, device: Option<DeviceId>) -> Map<String, Value> {
        let mut claims = self.common("access", device);
        if !user.custom_data.is_empty() {
            claims.insert("user_data".to_owned(), user.custom_data.clone().into());
        }
        claims
    }

    /// Of a refresh token.
    pub(super) fn of_refresh(
        &self,
        user: &User,
        provider: &str,
        session: SessionId,
        device: Option<DeviceId>,
    ) -> Map<String, Value> {
        let mut claims = self.common("refresh", device);
        let identity = user.identity(provider).map_or_else(
            || json!({ "id": user.id.to_string(), "provider_type": provider, "provider_id": provider_id(provider) }),
            |identity| self.identity(identity),
        );
        for prefix in ["baas", "stitch"] {
            claims.insert(format!("{prefix}_id"), session.to_string().into());
            claims.insert(format!("{prefix}_data"), Value::Null);
        }
        claims.insert("baas_identity".to_owned(), identity.clone());
        claims.insert("stitch_ident".to_owned(), identity);
        claims
    }

    /// An identity as profiles, tokens and functions show it, without its data.
    pub(super) fn identity(&self, identity: &Identity) -> Value {
        json!({
            "id": identity.subject,
            "provider_type": self.type_of(&identity.provider),
            "provider_id": provider_id(&identity.provider),
        })
    }

    /// The type of the provider of this name; an unknown one, which was switched off, is its own.
    fn type_of<'a>(&'a self, provider: &'a str) -> &'a str {
        match provider {
            ANON_USER | LOCAL_USERPASS | API_KEY => provider,
            other => self.providers.other(other).map_or(other, |named| named.kind),
        }
    }

    fn common(&self, typ: &str, device: Option<DeviceId>) -> Map<String, Value> {
        let device = Value::from(device::shown(device));
        let entries = [
            ("typ", Value::from(typ)),
            ("baas_device_id", device.clone()),
            ("stitch_devId", device),
            ("baas_domain_id", self.domain.as_str().into()),
            ("stitch_domainId", self.domain.as_str().into()),
        ];
        entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// A provider's id: the same wherever the provider has that name.
pub(super) fn provider_id(name: &str) -> String {
    derived_id(&["provider", name])
}

/// 24 hexadecimal digits that follow from these words.
pub(super) fn derived_id(words: &[&str]) -> String {
    Digest::of(words.join("\0")).as_bytes()[..12].iter().map(|byte| format!("{byte:02x}")).collect()
}
