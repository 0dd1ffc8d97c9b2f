//! What a token that somebody else signed costs: the first time, by algorithm, and the next time.
//!
//! `cargo bench --bench token`

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use criterion::{BatchSize, Criterion};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;
use tokio::runtime::Runtime;
use vestibule::account::password::Hasher;
use vestibule::clock::Clock;
use vestibule::fetch::Fetch;
use vestibule::function::{Program, Workers};
use vestibule::mail::{self, Mailer, Outbox};
use vestibule::provider::custom_token::{GivenKey, Keys, Material, Settings};
use vestibule::provider::{self, Bearers, Found, Other, Parts, Providers};
use vestibule::session::{self, Sessions};
use vestibule::store::{self, Address, Store};
use vestibule::token::{Algorithm, Matching};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut criterion = Criterion::default().configure_from_args();
    for signer in [Signer::rsa()?, Signer::ec()?] {
        cold(&mut criterion, &runtime, &signer)?;
    }
    for (name, count) in [("known: 1,000 tokens", 1000), ("known: any of 100,000 tokens", 100_000)] {
        let site = runtime.block_on(Site::open(&Signer::ec()?))?;
        let tokens = runtime.block_on(site.known(count))?;
        let mut at = 0;
        criterion.bench_function(name, |bench| {
            bench.iter(|| {
                // A step that has no factor in common with the count: no order of memory.
                at = (at + 7919) % tokens.len();
                site.bearers.cached(black_box(&tokens[at]))
            })
        });
    }
    criterion.final_summary();
    Ok(())
}

/// The whole way: header, signature, claims, the user from the store (in memory), the caller into the cache.
fn cold(criterion: &mut Criterion, runtime: &Runtime, signer: &Signer) -> Outcome<()> {
    let site = runtime.block_on(Site::open(signer))?;
    let mut number = 0;
    let mut fresh = || {
        number += 1;
        site.signer.token("ann", number).unwrap_or_default()
    };
    let found = runtime.block_on(site.bearers.find(&fresh()));
    if !matches!(found, Found::Caller(_)) {
        return Err(format!("a good token is refused: {found:?}").into());
    }
    let find = |token: String| runtime.block_on(site.bearers.find(&token));
    let name = format!("first time: {}", signer.algorithm);
    criterion.bench_function(&name, |bench| bench.iter_batched(&mut fresh, find, BatchSize::SmallInput));
    Ok(())
}

/// A house with one `custom-token` provider.
struct Site {
    bearers: Bearers,
    signer: Signer,
}

impl Site {
    async fn open(signer: &Signer) -> Outcome<Self> {
        let clock = Clock::system();
        let store: Arc<dyn Store> = store::open(&Address::Memory)?;
        let settings = session::Settings { cache: Duration::from_secs(3600), ..Default::default() };
        let public_url = "https://blog.example.com".parse()?;
        let sessions = Sessions::open(store.clone(), clock.clone(), settings, &public_url).await?;
        let key = GivenKey { kid: Some("k1".to_owned()), material: Material::Public(signer.public.clone()) };
        let settings = Settings {
            keys: Keys::Given(vec![key]),
            algorithms: vec![signer.algorithm],
            issuer: Some("https://issuer.test".to_owned()),
            audience: vec!["app".to_owned()],
            audience_match: Matching::All,
            leeway: Duration::from_secs(30),
            metadata: Vec::new(),
        };
        let others = [("custom-token".to_owned(), Other::CustomToken(settings))].into();
        let outbox = mail::Settings { outbox: Outbox::Memory, ..Default::default() };
        let providers = Providers::new(&Parts {
            settings: provider::Settings { others, ..Default::default() },
            mailer: Mailer::new(&outbox, "Bench", &public_url, clock.clone())?,
            hasher: Hasher::new(1),
            fetch: Fetch::new(&Default::default())?,
            workers: Workers::new(Program::own(&[]), Default::default()),
            prefix: "/.auth".to_owned(),
            site: "Bench".to_owned(),
            store,
            sessions,
            clock,
            public_url,
        })?;
        Ok(Self { bearers: providers.bearers().clone(), signer: signer.clone() })
    }

    /// So many tokens that have been seen.
    async fn known(&self, count: usize) -> Outcome<Vec<String>> {
        let mut tokens = Vec::with_capacity(count);
        for number in 0..count {
            let token = self.signer.token(&format!("user-{}", number % 1000), number)?;
            let Found::Caller(_) = self.bearers.find(&token).await else {
                return Err("a good token is refused".into());
            };
            tokens.push(token);
        }
        Ok(tokens)
    }
}

#[derive(Clone)]
struct Signer {
    algorithm: Algorithm,
    key: EncodingKey,
    public: String,
}

impl Signer {
    fn rsa() -> Outcome<Self> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
        let private: Pkcs8V1Der<'_> = pair.as_der()?;
        let key = EncodingKey::from_rsa_pem(pem("PRIVATE KEY", private.as_ref()).as_bytes())?;
        Ok(Self { algorithm: Algorithm::RS256, key, public: pem("PUBLIC KEY", pair.public_key().as_der()?.as_ref()) })
    }

    fn ec() -> Outcome<Self> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
        let key = EncodingKey::from_ec_der(pair.to_pkcs8v1()?.as_ref());
        Ok(Self { algorithm: Algorithm::ES256, key, public: pem("PUBLIC KEY", pair.public_key().as_der()?.as_ref()) })
    }

    fn token(&self, subject: &str, number: usize) -> Outcome<String> {
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let mut header = Header::new(self.algorithm.name().parse()?);
        header.kid = Some("k1".to_owned());
        let claims = json!({
            "iss": "https://issuer.test", "aud": "app", "sub": subject, "email": "user@example.com", "name": "User",
            "exp": Clock::system().now().seconds() + 86_400, "jti": number,
        });
        Ok(jsonwebtoken::encode(&header, &claims, &self.key)?)
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}
