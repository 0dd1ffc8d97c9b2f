//! For tests, here and in `tests/support`: keys made on the spot, and tokens signed with them as no library would.

use std::sync::OnceLock;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

/// A key pair, or a secret.
#[derive(Clone)]
pub struct Signer {
    kid: String,
    pub alg: &'static str,
    key: EncodingKey,
    jwk: Value,
    spki: Vec<u8>,
}

impl Signer {
    /// RS256, 2048 bits; always the same, for it takes a while to make.
    pub fn rsa() -> Self {
        static PAIR: OnceLock<Signer> = OnceLock::new();
        PAIR.get_or_init(|| Self::new_rsa("rsa")).clone()
    }

    /// RS256, another key.
    pub fn new_rsa(kid: &str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
        let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let jwk = json!({ "kty": "RSA", "n": encoded(n.big_endian_without_leading_zero()),
            "e": encoded(e.big_endian_without_leading_zero()) });
        let der = pair.as_der().unwrap();
        let spki = pair.public_key().as_der().unwrap().as_ref().to_vec();
        // The library wants the key inside PKCS #8, which begins with 26 bytes of wrapping at this size.
        let pem =
            format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
        let key = EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
        Self { kid: kid.to_owned(), alg: "RS256", key, jwk, spki }
    }

    /// ES256.
    pub fn ec(kid: &str) -> Self {
        Self::of_curve(kid, "ES256")
    }

    /// ES384.
    pub fn ec384(kid: &str) -> Self {
        Self::of_curve(kid, "ES384")
    }

    fn of_curve(kid: &str, alg: &'static str) -> Self {
        let (signing, curve) = match alg {
            "ES256" => (&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
            _ => (&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
        };
        let pair = EcdsaKeyPair::generate(signing).unwrap();
        let point = &pair.public_key().as_ref()[1..];
        let (x, y) = point.split_at(point.len() / 2);
        let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let jwk = json!({ "kty": "EC", "crv": curve, "x": encoded(x), "y": encoded(y) });
        let key = EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref());
        let spki = pair.public_key().as_der().unwrap().as_ref().to_vec();
        Self { kid: kid.to_owned(), alg, key, jwk, spki }
    }

    /// EdDSA.
    pub fn ed(kid: &str) -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
        let key = EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref());
        let spki = pair.public_key().as_der().unwrap().as_ref().to_vec();
        Self { kid: kid.to_owned(), alg: "EdDSA", key, jwk, spki }
    }

    /// HS256 with these bytes.
    pub fn secret(bytes: &[u8]) -> Self {
        let key = EncodingKey::from_secret(bytes);
        let jwk = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode(bytes) });
        Self { kid: "secret".to_owned(), alg: "HS256", key, jwk, spki: Vec::new() }
    }

    /// The same with another algorithm.
    pub fn with(&self, alg: &'static str) -> Self {
        Self { alg, ..self.clone() }
    }

    /// The public key as a key set has it, with its name and nothing else.
    pub fn jwk(&self) -> Value {
        let mut jwk = self.jwk.clone();
        jwk["kid"] = json!(self.kid);
        jwk
    }

    /// The public key in DER.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The public key in PEM.
    pub fn pem(&self) -> String {
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&self.spki))
    }

    /// The header it writes.
    pub fn header(&self) -> Value {
        json!({ "alg": self.alg, "kid": self.kid, "typ": "JWT" })
    }

    /// A token with these claims.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_text(&self.header().to_string(), &claims.to_string())
    }

    /// A token with this header and these claims, whatever they say.
    pub fn sign_text(&self, header: &str, claims: &str) -> String {
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let algorithm: Algorithm = self.alg.parse().unwrap();
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &self.key, algorithm).unwrap();
        format!("{signed}.{signature}")
    }
}
