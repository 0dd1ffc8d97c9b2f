//! What proves to the authority that a name leads here.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;

/// The protocol that authorities ask for (RFC 8737 §4).
pub const ALPN: &[u8] = b"acme-tls/1";

/// The proofs that authorities may ask for now.
#[derive(Debug, Default)]
pub(super) struct Challenges(RwLock<HashMap<String, Arc<CertifiedKey>>>);

/// A proof, as long as this is kept.
pub(super) struct Proof<'a> {
    challenges: &'a Challenges,
    domain: String,
}

impl Challenges {
    /// Answers for this name with the digest of a key authorization (RFC 8737 §3).
    pub(super) fn prove(&self, domain: &str, digest: &[u8]) -> Result<Proof<'_>, String> {
        let made = certificate(domain, digest)?;
        let domain = domain.to_ascii_lowercase();
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(domain.clone(), Arc::new(made));
        Ok(Proof { challenges: self, domain })
    }

    /// The proof that a handshake asks for.
    pub(super) fn answer(&self, hello: &ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let domain = hello.server_name()?.to_ascii_lowercase();
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&domain).cloned()
    }
}

impl Drop for Proof<'_> {
    fn drop(&mut self) {
        self.challenges.0.write().unwrap_or_else(PoisonError::into_inner).remove(&self.domain);
    }
}

/// Whether a handshake is an authority's: it offers this protocol and no other (RFC 8737 §3).
pub(super) fn is_asked(hello: &ClientHello<'_>) -> bool {
    hello.alpn().is_some_and(|mut offered| offered.next() == Some(ALPN) && offered.next().is_none())
}

fn certificate(domain: &str, digest: &[u8]) -> Result<CertifiedKey, String> {
    let make = || -> Result<_, rcgen::Error> {
        let mut params = CertificateParams::new([domain.to_owned()])?;
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let key = KeyPair::generate()?;
        Ok((params.self_signed(&key)?, key))
    };
    let (certificate, key) = make().map_err(|error| error.to_string())?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(str::to_owned)?;
    // Not by `from_der`, which looks at the certificate as a client does: to a client the extension is unknown.
    let key = aws_lc_rs::sign::any_supported_type(&key).map_err(|error| error.to_string())?;
    Ok(CertifiedKey::new(vec![certificate.der().clone()], key))
}
