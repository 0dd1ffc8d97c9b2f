use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::secret::Secret;

/// Signs tokens that prove to others who we are, with a key of the operator's.
#[derive(Clone)]
pub struct OwnKey {
    key: EncodingKey,
    algorithm: Algorithm,
    kid: Option<String>,
}

/// A key that cannot sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no private key in PEM that can be used: PKCS#8 for P-256, P-384 and Ed25519, PKCS#1 or PKCS#8 for RSA of 2048 bits \
     or more"
)]
pub struct KeyError;

impl OwnKey {
    /// With the key of this PEM; `kid` is its name in the header. The kind of key says the algorithm: RS256, ES256,
    /// ES384 or EdDSA.
    ///
    /// # Errors
    /// [`KeyError`] for anything else.
    pub fn from_pem(pem: &Secret, kid: Option<&str>) -> Result<Self, KeyError> {
        // Exposed to become a key.
        let pem = pem.expose().as_bytes();
        let made = [
            (EncodingKey::from_rsa_pem(pem), &[Algorithm::RS256][..]),
            (EncodingKey::from_ec_pem(pem), &[Algorithm::ES256, Algorithm::ES384]),
            (EncodingKey::from_ed_pem(pem), &[Algorithm::EdDSA]),
        ];
        let candidates = made.into_iter().filter_map(|(key, algorithms)| Some((key.ok()?, algorithms)));
        for (key, algorithms) in candidates {
            for &algorithm in algorithms {
                let own = Self { key: key.clone(), algorithm, kid: kid.map(str::to_owned) };
                // The curve of a key shows only when it is used.
                if own.sign(&json!({})).is_some() {
                    return Ok(own);
                }
            }
        }
        Err(KeyError)
    }

    /// A token with these claims.
    pub fn sign(&self, claims: &Value) -> Option<Secret> {
        let mut header = Header::new(self.algorithm);
        header.kid.clone_from(&self.kid);
        jsonwebtoken::encode(&header, claims, &self.key).ok().map(Secret::new)
    }

    /// Whether the key is of P-256.
    pub fn is_es256(&self) -> bool {
        self.algorithm == Algorithm::ES256
    }
}

impl std::fmt::Debug for OwnKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnKey").field("algorithm", &self.algorithm).field("kid", &self.kid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(algorithm: &'static rcgen::SignatureAlgorithm) -> Secret {
        Secret::new(rcgen::KeyPair::generate_for(algorithm).unwrap().serialize_pem())
    }

    #[test]
    fn the_kind_of_a_key_says_how_it_signs() {
        let kinds = [
            (&rcgen::PKCS_ECDSA_P256_SHA256, Algorithm::ES256),
            (&rcgen::PKCS_ECDSA_P384_SHA384, Algorithm::ES384),
            (&rcgen::PKCS_ED25519, Algorithm::EdDSA),
            (&rcgen::PKCS_RSA_SHA256, Algorithm::RS256),
        ];
        for (kind, algorithm) in kinds {
            let own = OwnKey::from_pem(&pem(kind), Some("k1")).unwrap();
            let token = own.sign(&json!({ "sub": "app" })).unwrap();
            let header = jsonwebtoken::decode_header(token.expose()).unwrap();
            assert_eq!((header.alg, header.kid.as_deref()), (algorithm, Some("k1")));
        }
    }

    #[test]
    fn what_is_no_key_signs_nothing() {
        let twin = pem(&rcgen::PKCS_ECDSA_P256_SHA256);
        assert!(OwnKey::from_pem(&twin, None).is_ok());
        for text in ["", "secret", &twin.expose().replace("MI", "XX")] {
            assert_eq!(OwnKey::from_pem(&Secret::new(text), None).err(), Some(KeyError), "{text}");
        }
    }
}
