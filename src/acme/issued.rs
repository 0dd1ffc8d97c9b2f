use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use instant_acme::CertificateIdentifier;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;

/// A certificate that an authority has issued, with its key.
#[derive(Clone, Debug)]
pub(super) struct Issued {
    /// What handshakes are answered with.
    pub(super) key: Arc<CertifiedKey>,
    /// Whose it is.
    pub(super) names: BTreeSet<String>,
    /// From when to when it counts.
    pub(super) begins: SystemTime,
    pub(super) ends: SystemTime,
}

impl Issued {
    /// Reads a chain and the key of its first certificate, all in one text (PEM).
    pub(super) fn read(pem: &str) -> Result<Self, String> {
        let chain = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| error.to_string())?;
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| error.to_string())?;
        let first = chain.first().ok_or("no certificate in it")?;
        let (_, parsed) = X509Certificate::from_der(first).map_err(|error| error.to_string())?;
        let names = parsed.subject_alternative_name().ok().flatten();
        let names = names.into_iter().flat_map(|found| &found.value.general_names).filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        });
        let (names, validity) = (names.collect(), parsed.validity());
        let (begins, ends) = (time(validity.not_before), time(validity.not_after));
        let key = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider());
        Ok(Self { key: Arc::new(key.map_err(|error| error.to_string())?), names, begins, ends })
    }

    /// What the authority calls it when it says when to renew (RFC 9773 §4.1). None: it has no such name.
    pub(super) fn id(&self) -> Option<CertificateIdentifier<'static>> {
        Some(CertificateIdentifier::try_from(self.key.cert.first()?).ok()?.into_owned())
    }
}

fn time(time: ASN1Time) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or_default())
}
