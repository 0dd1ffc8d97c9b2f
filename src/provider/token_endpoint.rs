//! Asking a token endpoint (RFC 6749 §3.2), and reading what providers answer in fact.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use oauth2::basic::BasicTokenType;
use oauth2::{
    AccessToken, AsyncHttpClient, HttpRequest, HttpResponse, RefreshToken, RequestTokenError, Scope, TokenResponse,
};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::oauth2::Error;
use crate::fetch::{self, Fetch};

/// Its answer, as far as anything of it is used. Nobody is kept out for how an end or a scope is written.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TokenAnswer {
    access_token: AccessToken,
    refresh_token: Option<RefreshToken>,
    pub(super) id_token: Option<String>,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<u64>,
    #[serde(default, rename = "error", deserialize_with = "none", skip_serializing)]
    _error: (),
}

impl TokenResponse for TokenAnswer {
    type TokenType = BasicTokenType;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &BasicTokenType {
        &BasicTokenType::Bearer
    }

    fn expires_in(&self) -> Option<Duration> {
        self.expires_in.map(Duration::from_secs)
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref().filter(|token| !token.secret().is_empty())
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        None
    }
}

/// A number, or the same as text, as some write it; anything else says nothing.
fn seconds<'de, D: Deserializer<'de>>(value: D) -> Result<Option<u64>, D::Error> {
    let number = match Value::deserialize(value)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    Ok(number.filter(|number| !number.is_nan()).map(|number| number as u64))
}

/// SEC-OAUTH-09: what comes beside an error is no success, whatever its status.
fn none<'de, D: Deserializer<'de>>(value: D) -> Result<(), D::Error> {
    match Value::deserialize(value)? {
        Value::Null => Ok(()),
        _ => Err(D::Error::custom("an error")),
    }
}

/// The one way out, as the flow's crate wants it.
pub(super) struct Wire(pub(super) Fetch);

impl<'c> AsyncHttpClient<'c> for Wire {
    type Error = Unanswered;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Unanswered>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let answer = self.0.send(request.map(Bytes::from)).await?;
            match answer.status {
                StatusCode::OK => drop(answer.json()?),
                // Whoever is overloaded, or no token endpoint at all, says nothing about the code.
                status => {
                    let is_no = status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS;
                    if !is_no || answer.json().is_err() {
                        return Err(Unanswered::Status(answer.host().to_owned(), status));
                    }
                }
            }
            let mut response = HttpResponse::new(answer.body.to_vec());
            *response.status_mut() = answer.status;
            *response.headers_mut() = answer.headers;
            Ok(response)
        })
    }
}

/// Why there is no answer to read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    #[error(transparent)]
    Fetch(#[from] fetch::Error),
    #[error("{0} answered {1} for tokens")]
    Status(String, StatusCode),
}

/// What the flow's crate makes of it.
pub(super) type TokenError = RequestTokenError<Unanswered, oauth2::basic::BasicErrorResponse>;

/// A token endpoint's no. Bodies may hold tokens, so nothing of them is told but the error's name.
pub(super) fn unusable(error: &TokenError) -> Error {
    match error {
        RequestTokenError::ServerResponse(no) => {
            Error::Refused(format!("the token endpoint says {}", word(no.error().as_ref())))
        }
        RequestTokenError::Request(error) => Error::Down(error.to_string()),
        // GitHub says no with status 200.
        RequestTokenError::Parse(_, body) => match serde_json::from_slice::<Map<String, Value>>(body) {
            Ok(no) if no.get("error").is_some_and(|error| !error.is_null()) => {
                let name = no.get("error").and_then(Value::as_str).unwrap_or_default();
                Error::Refused(format!("the token endpoint says {}", word(name)))
            }
            _ => Error::Down("the token endpoint's answer cannot be read".to_owned()),
        },
        RequestTokenError::Other(_) => Error::Down("the token endpoint's answer is none".to_owned()),
    }
}

/// A name of theirs for our log: short and plain.
pub(super) fn word(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')).take(64).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_end_is_read_however_it_is_written_and_keeps_nobody_out() {
        let end = |written: Value| {
            let answer = json!({ "access_token": "a", "expires_in": written, "scope": ["openid"] });
            serde_json::from_value::<TokenAnswer>(answer).unwrap().expires_in
        };
        for (written, read) in [
            (json!(3600), Some(3600)),
            (json!("3600"), Some(3600)),
            (json!(3600.5), Some(3600)),
            (json!(-1), Some(0)),
            (json!(u64::MAX), Some(u64::MAX)),
            (json!(null), None),
            (json!("soon"), None),
            (json!("NaN"), None),
            (json!([1]), None),
        ] {
            assert_eq!(end(written.clone()), read, "{written}");
        }
    }

    #[test]
    fn sec_oauth_09_tokens_beside_an_error_are_none() {
        let read = |answer: Value| serde_json::from_value::<TokenAnswer>(answer);
        assert!(read(json!({ "access_token": "a", "error": null })).is_ok());
        for error in [json!("invalid_grant"), json!(""), json!({}), json!(false)] {
            assert!(read(json!({ "access_token": "a", "error": error })).is_err(), "{error}");
        }
        assert!(read(json!({ "access_token": 7 })).is_err());
        assert!(read(json!({ "id_token": "a.b.c" })).is_err());
    }
}
