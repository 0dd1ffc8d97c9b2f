//! What the demo plays besides the brands: a partner that signs tokens, and a club that knows its members by a card.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::cli::demo_http::{self, Page};
use crate::cli::demo_people::PEOPLE;
use crate::clock::Clock;
use crate::secret::{self, Secret};

/// Their secrets, made for the run.
pub(super) struct Own {
    partner: Secret,
    club: Secret,
}

impl Own {
    /// With secrets of its own.
    pub(super) fn new() -> Self {
        Self { partner: secret::token(), club: secret::token() }
    }

    /// What the file of the demo refers to.
    pub(super) fn secrets(&self) -> [(&'static str, &Secret); 2] {
        [("PARTNER_SECRET", &self.partner), ("CLUB_SECRET", &self.club)]
    }

    /// A token that the partner has signed for somebody, good for a day (RFC 7519 §3).
    pub(super) fn token(&self) -> Secret {
        let person = &PEOPLE[2];
        let end = Clock::system().now().seconds() + 86_400;
        let claims = json!({ "sub": person.id, "name": person.name, "aud": "blog", "exp": end });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&json!({ "alg": "HS256" })), part(&claims));
        let tag = hmac::sign(&key(&self.partner), signed.as_bytes());
        Secret::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag)))
    }

    /// The club's answer to a webhook: whose card it is, or nobody's; nothing without the signature.
    pub(super) fn club(&self, headers: &HeaderMap, body: &[u8]) -> Page {
        if !self.is_signed(headers, body) {
            return demo_http::json(StatusCode::BAD_REQUEST, &json!({ "message": "this is not signed by the blog" }));
        }
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        match asked["payload"]["card"].as_str() {
            Some(CARD) => demo_http::json(StatusCode::OK, &json!({ "id": PEOPLE[2].id, "name": PEOPLE[2].name })),
            _ => demo_http::json(StatusCode::UNAUTHORIZED, &json!({ "message": "no such card" })),
        }
    }

    /// `t=…,n=…,v1=…`, the last one over "t.n.body".
    fn is_signed(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let Some(text) = headers.get("vestibule-signature").and_then(|value| value.to_str().ok()) else { return false };
        let field = |name| text.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        let (Some(time), Some(nonce), Some(shown)) = (field("t"), field("n"), field("v1")) else { return false };
        let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let Some(shown) = shown.as_bytes().chunks(2).map(digits).collect::<Option<Vec<u8>>>() else { return false };
        let signed = [time.as_bytes(), b".", nonce.as_bytes(), b".", body].concat();
        hmac::verify(&key(&self.club), &signed, &shown).is_ok()
    }
}

/// Exposed to sign with, or to see whether it was signed with.
fn key(secret: &Secret) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes())
}

/// The card of the one member.
pub(super) const CARD: &str = "4711";
