//! For programs: who one is, the next access token, the end of it, and the keys that verify.

use http::{Response, StatusCode};
use serde_json::json;

use super::answer::{empty, json as answer};
use super::call::Call;
use super::input::{Accepts, Input};
use super::refusal::unavailable;
use super::{Answer, Portal};
use crate::body::Body;
use crate::rejection::Reason;
use crate::session::Caller;

impl Portal {
    /// Everything that is known of the caller.
    pub(super) fn me(&self, call: &Call) -> Answer {
        match (call.caller.as_deref(), call.trouble) {
            (Some(caller), _) => Ok(answer(StatusCode::OK, &describe(caller))),
            (None, Some(_)) => Err(Reason::BadCredential),
            (None, None) => Err(Reason::SignInNeeded),
        }
    }

    /// The same in the fields of oauth2-proxy's `/oauth2/userinfo`.
    pub(super) fn user_info(&self, call: &Call) -> Answer {
        let all = self.me(call)?;
        let Some(caller) = call.caller.as_deref() else { return Ok(all) };
        let body = json!({
            "user": caller.user.id.to_string(),
            "email": caller.user.email(),
            "groups": caller.user.roles_by(&caller.provider),
            "preferredUsername": caller.user.name(),
        });
        Ok(answer(StatusCode::OK, &body))
    }

    /// The public keys of access tokens and assertions (RFC 7517).
    pub(super) fn keys(&self) -> Response<Body> {
        answer(StatusCode::OK, &self.sessions.jwks())
    }

    /// A new pair of tokens for a refresh token, which is good once.
    pub(super) async fn refresh(&self, call: &Call, body: Body) -> Answer {
        let input = Input::read(&call.headers, body, Accepts::Json).await?;
        let token = input.secret("refresh_token")?;
        // Looked up by its digest.
        let tokens = self.sessions.refresh(token.expose()).await.map_err(unavailable)?;
        let tokens = tokens.ok_or(Reason::BadCredential)?;
        let body = json!({
            "access_token": tokens.access_token.expose(),
            "refresh_token": tokens.refresh_token.expose(),
            "expires_in": tokens.expires_in.as_secs(),
        });
        Ok(answer(StatusCode::OK, &body))
    }

    /// Ends the session of a refresh token. Unknown ones are over already (RFC 7009 §2.2).
    pub(super) async fn revoke(&self, call: &Call, body: Body) -> Answer {
        let input = Input::read(&call.headers, body, Accepts::Json).await?;
        let token = input.secret("refresh_token")?;
        self.sessions.revoke(token.expose()).await.map_err(unavailable)?;
        Ok(empty(StatusCode::NO_CONTENT))
    }
}

fn describe(caller: &Caller) -> serde_json::Value {
    let user = &caller.user;
    let identity = |identity: &crate::account::Identity| json!({ "provider": identity.provider, "issuer": identity.issuer, "subject": identity.subject });
    json!({
        "user_id": user.id.to_string(),
        "kind": user.kind.as_str(),
        "provider": caller.provider,
        "identities": user.identities.iter().map(identity).collect::<Vec<_>>(),
        "data": user.data,
        "custom_data": user.custom_data,
        "roles": user.roles_by(&caller.provider),
        "session": caller.session.map(|id| json!({
            "id": id.to_string(),
            "signed_in_at": caller.signed_in_at.rfc3339(),
        })),
    })
}
